"""The tables of config/README.md against the code: every header, setting, default and error code, and no other."""

from __future__ import annotations

import json
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.errors import ApiError, ForwardRefused, RequestError
from recallr_litellm.gateway.answer import _response_headers
from recallr_litellm.gateway.call import Call
from recallr_litellm.memory.sessions import DEFAULT_TIMEOUT_SECONDS
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.request_headers import HEADER_NAMES, RawHeaders, RecallrHeaders
from recallr_litellm.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "config" / "README.md"
"""Where the tables are."""
TEXT = PAGE.read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its first two lines. No cell holds a `|`."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"the page has no section {heading!r}"
    lines = [line for line in found[1].splitlines() if line.startswith("|")]
    assert len(lines) > 2, f"the page has no table under {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def column(heading: str, number: int) -> dict[str, str]:
    """First column of that table, without backticks → another one."""
    return {row[0].strip("`"): row[number] for row in rows(heading)}


def written(default: Any) -> str:
    """A default as the tables write it."""
    if default is None:
        return "not set"
    if isinstance(default, bool):
        text = str(default).lower()
    elif isinstance(default, list):
        text = json.dumps(default)
    else:
        text = str(default.value if isinstance(default, Enum) else default)
    return f"`{text}`"


def test_the_request_headers_are_those_that_are_parsed_with_their_defaults() -> None:
    listed = column("Request headers", 2)
    assert sorted(listed) == sorted(HEADER_NAMES.values())
    for field, info in RecallrHeaders.model_fields.items():
        if not info.is_required():
            default, told = getattr(RecallrHeaders(), field), listed[HEADER_NAMES[field]]
            assert told == written(default) if default is not None else "`" not in told, HEADER_NAMES[field]
    assert listed["X-Recallr-Session-Timeout-Seconds"] == f"{DEFAULT_TIMEOUT_SECONDS} for a new session"


def test_the_recall_defaults_are_the_same_where_no_header_is_parsed() -> None:
    assert RecallrHeaders().recall_options == RecallOptions(), "two places give recall options different defaults"


def test_the_response_headers_are_those_that_are_sent() -> None:
    call = Call(RawHeaders(()), user_id="alice", session_id="0" * 32)
    sent = {name.decode() for name, _ in _response_headers(call)}
    assert {name.lower() for name in column("Response headers", 1)} == sent


@pytest.mark.parametrize(
    ("heading", "prefix", "settings"), [("Settings", "RECALLR", Settings), ("Reconify", "RECONIFY", ReconifySettings)]
)
def test_the_settings_are_those_that_are_read_with_their_defaults(heading: str, prefix: str, settings: Any) -> None:
    read = {f"{prefix}_{name.upper()}": written(info.get_default()) for name, info in settings.model_fields.items()}
    assert column(heading, 1) == read


def test_the_errors_are_those_that_a_client_can_get() -> None:
    forward = [(str(status), code) for code, status in ForwardRefused.STATUSES.items()]
    others = set(RequestError.__subclasses__()) - {ForwardRefused, ApiError}
    raised = sorted([*forward, *((str(error.status), error.code) for error in others)])
    listed = sorted((row[0], row[1].strip("`")) for row in rows("Errors"))
    assert listed == raised, "The page's errors (left) are not those of errors.py (right)"


@pytest.mark.parametrize("page", ["README.md", "config/README.md", "examples/README.md", "tests/benchmarks/README.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text())
    broken = [link for link in links if not link.startswith("http") and not _leads_somewhere(ROOT / page, link)]
    assert not broken, f"{page} links to what is not there: {broken}"


def _leads_somewhere(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = page.parent / file if file else page
    if not target.exists():
        return False
    if not anchor:
        return True
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_takes_ten_minutes_to_read() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250
