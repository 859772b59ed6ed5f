"""A folder is read when it changed, and called unusable only after a while."""

import os
from pathlib import Path

import pytest

from runtime.swap.watch import Watch, look


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "manifest.json").write_text("one")
    return folder


def test_same_folder_looks_the_same(folder: Path) -> None:
    assert look(folder) == look(folder)


def test_change_of_the_same_size_with_the_old_time_of_modification_is_seen(folder: Path) -> None:
    before = look(folder)
    times = (folder / "manifest.json").stat()
    (folder / "manifest.json").write_text("two")
    os.utime(folder / "manifest.json", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert look(folder) != before


def test_missing_folder_has_no_files(tmp_path: Path) -> None:
    assert look(tmp_path / "none").files == ()


def test_folder_is_read_again_only_when_it_changed(folder: Path) -> None:
    watch = Watch(folder, settle_s=10.0, now_s=Clock())
    sighting = watch.news()
    assert sighting is not None
    assert not watch.in_vain(sighting)
    assert watch.news() is None
    (folder / "network").write_text("half")
    assert watch.news() is not None


def test_unusable_folder_gets_one_last_look_when_its_time_is_over(folder: Path) -> None:
    clock = Clock()
    watch = Watch(folder, settle_s=10.0, now_s=clock)
    first = watch.news()
    assert first is not None
    assert not watch.in_vain(first)
    clock.now_s += 10.0
    last = watch.news()
    assert last == first
    assert watch.in_vain(first)
    assert watch.news() is None


def test_judged_folder_has_its_patience_back(folder: Path) -> None:
    clock = Clock()
    watch = Watch(folder, settle_s=10.0, now_s=clock)
    first = watch.news()
    assert first is not None
    watch.in_vain(first)
    watch.judge(first)
    clock.now_s += 100.0
    (folder / "manifest.json").write_text("another")
    second = watch.news()
    assert second is not None
    assert not watch.in_vain(second)
