"""`secondlook review serve`: answers come in as soon as they are given."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.pull import complaints, told
from secondlook.jobs.terminal.console import finish, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8765,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="Where Label Studio reaches this, if not at --host and --port: behind a proxy, say."
        ),
    ] = None,
    secret_file: Annotated[
        Path, typer.Option("--secret-file", help="The shared secret, of mode 600; made where there is none.")
    ] = Path("secondlook-webhook.secret"),
    register: Annotated[
        bool, typer.Option("--register/--no-register", help="Ask Label Studio to call, and take it back at the end.")
    ] = True,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Pull whenever somebody answers, until Ctrl-C.

    Label Studio calls by webhook, which must carry a shared secret (SECONDLOOK_WEBHOOK_SECRET, or a file of mode 600); what is called only
    says which project to look at. Every [label_studio] poll_s all are asked anyway, so a call that is lost costs a minute and nothing
    else. Label Studio refuses to call addresses of its own machine unless it was started with SSRF_PROTECTION_ENABLED=false.

    Example:

        secondlook review serve
        secondlook review serve --host 0.0.0.0 --url https://hooks.example.org
    """
    from secondlook.jobs.studio import hooks
    from secondlook.jobs.studio import serve as studio_serve
    from secondlook.jobs.studio.client import connect

    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    stop = threading.Event()
    secret = hooks.secret(secret_file)
    studio = connect(chosen)
    receiver = studio_serve.Receiver(host, port, secret)
    totals = {"pulls": 0, "added": 0, "changed": 0, "deleted": 0}

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    def pulled(summary: dict[str, Any]) -> None:
        totals["pulls"] += 1
        for name in ("added", "changed", "deleted"):
            totals[name] += summary[name]
        say(f"{', '.join(summary['batches'])}: {told(summary)}")
        for line in complaints(summary):
            say(line, style="yellow")

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    address = (url or f"http://{host}:{receiver.port}").rstrip("/") if register else None
    say(
        f"listening on {host}:{receiver.port}, asking Label Studio every {chosen.label_studio.poll_s:g} s; Ctrl-C ends it"
    )
    try:
        studio_serve.run(
            opened,
            chosen,
            studio,
            receiver,
            address=address,
            stop=stop,
            told=lambda text: say(text, style="yellow"),
            summaries=pulled,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        receiver.close()
        studio.close()
    calls = {name: receiver.counts[name] for name in ("taken", "repeated", "forged", "malformed", "too large")}
    finish(totals | {"calls": calls}, as_json=json, lines=lambda: say(f"webhooks: {calls}; answers: {totals}"))
