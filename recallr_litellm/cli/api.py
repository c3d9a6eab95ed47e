"""The running gateway's API, as the commands use it: with embedded stores there is no other way to what it remembers.

    with running_gateway(console, gateway) as api:
        user = api.get("users", "alice")
        for session in api.each("sessions", "users", "alice", "sessions"):
            ...

Parts of a path are encoded here. An answer that is an error raises `CommandFailed`, whose message says what to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

import httpx
import typer
from rich.console import Console

from recallr_litellm.cli.environment import MASTER_KEY, MASTER_KEY_FILE, faults_shown, load_env_file
from recallr_litellm.errors import CommandFailed, ConfigurationError
from recallr_litellm.json_text import parsed
from recallr_litellm.printable import printable
from recallr_litellm.projects import DEFAULT_PROJECT, KEY_FILE
from recallr_litellm.settings import Settings, load_settings
from recallr_litellm.upstream_urls import is_loopback

DEFAULT_GATEWAY: Final = "http://127.0.0.1:4000"
GATEWAY: Final = "RECALLR_GATEWAY"
PROJECT: Final = "RECALLR_PROJECT_ID"
API_KEY: Final = "RECALLR_API_KEY"
ROOT: Final = "/api/v1"

_PAGE: Final = 100
"""Items of a list that are asked for at once."""
_LONGEST_DETAIL: Final = 500
"""Characters shown of what an answer says."""
_TIMEOUT: Final = httpx.Timeout(60, connect=5)
_PATIENT: Final = httpx.Timeout(None, connect=5)
_MOST_PAUSES: Final = 10
_LONGEST_PAUSE_SECONDS: Final = 60
"""How often and how long a command waits where its project has had its requests of the minute."""

Gateway = Annotated[
    str | None,
    typer.Option("--gateway", metavar="URL", help=f"The running gateway. [default: {GATEWAY}, or {DEFAULT_GATEWAY}]"),
]
"""The option `--gateway`, for a parameter that is None by default."""


class Api:
    """A client for `/api/v1` of one gateway, as one project or, for projects and keys, with LiteLLM's master key.

    Args:
        headers: the credentials.
    """

    def __init__(self, gateway: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(gateway)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"--gateway {gateway} is not a URL such as {DEFAULT_GATEWAY}")
        self._gateway = gateway.rstrip("/")
        # No proxy is on the way to this machine.
        self._http = httpx.Client(headers=headers, timeout=_TIMEOUT, trust_env=not is_loopback(parts.hostname))

    def get(self, *path: str, **params: Any) -> Any:
        """The JSON of an answer. Parameters that are None are left out."""
        return self._json("GET", path, params)

    def post(self, *path: str, body: Any = None, **params: Any) -> Any:
        """Post a body as JSON. The JSON of the answer; None where it has none."""
        return self._json("POST", path, params, json=body)

    def patch(self, *path: str, body: Any = None, **params: Any) -> Any:
        """Patch with a body as JSON. The JSON of the answer; None where it has none."""
        return self._json("PATCH", path, params, json=body)

    def delete(self, *path: str, **params: Any) -> Any:
        """Delete something. The JSON of the answer; None where it has none."""
        return self._json("DELETE", path, params)

    def send(self, *path: str, content: Callable[[], Iterable[bytes]], media_type: str) -> Any:
        """Post a body as it is produced, and wait for the answer, however long. The JSON of the answer.

        Args:
            content: the body; called again where it has to be sent again.
        """
        headers = {"Content-Type": media_type}
        return self._json("POST", path, {}, content=content, headers=headers, timeout=_PATIENT)

    @contextmanager
    def stream(self, *path: str, **params: Any) -> Iterator[Iterator[bytes]]:
        """The parts of an answer as they come."""
        with self._shown(), self._http.stream("GET", self._url(path), params=_given(params)) as answer:
            if not answer.is_success:
                answer.read()
                raise self._failed(answer)
            yield answer.iter_bytes()

    def each(self, name: str, *path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page.

        Args:
            name: of the field that holds them.
        """
        offset = 0
        while True:
            page = self.get(*path, offset=offset, limit=_PAGE, **params)
            yield from page[name]
            offset += len(page[name])
            if not page[name] or not page.get("has_more"):
                return

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _url(self, path: tuple[str, ...]) -> str:
        return self._gateway + "/".join((ROOT, *map(_encoded, path)))

    def _json(
        self,
        method: str,
        path: tuple[str, ...],
        params: Mapping[str, Any],
        content: Callable[[], Iterable[bytes]] | None = None,
        **rest: Any,
    ) -> Any:
        for attempt in count(1):
            body = None if content is None else content()
            with self._shown():
                answer = self._http.request(method, self._url(path), params=_given(params), content=body, **rest)
            if answer.is_success:
                break
            pause = answer.headers.get("Retry-After", "") if answer.status_code == httpx.codes.TOO_MANY_REQUESTS else ""
            if attempt > _MOST_PAUSES or not pause.isdecimal() or int(pause) > _LONGEST_PAUSE_SECONDS:
                raise self._failed(answer)
            time.sleep(int(pause))
        if not answer.content:
            return None
        try:
            return parsed(answer.text)
        except (ValueError, RecursionError):
            raise CommandFailed(
                f"{self._gateway} answered no JSON. {self._wrong_gateway}", answer.status_code
            ) from None

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Turn a fault of the way to the gateway into an error that says what to do."""
        try:
            yield
        except httpx.ConnectError as error:
            raise CommandFailed(
                f"No gateway answers at {self._gateway} ({error}). Start it (`recallr serve`), or name another with "
                f"--gateway URL or {GATEWAY}"
            ) from error
        except httpx.TimeoutException as error:
            raise CommandFailed(
                f"The gateway at {self._gateway} did not answer in time ({type(error).__name__}). Try again; its log "
                "says what keeps it"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CommandFailed(
                f"The request to {self._gateway} broke off ({error or type(error).__name__}). Try again; the gateway's "
                "log says why"
            ) from error

    def _failed(self, answer: httpx.Response) -> CommandFailed:
        status, detail = answer.status_code, _detail(answer)
        match status:
            case 401 | 403:
                text = (
                    f"The gateway refused the key: {detail}. Set {API_KEY} and {PROJECT} (for keys and projects "
                    f"{MASTER_KEY}), or RECALLR_DATA_DIR, as your gateway has them"
                )
            case 404 if detail in ("", "Not Found"):
                text = f"The gateway does not know {answer.request.url.path}. {self._wrong_gateway}"
            case 429:
                seconds = answer.headers.get("Retry-After")
                text = f"Too many requests: {detail}. Try again {f'in {seconds} s' if seconds else 'later'}"
            case _ if status >= 500:
                text = f"The gateway failed with status {status}: {detail}. Its log says why (`recallr doctor`, too)"
            case _:
                text = detail or f"The gateway answered with status {status}"
        return CommandFailed(printable(text), status)

    @property
    def _wrong_gateway(self) -> str:
        return (
            f"Is {self._gateway} a gateway of this version that names the callback `recallr_litellm.hooks.recallr`? "
            f"Name another with --gateway URL or {GATEWAY}"
        )


@contextmanager
def running_gateway(console: Console, gateway: str | None, *, admin: bool = False) -> Iterator[Api]:
    """The API of the running gateway; errors are shown as one line, and the command ends with 1.

    Args:
        gateway: its URL; None: `RECALLR_GATEWAY`, or the one of `recallr serve`.
        admin: with LiteLLM's master key, for keys and projects; else as the project `RECALLR_PROJECT_ID`.
    """
    with faults_shown(console):
        load_env_file()
        settings = load_settings()
        headers = _admin_headers(settings) if admin else project_headers(settings)
        api = Api(gateway_url(gateway), headers)
        try:
            yield api
        finally:
            api.close()


def gateway_url(given: str | None) -> str:
    """The URL of the running gateway, without a path."""
    return (given or os.environ.get(GATEWAY, "").strip() or DEFAULT_GATEWAY).rstrip("/")


def project_headers(settings: Settings) -> dict[str, str]:
    """What a request as the project `RECALLR_PROJECT_ID` needs.

    Raises:
        ConfigurationError: no key of the project can be found, or it cannot be sent.
    """
    project = os.environ.get(PROJECT, "").strip() or DEFAULT_PROJECT
    # Where the command shares the gateway's environment, the gateway's own settings know a key.
    configured = (settings.projects or {}).get(project) or ()
    key = (
        os.environ.get(API_KEY, "").strip()
        or next((key.get_secret_value() for key in configured), "")
        or (_read(settings.data_dir / KEY_FILE) if project == DEFAULT_PROJECT else "")
    )
    if not key:
        place = f" and {settings.data_dir.absolute() / KEY_FILE} is not there" if project == DEFAULT_PROJECT else ""
        raise ConfigurationError(
            f"There is no key for the project {project!r}: {API_KEY} is not set{place}. Set it, or RECALLR_DATA_DIR as "
            "your gateway has it"
        )
    return _checked({"X-Recallr-Api-Key": key, "X-Recallr-Project-Id": project})


def _admin_headers(settings: Settings) -> dict[str, str]:
    path = settings.data_dir / MASTER_KEY_FILE
    key = os.environ.get(MASTER_KEY, "").strip() or _read(path)
    if not key:
        raise ConfigurationError(
            f"This needs LiteLLM's master key: {MASTER_KEY} is not set and {path.absolute()} is not there. Set it, or "
            "RECALLR_DATA_DIR as your gateway has it"
        )
    return _checked({"Authorization": f"Bearer {key}"})


def _checked(headers: dict[str, str]) -> dict[str, str]:
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ConfigurationError(f"{' and '.join(headers)} can only hold printable ASCII: correct what is set for them")
    return headers


def _read(path: Path) -> str:
    """The key in a file; empty where there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The key file {path} cannot be read ({type(error).__name__}): allow it") from error


def _encoded(part: str) -> str:
    """A part of a path. Dots alone would be resolved as in a file's path."""
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _detail(answer: httpx.Response) -> str:
    """What an error says, on one line: `{"detail": "…"}`, or a list of faults with their places."""
    try:
        detail = parsed(answer.text)["detail"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return ""
    if isinstance(detail, list):
        detail = "; ".join(
            f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg')}" if isinstance(item, dict) else str(item)
            for item in detail
        )
    return " ".join(printable(str(detail)).split()).rstrip(".")[:_LONGEST_DETAIL]
