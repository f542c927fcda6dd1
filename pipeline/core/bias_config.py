"""Settings of the audit by groups of people, of attributes, and of the data card."""

from dataclasses import dataclass

from secondlook.pipeline.core.checked import Checked, setting
from secondlook.pipeline.core.errors import UserError


@dataclass(frozen=True)
class BiasSettings(Checked):
    """Who is compared with whom, and how sure a finding must be."""

    section = "bias"
    attributes: str = setting(
        "",
        "attributes, with commas between, whose groups are compared, such as gender,race; empty: all that have at most `most_values` values",
    )
    depth: int = setting(2, "attributes that are crossed into one group, at most", unit="attributes", low=1, high=4)
    most_values: int = setting(
        40,
        "an attribute with more values is a number or a name of its own, not a group",
        unit="values",
        low=2,
        high=1000,
    )
    reference: str = setting(
        "",
        "what shares SL401 holds groups against: `uniform`, or a CSV file with the columns attribute, value, share; empty: SL401 does not run",
    )
    alpha: float = setting(
        0.05, "chance that a report has any false finding of SL4, over all of its comparisons", low=0.0001, high=0.5
    )
    correction: str = setting(
        "permutation",
        "how false alarms over many comparisons are held down: smallest p of permutations, Holm, or Benjamini-Yekutieli, where alpha is what part of the findings may be false",
        choices=("permutation", "benjamini-yekutieli", "holm"),
    )
    permutations: int = setting(2000, "draws of the permutation test", unit="draws", low=200, high=1_000_000)
    confidence: float = setting(0.95, "confidence of intervals", low=0.5, high=0.9999)
    power: float = setting(
        0.80, "power of the smallest gap that a report says it could have seen", low=0.05, high=0.999
    )
    least_gap: float = setting(
        0.02, "differences of shares below this are no findings, however sure: 0.02 is two points", low=0.0, high=1.0
    )
    least_npmi: float = setting(
        0.05,
        "associations of class and group (SL404) below this are no findings, however sure: 0.05 is about a quarter more, or less, often than by chance where both are a tenth of the pictures, or 7 points where both are half",
        low=0.0,
        high=1.0,
    )
    min_cell: int = setting(
        10,
        "groups with fewer pictures are neither tested nor shown in anything that can be shared",
        unit="pictures",
        low=1,
    )
    seed: int = setting(7, "seed of permutations and bootstrap", low=0)


@dataclass(frozen=True)
class Attribute(Checked):
    """What is known of an attribute: `[[attributes]]`."""

    section = "attributes"
    name: str = setting("", "the attribute, as its column is called; required")
    bins: str = setting(
        "", "of a number: where its groups end, with commas between; 18,30,50 makes <18, 18-29, 30-49, 50+"
    )
    estimated: str = setting(
        "",
        "a model estimated it, nobody said it: CSV file of its validation with the columns true, estimated, n; without one such an attribute is refused",
    )
    described: str = setting("", "what it means, who said it and how, in a sentence; for reports and the data card")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name:
            raise UserError("an [[attributes]] entry needs a name: the attribute, as its column is called")


@dataclass(frozen=True)
class CardSettings(Checked):
    """The data card: what only people know of a dataset. What the lake knows is filled in from it."""

    section = "card"
    title: str = setting("", "what the dataset is called; empty: its name in the lake")
    purpose: str = setting("", "what it was made for, in a sentence or two")
    not_for: str = setting("", "what it must not be used for")
    origin: str = setting("", "where, when and how the pictures were made or collected")
    collected: str = setting(
        "", "when they were made or collected: a date, or two with a slash between, 2024-03-01/2024-06-30"
    )
    consent: str = setting("", "whether and how the people in it agreed, and how they can take it back")
    license: str = setting("", "licence of the dataset, an SPDX name or a URL; empty: those that its pictures bear")
    consent_column: str = setting("consent", "the attribute that says of each picture whether its people agreed")
    license_column: str = setting("license", "the attribute that says the licence of each picture")
    sensitive: str = setting("", "what in it is personal or sensitive: faces, health, places, origin")
    annotation: str = setting(
        "", "how labels and attributes were asked for: the question, the answers that were allowed"
    )
    annotators: str = setting("", "who annotated: how they were chosen, trained and paid, and who they are as a group")
    impact: str = setting("", "whom it may help and whom it may harm")
    maintenance: str = setting("", "who looks after it, how often it is renewed, and until when")
    url: str = setting("", "where the dataset can be had, or is described")
    creators: str = setting("", "who made it, with commas between")
    contact: str = setting("", "whom to ask, and to tell of a picture that is to be forgotten")
    citation: str = setting("", "how to cite it")
    tags: str = setting("", "words that a dataset hub finds it by, with commas between")
    limits: str = setting("", "what is known to be missing, wrong or one-sided in it")
