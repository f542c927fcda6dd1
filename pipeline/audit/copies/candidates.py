"""SL202, SL203: pairs that may be copies, proposed by hashes and by an embedding, for the pixels to decide on."""

import numpy as np

from secondlook.pipeline.audit.copies.groups import Flags, Ints, Pairs, Reals

NEIGHBORS = 20  # of each picture in the embedding that are looked at
# The more alike two embeddings are, the more bits of their hashes may differ. Chosen on half of the known leaks of
# CIFAR-10 so that 99 of 100 real copies stay: docs/results/leaks.md.
BITS_PER_COSINE = 48
STRICTER = 0.024  # on Fisher's scale, for each bit of dHash: see likeness.py for where the weights come from
MOST_BITS = 26  # unlike pictures differ in 32 on average


def likely(cosine: Reals, bits: Ints) -> Flags:
    """Whether pairs with this cosine of their whitened embeddings and this many differing bits are worth a look, (p,)."""
    return (bits <= MOST_BITS) & (bits <= BITS_PER_COSINE * cosine)


def bits_between(phash: Ints, mirrored: Ints, one: Ints, other: Ints) -> tuple[Ints, Flags]:
    """Bits in which the hashes of pairs of pictures differ, one of them mirrored where that is nearer: (bits, mirrored)."""
    direct, turned = (
        np.bitwise_count(hashes[one].view(np.uint64) ^ phash[other].view(np.uint64)).astype(np.int64)
        for hashes in (phash, mirrored)
    )
    return np.minimum(direct, turned), turned < direct


def together(by_hash: Pairs, one: Ints, other: Ints, cosine: Reals, bits: Ints, mirrored: Flags) -> tuple[Pairs, Flags]:
    """Each pair of looks once, with its cosine where it is known, and whether it is one by hash or only by an embedding."""
    apart = one != other
    first, second = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
    unknown = np.full(len(first), np.nan, np.float32)
    embedded = Pairs(first, second, bits[apart], mirrored[apart], cosine[apart].astype(np.float32), unknown)
    every = by_hash.beside(embedded)
    order = np.lexsort((np.arange(len(every.first)), every.second, every.first))
    every = every.chosen(order)
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(every.first) != 0) | (np.diff(every.second) != 0)
    number = np.cumsum(new) - 1
    best = np.full(int(new.sum()), -np.inf, np.float32)
    np.maximum.at(best, number, np.nan_to_num(every.cosine, nan=-np.inf))
    found = every.chosen(new)._replace(cosine=np.where(np.isinf(best), np.nan, best).astype(np.float32))
    return found, order[new] < len(by_hash.first)


def decided(pairs: Pairs, by_hash: Flags, match: Reals, mirrored: Flags, confirm_bits: Ints, least: float) -> Pairs:
    """The pairs that are near: those whose pixels match well enough; without a match (NaN) the hashes' word is taken.

    `confirm_bits` (p,): in how many bits their dHashes differ, in the orientation of the match. The more, the better the
    pixels have to match: `least` is for equal dHashes.
    """
    enough = match >= np.tanh(np.arctanh(least) + STRICTER * confirm_bits)
    unknown = np.isnan(match)
    seen = pairs._replace(match=match, mirrored=np.where(unknown, pairs.mirrored, mirrored))
    return seen.chosen(np.where(unknown, by_hash, enough))
