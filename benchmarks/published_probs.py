"""How well SL101's flag finds CIFAR-10N's wrong labels on published probabilities, beside cleanlab on the same ones.

.venv/bin/python benchmarks/published_probs.py --json docs/results/published_probs.json

The probabilities (a ResNet-18, cross-validated on each of two sets of labels) are those of cleanlab's
label-error-detection-benchmarks; the labels are CIFAR-10N's. Neither comes with this project: `--data` says where they
are. The page is written beside the JSON.
"""

import argparse
import csv
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit import label_errors
from secondlook.pipeline.audit.labels.scores import BOOTSTRAP_DRAWS, best_f1, detection
from secondlook.pipeline.core.seeds import generator

SEED = 7
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MARGINS = (0.0, 0.10, 0.20, 0.30, 0.40, 0.50, 0.70)
FLAGS = {
    "secondlook": "SL101, margin chosen from the data",
    "cleanlab": "cleanlab `find_label_issues`, defaults",
    "disagrees": "given ≠ predicted",
}


def measure(data: Path, label_set: str) -> dict[str, Any]:
    """Each way of flagging against the clean labels, on one set of labels."""
    from cleanlab.filter import find_label_issues

    with (data / "cifar10n" / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    place = {name: index for index, name in enumerate(CLASSES)}
    given, clean = (np.array([place[row[column]] for row in rows]) for column in (label_set, "clean"))
    probs = np.load(data / "cifar10n-probs" / f"{label_set}-resnet18.npy")
    wrong, found = given != clean, label_errors(given, probs)
    flags = {
        "secondlook": found.flagged,
        "cleanlab": find_label_issues(given, probs),
        "disagrees": probs.argmax(axis=1) != given,
    }
    best = best_f1(found.p_error, wrong)
    return {
        "flags": {
            name: detection(flag, wrong, generator(SEED, label_set, name)).summary() for name, flag in flags.items()
        },
        "best_f1_of_p_error": {"f1": round(best.f1, 5), "threshold": round(best.threshold, 4), "flagged": best.flagged},
        "margin": round(found.margin, 4),
        "f1_by_margin": {
            f"{margin:+.2f}": round(detection(label_errors(given, probs, margin).flagged, wrong, generator(SEED)).f1, 5)
            for margin in MARGINS
        },
    }


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    parts = [_section(name, figures) for name, figures in result["figures"].items()]
    where = result["machine"]
    return f"""# Finding real wrong labels, on published probabilities

CIFAR-10N: people labeled CIFAR-10's 50,000 training images again; a label counts as wrong where it differs from CIFAR-10's
own. `aggre` is a majority of three people, `worse` picks a wrong one where there is one. The probabilities are published
ones of a ResNet-18, cross-validated on the same labels, so every flag below comes from the same numbers. Precision and
recall with Wilson 95 % intervals, F1 with a bootstrap of {BOOTSTRAP_DRAWS:,} draws over the images (seed {SEED}). The intervals are
about images, with this one model given; they say nothing about another model's training.

{"".join(parts)}
"Best in hindsight" is the F1 of the best threshold on `p_error`, which one could only choose knowing the answers. The margin
is chosen from the labels and the probabilities, without truth: [flags.md](flags.md) has other data and models, and where it fails. The
defaults of cleanlab flag fewer labels, at about the same precision. Where 40 % of the labels are wrong (`worse`), flagging every disagreement is as good or better.

cleanlab {result["cleanlab"]}; {where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}. Data: CIFAR-10N
(CC BY-NC 4.0), cleanlab's label-error-detection-benchmarks. Reproduce: `.venv/bin/python benchmarks/published_probs.py --json
docs/results/published_probs.json`.
"""


def _section(name: str, figures: dict[str, Any]) -> str:
    lines = []
    for flag, title in FLAGS.items():
        f = figures["flags"][flag]
        cells = " | ".join(
            f"{f[m]:.3f} ({f[m + '_95'][0]:.3f}–{f[m + '_95'][1]:.3f})" for m in ("precision", "recall", "f1")
        )
        lines.append(f"| {title} | {f['flagged']:,} | {cells} |")
    best, first = figures["best_f1_of_p_error"], figures["flags"]["secondlook"]
    lines.append(
        f"| best in hindsight: p_error ≥ {best['threshold']:.3f} | {best['flagged']:,} | | | {best['f1']:.3f} |"
    )
    margins = figures["f1_by_margin"]
    return f"""## `{name}`: {first["wrong"]:,} of {first["n"]:,} labels wrong

| flagged by | flagged | precision | recall | F1 |
|---|---|---|---|---|
{chr(10).join(lines)}

Margin {figures["margin"]:.3f} was chosen. On `2 * p_error - 1`, others would have given:

| margin | {" | ".join(margins)} |
|---|{"---|" * len(margins)}
| F1 | {" | ".join(f"{f1:.3f}" for f1 in margins.values())} |

"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = {
        "claim": "published_probs",
        "figures": {label_set: measure(arguments.data, label_set) for label_set in ("aggre", "worse")},
        "seed": SEED,
        "cleanlab": metadata.version("cleanlab"),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    text = page(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
