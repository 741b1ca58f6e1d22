"""Two brokers do not share a store, and nothing is left of who had it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from midge.store.base import StoreError
from midge.store.sqlite import lock as module
from midge.store.sqlite.lock import StoreLock
from midge.store.sqlite.salvage import open_store

#: Takes the lock, says so, and stays.
HOLDER = """
import sys
from midge.store.sqlite.lock import StoreLock
lock = StoreLock(sys.argv[1])
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_store_that_is_open_is_refused_to_another_until_it_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    store, _, _ = open_store(path, "off", "now", 10)
    with pytest.raises(StoreError, match=f"in use by a running broker \\(process {os.getpid()}\\)"):
        open_store(path, "off", "now", 10)
    store.close()
    open_store(path, "off", "now", 10)[0].close()


def test_a_store_that_is_in_use_is_not_moved_aside_though_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    path.write_bytes(b"no database" * 1000)
    held = StoreLock(str(path))
    with pytest.raises(StoreError, match="in use"):
        open_store(str(path), "off", "now", 10)
    assert path.read_bytes().startswith(b"no database")
    held.release()
    store, _, lines = open_store(str(path), "off", "now", 10)
    assert "damaged" in lines[0]
    with pytest.raises(StoreError, match="in use"):  # the one in its place as well
        StoreLock(str(path))
    store.close()


def test_a_link_leads_to_the_same_lock_and_a_damaged_file_is_mended_where_it_lies(
    tmp_path: Path,
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "midge.db").write_bytes(b"no database" * 1000)
    link = tmp_path / "midge.db"
    link.symlink_to(volume / "midge.db")
    store, _, lines = open_store(str(link), "off", "now", 10)
    assert "damaged" in lines[0]
    assert link.is_symlink()
    assert (volume / "midge.db.damaged-now").exists()
    with pytest.raises(StoreError, match="in use"):
        open_store(str(volume / "midge.db"), "off", "now", 10)
    store.close()


def test_a_lock_goes_with_a_process_that_is_killed(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        with pytest.raises(StoreError, match=f"process {process.pid}"):
            StoreLock(path)
        process.kill()
        process.wait(10)
    StoreLock(path).release()


def test_a_store_that_cannot_be_opened_is_not_kept_locked(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(str(path), "off", "now", 10)
    StoreLock(str(path)).release()


def test_where_no_lock_can_be_had_the_store_opens_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "midge.db")
    Path(path + module.ENDING).mkdir()  # nothing that can be opened for writing
    open_store(path, "off", "now", 10)[0].close()

    def none_here(descriptor: int, operation: int) -> None:
        raise OSError("no locks available")

    Path(path + module.ENDING).rmdir()
    monkeypatch.setattr("fcntl.flock", none_here)
    open_store(path, "off", "now", 10)[0].close()
