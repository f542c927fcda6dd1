"""The server that the other tests stand on: two people sign up through the invite link, and it survives a kill."""

import httpx
import pytest

from .label_studio import PASSWORD, LabelStudio, csrf


def test_people_sign_up_and_stay_after_a_kill(label_studio: LabelStudio) -> None:
    people = [label_studio.sign_up(f"{name}@example.com") for name in ("anna", "ben")]
    assert len({person.id for person in (*people, label_studio.admin)}) == 3
    assert len({person.token for person in people}) == 2
    label_studio.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{label_studio.url}/health")
    label_studio.start()
    assert people[0].session.get("/api/current-user/whoami").json()["email"] == "anna@example.com"
    assert label_studio.sign_up("anna@example.com") is people[0]


def test_nobody_signs_up_without_the_link(label_studio: LabelStudio) -> None:
    with httpx.Client(base_url=label_studio.url) as stranger:
        form = {"csrfmiddlewaretoken": csrf(stranger.get("/user/signup/").text), "email": "eve@example.com"}
        refused = stranger.post(
            "/user/signup/", data=form | {"password": PASSWORD}, headers={"Referer": label_studio.url}
        )
        assert refused.status_code == 403
        assert stranger.get("/api/projects/").status_code == 401
