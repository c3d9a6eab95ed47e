"""A project that looks as one does after some months of use, for what shows it: users, sessions, memories, requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import yaml

from tests.support.api import call
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

_CONTENT: Final = Path(__file__).with_suffix(".yaml")
USER: Final = "maria.santos"
"""Of whom most is known."""


@dataclass(frozen=True)
class Populated:
    """The project, and what is in it."""

    project: str
    key: str
    sessions: Mapping[str, str]
    """User → one of its sessions."""
    memory: str
    """Of `USER`, in two versions."""
    conflict: str
    """Of `USER`, to be answered."""
    requests: tuple[str, ...]
    """Ids of requests."""


def populate(proxy: Proxy, project: str) -> Populated:
    """Make the project, and fill it with what `populated.yaml` says."""
    content = yaml.load(_CONTENT.read_text(), yaml.BaseLoader)  # times stay as they are written
    key = new_project(proxy, project)
    access: dict[str, Any] = {"project_id": project, "api_key": key}
    for user in content["users"]:
        import_user(proxy, document(user), **access)
    for number, name in enumerate(content["others"]):
        at = datetime.fromisoformat("2026-08-03T09:00:00Z") + timedelta(days=4 * number, hours=number)
        import_user(
            proxy,
            {"format": "recallr-user", "version": 1, "user": {"id": name, "created_at": at.isoformat()}},
            **access,
        )
    asked = [
        proxy.ask(one["user"], one["says"], **access, **one.get("options", {})).headers["x-recallr-request-id"]
        for one in content["asked"]
    ]
    for id in asked:
        look = partial(call, proxy, "GET", f"/requests/{id}", **access)
        eventually(look, "the request is explained", until=lambda answer: answer.status_code == 200)
    return Populated(
        project=project,
        key=key,
        sessions={user["id"]: id_of(user["id"], user["sessions"][0]["name"]) for user in content["users"]},
        memory=id_of(USER, "Maria lives in Alfama, Lisbon, since 1 September 2026."),
        conflict=id_of(USER, "Maria's household eats vegan."),
        requests=tuple(asked),
    )


def id_of(*names: str) -> str:
    """The id of a session, message, memory or conflict: made from its user and its name or text."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


def document(user: Mapping[str, Any]) -> dict[str, Any]:
    """A user as the API imports it."""
    name, sessions = user["id"], {one["name"]: one for one in user["sessions"]}
    return {
        "format": "recallr-user",
        "version": 1,
        "user": {"id": name, "created_at": user["sessions"][0]["at"], "metadata": user.get("metadata", {})},
        "sessions": [
            {
                "id": id_of(name, one["name"]),
                "created_at": one["at"],
                "messages": [
                    {
                        "id": id_of(name, text),
                        "role": ("user", "assistant")[place % 2],
                        "text": text,
                        "at": (datetime.fromisoformat(one["at"]) + timedelta(seconds=140 * place)).isoformat(),
                    }
                    for place, text in enumerate(one["said"])
                ],
            }
            for one in sessions.values()
        ],
        "memories": [one for memory in user.get("memories", ()) for one in _versions(name, memory, sessions)],
        "conflicts": [
            {
                "id": id_of(name, one["says"]),
                "memory": id_of(name, one["memory"]),
                "proposed": id_of(name, "proposed", one["says"]),
                "content": one["says"],
                "reason": one["why"],
                "questions": one["asks"],
                "session": id_of(name, one["from"]),
                "sources": [id_of(name, sessions[one["from"]]["said"][0])],
                "created_at": sessions[one["from"]]["at"],
            }
            for one in user.get("conflicts", ())
        ],
    }


def import_user(proxy: Proxy, user: Mapping[str, Any], **access: Any) -> None:
    """Import it."""
    answer = call(proxy, "POST", f"/users/{quote(user['user']['id'], safe='')}/import", body=user, **access)
    assert answer.status_code == 200, answer.text


def _versions(user: str, memory: Mapping[str, Any], sessions: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    current = id_of(user, memory["says"])
    entities = [dict(zip(("name", "kind"), one.split("/"), strict=True)) for one in memory.get("of", ())]
    shared = {
        "attribute": memory["about"],
        "kind": memory.get("kind", "fact"),
        "categories": memory.get("tags", []),
        "entities": entities,
    }

    def version(one: Mapping[str, Any]) -> dict[str, Any]:
        session = sessions[one["from"]]
        sources = [id_of(user, session["said"][0])]
        return {
            **shared,
            "id": id_of(user, one["says"]),
            "content": one["says"],
            "session": id_of(user, one["from"]),
            "sources": sources,
            "created_at": session["at"],
        }

    replaced = memory.get("before", ())
    yield {**version(memory), "reason": "TEMPORAL_CONFLICT" if replaced else "INITIAL_MEMORY"}
    for one in replaced:
        at = sessions[memory["from"]]["at"]
        yield {**version(one), "chain": current, "expired_at": at, "expiration_reason": "TEMPORAL_CONFLICT"}


def new_project(proxy: Proxy, project: str, *, key_name: str = "support console") -> str:
    """Make a project and a key of it. Returns the key."""
    with httpx.Client(
        base_url=f"{proxy.url}/api/v1/admin",
        headers={"Authorization": f"Bearer {proxy.master_key}"},
        trust_env=False,
        timeout=60.0,
    ) as admin:
        admin.post("/projects", json={"project_id": project}).raise_for_status()
        made = admin.post(f"/projects/{project}/keys", json={"name": key_name}).raise_for_status()
        return str(made.json()["api_key"])
