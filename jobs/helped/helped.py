"""`secondlook helped`: is the model that was trained on better labels any better, on pictures that neither has learned from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as settings_of

if TYPE_CHECKING:
    from secondlook.jobs.helped.comparing import Comparison
    from secondlook.jobs.lake.store import Lake
    from secondlook.pipeline.core.config import Settings


def run(
    lake: "Lake", settings: "Settings", *, model: str | None = None, since: str | None = None, as_of: str | None = None
) -> "Comparison":
    """Compare a model (the newest generalist) with an earlier one of its kind; it reads and writes nothing.

    Raises UserError where there are no two models of one kind.
    """
    from secondlook.jobs.helped import comparing, models

    version = lake.at(as_of)
    return comparing.comparison(lake, version, settings, models.pair(lake, version, model, since))


def after(lake: "Lake", settings: "Settings", version: int, model: str) -> dict[str, Any] | None:
    """What `train` says at its end of the model that it made in a version; None where it is the first of its kind.

    It costs no training and no pictures, since it reads stored predictions. Where settings of the groups are at fault, it is said
    instead: the training is there.
    """
    from secondlook.jobs.helped import comparing, models, told
    from secondlook.pipeline.core.errors import UserError

    at = lake.at(version)
    there = models.known(lake, at)
    mine = next(one for one in there if one.name == model)
    if models.earlier(there, mine) is None:
        return None
    try:
        found = comparing.comparison(lake, at, settings, models.pair(lake, at, model))
    except UserError as problem:
        return {"helped": None, "sentence": f"no claim: {problem}"}
    return told.summary(found, sure_only=True)


def say(helped: Mapping[str, Any] | None) -> None:
    """The one line at the end of a training."""
    if helped is None:
        return
    differ = " (settings differ, too)" if helped.get("differ") else ""
    console.out().print(f"{helped['sentence']}{differ}: secondlook helped says more", markup=False)


def helped(
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="VERSION|MODEL",
            help="The earlier model, or a version that had it. Default: the one before.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="The later one. Default: the newest generalist.")
    ] = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Did cleaning help: the newest model beside the one before, on pictures that neither has learned from.

    Both are asked about the same pictures, and both are judged by the labels as they are now. So a picture counts that one of them has
    right and the other wrong. The interval is of a paired bootstrap, copies drawn together; with fewer than 100 pictures, or 10 that
    differ, it is an exact one. Where it spans zero there is no claim. Classes and groups of people are compared one by one,
    corrected for their number.

    The pictures: those of the split `test` whose labels three people agreed on (`secondlook review push --verify test`), if there
    are 100 of them; else all of that split; else those that both models were held out of. It says which. Pictures that leaked are left out.

    Examples:

        secondlook helped
        secondlook helped --since 7
        secondlook helped --model student-mobilenet-v1-0.5-3f0c11d2a9be --json
    """
    from secondlook.jobs.helped import told
    from secondlook.jobs.lake.store import Lake

    chosen = settings_of(settings, lake)
    found = run(Lake.open(chosen.lake), chosen, model=model, since=since, as_of=as_of)
    console.finish(told.summary(found), as_json=json, lines=lambda: told.print_all(found))
