import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import DiskFullError, SinkError
from runtime.health.reasons import OK, Health, Reason
from runtime.labels import ClassInfo
from runtime.result import Counters, Result, Status
from runtime.sinks.json_lines import JsonLinesSink

MakeResult = Callable[..., Result]
LOST = Health(Reason.NO_FRAMES | Reason.SOURCE_LOST, ("no whole frame", "camera lost"))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "results.jsonl"


def test_line_tells_what_a_program_needs_to_judge_a_result(
    path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    sink = JsonLinesSink(path, 1_000_000, classes)
    sink.write(make_result(2))
    [line] = lines_of(path)
    sink.close()
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line.pop("counters")["num_published"] == 3
    assert line == {
        "kind": "result",
        "name": "frame_2",
        "frame_id": 2,
        "captured_ns": 3_000_000_000,
        "published_ns": 3_034_000_000,
        "age_ns": 34_000_000,
        "deadline_ns": 200_000_000,
        "is_fresh": True,
        "stages": {
            "read_ns": 1_000_000,
            "wait_ns": 2_000_000,
            "infer_ns": 30_000_000,
            "keep_ns": 400_000,
            "check_ns": 600_000,
        },
        "class_share": {"road": 0.333333, "sky": 0.333333, "car": 0.333333},
        "mean_confidence": 0.8,
        "health": "OK",
        "reasons": [],
        "details": [],
        "drop_ratio": 0.125,
        "bundle_id": "abc",
    }


def test_change_of_health_gets_one_line_and_heartbeats_none(
    path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    sink = JsonLinesSink(path, 1_000_000, classes)
    sink.write(make_result(0))
    sink.tell(Status(1, OK))
    for now_ns in (2, 3, 4):
        sink.tell(Status(now_ns, LOST, Counters(num_lost=5), last_frame_id=0))
    sink.write(make_result(1))
    sink.tell(Status(5, OK))
    sink.close()
    lines = lines_of(path)
    assert [line["kind"] for line in lines] == ["result", "health", "result"]
    assert (lines[1]["now_ns"], lines[1]["health"], lines[1]["last_frame_id"]) == (2, "FAULT", 0)
    assert lines[1]["reasons"] == ["NO_FRAMES", "SOURCE_LOST"]
    assert lines[1]["details"] == ["no whole frame", "camera lost"]
    assert lines[1]["counters"]["num_lost"] == 5


def test_file_is_kept_once_and_begun_again_at_its_greatest_size(
    path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    sink = JsonLinesSink(path, 2000, classes)
    for frame_id in range(20):
        sink.write(make_result(frame_id))
    sink.close()
    kept = path.with_name("results.jsonl.1")
    assert sorted(file.name for file in path.parent.iterdir()) == ["results.jsonl", "results.jsonl.1"]
    assert 0 < path.stat().st_size <= 2000
    assert kept.stat().st_size <= 2000
    ids = [line["frame_id"] for line in lines_of(kept) + lines_of(path)]
    assert ids == list(range(ids[0], 20))


def test_line_longer_than_a_file_may_be_is_written_all_the_same(
    path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    sink = JsonLinesSink(path, 1, classes)
    sink.write(make_result(0))
    sink.write(make_result(1))
    sink.close()
    assert [line["frame_id"] for line in lines_of(path)] == [1]


def test_line_that_a_power_cut_left_unfinished_spoils_no_other(
    path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    path.parent.mkdir()
    path.write_text('{"kind": "result"}\n{"kind": "re')
    sink = JsonLinesSink(path, 1_000_000, classes)
    sink.write(make_result(0))
    sink.close()
    texts = path.read_text().splitlines()
    assert texts[:2] == ['{"kind": "result"}', '{"kind": "re']
    assert json.loads(texts[2])["frame_id"] == 0


def test_line_left_unfinished_keeps_no_full_disk_from_serving(
    path: Path, classes: tuple[ClassInfo, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.write_text('{"kind": "re')
    monkeypatch.setattr("os.write", None)
    JsonLinesSink(path, 1_000_000, classes).close()
    assert path.read_text() == '{"kind": "re'


def test_file_that_is_being_written_is_refused_until_that_ends(
    path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    sink = JsonLinesSink(path, 2000, classes)
    for frame_id in range(8):
        with pytest.raises(SinkError, match=r"results\.jsonl is being written by another process; stop that, or name"):
            JsonLinesSink(path, 2000, classes)
        # It is begun anew on the way.
        sink.write(make_result(frame_id))
    assert path.with_name("results.jsonl.1").exists()
    sink.close()
    JsonLinesSink(path, 2000, classes).close()


def test_full_disk_is_told_and_the_next_result_is_tried(
    path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    sink = JsonLinesSink(path, 1_000_000, classes)
    for frame_id in range(2):
        with pytest.raises(DiskFullError, match=r"log is full \(No space left on device\); delete or move"):
            sink.write(make_result(frame_id))
    # The health did not reach the file, so it is told again.
    with pytest.raises(DiskFullError):
        sink.tell(Status(1, OK))
    sink.close()
