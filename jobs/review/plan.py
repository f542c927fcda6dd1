"""Which pictures a batch asks for, why, and among which classes: everything about it but its rows in the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.gold import gold as gold_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.pace import speeds
from secondlook.jobs.review import alike, of_groups, pool
from secondlook.jobs.review.pool import Flags, Pool, Reals
from secondlook.labeling.acquire import balance, scores
from secondlook.labeling.acquire.beliefs import Beliefs, one_more_answer
from secondlook.labeling.acquire.budget import Limit
from secondlook.labeling.acquire.choose import Rules, arrange, choose, pictures
from secondlook.labeling.acquire.clusters import Codes, clusters, confusions, group_name, members, shown
from secondlook.labeling.people.speed import Speeds
from secondlook.pipeline.audit.labels.evidence import KINDS
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.seeds import generator

DOUBTED, UNLABELED, AGAIN, RANDOM, GOLD = "doubted", "unlabeled", "again", "random", "gold"
NAMED = 0.02  # wrong labels that a first label is worth beside what it corrects: a picture without one can't be used
LEAST = 0.002  # wrong labels fewer by an answer that is worth asking for: one in 500
OPEN = 0.1  # wrong labels fewer, at least, where people contradict each other and no decision came of it
REST = 1e-9  # worth of a picture that nothing speaks for but its group
VAGUE = 0.5  # what an answer that names no class leaves of the worth of the next one
COMMITTEE = 3  # models, the newest, whose disagreement counts


@dataclass(frozen=True)
class Question:
    """A picture of a batch: why it is asked for, the classes shown first (None: all), its group, and what it should take."""

    sample_id: str
    strategy: str
    options: list[str] | None
    group: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A batch before it is recorded. `gain`: wrong labels fewer, expected; `balance`: see labeling.acquire.balance.rates.

    `of_groups`: of each group that it is of, its pictures, those that could be asked for, and those that are.
    """

    questions: list[Question] = field(default_factory=list)
    candidates: Mapping[str, int] = field(default_factory=dict)
    gain: float | None = None
    balance: Mapping[str, Any] = field(default_factory=dict)
    gold: int = 0
    of_groups: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def plan(
    lake: Lake,
    version: Version,
    settings: Settings,
    limit: Limit,
    *,
    classes: list[str],
    strategy: str | None = None,
    again: bool = False,
    groups: Sequence[str] = (),
    seed: int = 0,
) -> Plan:
    """The questions of a batch, in the order in which people see them; of some `groups` only, where they are named.

    Raises UserError where the strategy can't be had, or a group is not there.
    """
    review = settings.review
    name = strategy or review.strategy
    if name not in scores.STRATEGIES:
        raise unknown("strategy", name, scores.STRATEGIES)
    them = pool.read(lake, version, settings, classes)
    beliefs = them.beliefs()
    tasks = _Tasks(them, beliefs, review.options, speeds(lake, version, default=review.seconds_per_label))
    kinds = _kinds(them)
    seconds = tasks.seconds(kinds)
    is_gold, golden = _gold(lake, version, them)
    wanted = of_groups.read(lake, version, settings, groups)
    open_to = ~them.pending & ~is_gold
    if wanted:
        open_to &= wanted.among(them.sample_id).any(axis=0)
    gain = _gain(them, len(classes))
    if again:
        worth = (
            np.where(open_to & (them.answers.people > 0) & ((gain > 0) | them.undecided), gain + 1e-6, 0.0) / seconds
        )
        rules, golden = Rules(0.0, review.balance_floor, review.spread), {}
    else:
        worth = _worth(lake, version, them, name, gain, seconds, review)
        if wanted and name != "random":
            # Who asks for a group wants its labels looked at: what is left of the budget goes to the most doubtful of it.
            worth = np.where((worth <= 0) & them.fresh & ~them.waived, REST * (1 + np.nan_to_num(them.p_error)), worth)
        worth = np.where(open_to, worth, 0.0)
        rules = Rules(1.0 if name == "random" else review.random_share, review.balance_floor, review.spread)
    asked_gold, limit = _some_gold(lake, version, golden, limit, seconds, review.gold_share, seed)
    rows = np.flatnonzero((worth > 0) | (open_to & them.fresh))
    balanced = _groups(lake, version, them, rows, review)
    look = _vectors(lake, version, them, rows, seed)
    rng = generator(seed, "review", "choose", str(version.id))  # another version, another draw
    found = choose(
        worth[rows], seconds[rows], limit, rules, rng, drawable=them.fresh[rows], groups=balanced, vectors=look
    )
    chosen = [(int(row), KINDS_OF[kinds[row]]) for row in rows[found.best]]
    chosen += [(int(row), RANDOM) for row in rows[found.random]]
    questions = tasks.questions(chosen, asked_gold)
    order = arrange([one.group for one in questions], generator(seed, "review", "arrange", str(version.id)))
    told = balance.rates(balanced, found.plain, found.best) if balanced is not None and len(found.best) else {}
    return Plan(
        [questions[n] for n in order],
        {one: int((kinds[rows] == n).sum()) for n, one in enumerate(KINDS_OF)},
        round(float(gain[[row for row, _ in chosen]].sum()), 1) if name == "active" else None,
        told,
        len(golden),
        wanted.told(them.sample_id, rows, [row for row, _ in chosen]) if wanted else {},
    )


