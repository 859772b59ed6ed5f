"""`report`: one Markdown page on a run, assembled from the JSON documents its stages wrote.

No figure is typed here or measured here: each is read, and a part whose document is not there says which command
makes it.
"""

import json
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmarks.bundle_table import artefact_table, quantization_lines
from benchmarks.config import BenchmarksConfig
from benchmarks.document import Contender, LatencyDocument
from benchmarks.latency import DOCUMENT_NAME
from benchmarks.samples import MIN_SAMPLES
from benchmarks.tables import markdown_table, number
from runtime.bundle.manifest import MANIFEST_NAME
from runtime.bundle.opening import read_manifest
from runtime.command import say
from runtime.config import SECTIONS, StrictModel
from runtime.errors import DataError
from runtime.files import sha256_of, writable_folder, write_text

__all__ = ["AccuracyRow", "write_report"]

REPORT_NAME = "report.md"
PICTURES = {
    "comparison.png": "frame, truth, source only, adapted",
    "preview.png": "frames of the run with their labels",
}


class AccuracyRow(StrictModel):
    """One row of training's `report.json`: percent, None for a class the test set does not have."""

    miou: float
    miou13: float | None = None
    """The second mean of label space synthia16, without wall, fence and pole."""
    iou: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of the page; `lines` is None where its document is not there yet."""

    title: str
    target: str
    lines: list[str] | None


def write_report(config: BenchmarksConfig, run_file: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Write `report.md`.

    Args:
        config: where the documents are.
        run_file: named in the commands that make each part again.
        overrides: `--set` values of this call, repeated in those commands.

    Returns:
        Key figures: `report`, and which parts are `present` and `missing`.

    Raises:
        BundleError: the bundle's manifest is damaged.
        DataError: another document is damaged.
    """
    path = writable_folder(config.output) / REPORT_NAME
    sections = [
        _Section("Accuracy", "adapt", _accuracy(config)),
        _Section("Bundle", "export", _bundle(config)),
        _Section("Latency", "bench", _latency(config)),
    ]

    def command(target: str) -> str:
        settings = " ".join(f"--set {shlex.quote(_for_this_stage(override))}" for override in overrides)
        return f"make {target} CONFIG={run_file}" + (f" SET={shlex.quote(settings)}" if settings else "")

    write_text(path, "\n".join(_page(config, sections, command)) + "\n")
    missing = [section.title.lower() for section in sections if section.lines is None]
    say(f"report: {path}" + (f"; not there yet: {', '.join(missing)}" if missing else ""))
    present = [section.title.lower() for section in sections if section.lines is not None]
    return {"report": str(path), "present": present, "missing": missing}


def _for_this_stage(override: str) -> str:
    """An override that names its section, so that `make adapt` and `make export` do not take it for theirs."""
    return override if override.partition(".")[0] in SECTIONS else f"benchmarks.{override}"


def _page(config: BenchmarksConfig, sections: Sequence[_Section], command: Callable[[str], str]) -> list[str]:
    page = [f"# Report on `{config.bundle}`", ""]
    page += [f"Made by `{command('report')}` from the JSON documents linked below.", ""]
    for section in sections:
        absent = [f"Not there yet: `{command(section.target)}` makes it."]
        page += [f"## {section.title}", "", *(absent if section.lines is None else section.lines), ""]
    page += ["## How to make it again", "", "```sh"]
    return [*page, *(command(section.target) for section in sections), command("report"), "```"]


def _accuracy(config: BenchmarksConfig) -> list[str] | None:
    path = config.training_output and config.training_output / "report.json"
    if path is None or not path.is_file():
        return None
    rows = _read(path, TypeAdapter(dict[str, AccuracyRow]), "adapt")
    names = list(dict.fromkeys(name for row in rows.values() for name in row.iou))
    body = [[name, *(number(row.iou.get(name), 1) for row in rows.values())] for name in names]
    body.append(["**mean**", *(f"**{number(row.miou, 1)}**" for row in rows.values())])
    if any(row.miou13 is not None for row in rows.values()):
        body.append(["**mean of 13**", *(f"**{number(row.miou13, 1)}**" for row in rows.values())])
    lines = ["IoU in percent on the labelled target test set; the adaptation saw none of its labels.", ""]
    lines += [*markdown_table(["class", *rows], body), ""]
    for name, caption in PICTURES.items():
        if (path.parent / name).is_file():
            lines += [f"![{caption}]({_link(path.parent / name, config)})", ""]
    return [*lines, f"Document: [{path.name}]({_link(path, config)})"]


