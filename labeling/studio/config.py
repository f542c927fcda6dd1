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
    _in(view, "Style").text = STYLE
    left = _in(view, "View", className="sl-picture")
    _in(left, "Image", name="image", value="$image", zoomControl="false", rotateControl="false")
    right = _in(view, "View", className="sl-answers")
    if show_guess:
        _in(right, "Header", value="$guess", size="5")
    facts = {"toName": "image", "showInline": "true", "choice": "single-radio"}
    required = {"required": "true", "requiredMessage": "Choose an answer first."} if few else {}
    if classes and not few:
        _list(_in(right, "View", className="sl-list"), classes, facts)
    offered = _in(right, "View", className="sl-options")
    _in(offered, "Choices", name=ANSWER, value="$options", **facts, **required)
    if classes and few:
        when = {"visibleWhen": "choice-selected", "whenTagName": ANSWER, "whenChoiceValue": NONE}
        below = _in(right, "View", className="sl-list", **when)
        _in(below, "Header", value="Which of all classes? If it is none of them, submit.", size="5")
        _list(below, classes, facts)
    return ET.tostring(view, encoding="unicode")


def _in(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, attributes)


def closed() -> str:
    """The configuration of a project whose batch is still being sent: nobody can answer yet.

    Label Studio takes uploads of pictures only while the configuration has one variable.
    """
    view = ET.Element("View")
    _in(view, "Header", value="This batch is still being sent. Please come back in some minutes.")
    _in(view, "Image", name="image", value="$image")
    return ET.tostring(view, encoding="unicode")


def _list(view: ET.Element, classes: Sequence[Option], facts: dict[str, str]) -> None:
    if len(classes) <= BUTTONS_UP_TO:
        listed = _in(view, "Choices", name=LIST, **facts)
    else:
        more = {"maxUsages": "1", "leafsOnly": "true", "placeholder": "Type a part of the name"}
        listed = _in(view, "Taxonomy", name=LIST, toName="image", **more)
    for one in classes:
        _in(listed, "Choice", value=one.text, alias=one.code)


# Classes that begin with lsf- and ant- are Label Studio's own. No `>` here: its sanitizer would write it as an entity.
STYLE = """
.lsf-sidepanels__wrapper, .lsf-sidepanels .lsf-toolbar, .sl-options .lsf-hint { display: none; }
.lsf-editor { min-width: 0; }
.lsf-sidepanels, .lsf-sidepanels__content { padding: 0 !important; margin: 0 !important; width: 100% !important; max-width: none !important; }
.lsf-sidepanels { grid-template-columns: 1fr !important; }
.sl-screen { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
.sl-picture { flex: 3 1 320px; min-width: 0; max-width: min(70vh, 100%); }
.sl-answers { flex: 2 1 340px; min-width: 0; max-width: 720px; }
.sl-options .lsf-choices { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; margin: 0; }
.sl-options .lsf-choice { max-width: 100%; margin: 0; padding: 0; }
.sl-options .lsf-choice:has(.sl-first) { grid-column-start: 1; }
.sl-options .lsf-choice__item { height: 100%; }
.sl-options .ant-radio-wrapper { display: flex; height: 100%; margin: 0; padding: 10px; border-radius: 8px; cursor: pointer;
  border: 2px solid var(--color-neutral-border, #ccc); background: var(--color-neutral-surface, #fff0); }
.sl-options .ant-radio-wrapper:hover { border-color: var(--color-primary-border, #617ada); }
.sl-options .ant-radio-wrapper:focus-within { outline: 2px solid var(--color-primary-border, #617ada); outline-offset: 1px; }
.sl-options .ant-radio-wrapper:has(.ant-radio-checked) { border-color: var(--color-primary-border, #617ada);
  background: var(--color-primary-background, #e6ebff); }
.sl-options .ant-radio { position: absolute; opacity: 0; }
.sl-options .ant-radio-wrapper span { padding: 0; min-width: 0; max-width: 100%; }
.sl-class, .sl-button { display: flex; flex-direction: column; gap: 8px; }
.sl-pictures { display: flex; gap: 4px; }
.sl-pictures img { flex: 0 1 96px; min-width: 0; width: 50%; aspect-ratio: 1; object-fit: contain; border-radius: 4px; }
.sl-name { display: flex; gap: 8px; align-items: baseline; overflow-wrap: anywhere; font-weight: 600; }
.sl-name kbd { flex: none; min-width: 22px; text-align: center; padding: 0 5px; border-radius: 4px; font: inherit; font-size: 12px;
  border: 1px solid var(--color-neutral-border, #ccc); background: var(--color-neutral-background, #fff); }
.sl-list { margin-top: 16px; }
.sl-list h4 { margin: 0 0 8px !important; font-size: 15px; }
.sl-list .ant-select { width: 100%; }
.sl-list .lsf-choices { margin: 0; max-height: 45vh; overflow-y: auto; }
.sl-list .lsf-choice { overflow-wrap: anywhere; }
@media (max-width: 760px) {
  .lsf-editor, .lsf-wrapper, .lsf-sidepanels { width: 100% !important; max-width: 100vw; margin: 0 !important; left: 0 !important; }
  .sl-screen { gap: 10px; }
  .sl-picture { flex-basis: 100%; max-width: min(42vh, 100%); margin: 0 auto; }
  .sl-answers { flex-basis: 100%; }
  .sl-options .ant-radio-wrapper { padding: 8px; }
  .sl-class .sl-name kbd, .sl-button kbd { display: none; }
  .lsf-history-buttons, .lsf-bottombar .lsf-action-buttons { display: none; }
  .lsf-bottombar__group { min-width: 0; }
  .lsf-current-task__task-id { white-space: nowrap; }
}
"""
