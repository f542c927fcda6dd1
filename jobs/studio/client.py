"""The only door to Label Studio's server: verified TLS, time-outs, retries where a second try does no harm, one sentence for what goes wrong.

`Studio` sends through label_studio_sdk, which knows both kinds of token and renews what is short-lived. Reading is tried again, and
so are changes that come to the same when made twice (`patch`, `delete`); what makes something new (`post`) is sent once: after a
time-out nobody knows whether it was made, and the caller looks.
"""

import contextlib
import ipaddress
import random
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from secondlook.jobs.studio import token as tokens
from secondlook.jobs.studio.token import Token
from secondlook.pipeline.core.config import LabelStudioSettings, Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError

TRIES = 6  # 0.4 + 0.8 + 1.6 + 3.2 + 6.4 s between them: longer than a restart of the server takes
FIRST_WAIT_S = 0.4
CONNECT_S = 10.0
SAID = 300  # letters of what the server said that are passed on


class GoneError(UserError):
    """What was asked for is not there (any more)."""


class BrokenError(UnavailableError):
    """The server is there and fails at this very question."""


class Studio:
    """A server and who asks it. `url` has no trailing slash; `me` is the id of the token's owner, `path` the URL's path."""

    def __init__(self, url: str, token: Token, settings: LabelStudioSettings, tries: int = TRIES) -> None:
        """See `connect`, which checks the address and the token first."""
        import httpx
        from label_studio_sdk import LabelStudio

        self.url, self.path, self._tries = url, urlsplit(url).path, tries
        loopback = is_loopback(urlsplit(url).hostname or "")
        context = _trusted(settings.ca_file) if settings.ca_file else True
        timeout = httpx.Timeout(settings.timeout_s, connect=CONNECT_S)
        # No redirects: where one leads, the token would go. No proxy of the environment to this machine itself.
        self._http = httpx.Client(verify=context, timeout=timeout, follow_redirects=False, trust_env=not loopback)
        with self._told("the token"):
            self.sdk = LabelStudio(  # type: ignore[no-untyped-call]
                base_url=url + "/", api_key=token.reveal(), httpx_client=self._http
            )
        self.me = 0

    def __repr__(self) -> str:
        return f"Studio({self.url})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The parsed JSON that the server answers to GET; raises GoneError on 404, UnavailableError when it is away."""
        return self._again("GET", path, params=parameters)

    def patch(self, path: str, json: Any) -> Any:
        """Change what is there."""
        return self._again("PATCH", path, json=json)

    def delete(self, path: str) -> None:
        """Delete; fine where it is gone already."""
        with contextlib.suppress(GoneError):
            self._again("DELETE", path)

    def post(self, path: str, json: Any = None, files: Mapping[str, Any] | None = None, **parameters: Any) -> Any:
        """Make something, once. After an UnavailableError nobody knows whether it was made."""
        return self._once("POST", path, json=json, files=files, params=parameters)

    def _again(self, method: str, path: str, **what: Any) -> Any:
        for tried in range(1, self._tries + 1):
            try:
                return self._once(method, path, **what)
            except UnavailableError:
                if tried == self._tries:
                    raise
            time.sleep(FIRST_WAIT_S * 2 ** (tried - 1) * random.uniform(0.8, 1.2))  # noqa: S311
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, path: str, **what: Any) -> Any:
        sent = {name: value for name, value in what.items() if value is not None}
        with self._told(path):
            answer = self.sdk._client_wrapper.httpx_client.request(
                path, method=method, request_options={"max_retries": 0}, **sent
            )
            return self._read(answer, path)

    def _read(self, answer: Any, path: str) -> Any:
        status = answer.status_code
        if 200 <= status < 300:
            return answer.json() if answer.content else None
        raise self._refusal(status, path, answer.text)

    def _refusal(self, status: int, path: str, said: str) -> UserError | UnavailableError:
        said = " ".join(said.split())[:SAID]
        if status == 401:
            return UserError(f"Label Studio at {self.url} does not take the token: it is wrong, revoked or expired")
        if status == 403:
            return UserError(f"Label Studio at {self.url} does not allow the token's owner {path}")
        if status == 404:
            return GoneError(f"Label Studio at {self.url} has no {path}")
        if 300 <= status < 400:
            return UserError(
                f"Label Studio at {self.url} sends elsewhere ({status}); give its final address as [label_studio] url"
            )
        if status in {408, 425, 429} or status >= 500:
            kind = BrokenError if status == 500 else UnavailableError
            return kind(f"Label Studio at {self.url} answers {status} to {path}; try again later")
        return UserError(f"Label Studio at {self.url} refuses {path} ({status}): {said}")

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """What the libraries below raise, as one sentence of ours without the request in it."""
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except httpx.TimeoutException:
            raise UnavailableError(f"Label Studio at {self.url} took too long to answer {path}") from None
        except (httpx.TransportError, httpx.TooManyRedirects) as problem:
            what = " ".join(str(problem).split())[:SAID] or type(problem).__name__
            raise UnavailableError(f"Label Studio at {self.url} does not answer: {what}") from None
        except ApiError as problem:  # of renewing the token
            raise self._refusal(problem.status_code or 500, path, "") from None
        except ValueError:  # an answer that is no JSON: something else than Label Studio
            raise UnavailableError(f"what answers at {self.url} does not speak as Label Studio does") from None


def connect(settings: Settings, token: Token | None = None) -> Studio:
    """The server that the settings name, once it took the token.

    Raises UserError where no server or no token is named, for an address that the token is not sent to, and where the token is not
    taken; UnavailableError where the server is away.
    """
    chosen = settings.label_studio
    url = checked_url(chosen)
    studio = Studio(url, token or tokens.read(chosen.token_file), chosen, tries=1)
    try:
        known = studio.get("/api/current-user/whoami")
        studio.me = int(known["id"])
    except GoneError:
        raise UserError(f"there is no Label Studio at {url}") from None
    except (KeyError, TypeError):
        raise UnavailableError(f"what answers at {url} does not speak as Label Studio does") from None
    finally:
        if not studio.me:
            studio.close()
    studio._tries = TRIES
    return studio


def checked_url(chosen: LabelStudioSettings) -> str:
    """The server's address without a slash at the end; raises UserError where the token must not go there."""
    if not chosen.url:
        raise UserError("no labeling server is named; set [label_studio] url, or work with files: --to queue.csv")
    try:
        parts = urlsplit(chosen.url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise UserError(
            "[label_studio] url takes an address like https://labels.example.org, without a name, password or query"
        )
    if parts.scheme == "http" and not is_loopback(host) and not chosen.allow_http:
        raise UserError(
            f"the token would travel unprotected to {host}: use https, or set [label_studio] allow_http = true"
        )
    return chosen.url.rstrip("/")


def _trusted(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as problem:  # ssl.SSLError is one
        raise UserError(f"[label_studio] ca_file {ca_file} can't be read as certificates: {problem.strerror}") from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
