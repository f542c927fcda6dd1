"""The labeling screen of a project: Label Studio's XML, built by an XML library, so that a class may be called anything."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from secondlook.labeling.studio.tasks import ANSWER, LIST, NONE, Option

BUTTONS_UP_TO = 60  # classes in the full list that are shown as buttons; more are searched in a menu


def screen(classes: Sequence[Option], *, show_guess: bool = False, few: bool = True) -> str:
    """The configuration of a project whose full list has these classes; without any, the few choices are all there are.

    `few`: whether tasks have choices of their own, and the list opens after *none of these*; else the list is always there.
    """
    view = ET.Element("View", className="sl-screen")
    ET.SubElement(view, "Style").text = STYLE
    left = ET.SubElement(view, "View", className="sl-picture")
    ET.SubElement(left, "Image", name="image", value="$image", zoomControl="false", rotateControl="false")
    right = ET.SubElement(view, "View", className="sl-answers")
    if show_guess:
        ET.SubElement(right, "Header", value="$guess", size="5")
    facts = {"toName": "image", "showInline": "true", "choice": "single-radio"}
    required = {"required": "true", "requiredMessage": "Choose an answer first."} if few else {}
    if classes and not few:
        _list(ET.SubElement(right, "View", className="sl-list"), classes, facts)
    ET.SubElement(right, "Choices", name=ANSWER, value="$options", **facts, **required)
    if classes and few:
        when = {"visibleWhen": "choice-selected", "whenTagName": ANSWER, "whenChoiceValue": NONE}
        below = ET.SubElement(right, "View", className="sl-list", **when)
        ET.SubElement(below, "Header", value="Which of all classes? If it is none of them, submit.", size="5")
        _list(below, classes, facts)
    return ET.tostring(view, encoding="unicode")


def closed() -> str:
    """The configuration of a project whose batch is still being sent: nobody can answer yet.

    Label Studio takes uploads of pictures only while the configuration has one variable.
    """
    view = ET.Element("View")
    ET.SubElement(view, "Header", value="This batch is still being sent. Please come back in some minutes.")
    ET.SubElement(view, "Image", name="image", value="$image")
    return ET.tostring(view, encoding="unicode")


def _list(view: ET.Element, classes: Sequence[Option], facts: dict[str, str]) -> None:
    if len(classes) <= BUTTONS_UP_TO:
        listed = ET.SubElement(view, "Choices", name=LIST, **facts)
    else:
        more = {"maxUsages": "1", "leafsOnly": "true", "placeholder": "Type a part of the name"}
        listed = ET.SubElement(view, "Taxonomy", name=LIST, toName="image", **more)
    for one in classes:
        ET.SubElement(listed, "Choice", value=one.text, alias=one.code)


STYLE = """
.sl-screen { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }
.sl-picture { flex: 3 1 300px; min-width: 0; }
.sl-answers { flex: 2 1 300px; min-width: 0; }
"""
