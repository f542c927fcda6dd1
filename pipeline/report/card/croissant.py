"""A data card as Croissant 1.0 JSON-LD with the fields of its responsible-AI vocabulary: facts and files in, a document out.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html and …/croissant-rai-spec.html. Names of ours are ids; names from data
stand percent-encoded in ids, and as they are in `name` and `column`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.report.card.facts import CardAttribute, CardFacts
from secondlook.pipeline.report.card.licenses import license_url
from secondlook.pipeline.report.card.markdown import one_line
from secondlook.pipeline.report.card.text import LONGEST_FINDING, mangled, unsaid, wrong_labels
from secondlook.pipeline.report.page import percent

CROISSANT, RAI = "http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"
RECORDS, CLASSES = "pictures", "classes"
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# The context that the specification gives; readers warn of any other.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class Exported:
    """What lies beside the document: an export. `columns`: those of attributes, in order.

    `kind` "parquet": data/SPLIT-00000-of-00001.parquet, `classes` the names of the label's numbers, `split_column` where a column says the split.
    `kind` "folders": pictures with the endings `endings` (of `plain` ones there is no ending), and `table`, a Parquet file with
    the columns file, label, split and attributes, whose SHA-256 is `sha256`.
    """

    kind: Literal["parquet", "folders"]
    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    split_column: str = ""
    endings: Mapping[str, str] = field(default_factory=dict)  # ending → media type
    plain: tuple[str, ...] = ()
    table: str = ""
    sha256: str = ""


def as_croissant(facts: CardFacts, exported: Exported | None) -> dict[str, Any]:
    """The document, ready for JSON. `exported` None: there are no files beside it, and it describes none."""
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [CROISSANT, RAI],
        "name": one_line(facts.title),
        "description": _description(facts),
        "version": f"{facts.version}.0.0",
        "datePublished": facts.date[:10],
        "license": _licenses(facts),
        "citeAs": facts.said.citation.strip()
        or f"{one_line(facts.title)}, version {facts.version}, {facts.date[:10]} ({unsaid(facts.said, 'citation')})",
        **_people(facts),
        **dict(_responsible(facts)),
    }
    if facts.said.url:
        document["url"] = facts.said.url.strip()
    if facts.tags:
        document["keywords"] = [one_line(tag) for tag in facts.tags]
    if exported is not None:
        document |= _parquet(exported) if exported.kind == "parquet" else _folders(exported)
    return document


def _description(facts: CardFacts) -> str:
    purpose = facts.said.purpose.strip() or unsaid(facts.said, "purpose")
    return f"{facts.samples:,} pictures in {len(facts.classes):,} classes, one label a picture. {purpose}"


def _licenses(facts: CardFacts) -> list[str]:
    if facts.license:
        return [license_url(facts.license)]
    borne = facts.licenses.shown if facts.licenses is not None else {}
    return [license_url(one_line(name)) for name in borne if name != NOT_SAID] or [unsaid(facts.said, "license")]


def _people(facts: CardFacts) -> dict[str, Any]:
    if not facts.creators:
        return {}
    return {"creator": [{"@type": "sc:Organization", "name": one_line(name)} for name in facts.creators]}


# The responsible-AI fields


def _responsible(facts: CardFacts) -> Iterator[tuple[str, Any]]:
    """What the vocabulary asks for, a sentence or a list of them each; what nobody said, and it can't do without, says so."""
    said = facts.said
    yield "rai:dataCollection", said.origin.strip() or unsaid(said, "origin")
    if dates := ISO_DATE.findall(said.collected):
        yield "rai:dataCollectionTimeframe", dates
    yield "rai:dataCollectionMissingData", " ".join(_missing(facts)) or "Every picture has a value of every attribute."
    yield "rai:dataImputationProtocol", _repairs(facts)
    yield "rai:dataPreprocessingProtocol", list(_preprocessing(facts))
    yield "rai:dataAnnotationProtocol", said.annotation.strip() or unsaid(said, "annotation")
    yield "rai:annotatorDemographics", said.annotators.strip() or unsaid(said, "annotators")
    yield "rai:annotationsPerItem", _per_item(facts)
    if facts.labels.platform:
        yield "rai:dataAnnotationPlatform", "Label Studio"
    yield "rai:dataAnnotationAnalysis", wrong_labels(facts)
    if facts.labels.holding.get("amplified"):
        yield (
            "rai:machineAnnotationTools",
            "secondlook: labels from a model trained on people's answers, tested on random ones",
        )
    yield "rai:personalSensitiveInformation", list(_sensitive(facts))
    yield "rai:dataUseCases", list(_uses(facts))
    yield "rai:dataLimitations", list(_limitations(facts))
    yield "rai:dataBiases", list(_groups(facts))
    if said.impact.strip():
        yield "rai:dataSocialImpact", said.impact.strip()
    yield "rai:dataReleaseMaintenancePlan", said.maintenance.strip() or unsaid(said, "maintenance")


