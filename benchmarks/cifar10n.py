"""The whole loop by the command line over CIFAR-10N: minutes for each stage, and what SL101 finds of real wrong labels.

.venv/bin/python benchmarks/cifar10n.py --work scratch/cifar10n --json docs/results/cifar10n.json

One lake. Ingest 50,000 training pictures with their `aggre` labels and 10,000 test pictures; train; lint. Then the same
pictures with the `worse` labels (new label events, no new pictures; features are kept); train; lint; a batch of the
labels in most doubt is answered from CIFAR-10's own labels, as a careful person would; commit; train again; lint; report;
export. Neither pictures, labels nor the backbone come with this project: `--data` and `--model` say where they are.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit import label_errors
from secondlook.pipeline.audit.labels.scores import best_f1, detection
from secondlook.pipeline.core.seeds import generator

SEED = 7
BUDGET = 5000
SHARED = Path(__file__).parents[2] / "shared"


class Commands:
    """Runs `secondlook VERB …` as a user would, and keeps the seconds and the line of JSON of each."""

    def __init__(self, lake: Path) -> None:
        self.lake = lake
        self.stages: list[dict[str, Any]] = []

    def __call__(self, stage: str, *words: str, clean: Sequence[int] = (0,)) -> dict[str, Any]:
        """Run one verb; `clean` are the exit statuses that are no failure."""
        command = [
            sys.executable,
            "-c",
            "from secondlook.jobs.cli import main; main()",
            *words,
            "--lake",
            str(self.lake),
            "--json",
        ]
        start = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - start
        if done.returncode not in clean:
            sys.exit(f"secondlook {' '.join(words)} ended with {done.returncode}")
        summary = dict(json.loads(done.stdout.splitlines()[-1]))
        summary.pop("source", None)  # a path of this machine
        typed = " ".join(word if not Path(word).is_absolute() else f"…/{Path(word).name}" for word in words)
        self.stages.append({"stage": stage, "command": f"secondlook {typed}", "seconds": round(seconds, 1)})
        print(f"{stage}: {seconds:.1f} s", file=sys.stderr)
        return summary


def unpack(data: Path, work: Path) -> dict[str, dict[str, str]]:
    """The pictures below `work`/pictures and one table of labels a label set; returns the rows of train.csv by file."""
    pictures = work / "pictures"
    for name in ("images-train.zip", "images-test.zip"):
        with zipfile.ZipFile(data / "cifar10n" / name) as archive:
            archive.extractall(pictures)
    with (data / "cifar10n" / "train.csv").open(newline="") as stream:
        train = {row["file"]: row for row in csv.DictReader(stream)}
    with (data / "cifar10n" / "test.csv").open(newline="") as stream:
        test = list(csv.DictReader(stream))
    for label_set in ("aggre", "worse"):
        with (work / f"{label_set}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file", "label", "split"])
            writer.writerows([file, row[label_set], "train"] for file, row in train.items())
            writer.writerows([row["file"], row["label"], "test"] for row in test)
    return train


def audit(lake: Lake, truth: dict[str, dict[str, str]], label_set: str) -> dict[str, Any]:
    """SL101's findings of the newest lint against the clean labels, beside others on the very same probabilities."""
    from cleanlab.filter import find_label_issues
    from sklearn.metrics import average_precision_score

    version = lake.at()
    model = dataset.newest_model(lake, version)
    rows = dataset.samples(lake, version).select(["key", "split", "label", "content_id"]).to_pylist()
    predicted = dataset.predictions(lake, version, model.name)
    place = {content: i for i, content in enumerate(predicted["content_id"].to_pylist())}
    dense = np.zeros((len(place), len(model.classes)), np.float32)
    tops, probs = predicted["classes"].to_pylist(), predicted["probs"].to_pylist()
    for i, (classes, values) in enumerate(zip(tops, probs, strict=True)):
        dense[i, classes] = values
    index = {name: i for i, name in enumerate(model.classes)}
    train = [row for row in rows if row["split"] == "train"]
    given = np.array([index[row["label"]] for row in train])
    clean = np.array([index[truth[row["key"]]["clean"]] for row in train])
    out_of_sample = dense[[place[row["content_id"]] for row in train]]
    wrong, found = given != clean, label_errors(given, out_of_sample)
    findings = dataset.findings(lake, version)
    assert findings is not None, "lint has run"
    said = {
        key
        for rule, key in zip(findings["rule"].to_pylist(), findings["key"].to_pylist(), strict=True)
        if rule == "SL101"
    }
    flags = {
        "SL101, as lint found them": np.array([row["key"] in said for row in train]),
        "cleanlab `find_label_issues`, defaults": find_label_issues(given, out_of_sample),
        "given ≠ predicted": out_of_sample.argmax(axis=1) != given,
    }
    held = [row for row in rows if row["split"] == "test"]
    right = np.mean([dense[place[row["content_id"]]].argmax() == index[row["label"]] for row in held])
    best = best_f1(found.p_error, wrong)
    return {
        "labels": label_set,
        "n": len(train),
        "labels_right": round(float(1 - wrong.mean()), 5),
        "out_of_sample_right": round(float((out_of_sample.argmax(axis=1) == clean).mean()), 5),
        "test_right": round(float(right), 5),
        "n_test": len(held),
        "average_precision": round(float(average_precision_score(wrong, found.p_error)), 5),
        "flags": {
            name: detection(flag, wrong, generator(SEED, label_set, name)).summary() for name, flag in flags.items()
        },
        "best_f1_in_hindsight": {
            "f1": round(best.f1, 5),
            "threshold": round(best.threshold, 4),
            "flagged": best.flagged,
        },
        "model": json.loads(model.metrics),
    }


