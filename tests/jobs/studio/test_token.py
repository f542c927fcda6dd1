"""Where the token may stand, and that nothing shows it."""

import copy
import logging
import os
import pickle
from pathlib import Path

import pytest

from secondlook.jobs.studio.token import VARIABLE, Token, read
from secondlook.pipeline.core.errors import UserError

SECRET = "very-secret-token-of-tests"  # noqa: S105


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "token"
    written.write_text(SECRET + "\n")
    written.chmod(0o600)
    return written


def test_it_comes_from_the_environment_else_from_a_file_of_its_owner(file: Path) -> None:
    assert read(str(file), {VARIABLE: " other-token "}).reveal() == "other-token"
    assert read(str(file), {VARIABLE: ""}).reveal() == SECRET
    file.chmod(0o400)
    assert read(str(file), {}).reveal() == SECRET


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o602, 0o610, 0o777, 0o700])
def test_a_file_that_others_may_read_is_refused_with_what_to_do(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(UserError, match=f"has mode {mode:03o}, so others may read it; chmod 600 ") as refused:
        read(str(file), {})
    assert SECRET not in str(refused.value)


def test_a_link_counts_as_what_it_leads_to(file: Path) -> None:
    file.chmod(0o644)
    link = file.with_name("link")
    link.symlink_to(file)
    with pytest.raises(UserError, match="has mode 644"):
        read(str(link), {})


@pytest.mark.parametrize("content", ["", "\n", "two words", "two\nlines", "tök€n", "bell\x07"])
def test_what_can_be_no_token_is_refused_without_being_told(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(UserError, match="holds no token") as refused:
        read(str(file), {})
    assert not content.strip() or content.strip() not in str(refused.value)
    if content.strip():
        with pytest.raises(UserError, match=f"the variable {VARIABLE} holds no token"):
            read("", {VARIABLE: content})


def test_none_is_said_with_where_it_may_stand(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"set {VARIABLE}, or name a file of mode 600"):
        read("", {})
    with pytest.raises(UserError, match="can't be read: No such file"):
        read(str(tmp_path / "none"), {})
    with pytest.raises(UserError, match=r"can't be read|is no file"):
        read(str(tmp_path), {})


def test_nothing_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    token = Token(SECRET)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("x").info("with %s and %r", token, token)
    shown = f"{token} {token!r} {[token]} {vars(type(token))} {caplog.text}"
    assert SECRET not in shown
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            copied(token)
    assert SECRET not in os.environ.values()
