"""The console in a real browser: what visitors do, on every page, screen and colour scheme, by keyboard too.

`TEST_SCREENSHOTS=<folder>` keeps a picture of every page that the sweep looks at.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import pytest
import yaml
from fastapi.routing import APIRoute
from selenium.webdriver import Keys

from recallr_litellm.console.pages import ROUTERS
from recallr_litellm.console.paths import address
from tests.support.chromium import Chromium
from tests.support.console import come_in
from tests.support.populated import USER, Populated, populate
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

WIDTHS = (360, 1600)
NO_PAGES = {"/", "/user/export", "/graph/data"}
"""Addresses at which nothing is shown."""


@pytest.fixture(scope="module")
def store(proxy: Proxy) -> Populated:
    return populate(proxy, f"support-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def visitor(chromium: Chromium, proxy: Proxy, store: Populated) -> Chromium:
    """Somebody who came in with the project's key, at a wide screen."""
    chromium.look()
    come_in(chromium, proxy, store.project, store.key)
    chromium.complaints()
    return chromium


def pages(store: Populated) -> Mapping[str, str]:
    """Name → address of every page, some of them in several states."""
    of_project = {"project": store.project}
    of_user = {**of_project, "user": USER}
    return {
        "login": address("login"),
        "overview": address("overview", of_project),
        "overview-week": address("overview", {**of_project, "span": "week"}),
        "users": address("users", of_project),
        "users-none": address("users", {**of_project, "name": "nobody"}),
        "user": address("user", of_user),
        "session": address("session", {**of_user, "session": store.sessions[USER]}),
        "memory": address("memory", {**of_user, "memory": store.memory}),
        "conflict": address("conflict", {**of_user, "conflict": store.conflict}),
        "graph": address("graph", of_user),
        "graph-list": address("graph/list", of_user),
        "requests": address("requests", of_project),
        "request": address("request", {**of_project, "id": store.requests[0]}),
        "playground": address("playground", of_project),
        "playground-asked": address(
            "playground", {**of_user, "question": "Where does she live?", "b_recall_strategy": "low_latency"}
        ),
        "operations": address("operations", of_project),
        "audit": address("audit", of_project),
        "projects": address("projects"),
        "projects-keys": address("projects", of_project),
        "fault": address("user", {**of_project, "user": "nobody"}),
    }


def test_a_visitor_finds_a_user_understands_a_request_and_sets_memory_right(
    visitor: Chromium, proxy: Proxy, store: Populated
) -> None:
    visitor.press("Users")
    visitor.fill("name", "t.okafor@example.com")
    visitor.press("Find")
    visitor.press("t.okafor@example.com")
    assert "The thesis on tidal energy is due on 15 January 2027." in visitor.text

    visitor.open(f"{proxy.url}{address('graph', {'project': store.project, 'user': USER})}")
    assert visitor.visible(".graph svg, .graph canvas").size["height"] > 300
    assert "Beatriz" in visitor.text

    visitor.press("Requests")
    visitor.press(store.requests[0][:12])
    assert "What can I cook for Ana's birthday party" in visitor.text
    assert "hazelnuts" in visitor.text, "the page does not show what the model saw"

    visitor.open(f"{proxy.url}{address('memory', {'project': store.project, 'user': USER, 'memory': store.memory})}")
    visitor.press("Say it in other words")
    visitor.fill("content", "Maria lives in Graça, Lisbon.")
    visitor.press("Confirm")
    assert "Maria lives in Graça, Lisbon." in visitor.text

    visitor.press("Playground")
    visitor.fill("user", USER)
    visitor.fill("question", "Where do I live?")
    visitor.press("Ask")
    assert "Maria lives in Graça, Lisbon." in visitor.text

    visitor.open(f"{proxy.url}{address('user', {'project': store.project, 'user': 'li_wei'})}")
    visitor.tab_to("Forget this user")
    visitor.press_keys(Keys.ENTER)
    visitor.press_keys(Keys.TAB, "li_wei", Keys.ENTER, leads=True)
    assert "The user was forgotten." in visitor.text
    visitor.press("Audit list")
    assert "forget user" in visitor.text
    visitor.press("Log out")
    visitor.visible('[name="key"]')
    assert visitor.complaints() == []


def test_times_are_those_of_the_viewer(visitor: Chromium, proxy: Proxy, store: Populated) -> None:
    session = {"project": store.project, "user": USER, "session": store.sessions[USER]}
    visitor.open(f"{proxy.url}{address('session', session)}")
    shown = visitor.visible("main time")
    assert "1:05" in shown.text, "of 18:05 in UTC, which is five hours later than New York's"
    assert shown.get_attribute("title") == "2026-03-02 18:05 UTC"


def test_a_plot_that_cannot_be_drawn_says_so(visitor: Chromium, proxy: Proxy, store: Populated) -> None:
    with visitor.without("*plotly*"):
        visitor.driver.get(f"{proxy.url}{address('overview', {'project': store.project})}")
        eventually(lambda: "It could not be drawn." in visitor.visible(".plot").text, "the plot says so")
    visitor.complaints()


@pytest.mark.slow
def test_every_page_is_in_the_sweep(store: Populated) -> None:
    routes = {
        route.path
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "GET" in route.methods
    }
    swept = {one.partition("?")[0].removeprefix("/recallr/console") for one in pages(store).values()}
    assert routes - NO_PAGES == swept


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_for_everybody(
    chromium: Chromium, proxy: Proxy, store: Populated, width: int, dark: bool
) -> None:
    chromium.look(width=width, dark=dark)
    come_in(chromium, proxy, "", proxy.master_key)
    faults: dict[str, list[str]] = {}
    for name, where in pages(store).items():
        chromium.open(f"{proxy.url}{where}")
        chromium.keep_picture(f"{name}-{width}-{'dark' if dark else 'light'}")
        chromium.open_all()
        found = [*chromium.overflow, *chromium.barriers, *chromium.complaints()]
        if not dark:  # colours do not move the focus
            unreached, unseen = chromium.tab_through()
            found += [f"Tab never comes to {one}" for one in unreached] + [
                f"focus is not seen on {one}" for one in unseen
            ]
        if found:
            faults[name] = found
    assert not faults, yaml.safe_dump(faults, width=200)
