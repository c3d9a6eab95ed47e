"""Base URLs that the forward URL may reach, and how a URL is read to be compared with them.

A URL is read strictly, by RFC 3986's grammar with everything optional left out, and requests connect to the configured
upstream, never to text from the client, so two URL parsers cannot be played off against each other.
https://www.rfc-editor.org/rfc/rfc3986#section-3
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

_URL = re.compile(r"(?P<scheme>https?):/(?P<slashes>/?)(?P<authority>[^/]+)(?P<path>/.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(?::(?P<port>[1-9][0-9]{0,4}))?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~@:+-]+)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_LONGEST = 2048
"""Characters of a forward URL; no upstream needs more."""


@dataclass(frozen=True, slots=True)
class Location:
    """A URL without query: where it leads and the path there."""

    scheme: str
    host: str
    """In lower case; an IPv6 address in its shortest form, in brackets."""
    port: int
    path: str
    """Empty, or from its first slash; nothing is encoded in it, and no segment is empty, `.` or `..`."""

    @property
    def origin(self) -> str:
        """Scheme, host and port, as every client of HTTP writes them."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def parse_location(url: str, *, strict: bool = False) -> Location:
    """Read the URL of an upstream.

    Args:
        strict: two slashes after the scheme, as a setting has to be written; a client's may have lost one on its way.

    Raises:
        ValueError: it is none, or could be read in more than one way. The message does not repeat it.
    """
    found = _URL.fullmatch(url) if len(url) <= _LONGEST else None
    if found is None or (strict and not found["slashes"]):
        raise ValueError("is not a URL such as https://api.openai.com")
    authority = _AUTHORITY.fullmatch(found["authority"].lower())
    if authority is None or not found["authority"].isascii():
        raise ValueError("must have a plain host name or address after the scheme, and at most a port")
    scheme = found["scheme"].lower()
    port = int(authority["port"]) if authority["port"] else _DEFAULT_PORTS[scheme]
    if port > 65535:
        raise ValueError("has no valid port")
    path = found["path"] or ""
    if _PATH.fullmatch(path) is None or not path.isascii():
        raise ValueError("must have a plain path, with nothing encoded and no query")
    if any(not segment.strip(".") for segment in path.split("/")[1:]):
        raise ValueError("must not have `.` or `..` in its path")
    return Location(scheme, _host(authority["host"]), port, path)


def _host(host: str) -> str:
    return f"[{IPv6Address(host[1:-1]).compressed}]" if host.startswith("[") else host


class Upstreams:
    """The upstreams that may be reached.

    >>> Upstreams(["https://api.openai.com"]).allow("https:/API.openai.com:443/v1/responses").origin
    'https://api.openai.com'

    Raises:
        ValueError: a URL is none; the message says which, by its place.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self._allowed: list[Location] = []
        for number, url in enumerate(urls, start=1):
            try:
                self._allowed.append(parse_location(url.removesuffix("/"), strict=True))
            except ValueError as error:
                raise ValueError(f"URL number {number} {error}") from None

    def allow(self, url: str) -> Location | None:
        """Where a forward URL leads, or None when it may not be reached.

        An upstream with a path admits only paths below it.
        """
        try:
            asked = parse_location(url)
        except ValueError:
            return None
        for allowed in self._allowed:
            same = (allowed.scheme, allowed.host, allowed.port) == (asked.scheme, asked.host, asked.port)
            if same and (asked.path + "/").startswith(allowed.path + "/"):
                return Location(allowed.scheme, allowed.host, allowed.port, asked.path)
        return None


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def https_or_loopback(url: str) -> str:
    """The URL of an endpoint that secrets may be posted to: https, or http on this machine.

    Raises:
        ValueError: it is none.
    """
    url = url.strip()
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise ValueError("has to be a URL that begins with https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user or password; there are settings for keys")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("has to be https: what is sent would travel unencrypted (http is for this machine only)")
    return url
