"""Where torch runs, with how many threads, and reproducibly."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import UserError

Advance = Callable[[int], None]
Result = TypeVar("Result")

_drawing = threading.RLock()
_outside: list[Tensor] = []  # states of torch's generator before each fit that runs now


def device(wanted: str) -> torch.device:
    """The device of a setting: "auto" is the GPU where there is one. Raises UserError for a GPU that is not there."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError("[train] device is cuda, and torch finds no GPU here; choose auto or cpu")
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and available) else "cpu")


def cores(n: int) -> int:
    """The threads of a setting: 0 is as many as OMP_NUM_THREADS says, else one a core."""
    asked = os.environ.get("OMP_NUM_THREADS", "").strip()
    return n or (int(asked) if asked.isdecimal() else 0) or os.cpu_count() or 1


@contextlib.contextmanager
def threads(n: int) -> Iterator[int]:
    """Run with `cores(n)` CPU threads, and with those of before afterwards; yields how many."""
    before = torch.get_num_threads()
    chosen = cores(n)
    torch.set_num_threads(chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(before)


def mixed(where: torch.device) -> Any:
    """Mixed precision on a GPU (bfloat16 where it has it, else float16 with its narrower range); nothing on a CPU."""
    if where.type != "cuda":
        return contextlib.nullcontext()
    return torch.autocast("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def side_by_side(
    tasks: Sequence[Callable[[Advance], Result]], where: torch.device, advance: Advance, most: int = 64
) -> list[Result]:
    """The results of several fits, in order: on a CPU as many at a time as there are threads, a thread each, and not
    more than `most`.

    A small net leaves cores idle when its own operations are cut up among them, and stalls when another process has one
    of them; whole fits next to each other do neither. Each task gets an `advance` that may be called from anywhere.
    """
    n_threads = torch.get_num_threads()
    at_once = min(n_threads, len(tasks), most) if where.type == "cpu" else 1
    each = max(1, n_threads // max(1, at_once))
    stop, lock = threading.Event(), threading.Lock()

    def told(n: int) -> None:
        if stop.is_set():
            raise _Stopped
        with lock:
            advance(n)

    try:
        with ThreadPoolExecutor(max(1, at_once), initializer=torch.set_num_threads, initargs=(each,)) as pool:
            futures = [pool.submit(task, told) for task in tasks]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stop.set()  # or the pool would wait until all fits are done
                for future in futures:
                    future.cancel()
                raise
    finally:
        torch.set_num_threads(n_threads)


class _Stopped(Exception):  # noqa: N818 — no error: another fit failed, or somebody interrupted
    pass


class Dropout(nn.Module):
    """`nn.Dropout` with a generator of its own, so that fits side by side draw what each would draw alone."""

    def __init__(self, share: float, rng: torch.Generator) -> None:
        super().__init__()
        self.share, self.rng = share, rng

    def forward(self, x: Tensor) -> Tensor:
        """x as it is when evaluated; in training with a share of it at 0 and the rest scaled up."""
        if not self.training:
            return x
        kept = torch.empty(x.shape, device=x.device).bernoulli_(1 - self.share, generator=self.rng)
        return x * kept.div_(1 - self.share)


def drawn_state(where: torch.device) -> Tensor:
    """State of the generator that torch's own layers draw from on a device."""
    return torch.cuda.get_rng_state(where) if where.type == "cuda" else torch.get_rng_state()


def set_drawn_state(state: Tensor, where: torch.device) -> None:
    """Set it, but not while another thread draws initial weights."""
    with _drawing:
        if where.type == "cuda":
            torch.cuda.set_rng_state(state, where)
        else:
            torch.set_rng_state(state)


@contextlib.contextmanager
def drawing_from(seed: int, where: torch.device) -> Iterator[None]:
    """Layers that are not ours, such as transformers' dropout, draw from torch's one generator: seeded, then as it was.

    Fits side by side share that generator: the last of them puts it back, and none changes it while a net is `seeded`.
    """
    with _drawing:
        _outside.append(drawn_state(where))
        set_drawn_state(torch.Generator(where).manual_seed(seed).get_state(), where)
    try:
        yield
    finally:
        with _drawing:
            first = _outside[0]
            _outside.pop()
            if not _outside:
                set_drawn_state(first, where)


def seeded(make: Callable[[torch.Generator], nn.Module], seed: int, where: torch.device) -> nn.Module:
    """A net with initial weights drawn from a seed, on a device; `make` gets the generator that its dropout draws from.

    Weights are drawn on the CPU under a lock, since torch's layers know only its one generator, which is left as it was.
    """
    rng = torch.Generator(where).manual_seed(seed)
    with _drawing, torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        net = make(rng)
    return net.to(where)
