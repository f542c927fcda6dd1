"""All settings, typed and checked: the one file `secondlook.toml`, whose every field is documented here and nowhere else."""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from secondlook.pipeline.core.bias_config import Attribute, BiasSettings, CardSettings
from secondlook.pipeline.core.checked import Checked, setting
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.models_config import (
    ClusterSettings,
    DistillSettings,
    FrontierSettings,
    SpecialistSettings,
    TrainSettings,
)
from secondlook.pipeline.core.requirements import Requirement, requirements

Section = TypeVar("Section")
AUTO = "auto"  # a number that is chosen from the data


@dataclass(frozen=True)
class LakeSettings(Checked):
    """Where the lake lies, and how much of its past it keeps."""

    section = "lake"
    url: str = setting("./lake", "folder or fsspec URL of the lake; --lake overrides it")
    catalog: str = setting(
        "",
        "SQLAlchemy URL of the catalog, such as postgresql+pg8000://user@host/db; empty: SQLite in the lake's folder",
    )
    dataset: str = setting("default", "name of the dataset; with a picture's key it makes the picture's identity")
    keep_versions: int = setting(
        200, "how many of the newest versions `gc` keeps readable by --as-of", unit="versions", low=1
    )


@dataclass(frozen=True)
class SparkSettings(Checked):
    """The Spark session."""

    section = "spark"
    master: str = setting("", "Spark master; empty: local[*], all cores of this machine")
    driver_memory_mb: int = setting(1024, "heap of the driver's JVM", unit="MB", low=256)


