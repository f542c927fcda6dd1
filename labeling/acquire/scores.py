"""What each strategy finds worth asking for, (N,) from 0 up, from arrays of N pictures.

`active` is the default and the only one that weighs labels, pictures without one and answers against each other; the others are
the classics to compare with, and for whoever knows what they look for.
"""

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Probs = npt.NDArray[np.floating]

STRATEGIES = {
    "active": "wrong labels fewer by one more answer, for each second that it takes: labels, pictures without one, and answers alike",
    "p_error": "the label is most probably wrong; without one, the model is least sure",
    "margin": "the two most probable classes are closest",
    "entropy": "the model's probabilities are spread over most classes",
    "disagreement": "models disagree most; of one model, the kinds of evidence that speak of the label",
    "random": "chance alone",
}


def margin(probs: Probs) -> Reals:
    """1 less the difference of the two most probable classes; probs: (N, J), most probable first, J >= 2.

    Scheffer, Decomain and Wrobel 2001.

    >>> margin(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    return np.asarray(1.0 - (probs[:, 0].astype(np.float64) - probs[:, 1]), np.float64)


def entropy(probs: Probs, k: int) -> Reals:
    """Entropy of K classes' probabilities, 0 to 1 of what is possible; probs: (N, J), what is left of 1 is of the others alike.

    >>> entropy(np.array([[0.25, 0.25], [1.0, 0.0]]), 4).tolist()
    [1.0, 0.0]
    """
    p = probs.astype(np.float64)
    others = k - p.shape[1]
    rest = np.clip(1.0 - p.sum(axis=1), 0.0, None)
    each = rest / max(others, 1)
    bits = 0.0 - _plogp(p).sum(axis=1) - others * _plogp(each)
    return np.asarray(np.clip(bits / np.log(max(k, 2)), 0.0, 1.0), np.float64)


def _plogp(p: Reals) -> Reals:
    return np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0.0)


def disagreement(opinions: Probs) -> Reals:
    """Jensen-Shannon divergence of M opinions on the same question, 0 to 1; opinions: (M, N, J) distributions, rows of nan for none.

    Entropy of their mean less the mean of their entropies, over log min(M, J): query by committee with McCallum and Nigam's measure
    (1998). nan where fewer than two speak.

    >>> disagreement(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).tolist()
    [1.0]
    """
    there = np.asarray(~np.isnan(opinions).any(axis=2))
    speak = there.sum(axis=0)
    p = np.where(there[:, :, None], opinions.astype(np.float64), 0.0)
    mean = p.sum(axis=0) / np.maximum(speak, 1)[:, None]
    each = (-_plogp(p).sum(axis=2)).sum(axis=0) / np.maximum(speak, 1)
    most = np.log(np.minimum(np.maximum(speak, 2), opinions.shape[2]))
    return np.where(speak >= 2, np.clip((-_plogp(mean).sum(axis=1) - each) / most, 0.0, 1.0), np.nan)
