"""Labels that can be trusted: those that three people, or an expert, agreed on, and that nothing has changed since."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import NotEqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.annotators import paused
from secondlook.labeling import history
from secondlook.labeling.adjudication import PEOPLE

STRATEGY = "verify"  # of the tasks in `batches` whose answers are adjudicated
MARK = "adjudicated"  # in the evidence of a label event: how many people the decision was adjudicated from


def verified(lake: Lake, version: Version) -> set[str]:
    """The samples whose label was adjudicated and still is what people agreed on; equal pictures with that label, too.

    A label that was changed since, by whatever, is not verified any more; nor is one whose decision was reverted, or rests on too few people
    since somebody was paused.
    """
    told = agreed(lake, version)
    if not told:
        return set()
    samples = dataset.samples(lake, version, reveal=True).select(["sample_id", "content_id", "label"])
    rows = zip(*(samples[name].to_pylist() for name in samples.column_names), strict=True)
    return {sample_id for sample_id, content, label in rows if label and told.get(content) == label}


def agreed(lake: Lake, version: Version) -> dict[str, str]:
    """The class, as it is called today, that adjudicated decisions gave to contents: the newest that was not reverted.

    Those that paused people alone carry are left out.
    """
    events = lake.read("labels", version, where=NotEqualTo("source", "ingest"))  # type: ignore[call-arg, arg-type]
    told = events.filter(pc.fill_null(pc.match_substring(events["evidence"], f'"{MARK}"'), False))
    touched = pc.unique(told["sample_id"]).to_pylist()
    if not touched:
        return {}
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    silent = paused(lake, version)
    newest: dict[str, tuple[int, str]] = {}
    for sample_id, its in history.by_sample(events, touched).items():
        gone = history.withdrawn(its)
        for event in its:
            if event.seq in gone:
                continue
            if _shaken(event):
                newest.pop(content.get(sample_id, ""), None)
            elif _carried(event, silent) and event.label and content.get(sample_id):
                found = (event.seq, event.label)
                newest[content[sample_id]] = max(newest.get(content[sample_id], found), found)
    seqs = pa.chunked_array([[seq for seq, _ in newest.values()]], pa.int64())
    labels = pa.chunked_array([[label for _, label in newest.values()]], pa.string())
    today = read_classes(lake, version).read(labels, seqs, reveal=True).to_pylist()
    return {its: label for its, label in zip(newest, today, strict=True) if label is not None}


def _shaken(event: history.Event) -> bool:
    """Whether it weighed anew what was adjudicated, and no three people were left: what a model then has a voice in is not verified."""
    evidence = event.evidence
    return bool(evidence.get("undecided") or (evidence.get("again") and "votes" in evidence and not evidence.get(MARK)))


def _carried(event: history.Event, silent: Collection[str]) -> bool:
    """Whether people adjudicated it, and enough of them are not silent."""
    heard = event.evidence.get(MARK)
    if not heard:
        return False
    answers = {vote["annotator"]: vote["answer"] for vote in reversed(event.evidence.get("votes", ()))}
    left = [answer for name, answer in answers.items() if name not in silent]
    agree = left.count(event.label)
    # Fewer than three were heard where they are experts, who need no others.
    return agree >= heard if heard < PEOPLE else len(left) >= PEOPLE and 2 * agree > len(left)
