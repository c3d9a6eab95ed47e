"""The pages, one module each."""

from __future__ import annotations

from fastapi import APIRouter

from recallr_litellm.console.pages import (
    audit,
    conflict,
    graph,
    login,
    memory,
    operations,
    overview,
    playground,
    projects,
    request,
    requests,
    session,
    user,
    users,
)

ROUTERS: tuple[APIRouter, ...] = tuple(
    page.router
    for page in (
        login,
        overview,
        users,
        user,
        session,
        memory,
        conflict,
        graph,
        requests,
        request,
        playground,
        operations,
        projects,
        audit,
    )
)
