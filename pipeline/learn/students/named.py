"""Students by name: `mobilenet-v1:0.5,resnet:16@24`, nets of the family, each at its own resolution where it has one."""

from dataclasses import dataclass

import torch

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.nets import family

SIDES = (8, 1024)  # pixels
USUAL_PX = 224  # every family takes pictures of this side


@dataclass(frozen=True)
class Named:
    """A net of the family, and the side of its pictures: the width α and the resolution ρ of MobileNet's paper."""

    net: str
    image_px: int

    @property
    def slug(self) -> str:
        """As a part of a file's name: `mobilenet-v1-0.5-32px`."""
        return f"{self.net.replace(':', '-')}-{self.image_px}px"


def named(text: str, image_px: int) -> list[Named]:
    """The students of a list with commas between; `image_px` is the side of those that name none.

    Raises UserError for a name that is none, a side that is none, and one that is there twice.

    >>> named("resnet:16, resnet:16@24", 32)
    [Named(net='resnet:16', image_px=32), Named(net='resnet:16', image_px=24)]
    """
    found: list[Named] = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        net, _, side = part.partition("@")
        student = Named(net.strip(), _side(part, side) if side else image_px)
        if student in found:
            raise UserError(f"the student {part} is there twice")
        with torch.device("meta"):  # complains of names that are none, and draws no weights
            family.features(student.net, USUAL_PX)
        found.append(student)
    if not found:
        raise UserError("--students takes nets by name, such as mobilenet-v1:0.5,resnet:16, got none")
    return found


def _side(part: str, side: str) -> int:
    low, high = SIDES
    if not side.strip().isdecimal() or not low <= int(side) <= high:
        raise UserError(f"a student's side in pixels, after @, is from {low} to {high}, got {part!r}")
    return int(side)
