"""`data_statement.md`: which frames made and proved a bundle, as far as its manifest tells."""

from collections.abc import Mapping, Sequence

from export.card.markdown import NOT_RECORDED, question, table, told, value_at
from runtime.bundle.manifest import Manifest

__all__ = ["data_statement"]

# Where frames lie is nobody's business who reads the statement.
PLACES = {"root", "labels", "path", "folder"}
NUMBER = "num_frames"


def data_statement(manifest: Manifest, *, name: str, manifest_sha256: str) -> str:
    """The statement of a bundle.

    Args:
        manifest: what is told.
        name: of the bundle.
        manifest_sha256: which manifest this is.
    """
    parts = (
        f"# Data statement: {told(name)}",
        f"Written by `python -m export card` from the manifest with SHA-256 `{manifest_sha256}`. Every figure is the "
        f"manifest's; *{NOT_RECORDED}* is what it does not tell, and places of files are left out. Lines that begin "
        "with a quotation bar are questions to whoever owns the data.",
        _frames(manifest),
        _inside(manifest),
        _looks(manifest),
        _owner(),
    )
    return "\n\n".join(parts) + "\n"


def _frames(manifest: Manifest) -> str:
    export = manifest.provenance.get("export")
    counted = {parity.num_frames for artefact in manifest.artefacts for parity in artefact.parity}
    calibrated = {one.quantization.num_calibration_frames for one in manifest.artefacts if one.quantization}
    hashes = {one.quantization.calibration_sha256 for one in manifest.artefacts if one.quantization}
    rows = [
        ("source network was trained on", *_recorded(manifest, "source_frames")),
        (_adapted_on(manifest), *_recorded(manifest, "target_frames")),
        ("export, without labels", _set(value_at({"export": export}, "export", "frames")), None),
        ("- artefacts were compared on", None, _numbers(counted)),
        ("- INT8 was calibrated on", ", ".join(sorted(hashes)) or None, _numbers(calibrated)),
        ("- drift is judged against", None, manifest.reference.num_frames),
        ("labelled, for mIoU alone", _set(value_at({"export": export}, "export", "test")), _labelled(manifest)),
    ]
    return "## Frames\n\n" + table(("used for", "which (INT8: SHA-256 of the frames)", "how many"), rows)


def _adapted_on(manifest: Manifest) -> str:
    if value_at(manifest.provenance, "training", "is_same_domain"):
        return "network was shown, without labels, and left as it was"
    return "network was adapted on, without labels"


def _recorded(manifest: Manifest, key: str) -> tuple[str | None, object]:
    """What training wrote into the network's file, and how many frames that were."""
    frames = value_at(manifest.provenance, "training", key)
    return (None, None) if not isinstance(frames, Mapping) else (_set(frames), frames.get(NUMBER))


def _labelled(manifest: Manifest) -> object:
    if value_at(manifest.provenance, "export", "test") is None:
        return None
    most = value_at(manifest.provenance, "export", "num_test_frames")
    return None if most is None else f"at most {most}"


def _set(frames: object) -> str | None:
    if not isinstance(frames, Mapping):
        return None
    left_out = {*PLACES, NUMBER}
    return ", ".join(
        f"{key} {value}" for key, value in frames.items() if key not in left_out and value not in (None, [])
    )


def _numbers(values: set[int]) -> str | None:
    return ", ".join(map(str, sorted(values))) or None


def _inside(manifest: Manifest) -> str:
    golden = manifest.golden
    return (
        "## Frames inside the bundle\n\n"
        f"The bundle holds {golden.num_frames} of these frames as they were taken, in `{golden.frames.file}` "
        f"({golden.frames.num_bytes} bytes, SHA-256 `{golden.frames.sha256}`), for the runtime to repeat before it is "
        "ready. Whoever gets the bundle gets these pictures.\n\n"
        + question("whether persons or number plates are to be seen on them, and by what right they are handed on.")
    )


def _looks(manifest: Manifest) -> str:
    reference = manifest.reference
    rows = [
        (key, *(f"{value:.4g}" for value in (one.mean, one.spread, one.low, one.high)))
        for key, one in reference.features.items()
    ]
    return (
        "## What they look like to the network\n\n"
        f"Over {reference.num_frames} frames, which tell as much as {reference.num_independent:.1f} that are "
        f"independent; {reference.share_outside:.1%} of the frames lie below the range of a feature, and as many "
        "above.\n\n" + table(("feature", "mean", "deviation", "from", "to"), rows)
    )


def _owner() -> str:
    questions: Sequence[str] = (
        "who recorded the frames, for what, with which cameras, and under which licence",
        "where and when: regions, seasons, times of day, weather, kinds of road, and which of these are missing",
        "how frames were chosen, and what was left out",
        "who annotated the labelled ones, by which guide, and how they were checked",
        "persons on the frames: consent, blurring, how long frames are kept, and whom to ask for deletion",
    )
    return "## For the owner\n\n" + "\n\n".join(question(f"{text}.") for text in questions)
