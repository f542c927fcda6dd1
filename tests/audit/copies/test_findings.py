"""What copies say of each sample: by hand."""

import numpy as np

from secondlook.pipeline.audit.copies.duplicates import near_duplicates
from secondlook.pipeline.audit.copies.findings import (
    NAMED,
    Looks,
    Samples,
    apart,
    exact_duplicates,
    label_conflicts,
    leaks,
    near_duplicates_of,
)


def samples(*rows: tuple[str, str, str | None, int]) -> Samples:
    """Samples of (key, split, label, content); the id of a sample is its key in capitals."""
    keys, splits, labels, contents = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Samples([key.upper() for key in keys], keys, splits, labels, np.array(contents, np.int64))


def looks(hashes: list[int], splits: list[set[str]], bits: int = 3) -> Looks:
    """Contents 0, 1, … with these hashes."""
    words = np.array(hashes, np.int64)
    sides = np.arange(len(splits))
    return Looks(near_duplicates(words, words, bits=bits, confirm_bits=bits, sides=sides, apart=apart(splits)), sides)


def test_each_of_three_copies_is_named_with_the_other_two() -> None:
    found = list(
        exact_duplicates(samples(("a", "", None, 0), ("b", "", "cat", 0), ("c", "", "cat", 0), ("d", "", None, 1)))
    )
    assert [f.subject for f in found] == ["A", "B", "C"]
    assert found[1].evidence == {"others": ["a", "c"], "labels": [None, "cat"], "copies": 3, "kept": "a"}
    assert found[1].message == "same bytes as a and 1 more"
    assert found[1].score == 1 - 1 / 3


def test_labels_conflict_only_between_labels() -> None:
    rows = samples(("a", "", "cat", 0), ("b", "", None, 0), ("c", "", "dog", 0), ("d", "", "cat", 0))
    found = {f.key: f for f in label_conflicts(rows)}
    assert set(found) == {"a", "c", "d"}
    assert found["a"].evidence == {"others": ["c"], "labels": ["dog"]}
    assert found["c"].message == "labeled dog, but the same picture a is labeled cat"
    assert found["c"].score > found["a"].score  # two against one
    assert list(label_conflicts(samples(("a", "", "cat", 0), ("b", "", None, 0)))) == []


def test_near_copies_name_each_other_with_their_distance_and_the_one_to_keep() -> None:
    rows = samples(("a", "", "cat", 0), ("b", "", "dog", 1), ("c", "", None, 2))
    found = {f.key: f for f in near_duplicates_of(rows, looks([0, 0b11, 0b1111], [set()] * 3))}
    assert found["b"].evidence == {
        "other": "a", "bits": 2, "others": ["a", "c"], "labels": ["cat", None], "kept": "a", "split": "", "other_split": "",
    }  # fmt: skip
    assert found["a"].message == "looks like b (2 of 64 bits differ)"
    assert found["c"].evidence["kept"] == "c"


def test_equal_bytes_are_no_near_copies() -> None:
    rows = samples(("a", "", None, 0), ("b", "", None, 0))
    assert list(near_duplicates_of(rows, looks([0], [set()]))) == []


def test_a_leak_is_a_copy_in_another_split_and_both_sides_are_named() -> None:
    rows = samples(
        ("test/a", "test", "cat", 0), ("train/a", "train", "cat", 0), ("train/b", "train", "cat", 1), ("x", "", None, 0)
    )
    found = {f.key: f for f in leaks(rows, looks([0, 0b1], [{"test", "train"}, {"train"}]))}
    assert set(found) == {"test/a", "train/a", "train/b"}
    exact, near = found["test/a"].evidence, found["train/b"].evidence
    assert (exact["other"], exact["exact"], exact["others"]) == ("train/a", True, ["train/a", "train/b"])
    assert (near["other"], near["exact"], near["bits"], near["split"], near["other_split"]) == (
        "test/a",
        False,
        1,
        "train",
        "test",
    )
    assert found["test/a"].message == "in split test, but same bytes as train/a in split train"


def test_no_leak_within_a_split_or_without_one() -> None:
    rows = samples(("a", "train", None, 0), ("b", "train", None, 0), ("c", "", None, 0), ("d", "train", None, 1))
    assert list(leaks(rows, looks([0, 1], [{"train"}, {"train"}]))) == []
    assert list(leaks(rows, None)) == []


def test_of_a_near_picture_that_is_in_both_splits_only_the_other_split_is_named() -> None:
    rows = samples(("test/b", "test", None, 1), ("train/a", "train", None, 0), ("train/b", "train", None, 1))
    found = {f.key: f for f in leaks(rows, looks([0, 1], [{"train"}, {"test", "train"}]))}
    assert found["train/a"].evidence["others"] == ["test/b"]
    assert found["test/b"].evidence["others"] == ["train/b", "train/a"]


def test_of_thousands_of_copies_a_few_are_named() -> None:
    n = 3000
    rows = samples(*((f"k{i:04}", "train" if i % 2 else "test", f"c{i % 3}", 0) for i in range(n)))
    for rule in (exact_duplicates(rows), label_conflicts(rows), leaks(rows, None)):
        found = list(rule)
        assert len(found) == n
        assert {len(f.evidence["others"]) for f in found} == {NAMED}