KINDS_OF = (DOUBTED, UNLABELED, AGAIN)


def _kinds(them: Pool) -> npt.NDArray[np.int8]:
    """(N,) place in KINDS_OF."""
    return np.where(them.answers.people > 0, 2, np.where(them.label < 0, 1, 0)).astype(np.int8)


def _gain(them: Pool, k: int) -> Reals:
    """(N,) wrong labels fewer, expected, by one more answer, over all samples that show the picture.

    Of pictures with answers the best class counts as the label: a commit makes it that.
    """
    answered = them.answers.people > 0
    before = them.before()
    before = before._replace(held=np.where(answered, -1, before.held).astype(np.int32))
    gain = one_more_answer(before, *them.answers.votes, k) + np.where((them.label < 0) & ~answered, NAMED, 0.0)
    gain = np.where(them.split & them.undecided, np.maximum(gain, OPEN), gain)
    gain = np.where(gain >= LEAST, gain, 0.0)
    return np.where(them.waived & ~answered, 0.0, gain * them.copies * VAGUE**them.answers.vague)


def _worth(
    lake: Lake, version: Version, them: Pool, name: str, gain: Reals, seconds: Reals, review: ReviewSettings
) -> Reals:
    """(N,) what a strategy finds a picture worth; 0 for what it does not ask for."""
    if name == "active":
        return np.where(them.answers.people < review.most_answers, gain / seconds, 0.0)
    if name == "random":
        return np.zeros(len(them))
    if name == "p_error":
        value = np.where(them.label >= 0, np.nan_to_num(them.p_error), 1.0 - them.probs[:, 0])
    else:
        if them.embedder is None:
            raise UserError(f"--strategy {name} needs a model; `secondlook train` makes one")
        seen = them.top[:, 0] >= 0
        if name == "margin":
            value = scores.margin(them.probs) if them.probs.shape[1] > 1 else np.zeros(len(them))
        elif name == "entropy":
            value = scores.entropy(them.probs, len(them.classes))
        else:
            value, seen = np.nan_to_num(_disagreement(lake, version, them)), np.ones(len(them), bool)
        value = np.where(seen, value, 0.0)
    return np.where(them.fresh & ~(them.waived & (them.label >= 0)), value, 0.0)


