"""The history of a lake for a report: its versions, label events by source, and what people's decisions changed."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.history.history import in_a_line
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.report import facts as f

LISTED_CHANGES = 10


def time(iso: str) -> str:
    """An ISO 8601 time of UTC as the page shows it, to the minute."""
    return iso[:16].replace("T", " ") + " UTC"


def history(lake: Lake, version: Version) -> f.History:
    """All versions up to this one, and what happened to labels in them."""
    versions = [one for one in lake.versions.all() if one.id <= version.id]
    events = lake.read("labels", version, ["seq", "sample_id", "label", "source"])
    counted = Counter(zip(events["seq"].to_pylist(), events["source"].to_pylist(), strict=True))
    by_seq: dict[int, dict[str, int]] = {}
    for (seq, source), n in sorted(counted.items()):
        by_seq.setdefault(seq, {})[source] = n
    classes = read_classes(lake, version)
    shown, before = [], None
    for one in versions:
        # Two jobs on different tables may bear one seq: the events are of that one which wrote labels.
        wrote = one.tables.get("labels") != before
        before = one.tables.get("labels")
        seconds = one.run.get("seconds")
        shown.append(
            f.VersionFacts(
                id=one.id,
                job=one.job,
                created=time(one.created),
                line=in_a_line(classes.told(dict(one.summary))),
                events=by_seq.get(one.seq, {}) if wrote else {},
                seconds=float(seconds) if isinstance(seconds, int | float) else None,
            )
        )
    labels = classes.masks(events["label"])
    changes = _changes(events.set_column(events.column_names.index("label"), "label", labels))
    first = sum(n for (before, _), n in changes.items() if not before)
    changes = Counter({pair: n for pair, n in changes.items() if pair[0]})
    top = sorted(changes.items(), key=lambda item: (-item[1], item[0]))[:LISTED_CHANGES]
    return f.History(
        tuple(shown),
        dict(Counter(events["source"].to_pylist()).most_common()),
        tuple(f.Change(before, after or "no label", n) for (before, after), n in top),
        sum(changes.values()),
        first,
    )


def _changes(events: pa.Table) -> Counter[tuple[str, str]]:
    """How often a decision turned one label ("" for none) into another one."""
    events = events.sort_by([("sample_id", "ascending"), ("seq", "ascending")])
    ids, labels = events["sample_id"].combine_chunks(), pc.fill_null(events["label"], "").combine_chunks()
    if not len(ids):
        return Counter()
    same = np.append(False, pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False))
    decided = pc.not_equal(events["source"], "ingest").to_numpy()
    at = np.flatnonzero(decided)
    after = labels.take(pa.array(at)).to_pylist()
    before = labels.take(pa.array(np.maximum(at - 1, 0))).to_pylist()
    known = (old if same[place] else "" for old, place in zip(before, at, strict=True))
    return Counter((old, new) for old, new in zip(known, after, strict=True) if old != new)
