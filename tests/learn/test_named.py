"""Students by name: every family of nets, each at its own resolution where it has one."""

import pytest
import torch

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.nets import family
from secondlook.pipeline.learn.students.named import Named, named


def test_every_family_gives_students_without_drawing_weights() -> None:
    names = [example for example, _, _ in family.described()]
    before = torch.random.get_rng_state()
    assert named(", ".join(names), 32) == [Named(name, 32) for name in names]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_side_of_its_own_makes_it_another_student() -> None:
    found = named("mobilenet-v1:0.5,mobilenet-v1:0.5@24", 32)
    assert [one.slug for one in found] == ["mobilenet-v1-0.5-32px", "mobilenet-v1-0.5-24px"]


@pytest.mark.parametrize("side", ["", " 24", "024"])
def test_sides_are_read_as_numbers(side: str) -> None:
    assert named(f"resnet:4@{side}" if side else "resnet:4", 24) == [Named("resnet:4", 24)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resnet:4@7", "from 8 to 1024, got 'resnet:4@7'"),
        ("resnet:4@x", "from 8 to 1024"),
        ("resnet:4@-9", "from 8 to 1024"),
        ("resnt:4", "unknown net 'resnt', did you mean 'resnet'"),
        ("mobilenet-v1", "takes its width multiplier"),
        ("resnet:4,resnet:4@32", "the student resnet:4@32 is there twice"),
        (" , ", "got none"),
    ],
)
def test_what_is_no_student_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        named(text, 32)
