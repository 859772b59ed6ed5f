import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest

from runtime.errors import BackendError, SinkError, SourceError
from runtime.health.reasons import OK, Health, Reason
from runtime.result import Captured, Result, Status
from runtime.ring import compiled
from runtime.ring.layout import Kind, Verdict
from runtime.ring.reader import RingReader
from runtime.ring.writer import RingWriter

Start = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], bool]], None]

WRITE_FRAMES = """
import sys, time
import numpy as np
from runtime.result import Captured
from runtime.ring.layout import Kind
from runtime.ring.writer import RingWriter
writer = RingWriter.create(sys.argv[1], Kind.FRAMES, (4, 6), num_slots=2, deadline_ns=10**9)
for frame_id in range(10**9):
    writer.write_frame(Captured(frame_id, time.monotonic_ns(), ""), np.full((4, 6, 3), frame_id % 256, np.uint8))
    time.sleep(0.001)
"""


def create(name: str, kind: Kind = Kind.RESULTS, **changed: Any) -> RingWriter:
    return RingWriter.create(
        name, kind, changed.pop("frame_hw", (4, 6)), **{"num_slots": 3, "deadline_ns": 200} | changed
    )


def file_of(name: str) -> Path:
    return Path(f"/dev/shm/iapc-{name}")


@contextmanager
def living_writer(name: str, start: Start, until: Until) -> Iterator["subprocess.Popen[str]"]:
    """Another process that writes frames."""
    process = start(WRITE_FRAMES, name)
    until(lambda: process.poll() is not None or is_fresh(name))
    yield process


def is_fresh(name: str) -> bool:
    try:
        with RingReader.open(name) as reader:
            return reader.verdict(reader.newest()) is Verdict.FRESH
    except SourceError:
        return False


def test_reader_gets_what_was_written(name: str, make_result: Callable[..., Result]) -> None:
    result = make_result(7, 1000, Health(Reason.DRIFTED, ("far away",)))
    with create(name, num_classes=19) as writer, RingReader.open(name) as reader:
        writer.write_result(result)
        slot, status = reader.newest(), reader.status()
        assert slot is not None
        np.testing.assert_array_equal(slot.labels, result.labels)
        np.testing.assert_array_equal(slot.confidence, result.confidence)
        told = (slot.number, slot.frame_id, slot.captured_ns, slot.published_ns, slot.drop_ratio, slot.bundle_id)
        assert told == (1, 7, 1000, 1015, 0.25, "ab" * 32)
        assert slot.stages == result.stages
        assert slot.health.reasons is status.health.reasons is Reason.DRIFTED
        assert status.counters == result.counters
        assert (status.now_ns, status.drop_ratio, status.bundle_id) == (1015, 0.25, "ab" * 32)
        assert (status.last_frame_id, status.last_captured_ns) == (7, 1000)
        assert (reader.kind, reader.frame_hw, reader.layout.num_classes) == (Kind.RESULTS, (4, 6), 19)


def test_frames_arrive_in_colour(name: str) -> None:
    frame = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    with create(name, Kind.FRAMES) as writer, RingReader.open(name) as reader:
        writer.write_frame(Captured(5, 77, ""), frame)
        slot = reader.newest()
        assert slot is not None
        np.testing.assert_array_equal(slot.frame, frame)
        assert (slot.frame_id, slot.captured_ns) == (5, 77)


def test_arrays_that_are_not_contiguous_are_written_right(name: str) -> None:
    frame = np.arange(4 * 12 * 3, dtype=np.uint8).reshape(4, 12, 3)[:, ::2]
    with create(name, Kind.FRAMES) as writer, RingReader.open(name) as reader:
        writer.write_frame(Captured(5, 77, ""), frame)
        slot = reader.newest()
        assert slot is not None
        np.testing.assert_array_equal(slot.frame, frame)


def test_beat_changes_the_health_and_leaves_the_result(name: str, make_result: Callable[..., Result]) -> None:
    with create(name) as writer, RingReader.open(name) as reader:
        writer.write_result(make_result(7, 1000))
        writer.beat(Status(now_ns=2000, health=Health(Reason.SOURCE_LOST | Reason.DISK_FULL)))
        assert reader.status().health.reasons == Reason.SOURCE_LOST | Reason.DISK_FULL
        assert reader.status().last_frame_id == 7


def test_only_its_user_may_read_the_file(name: str) -> None:
    with create(name):
        assert file_of(name).stat().st_mode & 0o777 == 0o600


def test_closing_tells_readers_and_takes_the_name_away(name: str, make_result: Callable[..., Result]) -> None:
    writer = create(name)
    with RingReader.open(name) as reader:
        writer.write_result(make_result(7, 1000))
        writer.close()
        writer.close()
        assert reader.verdict(reader.newest(), 1016) is Verdict.STOPPED
        assert Reason.STOPPED in reader.status().health.reasons
    assert not file_of(name).exists()
    with pytest.raises(SinkError, match="not open for writing"):
        writer.beat(Status(now_ns=0, health=OK))


