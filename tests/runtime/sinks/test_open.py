from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.bundle.opening import read_manifest
from runtime.result import Result
from runtime.settings import RuntimeConfig
from runtime.sinks.config import JsonLinesConfig, NpzConfig, PicturesConfig, SinkConfig, VideoSinkConfig
from runtime.sinks.open import open_sink


@pytest.mark.parametrize(
    ("make_config", "files"),
    [
        (lambda folder: PicturesConfig(folder=folder), ["frame_0_labels.png", "frame_0_overlay.png"]),
        (lambda folder: NpzConfig(folder=folder), ["frame_0.npz"]),
        (lambda folder: VideoSinkConfig(path=folder / "drive.mp4"), ["drive.mp4"]),
        (lambda folder: JsonLinesConfig(path=folder / "results.jsonl"), ["results.jsonl"]),
    ],
    ids=["pictures", "npz", "video", "jsonl"],
)
def test_each_kind_writes_what_it_is_for(
    bundle: Path,
    tmp_path: Path,
    make_result: Callable[..., Result],
    make_config: Callable[[Path], SinkConfig],
    files: list[str],
) -> None:
    folder = tmp_path / "output"
    sink = open_sink(make_config(folder), read_manifest(bundle), RuntimeConfig())
    sink.write(make_result())
    sink.close()
    assert sorted(path.name for path in folder.iterdir()) == files
