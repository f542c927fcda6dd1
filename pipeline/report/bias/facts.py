"""What a report by groups shows, as plain values: the job gathers them from the lake, the page and its JSON show them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from secondlook.pipeline.core.comparison import Changed, GroupAudit
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.report.facts import Picture


@dataclass(frozen=True)
class Section:
    """A part of the page: the rules whose measures it shows."""

    anchor: str
    title: str
    rules: tuple[str, ...]
    glance: str  # what stands above its column where all groups are shown at a glance


SECTIONS = (
    Section("who", "Who is in it", ("SL401",), "Share"),
    Section("ties", "Classes tied to groups", ("SL404",), "Ties"),
    Section("labels", "Labels", ("SL402",), "Labels"),
    Section("model", "The model", ("SL403",), "Model"),
    Section("annotators", "Annotators", ("SL405",), "People"),
    Section("queue", "The queue", ("SL406",), "Queue"),
    Section("quality", "Picture quality", ("SL407",), "Quality"),
)


@dataclass(frozen=True)
class BiasFacts:
    """Everything that a report by groups shows.

    audit: as it was measured; what of it is shown is decided by `shareable`. found: by measure the groups that lint calls
    findings (None: all that the audit finds); remedies: commands by (rule, group). rules: the words of SL4, by code. model: the
    model that was audited, in words. since: the version that `changes` are held against; `since_note` says why there are none.
    pictures: thumbnails by (measure, group) of findings; only on demand, and then the page is not for sharing.
    """

    title: str
    version: int
    created: str
    audit: GroupAudit
    rules: Mapping[str, Rule]
    found: Mapping[str, Collection[Group]] | None = None
    remedies: Mapping[tuple[str, Group], Sequence[str]] = field(default_factory=dict)
    model: str = ""
    since: int | None = None
    since_note: str = ""
    changes: Sequence[Changed] = ()
    card: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pictures: Mapping[tuple[str, Group], Sequence[Picture]] = field(default_factory=dict)
    with_images: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)
