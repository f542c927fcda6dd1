"""A second process that decodes what could hang, crash or eat memory, under limits that the system enforces.

The helper is started at the first such picture and lives as long as its parent. While it decodes, an alarm with the
system's default action ends it after `timeout_s`, also inside of C code that no Python handler could interrupt, and
whether or not the parent still lives; its address space is bounded. The next picture gets a new helper.

Run as `python -m secondlook.pipeline.core.decoding.guard` it is that helper: on standard input a line of JSON and the
file's bytes, on standard output a line of JSON and the pixels.
"""

import atexit
import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from typing import IO, Any, cast

import numpy as np
from PIL import Image

from secondlook.pipeline.core.decoding import pillow
from secondlook.pipeline.core.decoding.outcome import Decoded, Limits, Rejected

BASE_BYTES = 2**30  # address space of Python with its libraries, much more than what becomes resident
BYTES_PER_PIXEL = 16  # RGBA three times over, and the decoder's own rows


class Guard:
    """The parent's end: one helper at a time, one picture at a time."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(
        self, form: str, data: bytes, limits: Limits, *, min_side_px: int | None, orientation: int | None
    ) -> Decoded | Rejected:
        """`pillow.read` in the helper."""
        request = {
            "bytes": len(data),
            "form": form,
            "limits": vars(limits),
            "min_side_px": min_side_px,
            "orientation": orientation,
        }
        with self._lock:
            helper = self._running()
            assert helper.stdin is not None
            assert helper.stdout is not None
            try:
                helper.stdin.write(json.dumps(request).encode() + b"\n")
                helper.stdin.write(data)
                helper.stdin.flush()
                answer = json.loads(helper.stdout.readline())
                if "reason" in answer:
                    return Rejected(**answer)
                pixels = np.empty(answer.pop("shape"), np.uint8)
                got = cast(io.BufferedReader, helper.stdout).readinto(pixels.data.cast("B"))
                if got != pixels.nbytes:
                    raise EOFError("it died while it answered")
                return Decoded(pixels=pixels, **answer)
            except (OSError, ValueError, EOFError):
                return self._died(form, helper, limits)
            except BaseException:  # interrupted in the middle: what it says next belongs to no question
                self.close()
                raise

    def close(self) -> None:
        """Ends the helper."""
        helper, self._helper = self._helper, None
        if helper is None:
            return
        helper.kill()
        helper.wait()
        for stream in (helper.stdin, helper.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # bytes for a helper that no longer lives
                    stream.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._helper is None or self._helper.poll() is not None:
            self.close()
            # One thread: pools of linear algebra would take address space and help nobody here.
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self._helper = subprocess.Popen(  # noqa: S603 — ourselves
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return self._helper

    def _died(self, form: str, helper: "subprocess.Popen[bytes]", limits: Limits) -> Rejected:
        try:
            status = helper.wait(timeout=5)
        except subprocess.TimeoutExpired:
            status = 0
        self.close()
        if status == -signal.SIGALRM:
            return Rejected("timeout", f"{form}: longer than {limits.timeout_s:g} s")
        return Rejected("corrupt", f"{form}: its decoder crashed (status {status})")


_guard = Guard()


def _at_exit() -> None:
    _guard.close()


atexit.register(_at_exit)


def _after_fork() -> None:
    """A forked worker must not talk to its parent's helper."""
    global _guard
    forgotten, _guard = _guard, Guard()
    helper = forgotten._helper
    if helper is not None:
        helper.returncode = 0  # not our child: nobody here waits for it
        for stream in (helper.stdin, helper.stdout):
            if stream is not None:
                os.close(stream.fileno())


os.register_at_fork(after_in_child=_after_fork)


def decode(
    form: str, data: bytes, limits: Limits, *, min_side_px: int | None = None, orientation: int | None = None
) -> Decoded | Rejected:
    """`pillow.read` in this process's helper, within `limits.timeout_s` and bounded memory."""
    return _guard.decode(form, data, limits, min_side_px=min_side_px, orientation=orientation)


def _bound_memory(limits: Limits, file_bytes: int) -> None:
    wanted = BASE_BYTES + BYTES_PER_PIXEL * limits.max_pixels + 4 * file_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):  # macOS knows no such limit; the size was checked before
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; we end with its pipe
    while line := requests.readline():
        request: dict[str, Any] = json.loads(line)
        size = request.pop("bytes")
        data = requests.read(size)
        if len(data) != size:
            return
        limits = Limits(**request.pop("limits"))
        _bound_memory(limits, size)
        Image.MAX_IMAGE_PIXELS = limits.max_pixels  # Pillow checks it for pictures inside of pictures
        signal.setitimer(signal.ITIMER_REAL, limits.timeout_s)
        outcome = pillow.read(data=data, limits=limits, **request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(outcome, Rejected):
            answers.write(json.dumps(vars(outcome)).encode() + b"\n")
        else:
            facts = dict(vars(outcome))
            pixels = facts.pop("pixels")
            answers.write(json.dumps({**facts, "shape": pixels.shape}).encode() + b"\n")
            answers.write(pixels.data)
        answers.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints must not get between the pixels
    _serve(sys.stdin.buffer, answers)
