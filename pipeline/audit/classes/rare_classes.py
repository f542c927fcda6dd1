"""SL503: classes that have too few labeled pictures."""

from collections.abc import Iterator, Mapping

from secondlook.pipeline.core.rules import Finding


def rare_classes(counts: Mapping[str, int], least: int) -> Iterator[Finding]:
    """A finding for each class with fewer than `least` labeled pictures, in the order of `counts`.

    >>> [finding.message for finding in rare_classes({"cat": 30, "yak": 1}, 20)]
    ['1 labeled picture, fewer than 20']
    """
    for name, count in counts.items():
        if count < least:
            message = f"{count} labeled picture{'' if count == 1 else 's'}, fewer than {least}"
            evidence = {"count": count, "threshold": least}
            yield Finding("SL503", "class", name, name, 1 - count / least, message, evidence=evidence)
