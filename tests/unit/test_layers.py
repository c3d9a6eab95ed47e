"""The arrows between modules run one way: doors → gateway → domain → stores. No circle, and no arrow up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import recallr_litellm

PACKAGE = Path(recallr_litellm.__file__).parent

LAYERS = (
    {
        "__init__",
        "errors",
        "json_text",
        "logs",
        "tasks",
        "metrics",
        "key_file",
        "upstream_urls",
        "header_values",
        "printable",
    },
    {"core"},
    {"settings", "projects", "request_headers"},
    {"stores"},
    {"formats", "recall", "memory", "learning", "reindex"},
    {"litellm_host"},
    {"delivery"},
    {"reconify"},
    {"services"},
    {"gateway"},
    {"forward", "api", "console", "demo_model"},
    {"plugin"},
    {"hooks", "cli"},
)
"""Rooms from the bottom up. A module imports from its own layer or one below it."""

FRAMEWORKS = {"litellm", "fastapi", "starlette", "redis", "qdrant_client", "qdrant_edge"}
"""What the core must not know."""


@cache
def modules() -> dict[str, Path]:
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(file: Path) -> list[str]:
    """Names of what a module imports, those of its functions' bodies too."""
    return list(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def arrows() -> dict[str, set[str]]:
    """Module → the modules of the package that it imports."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, file in known.items():
        targets = {
            full.removeprefix("recallr_litellm.") for full in imports(file) if full.startswith("recallr_litellm.")
        }
        found[name] = {target for target in targets if target in known or f"{target}.__init__" in known}
    return found


def layer(module: str) -> int:
    room = module.partition(".")[0]
    return next(rank for rank, rooms in enumerate(LAYERS) if room in rooms)


def test_no_arrow_runs_up() -> None:
    upward = [f"{a} imports {b}" for a, targets in arrows().items() for b in targets if layer(b) > layer(a)]
    assert not upward, "a lower room must not know a higher one"


def test_there_is_no_circle() -> None:
    graph = {
        module: {t if t in modules() else f"{t}.__init__" for t in targets} for module, targets in arrows().items()
    }
    for module, targets in graph.items():
        targets.discard(module)
        if module.endswith(".__init__"):  # a package's face takes from its own modules, and they may take from it
            graph[module] = {target for target in targets if not target.startswith(module.removesuffix("__init__"))}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"circle: {' → '.join(error.args[1])}") from None


def test_the_core_knows_no_framework() -> None:
    core = {name: file for name, file in modules().items() if name.startswith("core.")}
    known = [
        f"{name} imports {full}"
        for name, file in core.items()
        for full in imports(file)
        if full.partition(".")[0] in FRAMEWORKS
    ]
    assert core
    assert not known
