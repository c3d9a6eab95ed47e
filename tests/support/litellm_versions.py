"""Runs the matrix, the contract and the forward URL's tests with other versions of LiteLLM.

    python -m tests.support.litellm_versions 1.100.5 1.103.11 1.108.14

Each version gets a virtual environment of its own, kept in the user's cache folder. Where the registry lacks the
packages `litellm-*` that a version wants, it gets those of the newest version below it for which there are some, and
the table says so. Takes some minutes a version, and is no part of `.ci/run`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recallr-litellm-versions"
TESTS = [
    f"tests/integration/{name}.py"
    for name in (
        "test_litellm_contract",
        "test_matrix",
        "test_forward",
        "extended/test_guardrails",
        "test_answers",
        "test_chats",
    )
]

_LACKING = """
from recallr_litellm.litellm_host.private_apis import BRIDGES, GATEWAY
print(*sorted({api.without for api in (*GATEWAY, *BRIDGES) if api.missing}), sep="\\n")
"""


_NEEDED = """
import sys
from importlib.metadata import requires
from packaging.requirements import Requirement
package, extra = sys.argv[1:]
for needed in map(Requirement, requires(package)):
    if not needed.name.startswith("litellm") and (not needed.marker or needed.marker.evaluate({"extra": extra})):
        needed.marker = None
        print(needed)
"""


@dataclass(frozen=True)
class Outcome:
    """One row of the table."""

    version: str
    installed: str
    """How it could be installed."""
    tests: str = ""
    """As pytest sums up."""
    off: str = ""
    """What the plugin switches off with this version."""
    passed: bool = False


def environment(version: str) -> tuple[Path, str]:
    """The Python of a version's environment, and how it was installed.

    Raises:
        subprocess.CalledProcessError: it cannot be installed.
    """
    folder = CACHE / version
    python, note = folder / "bin" / "python", folder / "installed"
    if not note.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        package = f"{ROOT}[test]"
        if _pip(python, "-e", package, f"litellm[proxy]=={version}"):
            note.write_text("as released")
        else:
            _pip(python, "-e", package, f"litellm[proxy]<={version}", check=True)
            _pip(python, "--no-deps", f"litellm=={version}", check=True)
            _pip(python, *_needed(python, "litellm", "proxy"), check=True)
            note.write_text("with older companions")
    else:
        _pip(python, "--no-deps", "-e", str(ROOT), check=True)  # another checkout may have been the last one
        _pip(python, *_needed(python, "recallr-litellm", "test"), check=True)  # and one that needed less
    return python, note.read_text()


def _needed(python: Path, package: str, extra: str) -> list[str]:
    """What a package needs, with an extra of it, besides LiteLLM's packages."""
    command = [str(python), "-c", _NEEDED, package, extra]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def _pip(python: Path, *arguments: str, check: bool = False) -> bool:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=check, stderr=None if check else subprocess.DEVNULL).returncode == 0


def run(version: str) -> Outcome:
    """Test one version."""
    try:
        python, installed = environment(version)
    except subprocess.CalledProcessError:
        return Outcome(version, "cannot be installed here")
    offline = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    lacking = subprocess.run(
        [python, "-c", _LACKING], cwd=ROOT, env=offline, stdout=subprocess.PIPE, text=True, check=False
    )
    off = lacking.stdout.strip() or "nothing" if lacking.returncode == 0 else "cannot be imported"
    tested = subprocess.run(
        [python, "-m", "pytest", "-q", "-n0", *TESTS], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    (CACHE / version / "pytest.log").write_text(tested.stdout)
    counts = re.findall(r"\d+ (?:passed|failed|errors?|skipped)", (tested.stdout.splitlines() or [""])[-1])
    return Outcome(version, installed, ", ".join(counts) or "no test was run", off, passed=tested.returncode == 0)


def main() -> None:
    """Test the versions of the command line and print a table; the exit code is 1 where one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.litellm_versions", description=__doc__)
    parser.add_argument("versions", nargs="+")
    outcomes = [run(version) for version in parser.parse_args().versions]
    table = Table("LiteLLM", "installed", "tests", "switched off", title="Versions of LiteLLM")
    for outcome in outcomes:
        table.add_row(outcome.version, outcome.installed, outcome.tests, outcome.off)
    Console(width=120).print(table)
    Console().print(f"Output of the tests: {CACHE}/<version>/pytest.log")
    sys.exit(0 if all(outcome.passed for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
