"""The bytes of pictures, from the lake or from where they stayed."""

import contextlib
from collections.abc import Collection, Iterable, Iterator

from pyiceberg.expressions import In

from secondlook.jobs.lake.store import Lake, Version, first_line
from secondlook.pipeline.core.errors import SecondlookError, UnavailableError


def images_by_content(lake: Lake, version: Version, content_ids: Iterable[str]) -> dict[str, bytes]:
    """The bytes of these contents, read from the lake or from where a reference points.

    Raises SecondlookError where a content is not in the lake, UnavailableError where a reference is gone.
    """
    wanted = sorted(set(content_ids))
    found: dict[str, bytes] = {}
    if wanted:
        chosen = In("content_id", wanted)  # type: ignore[call-arg, arg-type]  # its signature hides behind pydantic's
        for batch in lake.batches("images", version, ["content_id", "image"], chosen):
            for content, image in zip(batch["content_id"].to_pylist(), batch["image"].to_pylist(), strict=True):
                found[content] = image["bytes"] if image["bytes"] is not None else read_reference(image["path"])
    for content in wanted:
        if content not in found:
            raise SecondlookError(f"content {content} is named by a sample but is not in the lake")
    return found


def present_images(
    lake: Lake, version: Version, content_ids: Collection[str], *, ask: bool
) -> Iterator[list[tuple[str, bytes]]]:
    """The bytes of these contents, a batch at a time, as they lie in the lake; without references that are gone.

    `ask`: the lake is asked for these rows alone, which pays for few.
    """
    chosen = In("content_id", sorted(content_ids)) if ask and content_ids else None  # type: ignore[call-arg, arg-type]
    for batch in lake.batches("images", version, ["content_id", "image"], chosen) if content_ids else ():
        found = []
        for content, image in zip(batch["content_id"], batch["image"], strict=True):
            if (name := content.as_py()) in content_ids:
                held = image.as_py()
                with contextlib.suppress(UnavailableError):
                    found.append((name, held["bytes"] if held["bytes"] is not None else read_reference(held["path"])))
        yield found


def read_reference(url: str) -> bytes:
    """Bytes of a picture that stayed where it was."""
    from secondlook.jobs.sources.references import fetch

    try:
        return fetch(url)
    except (OSError, KeyError, ValueError) as problem:
        raise UnavailableError(f"{url} was kept by reference and can't be read now: {first_line(problem)}") from None
