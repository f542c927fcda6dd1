"""The App of FiftyOne, on the loopback only, until it is interrupted."""

import contextlib
import signal
import socket
from typing import Any

from secondlook.jobs.terminal.console import say

ADDRESS = "127.0.0.1"


def free_port(wanted: int) -> int:
    """The port, or any free one where somebody listens there already."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((ADDRESS, port))
            return int(probe.getsockname()[1])
    return wanted


def serve(fo: Any, dataset: Any, spaces: Any, port: int) -> None:
    """Show a dataset until Ctrl-C. Whoever reaches this machine's loopback can see it; nobody else can."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # the App's own process is ended by ours, so ours must not just vanish
        signal.signal(number, signal.default_int_handler)
    chosen = free_port(port)
    session = fo.launch_app(dataset, remote=True, address=ADDRESS, port=chosen, spaces=spaces)
    say(f"FiftyOne shows it at http://{ADDRESS}:{chosen}/datasets/{dataset.slug}")
    say("tag samples relabel, keep, drop or label:NAME there, then `secondlook explore --pull`; Ctrl-C ends this")
    try:
        session.wait(-1)
    except KeyboardInterrupt:
        say("closed")
    finally:
        session.close()
