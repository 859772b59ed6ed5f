import errno
import hashlib
import json
import math
import os
from pathlib import Path

import pytest

from runtime.errors import ConfigError, DiskFullError
from runtime.files import replacing, sha256_of, writable_folder, write_json


def test_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "frame.png"
    with replacing(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o644


def test_failed_block_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_round_trips(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"miou": 1.5, "names": ["road"]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"miou": 1.5, "names": ["road"]}


def test_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"miou": math.nan})
    assert list(tmp_path.iterdir()) == []


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"frame")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"frame").hexdigest()


def test_writable_folder_is_created_and_left_empty(tmp_path: Path) -> None:
    folder = writable_folder(tmp_path / "runs" / "streets")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_full_disk_is_no_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.mkdir", refuse)
    with pytest.raises(DiskFullError, match=r"runs is full \(No space left on device\); delete or move"):
        writable_folder(tmp_path / "runs")


def test_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(ConfigError, match=r"runs/streets cannot be written \(Not a directory\)"):
        writable_folder(tmp_path / "runs" / "streets")