def _missing(facts: CardFacts) -> Iterator[str]:
    for one in facts.attributes:
        if one.missing:
            yield f"{one.missing:,} of {facts.samples:,} pictures have no value of {one_line(one.name)}."


def _repairs(facts: CardFacts) -> str:
    told = [f"{one.repaired:,} of {one_line(one.name)}" for one in facts.attributes if one.repaired]
    repaired = f" Values were repaired by rules that people confirmed: {', '.join(told)}." if told else ""
    return f"No value was made up where one is missing.{repaired}"


def _preprocessing(facts: CardFacts) -> Iterator[str]:
    yield "Pictures are as they came: none was changed."
    if facts.rejected:
        told = ", ".join(f"{n:,} {reason}" for reason, n in facts.rejected.items())
        yield f"Files that did not come in, by reason: {told}."


def _per_item(facts: CardFacts) -> str:
    labels = facts.labels
    if not labels.answers:
        return "One label a picture, as it came; nobody was asked again."
    return (
        f"One label a picture. {labels.answers:,} answers of {labels.annotators:,} people about {labels.asked:,} pictures, "
        f"{labels.answers / labels.asked:.1f} a picture."
    )


def _sensitive(facts: CardFacts) -> Iterator[str]:
    said = facts.said
    yield said.sensitive.strip() or unsaid(said, "sensitive")
    yield f"Consent: {said.consent.strip() or unsaid(said, 'consent')}"
    if facts.attributes:
        names = (
            f"{one_line(one.name)}{' (estimated by a model)' if one.estimated else ''}" for one in facts.attributes
        )
        yield f"Attributes of pictures: {', '.join(names)}."
    if said.contact.strip():
        yield f"To have a picture forgotten: {said.contact.strip()}"


def _uses(facts: CardFacts) -> Iterator[str]:
    yield facts.said.purpose.strip() or unsaid(facts.said, "purpose")
    if facts.said.not_for.strip():
        yield f"Not for: {facts.said.not_for.strip()}"


def _limitations(facts: CardFacts) -> Iterator[str]:
    yield facts.said.limits.strip() or unsaid(facts.said, "limits")
    yield wrong_labels(facts)
    for one in facts.attributes:
        if one.mangled:
            yield mangled(facts, one_line(one.name), one.mangled)
        if one.estimated:
            yield f"{one_line(one.name)} was estimated by a model; nobody said it.{_error_words(one)}"


def _error_words(one: CardAttribute) -> str:
    told = (f"{one_line(value)} {percent(wrong / n)} of {n:,}" for value, (wrong, n) in one.errors.items())
    return f" Wrong, by what people said: {', '.join(told)}." if one.errors else ""


def _groups(facts: CardFacts) -> Iterator[str]:
    """Who is in it, in numbers: what was counted, and no judgement."""
    for one in facts.attributes:
        if one.groups is None or not one.groups.shown:
            continue
        told = (f"{one_line(value)} {n:,}" for value, n in one.groups.shown.items())
        how = "estimated by a model" if one.estimated else "as annotated"
        few = f", and {one.groups.hidden} groups too small to be shown" if one.groups.hidden else ""
        yield f"{one_line(one.name)} {how}, pictures: {', '.join(told)}{few}."
    yield from (one_line(told, LONGEST_FINDING) for told in facts.differences)
    if not facts.attributes:
        yield "No attributes are known of the pictures, so nothing can be said of who is in them."
    elif not any(one.rule.startswith("SL4") for one in facts.findings or ()):
        yield "No finding of a comparison of groups is open; what was not compared, or had too few pictures, could not be found."


# The files


