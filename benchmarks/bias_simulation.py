"""Whether the audit by groups keeps its word: false alarms over whole reports, coverage of intervals, and the power it states.

.venv/bin/python benchmarks/bias_simulation.py --json docs/results/bias-simulation.json

All data are simulated, with secondlook's own functions on the counts. Peers in the same run: a t-test for each group without
correction, statsmodels' intervals of differences, Fairlearn's bootstrap by group (its own MetricFrame). The page is written beside the JSON.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from bias_simulation_page import page
from scipy.stats import binom, ttest_ind_from_stats
from statsmodels.stats.proportion import confint_proportions_2indep

from secondlook.jobs.machine import provenance
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.family import Comparison, adjusted
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.power import power, smallest_gap
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Worse
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import differences, intervals, wilson

SEED = 7
CORRECTIONS = ("permutation", "benjamini-yekutieli", "holm")
SHARES = {
    "gender": (0.55, 0.45),
    "race": (0.34, 0.2, 0.15, 0.12, 0.1, 0.06, 0.03),
    "age": (0.03, 0.1, 0.12, 0.3, 0.2, 0.12, 0.08, 0.04, 0.01),
}
BITS = 5  # of an outcome: doubted, right, of the class, asked, dark
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Asked(NamedTuple):
    """A measure: which outcomes are a hit, among which, and which direction harms."""

    name: str
    hit: Flags
    among: Flags
    worse: Worse


def _bit(at: int) -> Flags:
    return np.asarray((np.arange(2**BITS) >> at) & 1 == 1)


ALL = np.ones(2**BITS, bool)
MEASURES = (
    Asked("label errors", _bit(0), ALL, "higher"),
    Asked("accuracy", _bit(1), ALL, "lower"),
    Asked("false negatives of a class", ~_bit(1), _bit(2), "higher"),
    Asked("asked", _bit(3), ALL, "either"),
    Asked("dark", _bit(4), ALL, "higher"),
)


class Pictures(NamedTuple):
    """N pictures: places (N, A), outcome (N,), cluster of copies (N,)."""

    grouping: Grouping
    places: Ints
    outcome: Ints
    cluster: Ints

    def counts(self, *, copies: bool = True) -> Counts:
        """By cell and outcome; copies: whether it is known which are."""
        codes, cell = np.unique(self.grouping.join(self.places), return_inverse=True)
        outcomes = 2**BITS
        n = np.bincount(cell * outcomes + self.outcome, minlength=len(codes) * outcomes).reshape(-1, outcomes)
        many = np.bincount(self.cluster)[self.cluster] > 1
        rows = Copies(self.cluster[many], cell[many], self.outcome[many]) if copies and many.any() else None
        return Counts(self.grouping, self.grouping.split(codes), tuple(map(str, range(outcomes))), n, rows)


def pictures(rng: np.random.Generator, n: int, names: tuple[str, ...], *, copied: float, tied: float = 0.3) -> Pictures:
    """Pictures whose outcomes have nothing to do with their attributes. copied: the part that is in clusters of 2 to 8 copies.

    tied: how often an attribute follows another one. Copies share an attribute in 97 %, and what happened to them in 95 %.
    """
    sizes = rng.integers(2, 9, int(n * copied / 5) + 1) if copied else np.zeros(0, np.int64)
    sizes = sizes[np.cumsum(sizes) <= n]
    cluster = np.concatenate(
        [np.repeat(np.arange(len(sizes)), sizes), np.arange(len(sizes), len(sizes) + n - sizes.sum())]
    )
    units = int(cluster.max()) + 1

    def drawn(m: int) -> tuple[Ints, Ints]:
        places = np.column_stack([rng.choice(len(SHARES[name]), m, p=SHARES[name]) for name in names])
        for at in range(1, len(names)):
            follows = rng.random(m) < tied
            places[follows, at] = places[follows, at - 1] % len(SHARES[names[at]])
        doubted = rng.random(m) < rates[0]
        right = rng.random(m) < np.where(doubted, 0.4, rates[1])
        of_class = rng.random(m) < 0.3
        asked = rng.random(m) < np.where(doubted, 0.5, rates[2])
        bits = (doubted, right, of_class, asked, rng.random(m) < 0.1)
        return places.astype(np.int64), sum(
            (bit.astype(np.int64) << at for at, bit in enumerate(bits)), np.zeros(m, np.int64)
        )

    rates = (rng.uniform(0.02, 0.1), rng.uniform(0.7, 0.97), rng.uniform(0.03, 0.3))
    places, outcome = (one[cluster] for one in drawn(units))
    if copied:
        other, strange = drawn(n)
        many = np.bincount(cluster)[cluster] > 1
        places = np.where(many[:, None] & (rng.random(places.shape) < 0.03), other, places)
        outcome = np.where(many & (rng.random(n) < 0.05), strange, outcome)
    grouping = Grouping(names, tuple(tuple(map(str, range(len(SHARES[name])))) for name in names), {})
    return Pictures(grouping, places, outcome, cluster)


def measured(counts: Counts, settings: BiasSettings, rng: np.random.Generator) -> list[Comparison]:
    """All measures of a report."""
    return [compare(counts, one.hit, among=one.among, settings=settings, rng=rng, worse=one.worse) for one in MEASURES]


def without_gaps(found: list[Comparison]) -> list[Comparison]:
    """The same, without the power statement, which takes most of the time and is no matter here."""
    return [dataclasses.replace(one, gaps=None) for one in found]


def alarms(
    found: list[Comparison], settings: BiasSettings, where: Callable[[Any], bool] = lambda _: True
) -> dict[str, bool]:
    """By correction, whether any group is said to differ; `finding`: also far enough, in the direction that harms."""
    told = {}
    for correction in CORRECTIONS:
        its = adjusted(found, dataclasses.replace(settings, correction=correction))
        sure = [
            (one, asked)
            for groups, asked in zip(its, MEASURES, strict=True)
            for one in groups
            if one.adjusted <= 0.05 and where(one)
        ]
        told[correction] = bool(sure)
        if correction == "permutation":
            told["finding"] = any(
                abs(one.effect.value) >= settings.least_gap
                and (asked.worse == "either" or (one.effect.value > 0) == (asked.worse == "higher"))
                for one, asked in sure
            )
    return told


def uncorrected(found: list[Comparison]) -> dict[str, bool]:
    """Peers: any group with p at or below 0.05, by the exact test and by a t-test of group and rest, as REVISE makes it."""
    exact = any(one.p <= 0.05 for its in found for one in its.groups)
    t_test = False
    for its in found:
        n, k = (np.array([getattr(one, name) for one in its.groups], np.float64) for name in ("n", "k"))
        rest, share, other = its.n - n, k / n, (its.k - k) / (its.n - n)
        spread = [np.sqrt(p * (1 - p) * m / np.maximum(m - 1, 1)) for p, m in ((share, n), (other, rest))]
        with np.errstate(divide="ignore", invalid="ignore"):
            t_test |= bool((ttest_ind_from_stats(share, spread[0], n, other, spread[1], rest)[1] <= 0.05).any())
    return {"exact test, uncorrected": exact, "t-test, uncorrected": t_test}


def false_alarms(reports: int) -> list[dict[str, Any]]:
    """Share of reports with any false alarm, with and without copies; and of gaps whose interval does not hold 0."""
    settings, rows = BiasSettings(), []
    for copied in (0.0, 0.3):
        told: list[dict[str, bool]] = []
        comparisons, gaps = [], []
        for at in range(reports // 2):
            rng = generator(SEED, "null", str(copied), str(at))
            names = ("gender", "race", "age")[: 2 + at % 2] if at % 4 < 2 else ("race", "age")
            made = pictures(rng, int(np.exp(rng.uniform(np.log(500), np.log(5000)))), names, copied=copied)
            found = without_gaps(measured(made.counts(), settings, rng))
            told.append(alarms(found, settings) | uncorrected(found))
            if copied and at < reports // 8:
                blind = without_gaps(measured(made.counts(copies=False), settings, rng))
                told[-1]["permutation, copies taken for single pictures"] = alarms(blind, settings)["permutation"]
            comparisons.append(sum(one.count for one in found))
            gaps += [one.gap.interval.low > 0 for one in found if one.gap]
        for method in told[0]:
            these = [one[method] for one in told if method in one]
            rows.append({"copied": copied, "method": method, **_rate(sum(these), len(these))})
        rows.append({"copied": copied, "method": "gap's interval leaves 0 out", **_rate(sum(gaps), len(gaps))})
        rows.append({"copied": copied, "method": "comparisons in a report", "mean": float(np.mean(comparisons))})
    return rows


def others_differ(reports: int) -> list[dict[str, Any]]:
    """One group of race differs a lot in everything: false alarms among groups of gender, age and both, which do not."""
    settings, told = BiasSettings(), []
    for at in range(reports):
        rng = generator(SEED, "partial", str(at))
        made = pictures(
            rng, int(np.exp(rng.uniform(np.log(500), np.log(5000)))), ("gender", "race", "age"), copied=0.0, tied=0.0
        )
        turned = (made.places[:, 1] == 1) & (rng.random(len(made.outcome)) < 0.5)
        other = rng.integers(0, 2**BITS, len(made.outcome))
        found = without_gaps(
            measured(made._replace(outcome=np.where(turned, other, made.outcome)).counts(), settings, rng)
        )
        one = alarms(found, settings, lambda group: "race" not in group.group.attributes)
        seen = alarms(found, settings, lambda group: group.group.values == (("race", "1"), ("age", "6")))
        one |= {f"found: {correction}": seen[correction] for correction in CORRECTIONS}
        told.append(one)
    return [{"method": name, **_rate(sum(one[name] for one in told), reports)} for name in told[0] if name != "finding"]


def _rate(k: int, n: int) -> dict[str, Any]:
    interval = wilson(k, n)
    return {"k": int(k), "of": n, "rate": k / n, "interval": [interval.low, interval.high]}


def coverage_of_shares() -> dict[str, Any]:
    """Exact, by enumeration: every n from 5 to 60, shares from 1 to 50 percent."""
    truth = np.linspace(0.01, 0.5, 50)
    parts: dict[str, list[float]] = {"5 to 39": [], "40 to 60": []}
    for n in range(5, 61):
        low, high = intervals(np.arange(n + 1), n)
        chance = binom.pmf(np.arange(n + 1)[:, None], n, truth)
        held = (low[:, None] <= truth) & (truth <= high[:, None])
        parts["5 to 39" if n < 40 else "40 to 60"] += (chance * held).sum(axis=0).tolist()
    return {name: _summary(values) for name, values in parts.items()}


def coverage_of_differences() -> list[dict[str, Any]]:
    """Exact, by enumeration: every n from 5 to 60 against as many, 200 and 2,000 others; 49 pairs of shares."""
    shares = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
    held: dict[tuple[str, str], list[float]] = {}
    wide: dict[tuple[str, str], list[float]] = {}
    for n in range(5, 61):
        for rest in (n, 200, 2000):
            j = np.arange(rest + 1) if rest <= 200 else np.arange(1200)  # of 2,000 with a share of 0.5 at most
            k, j = (one.reshape(-1) for one in np.meshgrid(np.arange(n + 1), j, indexing="ij"))
            chances = [binom.pmf(np.arange(n + 1), n, one) for one in shares]
            others = [binom.pmf(np.arange(j.max() + 1), rest, one) for one in shares]
            for method, (low, high) in _of_differences(k, n, j, rest).items():
                lows, highs = low.reshape(n + 1, -1), high.reshape(n + 1, -1)
                key = (method, "5 to 39" if n < 40 else "40 to 60")
                for one, mine in zip(shares, chances, strict=True):
                    for other, theirs in zip(shares, others, strict=True):
                        inside = (lows <= one - other + 1e-12) & (one - other <= highs + 1e-12)
                        held.setdefault(key, []).append(float(mine @ inside @ theirs))
                        wide.setdefault(key, []).append(float(mine @ (highs - lows) @ theirs))
    return [{"method": key[0], "n": key[1], **_summary(held[key]), "width": float(np.mean(wide[key]))} for key in held]


def _of_differences(k: Ints, n: int, j: Ints, rest: int) -> dict[str, Any]:
    return {
        "secondlook": differences((k, n), (j, rest)),
        "Newcombe (statsmodels)": confint_proportions_2indep(k, n, j, rest, compare="diff", method="newcomb"),
        "Agresti-Caffo (statsmodels)": confint_proportions_2indep(
            k, n, j, rest, compare="diff", method="agresti-caffo"
        ),
        "Wald (statsmodels)": confint_proportions_2indep(k, n, j, rest, compare="diff", method="wald"),
    }


def _summary(values: list[float]) -> dict[str, Any]:
    return {
        "cases": len(values),
        "least": min(values),
        "mean": float(np.mean(values)),
        "below_94": float(np.mean(np.array(values) < 0.94)),
    }


def coverage_with_copies(times: int) -> list[dict[str, Any]]:
    """Groups of 5 to 300 pictures, 40 % of them in clusters of 2 to 8: do intervals of shares and differences hold the truth."""
    sizes = (5, 8, 12, 20, 30, 39, 45, 60, 100, 300)
    grouping = Grouping(("group",), (tuple(map(str, sizes)),), {})
    held: dict[tuple[bool, str, bool], list[bool]] = {}
    for at in range(times):
        rng = generator(SEED, "copies", str(at))
        truth = (0.03, 0.1, 0.3, 0.5)[at % 4]
        size = np.where(rng.random(sum(sizes)) < 0.12, rng.integers(2, 9, sum(sizes)), 1)
        place = np.concatenate([np.full(n, at) for at, n in enumerate(sizes)])
        unit = np.concatenate([np.repeat(np.arange(n), size[:n])[:n] + 1000 * at for at, n in enumerate(sizes)])
        agreed = rng.random(1000 * len(sizes)) < truth
        outcome = np.where(rng.random(len(unit)) < 0.05, rng.random(len(unit)) < truth, agreed[unit]).astype(np.int64)
        made = Pictures(grouping, place[:, None], outcome, np.unique(unit, return_inverse=True)[1])
        for aware in (True, False):
            found = compare(
                made.counts(copies=aware), _bit(0), settings=BiasSettings(correction="holm", min_cell=1), rng=rng
            )
            for one in found.groups:
                for what, estimate, real in (("share", one.raw, truth), ("difference", one.effect, 0.0)):
                    inside = estimate.interval.low <= real <= estimate.interval.high
                    held.setdefault((aware, what, one.n < 40), []).append(inside)
    return [
        {
            "copies_known": aware,
            "what": what,
            "n": "5 to 39" if small else "45 to 300",
            **_rate(sum(values), len(values)),
        }
        for (aware, what, small), values in held.items()
    ]


def fairlearn_bootstrap(times: int) -> list[dict[str, Any]]:
    """Fairlearn's own interval by group (percentiles of a bootstrap, 200 draws) beside ours: how often it holds a share of 10 %."""
    from fairlearn.metrics import MetricFrame, mean_prediction

    sizes = (5, 10, 20, 40, 60, 200)
    held: dict[tuple[str, int], list[bool]] = {}
    group = np.concatenate([np.full(n, n) for n in sizes])
    for at in range(times):
        rng = generator(SEED, "fairlearn", str(at))
        hit = (rng.random(len(group)) < 0.1).astype(int)
        frame = MetricFrame(
            metrics=mean_prediction,
            y_true=hit,
            y_pred=hit,
            sensitive_features=group,
            n_boot=200,
            ci_quantiles=[0.025, 0.975],
            random_state=at,
        )
        low, high = frame.by_group_ci
        for n in sizes:
            ours = intervals(hit[group == n].sum(), n)
            held.setdefault(("Fairlearn", n), []).append(bool(low[n] <= 0.1 <= high[n]))
            held.setdefault(("secondlook", n), []).append(bool(ours.low <= 0.1 <= ours.high))
    return [{"method": method, "n": n, **_rate(sum(values), len(values))} for (method, n), values in held.items()]


