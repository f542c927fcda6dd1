"""The options that many verbs share, said once."""

from pathlib import Path
from typing import Annotated

import typer

from secondlook.pipeline.core import config

LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake", metavar="DIR|URL", help="Where the lake lies. Default: [lake] url in secondlook.toml, else ./lake."
    ),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="Settings file. Default: ./secondlook.toml if there is one."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="VERSION", help="Read the lake as it was at this version: a number, head or head~N."
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="End with exactly one line of JSON on standard output, for scripts.")
]


def settings(file: Path | None, lake: str | None) -> config.Settings:
    """Settings of this run: the file's, with --lake on top."""
    import dataclasses

    chosen = config.load(file)
    if lake is None:
        return chosen
    return dataclasses.replace(chosen, lake=dataclasses.replace(chosen.lake, url=lake))
