"""SL104, and what SL307 knows of people: what lint says of the answers that people gave."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lint.carrier import Carrier, Said, to_table
from secondlook.pipeline.audit.labels.disagreement import Answered, Shown, Sides, annotators_disagree, by_side
from secondlook.pipeline.core.config import LintSettings


class Voices(NamedTuple):
    """Who said what of which content: one voice a person and content, the newest. `contents` are numbered as in `said`."""

    said: Answered
    contents: pa.Array
    shown: dict[int, Shown]


def voices(carrier: Carrier, answers: pa.Table) -> Voices:
    """Answers (jobs.lake.answers) by content; a content is shown as the first of its samples that people were asked for."""
    asked = carrier.of_samples(pc.unique(answers["sample_id"]))
    asked = asked.sort_by([("key", "ascending"), ("sample_id", "ascending")])
    contents = pc.unique(asked["content_id"])
    item_of = dict(
        zip(
            asked["sample_id"].to_pylist(),
            pc.index_in(asked["content_id"], value_set=contents).to_pylist(),
            strict=True,
        )
    )
    newest: dict[tuple[int, str], tuple[str, bool]] = {}
    ordered = answers.sort_by([("seq", "ascending"), ("annotation_id", "ascending")])
    for row in ordered.select(["sample_id", "annotator", "answer", "label"]).to_pylist():
        item = item_of.get(row["sample_id"])
        if item is not None and (row["label"] is not None or row["answer"] != "label"):
            is_class = row["label"] is not None
            newest[item, row["annotator"]] = (row["label"] if is_class else row["answer"], is_class)
    shown: dict[int, Shown] = {}
    for row in asked.to_pylist():
        one = Shown(row["sample_id"], row["key"], row["split"] or "", row["label"])
        shown.setdefault(item_of[row["sample_id"]], one)
    items = np.array([item for item, _ in newest], np.int64)
    said = Answered(items, [name for name, _ in newest.values()], [is_class for _, is_class in newest.values()])
    return Voices(said, contents, shown)


def audit(spoken: Voices, settings: LintSettings) -> Said:
    """SL104, of contents that several people answered for."""
    if not len(spoken.said.item):
        return Said(to_table([]), {"SL104": "nobody has answered yet; `secondlook review push` asks people"})
    if np.bincount(spoken.said.item).max() < 2:
        return Said(to_table([]), {"SL104": "no picture has answers of two people, so nobody can disagree"})
    return Said(to_table(annotators_disagree(spoken.said, spoken.shown, settings.disagreement)))


def sides(carrier: Carrier, spoken: Voices, settings: LintSettings) -> Sides | None:
    """How people fared on pictures that SL307 calls too small, and on larger ones; None where there are too few answers."""
    if not len(spoken.said.item):
        return None
    sizes = carrier.sizes(spoken.contents)
    place = pc.index_in(spoken.contents, value_set=sizes["content_id"].combine_chunks())
    shorter = pc.min_element_wise(sizes["width"], sizes["height"]).take(place)
    side: npt.NDArray[np.float64] = pc.cast(shorter, pa.float64()).to_numpy(zero_copy_only=False)
    return by_side(spoken.said, side, settings.min_side_px)
