"""`model_card.md`: what a network is, what was measured of it, where it comes from; figures are the manifest's."""

from collections.abc import Mapping
from typing import Any

from export.card.markdown import NOT_RECORDED, code_block, question, table, told, value_at
from export.gates.shares import share_text
from runtime.bundle.manifest import Artefact, Manifest, Parity

__all__ = ["model_card"]

# Those of `training.statistics.label_free`, which takes torch and seconds to load.
SCORES = ("entropy", "neighbourhood_density", "mirror_agreement", "num_classes", "mutual_information")


def model_card(manifest: Manifest, *, name: str, manifest_sha256: str, signature: str) -> str:
    """The card of a bundle.

    Args:
        manifest: what is told.
        name: of the bundle.
        manifest_sha256: which manifest this is.
        signature: what there is to say of it.
    """
    parts = (
        f"# Model card: {told(name)}",
        f"Written by `python -m export card` from the manifest with SHA-256 `{manifest_sha256}`. Every figure is the "
        f"manifest's; *{NOT_RECORDED}* is what it does not tell. Lines that begin with a quotation bar are questions "
        "to whoever owns the network.",
        _network(manifest),
        _classes(manifest),
        _artefacts(manifest),
        _accuracy(manifest),
        _provenance(manifest.provenance, signature),
        _adaptation(manifest.provenance),
        _owner(),
    )
    return "\n\n".join(parts) + "\n"


def _network(manifest: Manifest) -> str:
    named = [value_at(manifest.provenance, "network", "model", key) for key in ("backbone", "encoder", "factory")]
    space, convention = value_at(manifest.provenance, "network", "label_space"), manifest.input
    rows = [
        ("task", "semantic segmentation: one class and one confidence for each pixel"),
        ("frame", f"{manifest.frame_width}x{manifest.frame_height} (width x height), uint8 RGB"),
        ("network sees", f"{manifest.network_width}x{manifest.network_height}"),
        ("input convention", f"{convention.channel_order}, mean {convention.mean}, std {convention.std}"),
        ("logits", f"upsampled with align_corners {'on' if manifest.align_corners else 'off'}"),
        ("kind of network", value_at(manifest.provenance, "network", "model", "kind")),
        ("backbone, encoder or factory", next(filter(None, named), None)),
        ("label space", "classes of its own" if isinstance(space, dict) else space),
        ("classes", len(manifest.classes)),
    ]
    return "## Network\n\n" + table(("", ""), rows)


def _classes(manifest: Manifest) -> str:
    gated = next((parity for artefact in manifest.artefacts for parity in artefact.parity if parity.classes), None)
    shares = {} if gated is None else {entry.name: share_text(entry.share, 4) for entry in gated.classes}
    rows = [
        (index, entry.name, "#" + "".join(f"{channel:02x}" for channel in entry.colour), shares.get(entry.name))
        for index, entry in enumerate(manifest.classes)
    ]
    return "## Classes\n\n" + table(
        ("train id", "class", "colour", "share of the network's pixels on gate frames"), rows
    )


def _artefacts(manifest: Manifest) -> str:
    header = ("artefact", "precision", "output", "MB", "engine", "frames", "label agreement", "worst class recall")
    rows = [row for artefact in manifest.artefacts for row in _rows(artefact)]
    lines = [
        "## Artefacts and their gates",
        "Each was compared with the network in PyTorch and float32 on unlabelled target frames; what missed its budget "
        "is not in the bundle.",
        table((*header, "low precision", "SHA-256"), rows),
        *(f"{told(one.file)} was not run: {told(one.not_run)}" for one in manifest.artefacts if one.not_run),
        *_quantized(manifest),
        "Budgets of the export:",
        _budgets(value_at(manifest.provenance, "export", "budgets"), {one.precision for one in manifest.artefacts}),
    ]
    return "\n\n".join(lines)


def _rows(artefact: Artefact) -> list[tuple[object, ...]]:
    start = (artefact.file, artefact.precision, artefact.tail, f"{artefact.num_bytes / 1e6:.1f}")
    share = artefact.low_precision_share
    end = (None if share is None else share_text(share, 3), artefact.sha256)
    if not artefact.parity:
        return [(*start, "not run", None, None, None, *end)]
    return [
        (*start, one.engine, one.num_frames, share_text(one.label_agreement, 6), _worst(one), *end)
        for one in artefact.parity
    ]


