"""The data folder belongs to one process at a time, and to nobody once that is dead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recallr_litellm.errors import ConfigurationError, DataDirInUse
from recallr_litellm.stores.data_dir import LOCK_FILE, DataDir

HOLD = """
import sys
from pathlib import Path
from recallr_litellm.stores.data_dir import DataDir

folder = DataDir(Path(sys.argv[1]))
folder.acquire()
print("held", flush=True)
sys.stdin.read()
"""
"""A program that holds the folder until it is killed."""


def test_the_folder_and_its_lock_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    with DataDir(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / LOCK_FILE).stat().st_mode & 0o777 == 0o600


def test_a_second_process_is_told_what_to_do_until_the_first_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DataDirInUse) as caught:
            DataDir(tmp_path).acquire()
        process.kill()
        process.wait()
        with DataDir(tmp_path):
            pass

    for word in (str(tmp_path), "RECALLR_REDIS_URL", "RECALLR_QDRANT_URL"):
        assert word in str(caught.value), f"the message does not name {word}"


def test_a_child_process_does_not_hold_the_folder(tmp_path: Path) -> None:
    folder = DataDir(tmp_path)
    folder.acquire()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        folder.release()
        with DataDir(tmp_path):
            pass
        child.kill()


def test_a_folder_that_cannot_be_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="RECALLR_DATA_DIR"):
        DataDir(tmp_path / "file" / "data").acquire()
