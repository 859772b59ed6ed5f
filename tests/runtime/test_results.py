from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.bundle import read_manifest
from runtime.frames import FrameSource
from runtime.results import Statistics, open_overlays
from runtime.segmenter import Segmentation


def result(train_id: int, latency_ns: int) -> Segmentation:
    labels = np.full((16, 24), train_id, dtype=np.uint8)
    return Segmentation(labels, labels, copy_ns=0, infer_ns=latency_ns)


def no_frames() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    return iter(())


def test_figures_are_measured_latencies_and_shares_of_classes_that_occur(bundle: Path) -> None:
    statistics = Statistics(read_manifest(bundle))
    for train_id, latency_ns in [(0, 4_000_000), (0, 1_000_000), (2, 2_000_000), (0, 3_000_000)]:
        statistics.add(result(train_id, latency_ns))
    # Four values: the median lies between 2 and 3 ms, and the higher one was measured.
    assert statistics.figures() == {
        "frames": 4,
        "latency_ms_p50": 3.0,
        "latency_ms_max": 4.0,
        "class_share": {"road": 0.75, "car": 0.25},
    }


def test_summary_tells_when_a_video_held_fewer_frames_than_promised(bundle: Path) -> None:
    statistics = Statistics(read_manifest(bundle))
    statistics.add(result(1, 1_000_000))
    assert statistics.summary(3).startswith("1 of 3 promised frames;")
    assert statistics.summary(1).startswith("1 frames;")
    assert statistics.summary(None).startswith("1 frames;")


def test_interrupted_overlay_video_leaves_nothing(tmp_path: Path) -> None:
    source = FrameSource(no_frames, num_frames=None, video_rate=Fraction(5))
    with pytest.raises(KeyboardInterrupt), open_overlays(tmp_path, "drive", source) as write:  # noqa: PT012
        write("0", np.zeros((16, 24, 3), np.uint8))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_overlay_video_pads_odd_sides(tmp_path: Path) -> None:
    import av

    source = FrameSource(no_frames, num_frames=None, video_rate=Fraction(5))
    with open_overlays(tmp_path, "drive", source) as write:
        write("0", np.zeros((17, 25, 3), np.uint8))
    with av.open(str(tmp_path / "drive_overlay.mp4")) as container:
        [picture] = container.decode(video=0)
    assert (picture.height, picture.width) == (18, 26)