def _worst(parity: Parity) -> str | None:
    judged = [(entry.recall, entry.name) for entry in parity.classes if entry.recall is not None]
    if not judged:
        return None
    recall, name = min(judged)
    return f"{share_text(recall, 4)} {name}"


def _quantized(manifest: Manifest) -> list[str]:
    return [
        f"{told(artefact.file)}: {found.scheme}, ranges by {told(found.range_method)} on "
        f"{found.num_calibration_frames} frames, {found.trained_iterations} iterations of training with integers, "
        f"layers in float: {told(', '.join(found.float_layers) or 'none')}."
        for artefact in manifest.artefacts
        if (found := artefact.quantization) is not None
    ]


def _budgets(budgets: object, precisions: set[str]) -> str:
    found = {name: one for name, one in budgets.items() if name in precisions} if isinstance(budgets, Mapping) else {}
    return code_block(found) if found else NOT_RECORDED


def _accuracy(manifest: Manifest) -> str:
    measured = [
        (artefact.file, one.engine, f"{one.miou:.2f}", _change(one.miou_change))
        for artefact in manifest.artefacts
        for one in artefact.parity
        if one.miou is not None
    ]
    if not measured:
        found = f"mIoU on labelled frames: {NOT_RECORDED}. The export was given no labelled set."
    else:
        frames = value_at(manifest.provenance, "export", "num_test_frames")
        found = (
            f"On at most {told(frames)} labelled target frames, in percent; the change is from the network in PyTorch "
            "and float32:\n\n" + table(("artefact", "engine", "mIoU", "change"), measured)
        )
    return f"## Measured accuracy\n\n{found}\n\n" + question(
        "on which frames accuracy was measured besides, per condition (night, rain, region), and what is good enough."
    )


def _change(points: float | None) -> str | None:
    # Adding zero takes the sign off what rounds to zero.
    return None if points is None else f"{round(points, 2) + 0.0:+.2f}"


def _provenance(found: Mapping[str, Any], signature: str) -> str:
    versions = found.get("versions")
    rows = [
        ("adapted checkpoint, SHA-256", found.get("checkpoint_sha256")),
        ("source network, SHA-256", value_at(found, "training", "source_sha256")),
        ("made by", value_at(found, "training", "made_by")),
        ("seed", value_at(found, "training", "seed")),
        ("revision of the code", found.get("revision")),
        ("versions", ", ".join(f"{n} {v}" for n, v in versions.items()) if isinstance(versions, Mapping) else None),
        ("signature", signature),
    ]
    return "## Provenance\n\n" + table(("", ""), rows)


def _adaptation(found: Mapping[str, Any]) -> str:
    training, settings = found.get("training"), found.get("adaptation")
    is_adapted = value_at(found, "training", "made_by") == "adapt"
    what = "How the network was adapted" if is_adapted else "It is not recorded that it was adapted; settings to do so"
    rows = [
        ("method", value_at(found, "adaptation", "method", "name")),
        ("preset", value_at(found, "adaptation", "preset")),
        ("steps", value_at(found, "adaptation", "iterations")),
        ("share of target statistics", value_at(found, "training", "statistics_share")),
        ("classes lost", _listed(value_at(found, "training", "lost_classes"))),
        ("delivered what training started from", value_at(found, "training", "is_vetoed")),
    ]
    scores = [
        (name, value_at(found, "training", "scores_before", name), value_at(found, "training", "scores_after", name))
        for name in SCORES
        if isinstance(training, Mapping)
    ]
    parts = ["## Adaptation", f"{what}:", table(("", ""), rows)]
    if scores:
        parts += ["Scores that need no labels:", table(("score", "before", "after"), scores)]
    parts += ["All settings:", code_block(settings) if settings else NOT_RECORDED]
    return "\n\n".join(parts)


def _listed(values: object) -> str | None:
    return ", ".join(map(str, values)) or "none" if isinstance(values, list) else None


def _owner() -> str:
    questions = (
        "what it is for, and who may use it",
        "what it must not be used for, and which decisions must not rest on it alone",
        "known failures, and conditions it was never tried in",
        "licence of the network, and of what it was trained on",
        "whom to ask, and when it is to be looked at again",
    )
    return "## For the owner\n\n" + "\n\n".join(question(f"{text}.") for text in questions)