def _disagreement(lake: Lake, version: Version, them: Pool) -> Reals:
    """(N,) of the newest models; of a single one, of the kinds of evidence that it kept of the labels."""
    names = lake.latest("models", version, ["model", "seq", "kind"])
    names = names.filter(pc.equal(names["kind"], "generalist")).sort_by("seq")
    newest = [dataset.model_named(lake, version, name) for name in names["model"].to_pylist()[-COMMITTEE:]]
    models = [model for model in newest if model is not None]
    k = len(them.classes)
    if len(models) > 1:
        opinions = [_opinion(*pool.topmost(lake, version, one, them.content_id, them.classes, k), k) for one in models]
        return scores.disagreement(np.stack(opinions))
    rows = dataset.evidence(lake, version, models[0].name)
    at = np.asarray(
        pc.fill_null(pc.index_in(them.content_id, value_set=rows["content_id"].combine_chunks()), -1), np.int64
    )
    if not rows.num_rows:
        raise UserError(
            "--strategy disagreement needs two models, or one that kept its evidence; `secondlook train` makes one"
        )
    kinds = [np.asarray(rows[kind].to_numpy(zero_copy_only=False), np.float64) for kind in KINDS]
    p = np.stack([np.where(at >= 0, kind[np.maximum(at, 0)], np.nan) for kind in kinds])
    return scores.disagreement(np.stack([p, 1 - p], axis=2))


def _opinion(top: npt.NDArray[np.int32], probs: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float32]:
    """A model's probabilities over all K classes, (N, K); what it did not keep is spread over the others; nan where it did not look."""
    full = np.zeros((len(top), k), np.float32)
    there = top >= 0
    row = np.repeat(np.arange(len(top)), there.sum(axis=1))
    full[row, top[there]] = probs[there]
    left = np.clip(1.0 - full.sum(axis=1), 0.0, None) / np.maximum(k - there.sum(axis=1), 1)
    spread_out = np.where(full > 0, full, left[:, None])
    return np.asarray(np.where(np.asarray(there.any(axis=1))[:, None], spread_out, np.nan), np.float32)


def _gold(lake: Lake, version: Version, them: Pool) -> tuple[Flags, dict[str, tuple[int, str]]]:
    """Which pictures are gold, and their samples: id → (row, class)."""
    known = gold_of(lake, version)
    samples = lake.latest("samples", version, ["sample_id", "content_id"]) if known else None
    is_gold = np.zeros(len(them), bool)
    found: dict[str, tuple[int, str]] = {}
    if samples is None:
        return is_gold, found
    mine = samples.filter(pc.is_in(samples["sample_id"], value_set=pa.array(sorted(known), pa.string())))
    at = pc.fill_null(pc.index_in(mine["content_id"], value_set=them.content_id), -1).to_pylist()
    for sample, row in zip(mine["sample_id"].to_pylist(), at, strict=True):
        if row >= 0 and known[sample] in them.classes and not is_gold[row]:
            is_gold[row] = True
            found[sample] = (row, known[sample])
    return is_gold, found


def _some_gold(
    lake: Lake,
    version: Version,
    golden: Mapping[str, tuple[int, str]],
    limit: Limit,
    seconds: Reals,
    share: float,
    seed: int,
) -> tuple[dict[str, tuple[int, str]], Limit]:
    """Gold for a share of the batch, what was asked for least often first, and the limit for all else."""
    n = min(round(pictures(limit, seconds) * share), len(golden)) if golden else 0
    if not n:
        return {}, limit
    asked = lake.latest("batches", version, ["batch", "sample_id"])["sample_id"]
    mine = asked.filter(pc.is_in(asked, value_set=pa.array(sorted(golden), pa.string())))
    often = {row["values"]: row["counts"] for row in pc.value_counts(mine).to_pylist()}
    names = sorted(golden)
    chance = generator(seed, "review", "gold").permutation(len(names)).tolist()
    order = sorted(range(len(names)), key=lambda at: (often.get(names[at], 0), chance[at]))
    taken = {names[at]: golden[names[at]] for at in order[:n]}
    if limit.pictures is not None:
        return taken, Limit(pictures=limit.pictures - n)
    cost = float(seconds[[row for row, _ in taken.values()]].sum())
    return taken, Limit(seconds=max((limit.seconds or 0.0) - cost, 0.0))


