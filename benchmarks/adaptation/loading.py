"""Images per second of the data loader alone: what keeps a GPU busy, or does not."""

import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from runtime.command import progress
from runtime.images import write_png
from training.config import AdaptationConfig, OptimizerConfig, ViewConfig
from training.data.config import StreetsConfig
from training.data.layouts import folder_images
from training.data.open import open_frames
from training.labels.importance import ImportanceMaps
from training.labels.pseudo_labels import PseudoLabels
from training.views.batches import TargetBatches, load_batches

__all__ = ["Loading", "measure_loading"]

NUM_FRAMES = 4
BATCH_SIZE = 6


class Loading(NamedTuple):
    """Crops per second with a number of loader processes (0: in the training process itself)."""

    workers: int
    images_per_s: float


def measure_loading(config: AdaptationBenchmarkConfig) -> list[Loading]:
    """Time the loader on frames of Cityscapes' size, cut as the paper's settings say, with more and more processes."""
    with tempfile.TemporaryDirectory() as folder:
        batches = _write_frames(Path(folder), config)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        counts = [0, *(count for count in (1, 2, 4, 8, 16) if count <= cores)]
        return [_timed(batches, workers, config) for workers in progress(counts, title="data loading", unit="run")]


def _timed(batches: TargetBatches, workers: int, config: AdaptationBenchmarkConfig) -> Loading:
    num_batches = max(2, config.num_loaded // BATCH_SIZE)
    loaded = load_batches(batches, 0, num_batches + 1, workers=workers)
    next(loaded)  # starting the processes is not loading
    start_s = time.perf_counter()
    for _ in loaded:
        pass
    return Loading(workers, num_batches * BATCH_SIZE / (time.perf_counter() - start_s))


def _write_frames(folder: Path, config: AdaptationBenchmarkConfig) -> TargetBatches:
    """Rendered frames with grain like a camera's, which PNG compresses as badly, and maps to go with them."""
    height, width = config.loaded_hw
    half = StreetsConfig(
        layout="streets", domain="target", first=0, count=NUM_FRAMES, height=height // 2, width=width // 2
    )
    frames = open_frames(half)
    labels, importance = PseudoLabels(folder / "labels"), ImportanceMaps(folder / "importance")
    for made in (folder / "frames", labels.folder, importance.folder):
        made.mkdir()
    rng = np.random.default_rng(config.seed)
    for index in range(NUM_FRAMES):
        image = np.asarray(Image.fromarray(frames.image(index)).resize((width, height), Image.Resampling.BICUBIC))
        grain = rng.normal(0.0, 2.0, image.shape)
        write_png(folder / "frames" / f"{index:06d}.png", np.clip(image + grain, 0, 255).astype(np.uint8))
        coarse = rng.integers(0, 19, (16, 32), dtype=np.uint8)
        write_png(
            labels.path(index), np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST))
        )
        certain = rng.integers(0, 256, (64, 128), dtype=np.uint8)
        write_png(
            importance.path(index),
            np.asarray(Image.fromarray(certain).resize((width // 2, height // 2), Image.Resampling.BILINEAR)),
        )
    settings = AdaptationConfig(
        method=config.method,
        views=ViewConfig(train_hw=(height * 5 // 8, width * 5 // 8), crop_hw=(height // 4, width // 4)),
        memory_hw=(height * 5 // 8, width * 5 // 8),
        iterations=1,
        batch_size=BATCH_SIZE,
        optimizer=OptimizerConfig(),
    )
    return TargetBatches(folder_images(folder / "frames"), labels, importance, settings, config.seed)
