"""Nobody ever sees half of a result: not at full speed, not when the writer is killed in the middle of one."""

import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import SourceError
from runtime.ring.layout import Verdict
from runtime.ring.reader import RingReader

NUM_READS = 20_000
Start = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], bool]], None]


def begin(name: str, start: Start, until: Until, program: Path, num_slots: int) -> "subprocess.Popen[str]":
    writer = start(program, "write", name, num_slots)
    until(lambda: has_writer(name))
    return writer


def has_writer(name: str) -> bool:
    try:
        with RingReader.open(name) as reader:
            return reader.has_writer
    except SourceError:
        return False


def has_more(reader: RingReader, num_results: int) -> bool:
    slot = reader.newest()
    return slot is not None and slot.number > num_results


@pytest.mark.parametrize("num_slots", [2, 3])
def test_readers_in_c_see_whole_results_of_a_writer_at_full_speed(
    name: str, start: Start, until: Until, torture: Path, num_slots: int
) -> None:
    begin(name, start, until, torture, num_slots)
    readers = [start(torture, how, name, NUM_READS) for how in ("read", "peek")]
    for reader in readers:
        assert reader.wait(60) == 0, reader.communicate()[1]


def test_reader_in_python_sees_whole_results_of_a_writer_at_full_speed(
    name: str, start: Start, until: Until, torture: Path
) -> None:
    begin(name, start, until, torture, 3)
    last = 0
    with RingReader.open(name) as reader:
        until(lambda: reader.newest() is not None)
        for _ in range(NUM_READS // 10):
            slot = reader.newest()
            assert slot is not None
            assert slot.number >= last
            last = slot.number
            expected = slot.frame_id % 251
            assert slot.frame_id == slot.number
            assert np.all(slot.labels == expected)
            assert np.all(slot.confidence == 255 - expected)


def test_no_fault_of_memory_or_arithmetic_at_full_speed(
    name: str, start: Start, until: Until, compile_c: Callable[..., Path]
) -> None:
    source = Path(__file__).with_name("torture.c")
    program = compile_c(source, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover", may_skip=True)
    writer = begin(name, start, until, program, 3)
    readers = [start(program, how, name, NUM_READS // 5) for how in ("read", "peek")]
    for reader in readers:
        assert reader.wait(60) == 0, reader.communicate()[1]
    assert writer.poll() is None


def test_writer_killed_in_the_middle_of_a_result_leaves_the_one_before(name: str, start: Start, torture: Path) -> None:
    assert start(torture, "die", name).wait(60) == -signal.SIGKILL
    with RingReader.open(name) as reader:
        slot = reader.newest()
        assert slot is not None
        assert slot.frame_id == 2
        assert np.all(slot.labels == 2)
        assert reader.verdict(slot) is Verdict.WRITER_DEAD


def test_writer_killed_at_any_moment_leaves_a_whole_result(
    name: str, start: Start, until: Until, torture: Path
) -> None:
    for num_results in range(0, 400, 50):
        writer = begin(name, start, until, torture, 2)
        with RingReader.open(name) as reader:
            until(partial(has_more, reader, num_results))
            writer.kill()
            writer.wait(60)
            slot = reader.newest()
            assert slot is not None
            assert np.all(slot.labels == slot.frame_id % 251)
            assert np.all(slot.confidence == 255 - slot.frame_id % 251)
            assert reader.verdict(slot) is Verdict.WRITER_DEAD
