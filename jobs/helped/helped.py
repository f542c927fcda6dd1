"""`secondlook helped`: is the model that was trained on better labels any better, on pictures that neither has learned from."""

from collections.abc import Mapping, Sequence
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
    pair = models.pair(lake, version, model, since)
    return comparing.comparison(comparing.pictures(lake, version, settings), pair)


def after(lake: "Lake", settings: "Settings", version: int, made: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What `train` and `distill` say at their end of the models that they made in a version, those that have an earlier self.

    It costs no training and no pictures, since it reads stored predictions. Where the settings of groups are at fault, it says so
    instead of failing: the training is there.
    """
    from secondlook.jobs.helped import comparing, models, told
    from secondlook.pipeline.core.errors import UserError

    at = lake.at(version)
    there = models.known(lake, at)
    pairs = [models.pair(lake, at, one.name) for one in there if one.name in made and models.earlier(there, one)]
    if not pairs:
        return {}
    try:
        them = comparing.pictures(lake, at, settings)
        found = [comparing.comparison(them, pair) for pair in pairs]
    except UserError as problem:
        return {pair.after.name: {"helped": None, "sentence": f"no claim: {problem}"} for pair in pairs}
    return {one.pair.after.name: told.summary(one, sure_only=True) for one in found}


def say(helped: Mapping[str, Any], name: str = "") -> None:
    """The one line at the end of a training; `name`: of which model, where several were made."""
    differ = "; its settings differ, too" if helped.get("differ") else ""
    beside = f"{name} beside its earlier self" if name else "beside the model before it"
    console.out().print(f"{beside}{differ}: {helped['sentence']}", markup=False)


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
