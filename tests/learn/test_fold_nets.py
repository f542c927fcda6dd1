"""The cross-fit of whole nets, with a net that remembers what it was told: who learns from what, and who is asked."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from secondlook.pipeline.learn import fold_nets
from secondlook.pipeline.learn.fold_nets import CrossFit, Fit, Reals, Weights

LABELS = np.tile([0, 1, 2], 10)
FOLDS = np.array([*np.repeat([0, 1, 2], 9), -1, -1, -1])
DOUBTED = [4, 13]


class Remembers:
    """Its weights are the rows that it learned from. It is sure of every label but of DOUBTED ones, where it is of another."""

    at_once = 1

    def __init__(self) -> None:
        self.fits: list[Fit] = []
        self.asked: list[tuple[list[int], list[int]]] = []

    def fit(self, one: Fit, advance: Callable[[int], None]) -> Weights:
        self.fits.append(one)
        if one.watch is not None:
            logits = torch.zeros(len(one.rows), 3)
            one.watch(torch.from_numpy(one.rows), logits, torch.from_numpy(LABELS[one.rows]))
        advance(len(one.rows) * one.epochs)
        return {"rows": one.rows}

    def ask(self, rows: npt.NDArray[np.int64], weights: Weights) -> tuple[Reals, Reals]:
        self.asked.append((rows.tolist(), weights["rows"].tolist()))
        probs = np.full((len(rows), 3), 0.1, np.float32)
        said = np.where(np.isin(rows, DOUBTED), (LABELS[rows] + 1) % 3, LABELS[rows])
        probs[np.arange(len(rows)), said] = 0.8
        return np.zeros((len(rows), 2), np.float32), probs


@pytest.fixture(scope="module")
def made() -> tuple[Remembers, CrossFit, int]:
    fitter = Remembers()
    steps: list[int] = []
    result = fold_nets.cross_fit(
        fitter, LABELS, FOLDS, 3, refits=1, epochs=5, seed=7, where=torch.device("cpu"), advance=steps.append
    )
    return fitter, result, sum(steps)


def test_a_fold_is_asked_of_what_its_net_never_learned_from(made: tuple[Remembers, CrossFit, int]) -> None:
    fitter, result, _ = made
    assert len(fitter.asked) == 6
    for rows, learned in fitter.asked:
        assert len(set(FOLDS[rows])) == 1
        assert not set(rows) & set(learned)
        assert {*rows, *learned} <= set(range(27))
    assert result.probs[:27].sum(axis=1) == pytest.approx(np.ones(27))
    assert not result.probs[27:].any()


def test_a_refit_goes_on_from_its_own_fold_on_trusted_labels(made: tuple[Remembers, CrossFit, int]) -> None:
    fitter, result, _ = made
    first, again = ({one.name: one for one in fitter.fits if one.name.startswith(start)} for start in ("0.", "1."))
    whole = next(one for one in fitter.fits if one.name == "whole")
    assert np.flatnonzero(~result.learned[:27]).tolist() == DOUBTED
    for fold in range(3):
        before, after = first[f"0.{fold}"], again[f"1.{fold}"]
        assert after.start is not None
        assert after.start["rows"].tolist() == before.rows.tolist()
        assert set(before.rows) - set(after.rows) == set(DOUBTED) - set(np.flatnonzero(fold == FOLDS))
        assert (before.start, before.epochs, after.epochs) == (None, 5, 3)
        assert result.nets.folds[fold]["rows"].tolist() == after.rows.tolist()
    assert (whole.start, whole.epochs, len(whole.rows)) == (None, 5, 25)
    assert result.nets.whole["rows"].tolist() == whole.rows.tolist()
    assert len({one.seed for one in fitter.fits}) == len({one.name for one in fitter.fits}) == 7


def test_evidence_is_of_labels_alone_and_highest_where_all_nets_say_another_class(
    made: tuple[Remembers, CrossFit, int],
) -> None:
    _, result, _ = made
    for kind in ("held_out", "refit"):
        score = result.evidence[kind]
        assert np.isnan(score[27:]).all()
        assert set(np.argsort(-np.nan_to_num(score))[:2]) == set(DOUBTED)
    assert np.isfinite(result.evidence["dynamics"][:27]).all()


def test_what_is_announced_is_about_what_is_done(made: tuple[Remembers, CrossFit, int]) -> None:
    _, _, steps = made
    announced = fold_nets.work(FOLDS, 1, 5)
    assert announced == 3 * 18 * (5 + 3) + 27 * 5
    assert 0.9 * announced < steps <= announced
    assert fold_nets.passes(FOLDS, 1, 5) == 3 * (5 + 3) + 5
