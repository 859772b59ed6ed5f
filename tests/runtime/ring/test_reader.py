import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import SourceError
from runtime.health.reasons import OK, Health, Reason
from runtime.result import Result, Status
from runtime.ring.layout import SILENT_NS, Kind, Layout, Verdict
from runtime.ring.reader import RingReader
from runtime.ring.writer import RingWriter

Start = Callable[..., "subprocess.Popen[str]"]
MakeResult = Callable[..., Result]
CAPTURED_NS, DEADLINE_NS = 10_000, 200


@pytest.fixture
def writer(name: str) -> Iterator[RingWriter]:
    with RingWriter.create(name, Kind.RESULTS, (4, 6), num_slots=2, deadline_ns=DEADLINE_NS) as writer:
        yield writer


@pytest.fixture
def reader(name: str, writer: RingWriter) -> Iterator[RingReader]:
    with RingReader.open(name) as reader:
        yield reader


def file_of(name: str) -> Path:
    return Path(f"/dev/shm/iapc-{name}")


def test_newest_result_wins_however_many_there_were(
    writer: RingWriter, reader: RingReader, make_result: MakeResult
) -> None:
    assert reader.newest() is None
    for frame_id in range(1, 8):
        writer.write_result(make_result(frame_id, CAPTURED_NS))
        slot = reader.newest()
        assert slot is not None
        assert (slot.number, slot.frame_id) == (frame_id, frame_id)
    assert reader.newest(after=7) is None


def test_copy_stays_what_it_was(writer: RingWriter, reader: RingReader, make_result: MakeResult) -> None:
    writer.write_result(make_result(1, CAPTURED_NS))
    slot = reader.newest()
    for frame_id in range(2, 6):
        writer.write_result(make_result(frame_id, CAPTURED_NS))
    assert slot is not None
    assert np.all(slot.labels == 1)


def test_memory_of_the_caller_is_used(writer: RingWriter, reader: RingReader, make_result: MakeResult) -> None:
    labels, confidence = np.zeros((2, 4, 6), dtype=np.uint8)
    writer.write_result(make_result(3, CAPTURED_NS))
    slot = reader.newest(into=(labels, confidence))
    assert slot is not None
    assert slot.labels is labels
    assert np.all(labels == 3)
    assert np.all(confidence == 252)


