"""What is in the bundle, and the gates it went through."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.report.images import photograph_uri
from benchmarks.report.not_there import NotThereError
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.shares import floored
from benchmarks.tables import number
from export.bundle import gates_folder
from runtime.bundle.manifest import Artefact, Manifest, Parity
from runtime.files import sha256_of
from runtime.images import read_image

__all__ = ["SECTION", "Judged", "read_gates"]

MEGABYTE = 1e6


class Judged(Artefact):
    """An artefact as `gates.json` has it, refused ones too: what became of it, and why."""

    verdict: str
    problems: tuple[str, ...]


def read_gates(run: Run) -> tuple[Judged, ...]:
    """Every artefact that was made, kept or not; none where the folder beside the bundle is gone.

    Raises:
        DataError: the document is damaged.
    """
    try:
        found: tuple[Judged, ...] = run.document(_gates_path(run), tuple[Judged, ...], "make export")
    except NotThereError:
        return ()
    return found


def build(run: Run) -> Content:
    """A row for each artefact and engine, what was refused, and where labels differ."""
    manifest = run.manifest
    if manifest is None:
        raise NotThereError
    gates = read_gates(run)
    values = {
        "manifest": manifest,
        "rows": [row for artefact in manifest.artefacts for row in _rows(artefact)],
        "refused": [judged for judged in gates if judged.problems],
        "quantized": [(one.file, one.quantization) for one in manifest.artefacts if one.quantization],
        "budgets": _budgets(manifest),
        "pictures": list(_pictures(run, manifest)),
        "provenance": json.dumps(manifest.provenance, indent=2),
        "megabytes": sum(file.num_bytes for file in manifest.files) / MEGABYTE,
    }
    documents = (run.manifest_path, *((_gates_path(run),) if gates else ()))
    return Content(values, documents, _warnings(run, manifest, gates))


def _gates_path(run: Run) -> Path:
    return gates_folder(run.config.bundle) / "gates.json"


def _rows(artefact: Artefact) -> Iterator[dict[str, object]]:
    """A row for each engine that ran it; one that says why where none could."""
    start: dict[str, object] = {
        "file": artefact.file,
        "precision": artefact.precision,
        "megabytes": f"{artefact.num_bytes / MEGABYTE:.1f}",
        "sha256": artefact.sha256,
        "low": "-" if artefact.low_precision_share is None else f"{artefact.low_precision_share:.1%}",
        "not_run": artefact.not_run,
    }
    if not artefact.parity:
        yield start
    for parity in artefact.parity:
        yield {**start, **_figures(parity)}


def _figures(parity: Parity) -> dict[str, object]:
    recalls = [(one.recall, one.name) for one in parity.classes if one.recall is not None]
    worst = min(recalls, default=None)
    return {
        "engine": parity.engine,
        "num_frames": parity.num_frames,
        "agreement": floored(parity.label_agreement, 4),
        "confidence": parity.max_confidence_difference,
        "worst": "-" if worst is None else f"{floored(worst[0], 2)} {worst[1]}",
        "rare": "-" if parity.rare_recall is None else floored(parity.rare_recall, 2),
        "logits": "-" if parity.logits_error is None else f"{parity.logits_error:.1e}",
        "miou": number(parity.miou, 2),
        "change": number(parity.miou_change, 2, is_signed=True),
    }


def _budgets(manifest: Manifest) -> dict[str, dict[str, object]]:
    """What each precision of the bundle was allowed to lose, where the export says so."""
    told = manifest.provenance.get("export", {})
    budgets = told.get("budgets", {}) if isinstance(told, dict) else {}
    precisions = dict.fromkeys(artefact.precision for artefact in manifest.artefacts)
    return {precision: budgets[precision] for precision in precisions if precision in budgets}


def _pictures(run: Run, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Where the labels of an artefact differ, as the gate drew it."""
    for artefact in manifest.artefacts:
        path = _gates_path(run).with_name(f"{artefact.file}.png")
        if artefact.precision != "fp32" and path.is_file():
            yield artefact.file, photograph_uri(read_image(path), max_width=1400)


def _warnings(run: Run, manifest: Manifest, gates: Sequence[Judged]) -> tuple[str, ...]:
    again = run.command("make export")
    found, network = [], run.config.checkpoint
    if network.is_file() and sha256_of(network) != manifest.provenance.get("checkpoint_sha256"):
        found.append(f"Stale: the bundle was made from another network than {network} now holds; run `{again}` again.")
    kept = {judged.file: judged.sha256 for judged in gates if not judged.problems}
    if gates and kept != {artefact.file: artefact.sha256 for artefact in manifest.artefacts}:
        found.append(f"Stale: {_gates_path(run)} is of another export than the bundle; run `{again}` again.")
    return tuple(found)


SECTION = Section("bundle", "Bundle and gates", "make export", build)