def _parquet(exported: Exported) -> dict[str, Any]:
    files = {
        "@type": "cr:FileSet",
        "@id": "parquet",
        "name": "parquet",
        "description": "One Parquet file or several for each split, in the layout of Hugging Face datasets.",
        "encodingFormat": "application/x-parquet",
        "includes": "data/*.parquet",
    }
    number = _of("parquet", "label", references={"field": {"@id": f"{CLASSES}/number"}})
    if exported.split_column:
        split = _of("parquet", exported.split_column)
    else:
        split = _path("parquet", r"^data/(.+)-\d{5}-of-\d{5}\.parquet$")
    fields = [
        _field("image", "sc:ImageObject", _of("parquet", "image", transform={"jsonPath": "bytes"})),
        _field("path", "sc:Text", _of("parquet", "image", transform={"jsonPath": "path"})),
        _field("number", "sc:Integer", number),
        *([_field("label", "sc:Text", {"source": {"field": {"@id": f"{CLASSES}/name"}}})] if exported.classes else []),
        _field("split", "sc:Text", split),
        *(_attribute(name, _of("parquet", name)) for name in exported.columns),
    ]
    if not exported.classes:  # nothing has a label, and there is nothing to look it up in
        fields = [one for one in fields if one["name"] != "number"]
    sets = [_classes(exported.classes)] if exported.classes else []
    return {"distribution": [files], "recordSet": [*sets, _records(fields)]}


def _classes(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": CLASSES,
        "name": CLASSES,
        "description": "The classes, by the numbers that stand for them.",
        "dataType": "sc:Enumeration",
        "key": {"@id": f"{CLASSES}/number"},
        "field": [
            {"@type": "cr:Field", "@id": f"{CLASSES}/{part}", "name": part, "dataType": kind}
            for part, kind in (("number", "sc:Integer"), ("name", "sc:Text"))
        ],
        "data": [{f"{CLASSES}/number": n, f"{CLASSES}/name": name} for n, name in enumerate(names)],
    }


def _folders(exported: Exported) -> dict[str, Any]:
    kinds = sorted(set(exported.endings.values()), key=lambda kind: (kind not in READABLE, kind))
    table = {
        "@type": "cr:FileObject",
        "@id": "table",
        "name": exported.table,
        "description": "A row a picture: its file, label, split and attributes.",
        "contentUrl": exported.table,
        "encodingFormat": "application/x-parquet",
        "sha256": exported.sha256,
    }
    files = {
        "@type": "cr:FileSet",
        "@id": "files",
        "name": "files",
        "description": "The pictures, in folders by split and class.",
        "encodingFormat": kinds or ["application/octet-stream"],
        "includes": [*(f"*{ending}" for ending in exported.endings), *exported.plain],
    }
    if kinds and kinds[0] in READABLE:
        # A reader compares texts with texts: the expression makes one of the path.
        key = _path("files", "(?s)^(.+)$", references={"fileObject": {"@id": "table"}, "extract": {"column": "file"}})
        content = {"source": {"fileSet": {"@id": "files"}, "extract": {"fileProperty": "content"}}}
        fields = [_field("path", "sc:Text", key), _field("image", "sc:ImageObject", content)]
    else:  # rows without pictures are better than none
        fields = [_field("path", "sc:Text", _of_table("file"))]
    fields += [_field(name, "sc:Text", _of_table(name)) for name in ("label", "split")]
    fields += [_attribute(name, _of_table(name)) for name in exported.columns]
    return {"distribution": [table, files], "recordSet": [_records(fields)]}


READABLE = (
    "image/jpeg",
    "image/png",
)  # what mlcroissant opens as a picture; it takes the first media type that it knows


def _records(fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": "A row a picture.",
        "field": fields,
    }


def _field(name: str, kind: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": f"{RECORDS}/{name}", "name": name, "dataType": kind, **source}


def _attribute(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """A field of an attribute; `attribute/` keeps its id from being that of one of ours."""
    return _field(name, "sc:Text", source) | {"@id": f"{RECORDS}/attribute/{quote(name, safe='')}"}


def _of(file_set: str, column: str, *, references: Any = None, transform: Any = None) -> dict[str, Any]:
    source = {"fileSet": {"@id": file_set}, "extract": {"column": column}}
    return {"source": source | ({"transform": transform} if transform else {})} | (
        {"references": references} if references else {}
    )


def _of_table(column: str) -> dict[str, Any]:
    return {"source": {"fileObject": {"@id": "table"}, "extract": {"column": column}}}


def _path(file_set: str, regex: str, *, references: Any = None) -> dict[str, Any]:
    source = {"fileSet": {"@id": file_set}, "extract": {"fileProperty": "fullpath"}, "transform": {"regex": regex}}
    return {"source": source} | ({"references": references} if references else {})