class Planted(NamedTuple):
    """A report of `pictures`; the group that differs, a value of gender or race, has about `part` of them."""

    pictures: int
    attribute: str
    value: int
    share: float
    gap: float | None  # None: the smallest gap that the statement promises to see

    @property
    def part(self) -> float:
        """Of the pictures, that are of the group."""
        return SHARES[self.attribute][self.value] if self.attribute != "half" else 0.5


PLANTED = [
    *(Planted(4000, "half", 0, share, 0.05) for share in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)),
    Planted(4000, "half", 0, 0.9, -0.05),
    *(Planted(2000, "half", 0, share, 0.05) for share in (0.05, 0.1, 0.2)),
    *(Planted(6000, "race", 0, share, 0.05) for share in (0.1, 0.3)),
    *(
        Planted(n, "race", value, share, None)
        for n, value in ((1000, 6), (2000, 3), (5000, 1))
        for share in (0.03, 0.1, 0.4)
    ),
]


def planted(times: int) -> list[dict[str, Any]]:
    """How often a planted gap is found over a report of five measures, beside the power that is stated for it."""
    settings, rows = BiasSettings(), []
    names = ("gender", "race", "age")
    still = without_gaps(
        measured(
            pictures(generator(SEED, "still"), 3000, names, copied=0.0).counts(), settings, generator(SEED, "still 2")
        )
    )[1:]
    for at, case in enumerate(PLANTED):
        attribute = "gender" if case.attribute == "half" else case.attribute
        gap, promised, found, level = case.gap, [], 0, 0.0
        for time_ in range(times):
            rng = generator(SEED, "planted", str(at), str(time_))
            made = pictures(rng, case.pictures, names, copied=0.0, tied=0.0)
            if case.attribute == "half":
                made.places[:, 0] = rng.random(case.pictures) < 0.5
            inside = made.places[:, names.index(attribute)] == case.value
            n, rest = int(inside.sum()), int((~inside).sum())
            if gap is None:  # at the level of a first report without any difference
                plain = (rng.random(case.pictures) < case.share).astype(np.int64)
                one = compare(
                    made._replace(outcome=plain).counts(), _bit(0), settings=settings, rng=rng, worse="higher"
                )
                assert one.level is not None
                level = one.level(settings.alpha / len(MEASURES))
                size = case.part * case.pictures
                gap = float(
                    smallest_gap(
                        size, case.pictures - size, case.share, level, 0.8, worse="higher", least=settings.least_gap
                    )
                )
            hits = (rng.random(case.pictures) < case.share + gap * inside).astype(np.int64)
            worse: Worse = "higher" if gap > 0 else "lower"
            one = compare(made._replace(outcome=hits).counts(), _bit(0), settings=settings, rng=rng, worse=worse)
            assert one.level is not None
            promised.append(
                float(
                    power(n, rest, case.share, gap, one.level(settings.alpha / len(MEASURES)), least=settings.least_gap)
                )
            )
            its = adjusted([dataclasses.replace(one, gaps=None), *still], settings)[0]
            mine = next(group for group in its if group.group.values == ((attribute, str(case.value)),))
            found += mine.adjusted <= settings.alpha and mine.effect.value * np.sign(gap) >= settings.least_gap
        rows.append(
            {
                "pictures": case.pictures,
                "n": round(case.part * case.pictures),
                "share": case.share,
                "gap": gap,
                "smallest": case.gap is None,
            }
            | {"promised": float(np.mean(promised)), **_rate(found, times)}
        )
    return rows


def main() -> None:
    """Simulate, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--reports", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="parts, with commas between")
    arguments = parser.parse_args()
    reports, begin, spent = arguments.reports, time.monotonic(), time.process_time()
    parts: dict[str, Callable[[], Any]] = {
        "false_alarms": lambda: false_alarms(reports),
        "others_differ": lambda: others_differ(reports // 5),
        "coverage_of_shares": coverage_of_shares,
        "coverage_of_differences": coverage_of_differences,
        "coverage_with_copies": lambda: coverage_with_copies(reports // 2),
        "fairlearn": lambda: fairlearn_bootstrap(reports // 40),
        "planted": lambda: planted(reports // 12),
    }
    figures: dict[str, Any] = {}
    for name, part in parts.items():
        if arguments.only and name not in arguments.only.split(","):
            continue
        before = time.process_time()
        figures[name] = part()
        print(name, f"{time.process_time() - before:.0f} s", json.dumps(figures[name]), flush=True)
    result = {"figures": figures, "reports": reports, "seed": SEED, "seconds": time.monotonic() - begin}
    result |= {
        "cpu_seconds": time.process_time() - spent,
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(page(result))


if __name__ == "__main__":
    main()
