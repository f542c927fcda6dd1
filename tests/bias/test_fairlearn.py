"""Beside Fairlearn's MetricFrame on small, hostile data: the same figures wherever it has them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, count, false_negative_rate, false_positive_rate, selection_rate
from sklearn.metrics import accuracy_score

from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings

HOSTILE = ("<script>alert(1)</script>", 'a, "b"', "line\nbreak", "🙂", "x" * 300)
METRICS = {
    "accuracy": (accuracy_score, {0, 3}, {0, 1, 2, 3}),
    "selection": (selection_rate, {1, 3}, {0, 1, 2, 3}),
    "false positives": (false_positive_rate, {1}, {0, 1}),
    "false negatives": (false_negative_rate, {2}, {2, 3}),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("metric", METRICS)
def test_every_figure_of_every_group_is_metric_frames(metric: str, seed: int) -> None:
    """Values that break tables, groups of one picture, a group without one true yes, and a value that nobody has."""
    rng = np.random.default_rng(seed)
    values = np.stack([rng.choice(5, 70, p=[0.6, 0.2, 0.1, 0.05, 0.05]), rng.choice(2, 70)], axis=1)
    truth, said = rng.integers(0, 2, 70), rng.integers(0, 2, 70)
    truth[values[:, 0] == 2] = 0
    theirs, hit, among = METRICS[metric]
    grouping = Grouping(("who", "sex"), ((*HOSTILE, "nobody"), ("f", "m")), {})
    codes, cell = np.unique(grouping.join(values), return_inverse=True)
    n = np.zeros((len(codes), 4), np.int64)
    np.add.at(n, (cell, 2 * truth + said), 1)
    counts = Counts(grouping, grouping.split(codes), tuple("abcd"), n)
    flags = [np.isin(np.arange(4), list(which)) for which in (hit, among)]
    told = compare(counts, flags[0], among=flags[1], settings=BiasSettings(min_cell=1, permutations=200), rng=rng)
    mine = {tuple(value for _, value in one.group.values): one for one in told.groups}
    named = pd.DataFrame(
        {"who": np.array(HOSTILE, object)[values[:, 0]], "sex": np.array(["f", "m"], object)[values[:, 1]]}
    )
    seen = 0
    for columns in (["who"], ["sex"], ["who", "sex"]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = MetricFrame(
                metrics={"it": theirs, "n": count}, y_true=truth, y_pred=said, sensitive_features=named[columns]
            )
        for key, row in frame.by_group.iterrows():
            one = mine.get(key if isinstance(key, tuple) else (key,))
            inside = np.ones(70, bool)
            for column, value in zip(columns, key if isinstance(key, tuple) else (key,), strict=True):
                inside &= (named[column] == value).to_numpy()
            could = int((inside & np.isin(2 * truth + said, list(among))).sum())
            if not could:  # Fairlearn says 0, or nothing, of a share of nobody; here there is no such figure
                assert one is None
                continue
            assert one is not None
            assert one.n == could
            assert one.raw.value == pytest.approx(float(row["it"]), abs=1e-12)
            seen += 1
        assert told.overall is not None
        assert told.overall.value == pytest.approx(float(frame.overall["it"]), abs=1e-12)
    assert seen == len(mine)
