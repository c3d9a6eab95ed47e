"""Templates and texts of the console."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recallr_litellm.console.paths import PREFIX, address
from recallr_litellm.console.static_files import static_address
from recallr_litellm.printable import printable


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """A page. All that is put into it is escaped."""
    return _environment().get_template(template).render(values)


@cache
def texts() -> dict[str, Any]:
    """Every text of the console, by page."""
    found: dict[str, Any] = yaml.safe_load((files(__package__) / "texts.yaml").read_text(encoding="utf-8"))
    return found


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = _moment
    environment.filters["duration"] = duration
    environment.filters["shown"] = printable
    environment.globals.update(t=texts(), address=address, prefix=PREFIX, static=static_address)
    return environment


def duration(milliseconds: int) -> str:
    """How long something took, in the two largest units.

    >>> duration(3 * 3_600_000 + 5 * 60_000 + 999)
    '3 h 5 min'
    """
    minutes, units = milliseconds // 60_000, texts()["units"]
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [units[name] % number for name, number in (("day", days), ("hour", hours), ("minute", minutes)) if number]
    return " ".join(parts[:2]) or str(units["less"])


def _moment(at: int | str | datetime | None) -> Markup:
    """A time as a `<time>`, in UTC until the page's script puts it into the viewer's timezone.

    Args:
        at: milliseconds since the epoch, or a time as the API writes it.
    """
    if at is None:
        return Markup("–")
    if isinstance(at, int):
        moment = datetime.fromtimestamp(at / 1000, UTC)
    else:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M} UTC")