def test_name_of_a_living_writer_is_refused_with_its_process(name: str, start: Start, until: Until) -> None:
    with living_writer(name, start, until) as process:
        with pytest.raises(SinkError, match=f"written by process {process.pid}; stop it or choose another name"):
            create(name)
        assert is_fresh(name)


def test_name_of_a_killed_writer_is_taken_over_and_its_readers_notice(name: str, start: Start, until: Until) -> None:
    with living_writer(name, start, until) as process, RingReader.open(name) as old:
        slot = old.newest()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert old.verdict(slot) is Verdict.WRITER_DEAD
        with create(name, Kind.FRAMES, frame_hw=(8, 2)), RingReader.open(name) as new:
            assert old.verdict(slot) is Verdict.WRITER_DEAD
            assert new.verdict(None) is Verdict.NO_RESULT_YET
            assert (new.frame_hw, new.layout.writer_pid) == ((8, 2), os.getpid())
            assert new.layout.created_ns > old.layout.created_ns


def test_of_many_writers_that_take_over_at_once_one_wins(name: str, start: Start, until: Until, torture: Path) -> None:
    assert start(torture, "die", name).wait(60) == -signal.SIGKILL
    writers = [start(torture, "write", name, 2) for _ in range(6)]
    until(lambda: sum(writer.poll() is not None for writer in writers) == 5)
    losers = [writer for writer in writers if writer.poll() is not None]
    assert [loser.returncode for loser in losers] == [1] * 5
    assert all("is being written by process" in loser.communicate()[1] for loser in losers)
    (winner,) = (writer for writer in writers if writer not in losers)
    with RingReader.open(name) as reader:
        assert reader.layout.writer_pid == winner.pid
        assert reader.has_writer


def test_writer_that_died_while_making_the_file_is_taken_over(name: str) -> None:
    file_of(name).write_bytes(b"IAPCRING")
    with create(name), RingReader.open(name) as reader:
        assert reader.verdict(None) is Verdict.NO_RESULT_YET


def test_file_of_somebody_else_is_refused_and_kept(name: str) -> None:
    file_of(name).write_bytes(b"precious" * 100)
    with pytest.raises(SinkError, match="is no ring; delete it or choose another name"):
        create(name)
    assert file_of(name).read_bytes() == b"precious" * 100


def test_link_under_the_name_is_not_followed(name: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    file_of(name).symlink_to(target)
    with pytest.raises(SinkError, match="cannot be created"):
        create(name)
    assert target.stat().st_size == 0


@pytest.mark.skipif(disk_usage("/dev/shm").free > 4e11, reason="so much shared memory is not filled for a test")
def test_more_memory_than_there_is_is_refused_at_once(name: str) -> None:
    with pytest.raises(SinkError, match=r"bytes of shared memory .* use fewer slots or enlarge /dev/shm"):
        create(name, frame_hw=(60_000, 60_000), num_slots=64)
    assert not file_of(name).exists()


@pytest.mark.parametrize("changed", [{"num_slots": 1}, {"num_slots": 65}, {"frame_hw": (0, 6)}, {"deadline_ns": 0}])
def test_sizes_out_of_range_are_refused(name: str, changed: dict[str, Any]) -> None:
    with pytest.raises(SinkError, match="expected kind 1 or 2, sides"):
        create(name, **changed)
    assert not file_of(name).exists()


@pytest.mark.parametrize("bad", ["", "a/b", "a b", "x" * 65])
def test_names_that_are_no_file_names_are_refused(bad: str) -> None:
    with pytest.raises(SinkError, match="expected 1 to 64 letters, digits"):
        create(bad)


def test_what_does_not_fit_is_refused(name: str, make_result: Callable[..., Result]) -> None:
    with create(name, Kind.FRAMES) as writer:
        with pytest.raises(SinkError, match=r"frames, 4 x 6, cannot take frames of uint8 \(4, 7, 3\)"):
            writer.write_frame(Captured(0, 0, ""), np.zeros((4, 7, 3), dtype=np.uint8))
        with pytest.raises(SinkError, match="ring of frames, 4 x 6, cannot take results"):
            writer.write_result(make_result(1, 0))


def test_without_the_compiled_part_the_message_asks_for_a_compiler(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    compiled.ring_library.cache_clear()
    with pytest.raises(BackendError, match="install again with a C compiler"):
        create(name)


def test_heartbeat_of_a_camera_is_that_of_writing(name: str) -> None:
    before_ns = monotonic_ns()
    with create(name, Kind.FRAMES) as writer, RingReader.open(name) as reader:
        writer.write_frame(Captured(0, 1, ""), np.zeros((4, 6, 3), dtype=np.uint8))
        assert before_ns <= reader.status().now_ns <= monotonic_ns()
