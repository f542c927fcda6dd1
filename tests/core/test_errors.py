"""The sentences that errors are."""

from secondlook.pipeline.core.errors import unknown


def test_an_unknown_name_and_what_there_is_are_cut_where_data_made_them_long() -> None:
    endless = "x" * 10_000
    told = str(unknown("value of note", endless + "y", [endless, "ok"]))
    cut = "x" * 59 + "…"
    assert told == f"unknown value of note '{cut}', did you mean '{cut}'? Choose from: ok, {cut}"
    assert str(unknown("value", "y" * 61, [])) == f"unknown value '{'y' * 59}…': there is none yet"
    whole = "z" * 60
    assert str(unknown("value", whole, ["a"])) == f"unknown value '{whole}'. Choose from: a"