def answer(queue: Path, lake: Lake, truth: dict[str, dict[str, str]]) -> Path:
    """Answers of a careful person: CIFAR-10's own label for each picture that the queue asks about."""
    rows = dataset.samples(lake, lake.at()).select(["sample_id", "key"]).to_pylist()
    keys = {row["sample_id"]: row["key"] for row in rows}
    file = queue.with_name("answers.csv")
    with queue.open(newline="") as asked, file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["annotator", "key", "label", "seconds"])
        for row in csv.DictReader(asked):
            key = keys[row["key"]]
            if key in truth:
                writer.writerow(["careful", key, truth[key]["clean"], ""])
    return file


def loop(data: Path, model: Path, work: Path) -> dict[str, Any]:
    """All stages in order; returns their seconds and the three audits."""
    truth = unpack(data, work)
    run, pictures = Commands(work / "lake"), str(work / "pictures")
    trained = ("train", "--backbone", str(model), "--image-px", "128", "--seed", str(SEED))
    ingested = run("ingest, `aggre` labels", "ingest", pictures, "--labels", str(work / "aggre.csv"))
    run("train (features, heads)", *trained)
    run("lint", "lint", clean=(0, 1))
    audits = [audit(Lake(str(run.lake)), truth, "aggre")]
    again = run("ingest, `worse` labels", "ingest", pictures, "--labels", str(work / "worse.csv"))
    run("train (heads)", *trained)
    run("lint", "lint", clean=(0, 1))
    audits.append(audit(Lake(str(run.lake)), truth, "worse"))
    queue = work / "queue.csv"
    run("review push", "review", "push", "--budget", str(BUDGET), "--to", str(queue))
    run("review pull", "review", "pull", "--from", str(answer(queue, Lake(str(run.lake)), truth)))
    decided = run("commit", "commit")
    run("train (heads)", *trained)
    run("lint", "lint", clean=(0, 1))
    audits.append(audit(Lake(str(run.lake)), truth, f"worse, {BUDGET:,} reviewed"))
    run("report", "report", "--output", str(work / "report.html"))
    run("export", "export", str(work / "corrected.csv"), "--format", "csv")
    return {"stages": run.stages, "audits": audits, "ingested": ingested, "ingested_again": again, "decided": decided}


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    where = result["machine"]
    stages = "\n".join(f"| {s['stage']} | {s['seconds'] / 60:.1f} | `{s['command']}` |" for s in result["stages"])
    total = sum(stage["seconds"] for stage in result["stages"]) / 60
    return f"""# The loop over CIFAR-10N

50,000 training pictures of CIFAR-10 with labels that people gave (CIFAR-10N), and the 10,000 test pictures, through the whole
loop by the command line, in one lake. Backbone: MobileNetV2 pretrained on ImageNet, frozen, pictures at 128 px. {where["cores"]} cores
{where["processor"]}, {where["memory_gib"]} GiB, no GPU; Python {where["python"]}; seed {SEED}; commit {result["commit"]}.

| stage | minutes | command (each with `--lake LAKE --json`) |
|---|---|---|
{stages}
| **all** | **{total:.1f}** | start-up of every command included |

"Labels right" and SL101 are measured against CIFAR-10's own labels, which no stage sees before the review. Intervals are 95 %:
Wilson for precision and recall, a bootstrap over the pictures for F1; they are about pictures, with this one training given.

{"".join(_audit_lines(one) for one in result["audits"])}
The review answered {result["decided"].get("decided", 0):,} of {BUDGET:,} asked labels with CIFAR-10's own: what a careful person would say, not what
people did say. The test pictures' labels are never fitted on.

Reproduce: `.venv/bin/python benchmarks/cifar10n.py --data DATA --model MODEL --work WORK --json docs/results/cifar10n.json`, with CIFAR-10N
(CC BY-NC 4.0) and a MobileNetV2 in the Hugging Face layout. cleanlab {result["cleanlab"]}. On published probabilities of a ResNet-18: see
[published_probs.md](published_probs.md).
"""


def _audit_lines(one: dict[str, Any]) -> str:
    rows = []
    for title, f in one["flags"].items():
        cells = " | ".join(
            f"{f[m]:.3f} ({f[m + '_95'][0]:.3f}–{f[m + '_95'][1]:.3f})" for m in ("precision", "recall", "f1")
        )
        rows.append(f"| {title} | {f['flagged']:,} | {cells} |")
    best = one["best_f1_in_hindsight"]
    ece = " → ".join(f"{one['model'][name]:.3f}" for name in ("ece_before", "ece_after") if name in one["model"])
    return f"""## `{one["labels"]}`

Labels right {one["labels_right"]:.2%} of {one["n"]:,}; the model, out of sample, {one["out_of_sample_right"]:.2%}; on the {one["n_test"]:,} test
pictures {one["test_right"]:.2%}. Average precision of the ranking {one["average_precision"]:.3f}. Calibration error against the given labels {ece}.

| on the same probabilities | flagged | precision | recall | F1 |
|---|---|---|---|---|
{chr(10).join(rows)}
| best threshold in hindsight, p_error ≥ {best["threshold"]:.3f} | {best["flagged"]:,} | | | {best["f1"]:.3f} |

"""


def main() -> None:
    """Run, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=SHARED / "data")
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "mobilenet_v2")
    parser.add_argument("--work", type=Path, required=True, help="a folder for pictures and lake, about 1 GB")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True)
    facts = {
        "seed": SEED,
        "cleanlab": metadata.version("cleanlab"),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    result = {"claim": "cifar10n"} | loop(arguments.data, arguments.model.absolute(), arguments.work.absolute()) | facts
    text = page(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
