"""doctor asks the labeling server, and says in a sentence what is wrong."""

import pytest

from secondlook.jobs.machine.doctor import _label_studio
from secondlook.jobs.studio.token import VARIABLE
from secondlook.pipeline.core.config import LabelStudioSettings, Settings

from .label_studio import LabelStudio


def test_what_doctor_says_of_label_studio(label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert _label_studio(Settings()).state == "note"
    named = Settings(label_studio=LabelStudioSettings(url=label_studio.url))
    assert f"set {VARIABLE}, or name a file" in _label_studio(named).found
    monkeypatch.setenv(VARIABLE, "wrong")
    assert (_label_studio(named).state, "does not take the token" in _label_studio(named).found) == ("missing", True)
    monkeypatch.setenv(VARIABLE, label_studio.admin.token)
    good = _label_studio(named)
    assert (good.state, good.found) == ("ok", f"1.23.2 at {label_studio.url}, and it takes the token")
