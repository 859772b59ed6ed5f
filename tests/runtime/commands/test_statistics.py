from pathlib import Path

import numpy as np

from runtime.bundle.opening import read_manifest
from runtime.commands.statistics import Statistics
from runtime.segmenter import Segmentation


def result(train_id: int, latency_ns: int) -> Segmentation:
    labels = np.full((16, 24), train_id, dtype=np.uint8)
    return Segmentation(labels, labels, copy_ns=0, infer_ns=latency_ns)


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
