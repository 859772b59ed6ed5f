"""Sinks that write a file for each result."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import ConfigError, SinkError
from runtime.health.reasons import OK, Health, Reason
from runtime.images import read_image
from runtime.labels import ClassInfo
from runtime.overlay import overlay
from runtime.result import Result, Status
from runtime.sinks.callback import CallbackSink
from runtime.sinks.json_lines import JsonLinesSink
from runtime.sinks.npz import NpzSink
from runtime.sinks.pictures import PicturesSink
from runtime.sinks.video import VideoSink

MakeResult = Callable[..., Result]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_are_the_labels_and_the_overlay(
    tmp_path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    folder, result = tmp_path / "new" / "pictures", make_result(7)
    sink = PicturesSink(folder, classes, opacity=0.5)
    sink.write(result)
    sink.tell(Status(0, OK))
    sink.close()
    assert names_in(folder) == ["frame_7_labels.png", "frame_7_overlay.png"]
    np.testing.assert_array_equal(read_image(folder / "frame_7_labels.png")[..., 0], result.labels)
    expected = overlay(result.frame, result.labels, classes, 0.5)
    np.testing.assert_array_equal(read_image(folder / "frame_7_overlay.png"), expected)


def test_archive_holds_labels_times_and_health_and_loads_without_pickle(
    tmp_path: Path, make_result: MakeResult
) -> None:
    health = Health(Reason.FRAMES_DROPPED | Reason.DRIFTED, ("more than 20% of frames", "the world has left"))
    result = make_result(3, health=health)
    sink = NpzSink(tmp_path)
    sink.write(result)
    sink.tell(Status(0, OK))
    sink.close()
    assert names_in(tmp_path) == ["frame_3.npz"]
    with np.load(tmp_path / "frame_3.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["labels"], result.labels)
        np.testing.assert_array_equal(archive["confidence"], result.confidence)
        assert archive["stages_ns"].tolist() == [1_000_000, 2_000_000, 30_000_000, 400_000, 600_000]
        assert archive["stages_ns"].sum() == archive["published_ns"] - archive["captured_ns"]
        assert (int(archive["frame_id"]), int(archive["deadline_ns"])) == (3, 200_000_000)
        assert (int(archive["state"]), Reason(int(archive["reasons"]))) == (1, health.reasons)
        assert archive["details"].tolist() == list(health.details)
        assert str(archive["bundle_id"]) == "abc"


def test_healthy_result_has_an_archive_without_details(tmp_path: Path, make_result: MakeResult) -> None:
    NpzSink(tmp_path).write(make_result())
    with np.load(tmp_path / "frame_0.npz", allow_pickle=False) as archive:
        assert archive["details"].shape == (0,)


def test_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file cannot be written"):
        NpzSink(tmp_path / "file")


def test_folder_where_a_file_should_be_is_refused_at_once(tmp_path: Path, classes: tuple[ClassInfo, ...]) -> None:
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        JsonLinesSink(tmp_path, 1000, classes)
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        VideoSink(tmp_path, 10.0, classes, opacity=1.0)


def test_folder_that_went_away_is_told_and_the_next_result_is_written(tmp_path: Path, make_result: MakeResult) -> None:
    folder = tmp_path / "stick"
    sink = NpzSink(folder)
    folder.rmdir()
    with pytest.raises(SinkError, match=r"stick cannot be written \(No such file or directory\)"):
        sink.write(make_result(0))
    folder.mkdir()
    sink.write(make_result(1))
    assert names_in(folder) == ["frame_1.npz"]


def test_function_gets_results_and_news(make_result: MakeResult) -> None:
    taken: list[int] = []
    heard: list[int] = []
    sink = CallbackSink(lambda result: taken.append(result.captured.frame_id), lambda news: heard.append(news.now_ns))
    sink.write(make_result(4))
    sink.tell(Status(9, OK))
    sink.close()
    assert (taken, heard) == ([4], [9])


def test_function_that_hears_no_news_is_not_told() -> None:
    CallbackSink(lambda _result: None).tell(Status(9, OK))


def test_what_a_function_raises_is_a_failure_of_its_sink_alone(make_result: MakeResult) -> None:
    def take(_result: Result) -> None:
        raise KeyError("lane")

    with pytest.raises(SinkError, match=r"planner raised KeyError: 'lane'"):
        CallbackSink(take, name="planner").write(make_result())
