"""The audit of labels, as functions of arrays: `from secondlook.pipeline.audit import label_issues`."""

from typing import TYPE_CHECKING, Any

from secondlook.pipeline.audit.labels.mislabels import LabelErrors, label_errors, label_errors_topk

if TYPE_CHECKING:
    from secondlook.pipeline.audit.labels.notebook import label_issues

__all__ = ["LabelErrors", "label_errors", "label_errors_topk", "label_issues"]


def __getattr__(name: str) -> Any:
    """`label_issues` answers with a pandas frame, and pandas is imported when it is first asked for."""
    if name == "label_issues":
        from secondlook.pipeline.audit.labels.notebook import label_issues  # noqa: PLC0415

        return label_issues
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