@dataclass(frozen=True)
class IngestSettings(Checked):
    """What is read, and the limits that hostile files run into."""

    section = "ingest"
    store: str = setting(
        "copy", "copy the bytes into the lake, or keep a reference to where they are", choices=("copy", "reference")
    )
    require: str = setting(
        "",
        "attributes that a picture must have to be taken, with commas between, and the values that are allowed: `consent=yes|signed, license=CC0-1.0`",
    )
    max_file_mb: int = setting(64, "larger files are rejected as too large, unread", unit="MB", low=1)
    max_pixels: int = setting(
        100_000_000,
        "pictures that declare more are refused as decompression bombs before they are decoded",
        unit="pixels",
        low=1,
    )
    decode_timeout_s: float = setting(20.0, "a picture that takes longer to decode is rejected", unit="s", low=0.1)
    row_group_mb: int = setting(
        8, "image bytes in one row group: what a reader holds at once", unit="MB", low=1, high=16
    )
    file_mb: int = setting(
        64, "image bytes in one file of the lake: what a worker holds at once", unit="MB", low=1, high=512
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        requirements(self.require)  # refused here, where it is written

    @property
    def required(self) -> tuple[Requirement, ...]:
        """What a picture must say of itself."""
        return requirements(self.require)


@dataclass(frozen=True)
class LintSettings(Checked):
    """Thresholds of the rules; `secondlook rule CODE` says what each one means."""

    section = "lint"
    mislabel_margin: float | str = setting(
        AUTO,
        "SL101: flagged where the best other class is ahead of the given one by more than this share of what the two have, -1 to 1; `auto`: chosen from the data",
        low=-1.0,
        high=1.0,
        choices=(AUTO,),
        number=True,
    )
    ambiguous_margin: float = setting(0.10, "SL102: the two best classes are closer than this", low=0.0, high=1.0)
    ambiguous_mass: float = setting(0.80, "SL102: … and together at least this probable", low=0.0, high=1.0)
    disagreement: float = setting(
        0.20,
        "SL104: flagged where the chance that two further people would disagree is at least this",
        low=0.0,
        high=1.0,
    )
    near_bits: int = setting(
        6,
        "SL202, SL203: pictures are near whose perceptual hash, pHash, differs in at most this many of 64 bits",
        unit="bits",
        low=0,
        high=16,
    )
    near_confirm_bits: int = setting(
        12,
        "SL202, SL203: … and their second hash, dHash, in at most this many",
        unit="bits",
        low=0,
        high=64,
    )
    near_match: float = setting(
        0.67,
        "SL202, SL203: … and their pixels match at least this far where both are laid over one another; more, the more bits differ",
        low=0.0,
        high=0.99,
    )
    dark: float = setting(0.20, "SL302: 99 of 100 pixels are darker than this, of 0 to 1", low=0.0, high=1.0)
    bright: float = setting(0.75, "SL303: 99 of 100 pixels are brighter than this, of 0 to 1", low=0.0, high=1.0)
    blur: float = setting(
        0.10, "SL304: sharpness (variance of the Laplacian over the picture's own variance) below this", low=0.0
    )
    blur_share: float = setting(
        0.10, "SL304: … and below this share of the dataset's median, as some datasets are smooth by nature", low=0.0
    )
    entropy: float = setting(
        1.0, "SL305: entropy of the brightness histogram below this", unit="bits", low=0.0, high=8.0
    )
    flat: float = setting(
        0.006, "SL305: or standard deviation of the brightness, of 0 to 1, below this", low=0.0, high=1.0
    )
    aspect: float = setting(4.0, "SL306: longer side over shorter side above this", low=1.0)
    min_side_px: int = setting(24, "SL307: shorter side below this", unit="pixels", low=1)
    outlier_tail: float = setting(
        2.5,
        "SL308: pictures are unlike the rest whose distance (its logarithm) is so many deviations above the median",
        unit="deviations",
        low=0.0,
    )
    same_class: float = setting(
        0.80,
        "SL502: two classes may be one where the model tells their pictures apart by at most this area under the curve; 0.5 is chance",
        low=0.5,
        high=1.0,
    )
    giveaway: float = setting(
        0.60,
        "SL504: a property gives a class away that holds for so much more of it than of the others, beyond chance",
        low=0.0,
        high=1.0,
    )
    giveaway_p: float = setting(
        0.01, "SL504: … and whose p, corrected for the number of tests, is at most this", low=0.0, high=1.0
    )
    min_class: int = setting(20, "SL503: classes with fewer labeled pictures than this", unit="pictures", low=1)
    too_fast: float = setting(
        0.30,
        "SL602: an answer is fast that took less than this part of the time that others take for the like",
        low=0.0,
        high=1.0,
    )
    fast_share: float = setting(
        0.20, "SL602: flagged where at least this share of a person's answers is fast", low=0.0, high=1.0
    )
    fail_above: int = setting(0, "findings that `lint` lets pass before its exit status is 1", unit="findings", low=0)

    @property
    def fixed_margin(self) -> float | None:
        """SL101's margin where somebody fixed it; None: it is chosen from the data."""
        return None if self.mislabel_margin == AUTO else float(self.mislabel_margin)


@dataclass(frozen=True)
class ReviewSettings(Checked):
    """The labeling queue and what it takes to change a label."""

    section = "review"
    budget: int = setting(200, "pictures in a batch unless --budget says otherwise", unit="pictures", low=1)
    random_share: float = setting(
        0.05, "share of a batch that is drawn at random, to keep the estimates honest", low=0.0, high=1.0
    )
    gold_share: float = setting(
        0.05,
        "share of a batch that is gold questions, where there is gold: they tell who answers well",
        low=0.0,
        high=1.0,
    )
    strategy: str = setting(
        "active",
        "what a batch is chosen by unless --strategy says otherwise",
        choices=("active", "p_error", "margin", "entropy", "disagreement", "random"),
    )
    price_per_hour: float = setting(
        0.0, "what an hour of a person's time costs; 0: not said, and budgets can't be money", low=0.0
    )
    currency: str = setting("USD", "the money that price_per_hour is in, three capital letters")
    options: int = setting(
        6, "classes that a task shows first, at most; 0: always all of them", unit="classes", low=0, high=50
    )
    spread: float = setting(
        0.9,
        "how much less a picture is worth beside a copy of it in the batch; 0: batches are not spread out",
        low=0.0,
        high=1.0,
    )
    balance: str = setting(
        "", "attributes, with commas between, of whose groups none is left out of a batch, such as gender,race"
    )
    balance_floor: float = setting(
        0.8, "least part of its share among the candidates that each of these groups has of a batch", low=0.0, high=1.0
    )
    most_answers: int = setting(5, "people after whom a picture is not asked again by itself", unit="people", low=1)
    min_probability: float = setting(
        0.6, "a decision is taken where the consensus is at least this probable", low=0.5, high=1.0
    )
    consensus: str = setting(
        "weighed",
        "how answers are weighed: ours, by person, class, difficulty and model; their majority; or, with crowd-kit, one of the others",
        choices=("weighed", "majority", "dawid-skene", "glad", "mace"),
    )
    experts: str = setting(
        "",
        "people, by the names of their answers and with commas between, whose single answer adjudicates a label in an audit",
    )
    amplify_error: float = setting(
        0.01,
        "`review amplify` gives labels of which, with 95 % confidence, at most this share is not what people would answer",
        low=0.0001,
        high=0.5,
    )
    seconds_per_label: float = setting(
        6.0, "time that an answer is expected to take until answers tell", unit="seconds", low=0.1
    )
    gold_acceptable: float = setting(
        0.10, "share of gold questions that an acceptable annotator may get wrong", low=0.001, high=0.5
    )
    gold_unacceptable: float = setting(
        0.30, "share of gold questions from which on an annotator is to be paused", low=0.002, high=0.95
    )
    gold_alpha: float = setting(
        0.01, "chance that an acceptable annotator is ever paused by gold questions", low=1e-6, high=0.5
    )
    gold_beta: float = setting(
        0.05, "chance that an annotator who is to be paused is ever said to have passed", low=1e-6, high=0.5
    )
    least_fixed: float = setting(
        10.0,
        "labeling may stop where the next hour of people's time is expected to fix fewer labels than this",
        unit="labels an hour",
        low=0.0,
    )
    worth_per_label: float = setting(
        0.0,
        "what a fixed label is worth, in the money of the price an hour; above 0, labeling may stop where an hour costs more than it fixes",
        low=0.0,
    )


@dataclass(frozen=True)
class LabelStudioSettings(Checked):
    """The labeling tool where people answer. Its token comes from LABEL_STUDIO_API_KEY or from `token_file`, never from here."""

    section = "label_studio"
    url: str = setting("", "where Label Studio runs, such as https://labels.example.org; empty: answers come as files")
    token_file: str = setting("", "file with the token, of mode 600; the variable LABEL_STUDIO_API_KEY overrides it")
    ca_file: str = setting("", "certificates (PEM) that TLS is verified with; empty: those that Python brings")
    allow_http: bool = setting(
        False, "send the token over plain http to a server that is not this machine: who listens can read it"
    )
    pictures: str = setting(
        "upload",
        "`upload` pictures to the server, or put them into a `folder` that it serves as local files",
        choices=("upload", "folder"),
    )
    folder: str = setting(
        "", "where `pictures` is `folder`: the server's document root of local files, as this machine sees it"
    )
    folder_there: str = setting("", "the same folder as the server sees it; empty: under the same path")
    media: str = setting(
        "",
        "`forget`: the server's media folder, as this machine sees it; the server keeps files of deleted uploads, and says so to nobody",
    )
    references: int = setting(2, "pictures beside each choice that surely show it", unit="pictures", low=0, high=4)
    page: int = setting(500, "tasks that are imported at once", unit="tasks", low=1, high=10_000)
    timeout_s: float = setting(120.0, "how long the server may take to answer", unit="s", low=1.0, high=3600.0)
    overlap_s: float = setting(
        120.0,
        "a pull asks from so long before the last one's time: for servers whose clocks differ and for what is saved late",
        unit="s",
        low=0.0,
        high=86_400.0,
    )
    annotators: str = setting(
        "email",
        "what annotators are called in the lake, its history and reports: their e-mail address, or `user-` and the tool's number",
        choices=("email", "number"),
    )
    poll_s: float = setting(60.0, "`review serve` asks so often, whether or not a webhook came", unit="s", low=1.0)


@dataclass(frozen=True)
class ExploreSettings(Checked):
    """Looking around in FiftyOne."""

    section = "explore"
    cache_gb: float = setting(
        10.0, "pictures that `explore` may write to disk, of those that don't lie on this machine", unit="GB", low=0.0
    )


@dataclass(frozen=True)
class Waiver(Checked):
    """A finding that somebody has looked at and accepts: `[[waivers]]`."""

    section = "waivers"
    rule: str = setting("", "code of the rule, such as SL302")
    subject: str = setting("*", "key of the picture or name of the class; a pattern with * and ?")
    reason: str = setting("", "why this is accepted; required")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rule or not self.reason.strip():
            raise UserError(f"a [[waivers]] entry needs rule and reason, got rule={self.rule!r} reason={self.reason!r}")


@dataclass(frozen=True)
class Settings:
    """Everything in `secondlook.toml`."""

    lake: LakeSettings = LakeSettings()
    spark: SparkSettings = SparkSettings()
    ingest: IngestSettings = IngestSettings()
    train: TrainSettings = dataclasses.field(default=TrainSettings())
    clusters: ClusterSettings = dataclasses.field(default=ClusterSettings())
    specialists: SpecialistSettings = dataclasses.field(default=SpecialistSettings())
    distill: DistillSettings = dataclasses.field(default=DistillSettings())
    frontier: FrontierSettings = dataclasses.field(default=FrontierSettings())
    lint: LintSettings = LintSettings()
    review: ReviewSettings = ReviewSettings()
    label_studio: LabelStudioSettings = LabelStudioSettings()
    explore: ExploreSettings = ExploreSettings()
    bias: BiasSettings = dataclasses.field(default=BiasSettings())
    card: CardSettings = dataclasses.field(default=CardSettings())
    attributes: tuple[Attribute, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    @property
    def estimated(self) -> frozenset[str]:
        """Attributes that a model estimated, so that every place that shows one can say so."""
        return frozenset(one.name for one in self.attributes if one.estimated)


# Sections that are written as [[name]], one block each.
BLOCKS: Mapping[str, type[Any]] = {"attributes": Attribute, "waivers": Waiver}


def _section(kind: type[Section], name: str, values: Any) -> Section:
    if not isinstance(values, Mapping):
        raise UserError(f"[{name}] is a section of settings, got {values!r}")
    allowed = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in allowed:
            raise unknown(f"setting in [{name}]", key, allowed)
    return kind(**values)


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Settings from a parsed TOML document.

    >>> from_mapping({"train": {"folds": 3}}).train.folds
    3
    >>> from_mapping({"train": {"folds": 1}})
    Traceback (most recent call last):
    secondlook.pipeline.core.errors.UserError: [train] folds takes from 2 to 20, got 1
    """
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Settings)}
    parts: dict[str, Any] = {}
    for name, body in values.items():
        if name not in kinds:
            raise unknown("section", name, kinds)
        if name in BLOCKS:
            if not isinstance(body, list):
                raise UserError(f"{name} are written as [[{name}]], one block each")
            parts[name] = tuple(_section(BLOCKS[name], name, block) for block in body)
        else:
            parts[name] = _section(kinds[name], name, body)
    return Settings(**parts)


def load(path: Path | None) -> Settings:
    """Settings from a file; without a path, from `secondlook.toml` here if there is one, else the defaults."""
    chosen = path or Path("secondlook.toml")
    if path is None and not chosen.exists():
        return Settings()
    try:
        return from_mapping(tomllib.loads(chosen.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"there is no settings file {chosen}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise UserError(f"{chosen} can't be read as TOML: {problem}") from None
    except UserError as problem:
        raise UserError(f"{chosen}: {problem}") from None


def sections() -> Iterator[tuple[str, type[Any]]]:
    """Each section's name and class, in the order of the file."""
    for field in dataclasses.fields(Settings):
        yield field.name, BLOCKS.get(field.name, type(field.default))


def documented() -> str:
    """The whole file with its defaults, each field with its sentence: what `secondlook settings` prints."""
    lines: list[str] = []
    for name, kind in sections():
        head = f"# [[{name}]]" if name in BLOCKS else f"[{name}]"
        lines += [f"# {(kind.__doc__ or '').splitlines()[0]}", head]
        for field in dataclasses.fields(kind):
            facts = field.metadata
            allowed = f" ({' | '.join(facts['choices'])})" if facts["choices"] else ""
            unit = f" [{facts['unit']}]" if facts["unit"] else ""
            lines += [f"# {facts['doc']}{allowed}{unit}", f"# {field.name} = {_toml(field.default)}"]
        lines.append("")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower() if isinstance(value, bool) else repr(value)