def _bundle(config: BenchmarksConfig) -> list[str] | None:
    path = config.bundle / MANIFEST_NAME
    if not path.is_file():
        return None
    manifest = read_manifest(config.bundle)
    frame, seen = (
        f"{height} x {width}"
        for height, width in (
            manifest.frame_hw,
            (manifest.network_height, manifest.network_width),
        )
    )
    return [
        f"Frames of {frame} pixels (height x width), seen by the network at {seen}; {len(manifest.classes)} classes; "
        f"{manifest.golden.num_frames} golden frames.",
        "",
        *artefact_table(manifest.artefacts),
        "",
        "Each artefact was compared with the PyTorch network in float32 on held-out target frames, pixel by pixel, in "
        "every engine of the exporting machine. Confidence is 0 to 255; the logits' error is relative to their "
        "deviation; recall is that of PyTorch's labels, the least among rare classes; mIoU is in percent.",
        "",
        *quantization_lines(manifest.artefacts),
        *_folded("Provenance", json.dumps(manifest.provenance, indent=2)),
        "",
        f"Document: [{path.name}]({_link(path, config)})",
    ]


def _latency(config: BenchmarksConfig) -> list[str] | None:
    path = config.output / DOCUMENT_NAME
    if not path.is_file():
        return None
    found = _read(path, TypeAdapter(LatencyDocument), "bench")
    low, high = found.speedup_interval
    header = ["milliseconds", *MIN_SAMPLES, "max", "load", "first frame"]
    return [
        *_stale(config, found),
        f"{found.scenario[0].upper()}{found.scenario[1:]}. {found.num_queries} queries of each, taking turns, over "
        f"{len(found.frames)} frames; no sample dropped; {_date(found.created_unix_s)}.",
        "",
        *markdown_table(header, [_latency_row(found.ours), _latency_row(found.peer)]),
        "",
        f"The median is **{found.speedup_p50:.2f}** times as fast as the peer's (95 % bootstrap interval {low:.2f} to "
        f"{high:.2f}, within this one run). Labels agree on {found.label_agreement:.4%} of the pixels of "
        f"{found.num_compared} timed queries.",
        "",
        *_unsupported(found),
        "The bundle's load includes verifying its files, warming up and repeating its golden frames.",
        "",
        *markdown_table(
            ["environment", ""], [[key, str(value)] for key, value in found.environment if value is not None]
        ),
        "",
        f"Document, with every sample: [{path.name}]({_link(path, config)})",
    ]


def _latency_row(found: Contender) -> list[str]:
    percentiles = [found.percentiles_ms.get(name) for name in MIN_SAMPLES]
    values = [*percentiles, found.max_ms, found.load_ms, found.first_inference_ms]
    return [found.name, *(number(value, 2) for value in values)]


def _unsupported(found: LatencyDocument) -> list[str]:
    """Which percentiles the run was too short for."""
    needs = [f"{name} ({needed})" for name, needed in MIN_SAMPLES.items() if found.num_queries < needed]
    return [f"Too few queries for {', '.join(needs)}; the number needed is in brackets.", ""] if needs else []


def _stale(config: BenchmarksConfig, found: LatencyDocument) -> list[str]:
    manifest = config.bundle / MANIFEST_NAME
    if manifest.is_file() and sha256_of(manifest) == found.manifest_sha256:
        return []
    return [f"**Measured on another bundle than `{config.bundle}` now holds; run `make bench` again.**", ""]


def _read(path: Path, adapter: TypeAdapter[Any], target: str) -> Any:
    try:
        return adapter.validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise DataError(
            f"{path} is damaged or of another version at {key or 'its start'}: {problem['msg']}; delete it and run "
            f"`make {target}` again"
        ) from error


def _folded(title: str, document: str) -> list[str]:
    """A JSON text that opens on a click."""
    return [f"<details><summary>{title}</summary>", "", "```json", document, "```", "", "</details>"]


def _link(path: Path, config: BenchmarksConfig) -> str:
    return Path(os.path.relpath(path, config.output)).as_posix().replace(" ", "%20")


def _date(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
