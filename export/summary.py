"""What is in a bundle, for people and for programs; all of it from the manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.bundle.manifest import Artefact, Manifest, Parity

__all__ = ["artefact_figures", "bundle_figures", "bundle_table", "origin_text"]

HEADER = ("artefact", "format", "precision", "output", "MB", "compared in", "label agreement", "mIoU change")


def bundle_table(manifest: Manifest) -> str:
    """A line for each artefact and each engine that ran it, or the reason why none could."""
    rows = [HEADER]
    notes = []
    for artefact in manifest.artefacts:
        start = (
            artefact.file,
            artefact.format,
            artefact.precision,
            artefact.tail,
            f"{artefact.num_bytes / 1e6:.1f}",
        )
        if artefact.not_run is not None:
            rows.append((*start, "not run", "-", "-"))
            notes.append(f"{artefact.file} was not run: {artefact.not_run}")
        for parity in artefact.parity:
            change = "-" if parity.miou_change is None else f"{parity.miou_change:+.2f}"
            rows.append((*start, parity.engine, f"{parity.label_agreement:.6f}", change))
    return "\n".join((*_aligned(rows), *notes))


def origin_text(manifest: Manifest) -> str:
    """Who made a bundle: checkpoint, revision and libraries, as far as the manifest tells."""
    found = manifest.provenance
    versions = found.get("versions")
    libraries = "not told"
    if isinstance(versions, dict):
        libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n".join(
        (
            f"checkpoint {found.get('checkpoint_sha256', 'not told')}",
            f"revision   {found.get('revision') or 'not told'}",
            f"made with  {libraries}",
        )
    )


def bundle_figures(bundle: Path, manifest: Manifest) -> dict[str, Any]:
    """The key figures of a bundle, for the last line of stdout."""
    return {
        "bundle": str(bundle),
        "artefacts": [artefact_figures(artefact) for artefact in manifest.artefacts],
        "frame_hw": list(manifest.frame_hw),
        "classes": len(manifest.classes),
    }


def artefact_figures(artefact: Artefact) -> dict[str, Any]:
    """The key figures of an artefact: the worst of all engines that ran it."""
    parity = artefact.parity
    return {
        "file": artefact.file,
        "format": artefact.format,
        "precision": artefact.precision,
        "tail": artefact.tail,
        "bytes": artefact.num_bytes,
        "engines": [entry.engine for entry in parity],
        "label_agreement": min((entry.label_agreement for entry in parity), default=None),
        "max_confidence_difference": max((entry.max_confidence_difference for entry in parity), default=None),
        "miou_change": min(_changes(parity), default=None),
        "low_precision_share": artefact.low_precision_share,
        "not_run": artefact.not_run,
    }


def _changes(parity: Sequence[Parity]) -> list[float]:
    return [entry.miou_change for entry in parity if entry.miou_change is not None]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
