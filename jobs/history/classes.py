"""`secondlook classes list`: the classes, and how many images bear each."""

from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.report.formats import printable


def run(lake: Lake, *, as_of: str | int | None = None) -> dict[str, Any]:
    """Classes in order with the number of samples that bear each, and the number of those without a label."""
    version = lake.at(as_of)
    labels = dataset.samples(lake, version)["label"]
    counts = {row["values"]: row["counts"] for row in pc.value_counts(labels.drop_null()).to_pylist()}
    classes = {name: counts.get(name, 0) for name in dataset.class_names(lake, version)}
    return {"version": version.id, "classes": classes, "unlabeled": labels.null_count}


def list_classes(
    as_of: AsOfOption = None, lake: LakeOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """The classes, and how many images bear each.

    Example:

        secondlook classes list --as-of head~1
    """
    summary = run(Lake.open(read_settings(settings, lake).lake), as_of=as_of)

    def lines() -> None:
        for name, n in summary["classes"].items():
            out().print(f"{n:>9,}  {printable(name)}", markup=False)
        if summary["unlabeled"]:
            out().print(f"{summary['unlabeled']:>9,}  without a label", markup=False, style="dim")

    finish(summary, as_json=json, lines=lines)
