"""What `python -m runtime` writes and tells: pictures for each frame, and figures over all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ConfigError
from runtime.files import replacing, writable_folder
from runtime.frames import FrameSource, import_av
from runtime.images import write_png
from runtime.manifest import Manifest
from runtime.segmenter import Segmentation

__all__ = ["Statistics", "open_overlays", "output_folder"]

WriteOverlay = Callable[[str, NDArray[np.uint8]], None]


def output_folder(output: Path, source: Path) -> Path:
    """Create the folder for the results of `source`.

    Raises:
        ConfigError: it cannot be written, or lies inside the input.
    """
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"--output {output} lies inside the input; a second run would read its pictures")
    return writable_folder(output)


@contextmanager
def open_overlays(folder: Path, stem: str, source: FrameSource) -> Iterator[WriteOverlay]:
    """Where overlays go: one PNG per image, or one video for a video.

    The video appears only when the block ends well; the PNGs appear one by one, each whole.

    Args:
        folder: existing output folder.
        stem: name of the input, for the video.
        source: where the frames come from.

    Yields:
        A function that takes a frame's name and its overlay (H, W, 3).
    """
    if source.video_rate is None:
        yield lambda name, picture: write_png(folder / f"{name}_overlay.png", picture)
    else:
        with replacing(folder / f"{stem}_overlay.mp4") as path, _video(path, source.video_rate) as append:
            yield lambda _name, picture: append(picture)


@contextmanager
def _video(path: Path, rate: Fraction) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    av = import_av()
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"

        def append(picture: NDArray[np.uint8]) -> None:
            height, width = picture.shape[:2]
            # yuv420p halves the colour planes, so both sides must be even.
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not stream.codec_context.is_open:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

        yield append
        container.mux(stream.encode(None))


class Statistics:
    """Latency and class shares over all frames segmented so far."""

    def __init__(self, manifest: Manifest) -> None:
        """Start with no frame counted."""
        self._names = [entry.name for entry in manifest.classes]
        self._num_pixels = np.zeros(len(self._names), dtype=np.int64)
        self._latencies_ns: list[int] = []

    def add(self, result: Segmentation) -> None:
        """Count one frame."""
        self._num_pixels += np.bincount(result.labels.ravel(), minlength=len(self._names))
        self._latencies_ns.append(result.latency_ns)

    @property
    def num_frames(self) -> int:
        """Frames counted so far."""
        return len(self._latencies_ns)

    def figures(self) -> dict[str, Any]:
        """Latency in milliseconds (a percentile is one that was measured) and the share of each class that occurs."""
        latency_ms = np.array(self._latencies_ns, dtype=np.float64) / 1e6
        shares = self._num_pixels / self._num_pixels.sum()
        return {
            "frames": self.num_frames,
            "latency_ms_p50": round(float(np.quantile(latency_ms, 0.5, method="higher")), 3),
            "latency_ms_max": round(float(latency_ms.max()), 3),
            "class_share": {
                name: round(float(share), 6) for name, share in zip(self._names, shares, strict=True) if share > 0
            },
        }

    def summary(self, num_expected: int | None) -> str:
        """The figures as text for people, the most frequent class first.

        Args:
            num_expected: how many frames the source promised; a damaged video may hold fewer.
        """
        figures = self.figures()
        by_share = sorted(figures["class_share"].items(), key=lambda item: item[1], reverse=True)
        lines = [f"  {name:<16}{share:7.2%}" for name, share in by_share]
        latency = f"latency p50 {figures['latency_ms_p50']} ms, max {figures['latency_ms_max']} ms"
        missing = f" of {num_expected} promised" if num_expected not in (None, self.num_frames) else ""
        return "\n".join([f"{self.num_frames}{missing} frames; {latency}; share of pixels by class:", *lines])
