"""What students and their teacher say of pictures, and how often that is right."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.distill.lessons import Lessons

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Ask = Callable[[Pixels], Reals]  # pictures (n, side, side, 3) → logits (n, K)


def seen(lessons: Lessons, rows: Ints, image_px: int) -> Pixels:
    """Pictures `rows` (n,) at a resolution, as a device would hand them over: (n, image_px, image_px, 3), whole numbers."""
    pixels = np.zeros((len(rows), image_px, image_px, 3), np.uint8)
    for places, block in _blocks(lessons, rows, image_px):
        pixels[places] = block
    return pixels


def chances(ask: Ask, lessons: Lessons, rows: Ints, image_px: int, n_classes: int) -> Reals:
    """Probabilities (n, K) of pictures `rows` (n,) at a resolution."""
    import torch

    probs = np.zeros((len(rows), n_classes), np.float32)
    for places, block in _blocks(lessons, rows, image_px):
        probs[places] = torch.softmax(torch.from_numpy(ask(block)).float(), dim=1).numpy()
    return probs


def _blocks(lessons: Lessons, rows: Ints, image_px: int) -> Iterator[tuple[Ints, Pixels]]:
    import torch

    from secondlook.pipeline.learn.students.teachers import resized

    for places, block in lessons.pictures.blocks(rows):
        if block.shape[1] == image_px:
            yield places, block
        else:
            shown = resized(torch.from_numpy(block).permute(0, 3, 1, 2), image_px)
            whole = shown.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
            yield places, np.ascontiguousarray(whole.numpy())


def by_torch(say: "Callable[[torch.Tensor], torch.Tensor]", where: "torch.device") -> Ask:
    """Whatever takes pictures (n, 3, side, side) on a device and says logits, as an `Ask`."""
    import torch

    def ask(pixels: Pixels) -> Reals:
        with torch.inference_mode():
            shown = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(where)
            return say(shown).float().cpu().numpy()

    return ask


def figures(lessons: Lessons, said: Ints, teacher: Ints) -> dict[str, Any]:
    """Accuracy on the samples of the split test, and agreement with the teacher on their pictures.

    `said`, `teacher`: the class (U,) that each says of the pictures `lessons.unseen`. A sample whose class the teacher does not
    know counts as wrong.
    """
    place = np.full(len(lessons.content_ids), -1, np.int64)
    place[lessons.unseen] = np.arange(len(lessons.unseen))
    at = place[lessons.asked]
    hits, contents = said[at] == lessons.told, np.unique(at)
    return {
        "accuracy": share(hits),
        "accuracy_verified": share(hits[lessons.verified]),
        "agreement": share(said[contents] == teacher[contents]),
    }


def share(hits: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The share of (n,) that is true, with n and its Wilson interval; `value` is None of none."""
    from secondlook.pipeline.core import statistics

    n = len(hits)
    found = statistics.share(int(hits.sum()), n)
    ends = [round(found.interval.low, 4), round(found.interval.high, 4)]
    return {"value": round(found.value, 4) if n else None, "n": n, "interval": ends}