def _groups(lake: Lake, version: Version, them: Pool, rows: Codes, review: ReviewSettings) -> balance.Groups | None:
    names = [name.strip() for name in review.balance.split(",") if name.strip()]
    return alike.groups(lake, version, them.sample_id.take(pa.array(rows)), names) if names and len(rows) else None


def _vectors(lake: Lake, version: Version, them: Pool, rows: Codes, seed: int) -> Any:
    """The sketches of some of the rows, read when they are asked for; None without a model."""
    if them.embedder is None:
        return None
    name = them.embedder
    return lambda some: alike.vectors(lake, version, name, them.content_id.take(pa.array(rows[some])), seed=seed)


def heard_first(beliefs: Beliefs, rows: Codes, named: Codes) -> Beliefs:
    """Beliefs in which what people named of a picture comes before what label and model say: the next person settles it between these."""
    probs, held = beliefs.probs.copy(), beliefs.held.copy()
    np.add.at(probs, rows, np.where(beliefs.classes[rows] == named[:, None], 1.0, 0.0).astype(np.float32))
    held[rows] = -1
    return beliefs._replace(probs=probs, held=held)


class _Tasks:
    """What a task shows first and how long it takes, for all pictures of a pool."""

    def __init__(self, them: Pool, beliefs: Beliefs, options: int, pace: Speeds) -> None:
        self._them, self._beliefs, self._pace = them, beliefs, pace
        k = len(them.classes)
        self._few = 0 < options < k and them.embedder is not None
        if self._few:
            self._cluster = clusters(confusions(them.top, them.probs, k), max(options // 2, 1))
            self._pair = shown(heard_first(beliefs, *them.answers.votes), self._cluster)
            self._size = np.bincount(self._cluster)

    def seconds(self, kinds: npt.NDArray[np.int8]) -> Reals:
        """(N,) seconds that an answer takes."""
        shown_first: Codes = np.zeros(len(self._them), np.int64)
        if self._few:
            first, second = self._pair.T
            both = self._size[first] + np.where(first == second, 0, self._size[second])
            shown_first = np.where(first < 0, 0, both).astype(np.int64)
        apart = int(shown_first.max(initial=0)) + 1
        each, place = np.unique(kinds.astype(np.int64) * apart + shown_first, return_inverse=True)
        pace = [self._pace.of(KINDS_OF[one // apart], one % apart) for one in each.tolist()]
        return np.asarray(np.array(pace, np.float64)[place.reshape(-1)], np.float64)

    def questions(self, chosen: list[tuple[int, str]], golden: Mapping[str, tuple[int, str]]) -> list[Question]:
        """Questions for (row, strategy) and for gold."""
        ids = self._them.sample_id
        found = [self._question(ids[row].as_py(), why, self._of(row)) for row, why in chosen]
        for sample, (row, label) in golden.items():
            found.append(self._question(sample, GOLD, self._of(row, self._them.classes.index(label))))
        return found

    def _of(self, row: int, known: int = -1) -> list[str] | None:
        if not self._few:
            return None
        pair = self._pair[row]
        if known >= 0:
            one = np.array([known], np.int32)
            pair = shown(self._beliefs.of(np.array([row])), self._cluster, one)[0]
        if pair[0] < 0:
            return None
        return [self._them.classes[n] for n in members((int(pair[0]), int(pair[1])), self._cluster)]

    def _question(self, sample: str, why: str, options: list[str] | None) -> Question:
        group = group_name(options) if options else ""
        return Question(sample, why, options, group, self._pace.of(why, len(options or ())))
