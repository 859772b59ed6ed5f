"""`python -m runtime segment`: an image, a folder of images or a video becomes label maps and overlays."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.command import progress, say
from runtime.config import load_config
from runtime.files import write_json
from runtime.frames import open_frames
from runtime.images import write_png
from runtime.overlay import overlay
from runtime.results import Statistics, open_overlays, output_folder
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["EPILOG", "add_arguments", "segment_all"]

EPILOG = """\
OUTPUT FOLDER
  NAME_labels.png   train id of each pixel, grey
  NAME_overlay.png  class colours over the frame, with a legend; a video gets one NAME_overlay.mp4
  run.json          the figures of the last line of stdout, and the settings used

example:
  python -m runtime segment runs/streets/bundle drive.mp4 --output runs/drive --provider cpu --set backend.threads=4

exit status: 0 done, 1 failed, 2 bad usage or config, 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `python -m export` wrote")
    parser.add_argument("input", type=Path, metavar="INPUT", help="an image, a folder of images, or a video")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the pictures go")
    parser.add_argument("--config", type=Path, metavar="FILE", help="run file; its section `runtime` is read")
    parser.add_argument("--provider", choices=("cpu", "cuda", "openvino"), help="same as --set backend.provider=...")
    parser.add_argument("--artefact", metavar="NAME", help="file of the bundle to serve; fp32.onnx without it")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="refuse a bundle that this key did not sign")
    set_help = "override one key, for example overlay_opacity=0.3; may be repeated"
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help=set_help)


def segment_all(options: argparse.Namespace) -> Mapping[str, Any]:
    """Segment every frame of the input, write the pictures, and return the figures."""
    named = {"backend.provider": options.provider, "artefact": options.artefact, "public_key": options.public_key}
    overrides = [*options.overrides, *(f"{key}={value}" for key, value in named.items() if value is not None)]
    config = load_config(options.config, "runtime", RuntimeConfig, overrides)
    output = output_folder(options.output, options.input)
    with Segmenter.open(options.bundle, config) as segmenter:
        manifest = segmenter.manifest
        source = open_frames(options.input, frame_height=manifest.frame_height, frame_width=manifest.frame_width)
        statistics = Statistics(manifest)
        with open_overlays(output, options.input.stem, source) as write_overlay:
            for name, frame in progress(source, title="frames", unit="frame", total=source.num_frames):
                result = segmenter.segment(frame)
                write_png(output / f"{name}_labels.png", result.labels)
                write_overlay(name, overlay(frame, result.labels, manifest.classes, config.overlay_opacity))
                statistics.add(result)
    say(statistics.summary(source.num_frames))
    figures = {"bundle": str(options.bundle), "output": str(output), **statistics.figures()}
    write_json(output / "run.json", {**figures, "config": config.model_dump(mode="json")})
    return figures
