"""Text that a spreadsheet would run: a cell that begins with one of =, +, -, @, a tab or a carriage return.

CSV has no way to say that a cell is text, and quotes don't help. Files that programs read back keep every name exactly;
a file for people in a spreadsheet gets an apostrophe before such a cell, as OWASP advises ("CSV Injection").
"""

import re
from typing import Annotated

import typer

SpreadsheetOption = Annotated[
    bool,
    typer.Option(
        "--spreadsheet",
        help="For Excel and the like: an apostrophe before text that would run as a formula, and a mark of UTF-8."
        " Programs want it exact.",
    ),
]
BYTE_ORDER_MARK = "\ufeff"  # by it, spreadsheets know UTF-8
FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")  # a number is only a number


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may take this cell for a formula.

    >>> [is_formula(cell) for cell in ("=1+1", "-1", "-1+cmd", "cat")]
    [True, False, True, False]
    """
    return FORMULA.match(cell) is not None and NUMBER.fullmatch(cell) is None


def as_text(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would run it.

    >>> as_text("=cmd()"), as_text("cat")
    ("'=cmd()", 'cat')
    """
    return f"'{cell}" if is_formula(cell) else cell
