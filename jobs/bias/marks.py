"""What the lake knows of single pictures that an audit by groups counts: doubted labels, copies, verified labels, tasks for people."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.bias import outcomes
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import verified
from secondlook.jobs.lint import copies, labels
from secondlook.jobs.lint.carrier import Carrier
from secondlook.jobs.share.adjudicated import audit as read_audit
from secondlook.jobs.share.adjudicated import calibration
from secondlook.pipeline.core.config import Settings

BY_SCORE = (
    "doubted",
    "unlabeled",
    "again",
)  # strategies of tasks that the queue chose: not drawn, not gold, not asked for by a person
RULES = ("SL101", "SL202")  # whose findings an audit by groups reads


class Marks(NamedTuple):
    """ids of samples by name, and what nobody could mark, by rule in a sentence."""

    ids: Mapping[str, pa.Array]
    notes: Mapping[str, str]


def findings(lake: Lake, version: Version, settings: Settings, carrier: Carrier, model: Model | None) -> pa.Table:
    """SL101 and SL202 of a version, as lint has them: for who has not just run lint."""
    waiting = dataset.quarantined(lake, version).values()
    curve = calibration(read_audit(lake, version, settings))
    doubted = labels.audit(carrier, model, waiting, settings.lint, curve).findings
    return pa.concat_tables([doubted, copies.audit(carrier, model, settings.lint).findings])


def near(carrier: Carrier, found: pa.Table) -> list[list[str]]:
    """Contents that look the same, a group each, as SL202 says."""
    rows = found.filter(pc.equal(found["rule"], "SL202"))
    samples = carrier.of_samples(rows["subject"].combine_chunks())
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    groups: dict[str, set[str]] = defaultdict(set)
    for subject, evidence in zip(rows["subject"].to_pylist(), rows["evidence"].to_pylist(), strict=True):
        groups[json.loads(evidence)["kept"]].add(content[subject])
    return [sorted(group) for _, group in sorted(groups.items())]


def marks(lake: Lake, version: Version, carrier: Carrier, found: pa.Table) -> Marks:
    """All marks that outcomes.py reads."""
    ids = {outcomes.DOUBTED: found["subject"].filter(pc.equal(found["rule"], "SL101")).combine_chunks()}
    notes = {}
    if sure := verified(lake, version):
        ids[outcomes.IS_VERIFIED] = pa.array(sorted(sure), pa.string())
    tasks = _chosen(lake, version)
    if tasks.num_rows:
        ids[outcomes.IS_ASKED] = _with_equal(carrier, pc.unique(tasks["sample_id"]))
        ids[outcomes.LATE] = _late(lake, version, int(pc.max(tasks["seq"]).as_py()))
    else:
        notes["SL406"] = "no batch was chosen by score yet; `secondlook review push` makes one"
    return Marks(ids, notes)


def _chosen(lake: Lake, version: Version) -> pa.Table:
    """Tasks that the queue chose by score, among all groups: not in a batch that somebody wanted of one group."""
    tasks = lake.latest("batches", version, ["batch", "sample_id", "strategy", "seq"])
    wanted = [one.summary.get("batch") for one in lake.versions.all() if one.summary.get("of_groups")]
    tasks = tasks.filter(pc.is_in(tasks["strategy"], value_set=pa.array(BY_SCORE)))
    return tasks.filter(pc.invert(pc.is_in(tasks["batch"], value_set=pa.array(wanted, pa.string()))))


def _with_equal(carrier: Carrier, sample_ids: pa.Array) -> pa.Array:
    """These samples and those with equal pictures: one is asked for, and the answer counts for all."""
    contents = pc.unique(carrier.of_samples(sample_ids)["content_id"])
    return carrier.of_contents(contents)["sample_id"].combine_chunks()


def _late(lake: Lake, version: Version, newest: int) -> pa.Array:
    """Samples that were not there when the newest of these batches was chosen, and so could not be."""
    chosen = next((one for one in lake.versions.all() if one.seq == newest), version)
    if chosen.tables.get("samples") == version.tables.get("samples"):
        return pa.array([], pa.string())
    before = lake.latest("samples", chosen, ["sample_id"])["sample_id"].combine_chunks()
    now = lake.latest("samples", version, ["sample_id"])["sample_id"]
    return now.filter(pc.invert(pc.is_in(now, value_set=before))).combine_chunks()
