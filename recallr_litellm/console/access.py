"""Who is let into the console: whoever has a project's key, or LiteLLM's master key.

A visitor gets a cookie that is signed and holds no key, only what tells which one was shown (`Doorkeeper.mark`). A key
that is revoked, or a master key that is changed, ends the visit.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer

from recallr_litellm.console.paths import PREFIX
from recallr_litellm.core.owner import Project
from recallr_litellm.errors import AdminRefused, Unauthorized
from recallr_litellm.litellm_host.master_key import check_master_key, master_key_digest
from recallr_litellm.projects import digest_of
from recallr_litellm.services import Services

COOKIE: Final = "recallr_console"
IDLE_SECONDS: Final = 1800
"""After which a visit ends in which no page was looked at."""
_LONGEST_SECONDS: Final = 12 * 3600
"""Of a visit."""
_RENEWED_AFTER_SECONDS: Final = 300
MASTER_KEY: Final = "LiteLLM master key"
"""Name of the master key in the audit list."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who was let in."""

    project: str | None
    """The only project whose pages are shown; None for whoever has the master key: all."""
    key_name: str
    token: str
    """What forms must send, so that no other site can (CSRF)."""
    began: int
    """Seconds since the epoch."""
    renewed: int
    """Likewise: when the cookie was signed."""

    @property
    def is_admin(self) -> bool:
        """Whether all projects, and their keys, are shown."""
        return self.project is None

    def may_see(self, project: str) -> bool:
        """Whether the project's pages are shown."""
        return self.project in (None, project)


class NotLetIn(Exception):
    """There is no visit, or it is over."""


class Forged(Exception):
    """A form that was not sent from a page of this visit."""


class Doorkeeper:
    """Lets visitors in, and knows them again. What it signs with is shared by all workers, through Redis."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._secret: str | None = None

    async def let_in(self, response: Response, *, project: str, key: str, secure: bool) -> str | None:
        """Set the cookie of a new visit.

        Args:
            project: "" for LiteLLM's master key.
            secure: the page came by HTTPS: so must the cookie.

        Returns:
            The project, None for all.

        Raises:
            Unauthorized: the key is not the project's, or not the master key.
        """
        if project:
            self._services.projects.authenticate(project, key)
            digest = digest_of(key)
        else:
            try:
                check_master_key(key)
            except AdminRefused as error:
                raise Unauthorized(error.message) from None
            digest = master_key_digest() or ""
        now = int(time.time())
        content = {"p": project, "k": await self._mark(digest), "t": secrets.token_urlsafe(24), "s": now}
        await self._write(response, content, secure=secure)
        return project or None

    async def visit(self, request: Request) -> Visit:
        """The visit that a request belongs to.

        Raises:
            NotLetIn: it belongs to none.
            Unavailable: Redis does not answer.
        """
        signed = request.cookies.get(COOKIE)
        if not signed:
            raise NotLetIn
        try:
            content, signed_at = (await self._signer()).loads(signed, max_age=IDLE_SECONDS, return_timestamp=True)
        except BadData:
            raise NotLetIn from None
        if time.time() - content["s"] > _LONGEST_SECONDS:
            raise NotLetIn
        project: str = content["p"]
        for digest, name in self._keys(project).items():
            if hmac.compare_digest(await self._mark(digest), content["k"]):
                return Visit(project or None, name, content["t"], content["s"], int(signed_at.timestamp()))
        raise NotLetIn

    async def renew(self, request: Request, response: Response, visit: Visit) -> None:
        """Sign the cookie anew where it is no longer young."""
        if time.time() - visit.renewed > _RENEWED_AFTER_SECONDS:
            content = (await self._signer()).loads(request.cookies[COOKIE])
            await self._write(response, content, secure=request.url.scheme == "https")

    @staticmethod
    def end(response: Response) -> None:
        """Delete the cookie."""
        response.delete_cookie(COOKIE, path=PREFIX, httponly=True, samesite="lax")

    def _keys(self, project: str) -> Mapping[str, str]:
        """Digest → name of the keys that are valid now; of the master key for no project."""
        if project:
            return self._services.projects.keys_of(project)
        digest = master_key_digest()
        return {digest: MASTER_KEY} if digest else {}

    async def _mark(self, digest: str) -> str:
        """What stands for a key in a cookie. Not its digest, from which one chosen by hand could be guessed."""
        return hmac.new((await self._shared_secret()).encode(), digest.encode(), hashlib.sha256).hexdigest()

    async def _shared_secret(self) -> str:
        if self._secret is None:
            self._secret = await self._services.console_secret()
        return self._secret

    async def _signer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(await self._shared_secret(), salt=COOKIE)

    async def _write(self, response: Response, content: Mapping[str, Any], *, secure: bool) -> None:
        signed = (await self._signer()).dumps(dict(content))
        # "lax": a link from a colleague's mail is one from another site. Changes are by POST, and need a token.
        response.set_cookie(
            COOKIE, signed, max_age=_LONGEST_SECONDS, path=PREFIX, httponly=True, samesite="lax", secure=secure
        )


def check_same_site(request: Request) -> None:
    """Raise `Forged` if a form was sent from another site's page, by what the browser says of it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forged
    origin = request.headers.get("origin")
    if origin not in (None, "null") and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forged


def check_form(visit: Visit, sent: object) -> None:
    """Raise `Forged` if a form does not send the token of its visit."""
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), visit.token.encode()):
        raise Forged


def project_for(visit: Visit, wanted: str | None) -> Project:
    """The project of a page.

    Raises:
        Unauthorized: the visitor may not see it.
    """
    name = wanted or visit.project
    if not name or not visit.may_see(name):
        raise Unauthorized(f"The key that you came in with is not one of project {name}")
    return Project(name)