@pytest.mark.parametrize(
    "into",
    [
        (np.zeros((4, 7), dtype=np.uint8),) * 2,
        (np.zeros((4, 6), dtype=np.int8),) * 2,
        (np.zeros((4, 12), dtype=np.uint8)[:, ::2],) * 2,
        (np.zeros((4, 6), dtype=np.uint8),),
    ],
)
def test_memory_that_does_not_fit_is_refused(reader: RingReader, into: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(ValueError, match="into: got"):
        reader.newest(into=into)


@pytest.mark.parametrize(
    ("now_ns", "verdict"),
    [
        (CAPTURED_NS + 15, Verdict.FRESH),
        (CAPTURED_NS + DEADLINE_NS, Verdict.FRESH),
        (CAPTURED_NS + DEADLINE_NS + 1, Verdict.STALE),
        (CAPTURED_NS - 1, Verdict.STALE),
        (CAPTURED_NS + 15 + SILENT_NS, Verdict.STALE),
        (CAPTURED_NS + 15 + SILENT_NS + 1, Verdict.SILENT),
    ],
)
def test_age_and_silence_are_judged_at_the_moment_of_reading(
    writer: RingWriter, reader: RingReader, make_result: MakeResult, now_ns: int, verdict: Verdict
) -> None:
    writer.write_result(make_result(1, CAPTURED_NS))
    assert reader.verdict(reader.newest(), now_ns) is verdict


def test_result_of_a_degraded_writer_may_be_used(
    writer: RingWriter, reader: RingReader, make_result: MakeResult
) -> None:
    writer.write_result(make_result(1, CAPTURED_NS, Health(Reason.THROTTLED)))
    assert reader.verdict(reader.newest(), CAPTURED_NS + 20) is Verdict.FRESH


def test_fault_told_after_a_result_makes_it_unusable(
    writer: RingWriter, reader: RingReader, make_result: MakeResult
) -> None:
    writer.write_result(make_result(1, CAPTURED_NS))
    writer.beat(Status(now_ns=CAPTURED_NS + 20, health=Health(Reason.SOURCE_LOST)))
    assert reader.verdict(reader.newest(), CAPTURED_NS + 20) is Verdict.FAULT


def test_result_published_in_a_fault_stays_unusable_when_the_writer_is_well_again(
    writer: RingWriter, reader: RingReader, make_result: MakeResult
) -> None:
    writer.write_result(make_result(1, CAPTURED_NS, Health(Reason.ALL_LATE)))
    writer.beat(Status(now_ns=CAPTURED_NS + 20, health=OK))
    assert reader.verdict(reader.newest(), CAPTURED_NS + 20) is Verdict.FAULT


def test_without_a_result_there_is_none_to_use(writer: RingWriter, reader: RingReader) -> None:
    writer.beat(Status(now_ns=CAPTURED_NS, health=OK))
    assert reader.verdict(reader.newest(), CAPTURED_NS) is Verdict.NO_RESULT_YET
    assert reader.status().last_frame_id == -1


def test_hung_process_is_silent_and_its_results_are_not_fresh(
    name: str, start: Start, until: Callable[..., None], torture: Path
) -> None:
    process = start(torture, "write", name, 2)
    until(lambda: file_of(name).exists() and file_of(name).stat().st_size > 1000)
    with RingReader.open(name) as reader:
        until(lambda: reader.newest() is not None)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        slot, said_ns = reader.newest(), reader.status().now_ns
        assert reader.verdict(slot, said_ns + SILENT_NS) is Verdict.FRESH
        assert reader.verdict(slot, said_ns + SILENT_NS + 1) is Verdict.SILENT
        assert reader.has_writer
        process.send_signal(signal.SIGCONT)


def test_reader_in_the_writers_process_does_not_make_it_look_dead(name: str, writer: RingWriter) -> None:
    RingReader.open(name).close()
    with RingReader.open(name) as reader:
        assert reader.has_writer


def test_ring_that_is_not_there_asks_for_its_writer(name: str) -> None:
    with pytest.raises(SourceError, match="No such file or directory; start its writer first"):
        RingReader.open(name)


def test_closed_reader_says_so(reader: RingReader) -> None:
    reader.close()
    reader.close()
    with pytest.raises(SourceError, match="is closed"):
        reader.newest()
    with pytest.raises(SourceError, match="is closed"):
        reader.status()
    assert reader.verdict(None) is Verdict.WRITER_DEAD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:1000], "is cut off: 1000 bytes, expected"),
        (lambda content: content[:500], "shorter than a header"),
        (lambda content: b"", "shorter than a header"),
        (lambda content: b"x" * len(content), "is no ring"),
        (lambda content: replaced(content, "layout_version", 0), "is not ready"),
        (lambda content: replaced(content, "layout_version", 2), "has layout version 2, this reader knows 1"),
        (lambda content: replaced(content, "width", 7), "contradict each other"),
        (lambda content: replaced(content, "num_slots", 2**31), "out of range"),
        (lambda content: replaced(content, "slot_stride", 2**62), "contradict each other"),
    ],
)
def test_damaged_and_foreign_files_are_refused(
    name: str, writer: RingWriter, change: Callable[[bytes], bytes], message: str
) -> None:
    content = file_of(name).read_bytes()
    other = file_of(f"{name}-x")
    other.write_bytes(change(content))
    try:
        with pytest.raises(SourceError, match=message):
            RingReader.open(f"{name}-x")
    finally:
        other.unlink()


def replaced(content: bytes, field: str, value: int) -> bytes:
    layout = Layout.from_buffer_copy(content)
    setattr(layout, field, value)
    return bytes(layout) + content[len(bytes(layout)) :]


def test_folder_under_the_name_is_no_ring(name: str) -> None:
    file_of(name).mkdir()
    try:
        with pytest.raises(SourceError, match="is no ring"):
            RingReader.open(name)
    finally:
        file_of(name).rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_file_of_another_user_is_refused(
    name: str, writer: RingWriter, compile_c: Callable[..., Path], start: Start, tmp_path: Path
) -> None:
    file_of(name).chmod(0o644)
    os.chown(file_of(name), 12345, 12345)
    source = tmp_path / "stranger.c"
    source.write_text(STRANGER)
    process = start(compile_c(source), name)
    assert process.communicate(timeout=60)[0].endswith("belongs to user 12345, this is user 1234; run both as one user")


STRANGER = """
#include "iapc_ring.h"
int main(int argc, char **argv) {
    iapc_ring ring;
    if (argc < 2 || setuid(1234) != 0) return 2;
    const int is_open = iapc_ring_open(&ring, argv[1]) == 0;
    printf("%s", ring.problem);
    return is_open;
}
"""
