"""Fixtures of all tests.

`pytest` leaves out slow tests: those marked `slow`, and without importing it what is named in `SLOW`: `tests/faults/`,
which kills, freezes and restarts real processes. `pytest --all` runs everything, as CI does.

`isolated` (always)  no settings of the developer's: variables unset, an empty working folder (no `.env`)
`user`               a user id that no other test has
`provider`           the stand-in provider, its script and records cleared
`proxy`              LiteLLM with the plugin, embedded stores; one for the run: use your own `user`, never stop it
`plain_proxy`        LiteLLM without the plugin; one for the run
`quick_stores`       (unit) stores that open at once, for tests of what stands on them: see tests/unit/conftest.py
`start_proxy`        starts proxies of the test's own, to configure, kill and restart; ends them after it

A gateway takes eight seconds of CPU to start, so a new test takes one that is there: `proxy` if it can, else the one of
a folder below `tests/integration/` whose settings fit (`extended`: virtual keys, guardrails, loggers, a memory model).
The files of such a folder are run by one process, one after the other, with the gateway of the folder's `conftest.py`.
What needs settings of its own starts one for its whole file.

The report of a test that fails ends with what its servers have printed meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Generator, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import pytest
from xdist.scheduler import LoadFileScheduling

# Last on the path: `tests.support` is found from any folder, while `recallr_litellm` is the installed one if it is.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.integration.matrix_summary import MatrixSummary
from tests.support.process import LEFT_OUT, ServerProcess
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import Proxy

SLOW = ("faults", "test_api_schema.py", "test_life_of_facts.py")

OFFLINE = "LITELLM_LOCAL_MODEL_COST_MAP"
os.environ[OFFLINE] = "True"  # importing litellm would fetch its list of models from the internet


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the slow tests too")


def _all_wanted(config: pytest.Config) -> bool:
    """Who names a file, or what is slow, wants all of it."""
    named = [Path(argument.partition("::")[0]) for argument in config.args]
    return config.getoption("--all") or any(path.suffix == ".py" or path.name in SLOW for path in named)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name in SLOW and not _all_wanted(config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _all_wanted(config):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(MatrixSummary())
    if _all_wanted(config):
        config.pluginmanager.import_plugin("schemathesis.pytest.plugin")


class ByGateway(LoadFileScheduling):
    """Files run in one process, those of a folder with a gateway of its own too."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = Path(file).parent
        return str(folder) if folder.parent.name == "integration" else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return ByGateway(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    ServerProcess.begin_test()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in list(ServerProcess.known):
            if server.tail:
                state = "running" if server.running else "not running"
                report.sections.append((f"{server.name}, {state}: end of {server.log_file}", server.tail))
    return report


def pytest_report_header() -> str:
    return f"LiteLLM {metadata.version('litellm')}"


class StartProxy(Protocol):
    """Starts a `Proxy` with these options (see there) in a folder of its own."""

    def __call__(self, **options: Any) -> Proxy: ...


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith(LEFT_OUT) and name != OFFLINE]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture
def user() -> str:
    return f"user-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def running_provider() -> Iterator[ThreadedProvider]:
    with ThreadedProvider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: ThreadedProvider) -> Provider:
    running_provider.clear()
    return running_provider


@pytest.fixture(scope="session")
def proxy(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("proxy"), running_provider) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def plain_proxy(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("plain-proxy"), running_provider, plugin=False) as proxy:
        yield proxy


@pytest.fixture
def start_proxy(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxy]:
    with contextlib.ExitStack() as started:

        def start(**options: Any) -> Proxy:
            folder = options.pop("folder", None) or tmp_path_factory.mktemp("proxy")
            return started.enter_context(Proxy(folder, options.pop("provider", provider), **options))

        yield start
