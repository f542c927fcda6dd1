"""Streamed pictures: the same as held ones in the same order, however fast threads are, in a bounded memory."""

import random
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.learn.training.distributed import Group
from secondlook.pipeline.learn.training.kept import Kept
from secondlook.pipeline.learn.training.loop import Learner, fit, labels_loss
from secondlook.pipeline.learn.training.pictures import Held
from secondlook.pipeline.learn.training.streamed import Streamed
from tests.learn.training.made import CPU, RECIPE, SIDE, N, conv_net, pictures, same


@dataclass
class Made:
    """The made pictures, encoded as their bytes, in parts of some sizes."""

    sizes: Sequence[int]
    reads: int = 0

    def read(self, part: int) -> list[bytes]:
        self.reads += 1
        start = sum(self.sizes[:part])
        return [one.tobytes() for one in pictures()[0][start : start + self.sizes[part]]]


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8).reshape(SIDE, SIDE, 3).copy()


def lagging(data: bytes) -> npt.NDArray[np.uint8]:
    time.sleep(random.uniform(0, 0.002))  # noqa: S311
    return decode(data)


def streamed(**options: object) -> Streamed:
    wanted = {"parts": Made([7, 11, 1, 9, 0, 20]), "decode": decode, "batch": 16, "seed": 5, "window": 2, "threads": 3}
    return Streamed(where=CPU, **(wanted | options))  # type: ignore[arg-type]


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(lambda sizes: 0 < sum(sizes) <= N),
    batch=st.integers(1, 20),
    window=st.integers(1, 7),
    ahead=st.integers(0, 3),
    every=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_each_wanted_picture_comes_once_beside_its_row(
    sizes: list[int], batch: int, window: int, ahead: int, every: int, epoch: int
) -> None:
    rows = torch.arange(sum(sizes))[::every]
    source = streamed(parts=Made(sizes), rows=rows, batch=batch, window=window, ahead=ahead)
    found = list(source.batches(epoch))
    assert len(found) == source.steps
    seen = torch.cat([one for one, _ in found])
    assert len(seen) == (len(rows) // batch * batch or len(rows))
    assert set(seen.tolist()) <= set(rows.tolist())
    assert len(set(seen.tolist())) == len(seen)
    shown = torch.cat([one for _, one in found]).permute(0, 2, 3, 1)
    assert torch.equal(shown, torch.from_numpy(pictures()[0])[seen])


def test_the_order_is_of_seed_and_epoch_and_never_of_who_was_faster() -> None:
    orders = [
        torch.cat([rows for rows, _ in streamed(decode=how, threads=threads, **more).batches(epoch)]).tolist()
        for how, threads, epoch, more in [
            (decode, 1, 0, {}),
            (lagging, 4, 0, {}),
            (decode, 1, 1, {}),
            (decode, 1, 0, {"seed": 6}),
        ]
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != orders[3]


def test_a_fit_on_streamed_pictures_is_one_on_held_ones_in_that_order_and_goes_on() -> None:
    pixels, labels = pictures()
    source = streamed()
    order = {epoch: torch.cat([rows for _, rows in source.windows(epoch)]) for epoch in range(RECIPE.epochs)}
    nets = [conv_net(1), conv_net(1), conv_net(2)]
    learners = [[Learner(net, labels_loss(labels, 0.1))] for net in nets]
    after: list[Kept] = []
    losses = [
        fit(learners[0], Held(pixels, order.__getitem__, 16, CPU), RECIPE, CPU),
        fit(learners[1], source, RECIPE, CPU, keep=after.append),
    ]
    losses.append(fit(learners[2], streamed(), RECIPE, CPU, resume=after[1]))
    assert losses[0] == losses[1] == losses[2]
    assert same(nets[0], nets[1])
    assert same(nets[1], nets[2])


def test_processes_decode_their_shares_of_the_same_batches() -> None:
    whole = list(streamed().batches(0))
    decoded: list[int] = []

    def counted(data: bytes) -> npt.NDArray[np.uint8]:
        decoded.append(1)
        return decode(data)

    for rank in range(2):
        group = Group(rank, 2)
        for (rows, shown), (all_rows, all_shown) in zip(
            streamed(group=group, decode=counted).batches(0), whole, strict=True
        ):
            assert torch.equal(rows, all_rows)
            assert torch.equal(shown, all_shown[group.part])
    assert len(decoded) == N


class Counted:
    """Counts what is held: objects that are made with it and not yet gone."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def add(self, made: object) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        weakref.finalize(made, self.gone)

    def gone(self) -> None:
        with self.lock:
            self.now -= 1


class Weakly:
    """One encoded picture, which a weak reference may point to."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.mark.parametrize(("parts", "window"), [(64, 2), (64, 4)])
def test_memory_is_bounded_by_windows_and_batches_ahead(parts: int, window: int) -> None:
    encoded, decoded = Counted(), Counted()
    size, batch, ahead = 10, 8, 3

    class Source:
        sizes: Sequence[int] = (size,) * parts

        def read(self, part: int) -> list[bytes]:
            made = [Weakly(part * size + i) for i in range(size)]
            for one in made:
                encoded.add(one)
            return made  # type: ignore[return-value]

    def opened(data: bytes) -> npt.NDArray[np.uint8]:
        picture = np.full((4, 4, 3), data.number % 256, np.uint8)  # type: ignore[attr-defined]
        decoded.add(picture)
        return picture

    source = Streamed(Source(), opened, batch, 1, CPU, window=window, ahead=ahead, threads=2)
    for _ in source.batches(0):
        time.sleep(0.001)  # a net that is slower than its pictures
    assert encoded.most <= 2 * window * size + (ahead + 1) * batch
    assert decoded.most <= (ahead + 1) * batch
    assert encoded.most > window * size  # the next window was read ahead
    assert decoded.most > batch  # and batches were decoded ahead


def test_what_goes_wrong_in_a_thread_is_raised_and_threads_end() -> None:
    before = threading.active_count()

    def broken(data: bytes) -> npt.NDArray[np.uint8]:
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        list(streamed(decode=broken).batches(0))
    stopped = streamed(decode=lagging).batches(0)
    next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_part_without_wanted_pictures_is_not_read() -> None:
    parts = Made([7, 11, 1, 9, 0, 20])
    list(streamed(parts=parts, rows=torch.arange(18)).batches(0))
    assert parts.reads == 2
