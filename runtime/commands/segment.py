"""Segments every frame of an image, a folder of images or a video: `python -m runtime segment`."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.command import progress, say
from runtime.commands.statistics import Statistics
from runtime.config import load_config
from runtime.errors import ConfigError
from runtime.files import writable_folder, write_json
from runtime.overlay import overlay
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from runtime.sinks.pictures import write_labels, write_overlay
from runtime.sinks.video_writer import VideoWriter
from runtime.sources.offline import Frames, open_frames

__all__ = ["EPILOG", "add_arguments", "segment_all"]

PROVIDERS = ("auto", "cpu", "cuda", "openvino", "tensorrt", "tensorrt_ep")

# The other settings are those of `serve`.
USED = {"backend", "artefact", "public_key", "overlay_opacity"}

EPILOG = """\
OUTPUT FOLDER
  NAME_labels.png   train id of each pixel, grey
  NAME_overlay.png  class colours over the frame, with a legend; a video gets one NAME_overlay.mp4
  run.json          the figures of the last line of stdout, and the settings used

example:
  python -m runtime segment runs/streets/bundle drive.mp4 --output runs/drive --provider cpu --set backend.threads=4

exit status: 0 done, 1 failed, 2 bad usage or config, or a missing package, 130 interrupted
"""

WriteOverlay: TypeAlias = Callable[[str, NDArray[np.uint8]], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `segment_all` reads."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `python -m export` wrote")
    parser.add_argument("input", type=Path, metavar="INPUT", help="an image, a folder of images, or a video")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the pictures go")
    parser.add_argument("--config", type=Path, metavar="FILE", help="run file; its section `runtime` is read")
    parser.add_argument("--provider", choices=PROVIDERS, help="same as --set backend.provider=...")
    parser.add_argument(
        "--artefact",
        metavar="NAME",
        help="file of the bundle to serve; without it the one in float32, or, with --provider auto, the fastest",
    )
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="refuse a bundle that this key did not sign")
    set_help = "override one key, for example overlay_opacity=0.3; may be repeated"
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help=set_help)


def segment_all(options: argparse.Namespace) -> Mapping[str, Any]:
    """Segment every frame of the input, write the pictures, and return the figures.

    Raises:
        ConfigError: a setting is not valid, or the output cannot be written or lies inside the input.
        BundleError: as `Segmenter.open`.
        BackendError: as `Segmenter.open`.
        DataError: the input cannot be read.
        FrameError: a frame is damaged or has another size than the bundle's.
        SinkError: a picture cannot be written.
    """
    named = {"backend.provider": options.provider, "artefact": options.artefact, "public_key": options.public_key}
    overrides = [*options.overrides, *(f"{key}={value}" for key, value in named.items() if value is not None)]
    config = load_config(options.config, "runtime", RuntimeConfig, overrides)
    output = _output_folder(options.output, options.input)
    with Segmenter.open(options.bundle, config) as segmenter:
        manifest = segmenter.manifest
        frames = open_frames(options.input, manifest.frame_hw)
        statistics = Statistics(manifest)
        with _open_overlays(output, frames) as write:
            for name, frame in progress(frames, title="frames", unit="frame", total=frames.num_frames):
                result = segmenter.segment(frame)
                write_labels(output, name, result.labels)
                write(name, overlay(frame, result.labels, manifest.classes, config.overlay_opacity))
                statistics.add(result)
    say(statistics.summary(frames.num_frames))
    figures = {"bundle": str(options.bundle), "output": str(output), **statistics.figures()}
    write_json(output / "run.json", {**figures, "config": config.model_dump(mode="json", include=USED)})
    return figures


def _output_folder(output: Path, source: Path) -> Path:
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"--output {output} lies inside the input, and a second run would read it; choose another")
    return writable_folder(output)


@contextmanager
def _open_overlays(folder: Path, frames: Frames) -> Iterator[WriteOverlay]:
    """Where overlays go: a PNG for each image, or a video, which appears only when the block ends well, for a video."""
    if frames.video_rate is None:
        yield lambda name, picture: write_overlay(folder, name, picture)
        return
    video = VideoWriter(folder / f"{frames.path.stem}_overlay.mp4", frames.video_rate)
    try:
        yield lambda _name, picture: video.append(picture)
        video.close()
    except BaseException:
        video.discard()
        raise
