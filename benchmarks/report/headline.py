"""The first screen: the result in one sentence, four figures, and one frame before and after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.report.not_there import NotThereError
from benchmarks.report.pictures import Wipe, wipe_of
from benchmarks.report.run import Run
from benchmarks.report.scenes import Scene
from benchmarks.report.sections.accuracy import AFTER, BEFORE, read_accuracy
from benchmarks.report.sections.bundle import read_gates
from benchmarks.report.sections.front import read_ladder
from benchmarks.report.sections.latency import read_latency
from runtime.errors import DataError
from training.config import TrainingConfig
from training.data.open import open_frames

__all__ = ["Headline", "Tile", "headline"]

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure: what it is, its value, None where it is not there yet, and a remark."""

    name: str
    value: str | None
    remark: str


@dataclass(frozen=True, slots=True)
class Headline:
    """Sentence, figures and picture; without networks there is no picture."""

    sentence: str
    told: str
    tiles: tuple[Tile, ...]
    wipe: Wipe | None
    scene: Scene | None


def headline(run: Run) -> Headline:
    """What of the first screen is there.

    Raises:
        IapcError: a document is damaged.
    """
    looked = _or_none(lambda: run.looked)
    return Headline(
        sentence=_sentence(run),
        told=_told(run),
        tiles=(_accuracy(run), _size(run), _latency(run), _gates(run)),
        wipe=None if looked is None else wipe_of(looked.top, run.networks.spec.label_space),
        scene=None if looked is None else looked.top,
    )


def _or_none(read: Callable[[], Found]) -> Found | None:
    try:
        return read()
    except NotThereError:
        return None


def _sentence(run: Run) -> str:
    training = _or_none(lambda: run.training)
    if training is None or not run.config.checkpoint.is_file():
        return "This run has not adapted a network yet."
    rows = _or_none(lambda: read_accuracy(run)) or {}
    learnt = _learnt_from(training)
    if BEFORE not in rows or AFTER not in rows:
        return f"The network learnt from {learnt}; without labelled frames nobody can say how much it gained."
    before, after = rows[BEFORE].miou, rows[AFTER].miou
    verb = "raised" if after >= before else "lowered"
    return f"Learning from {learnt} {verb} the network's mIoU on the target from {before:.1f} to {after:.1f} %."


def _learnt_from(training: TrainingConfig) -> str:
    try:
        return f"{len(open_frames(training.target.adapt))} frames without a label"
    except DataError:
        # They may lie on the machine that adapted, and nowhere else.
        return "frames without a label"


def _told(run: Run) -> str:
    """How the network was adapted; nothing where it was not yet."""
    training = _or_none(lambda: run.training)
    if training is None:
        return ""
    adaptation = training.adaptation
    method = adaptation.preset or adaptation.method.name
    steps = f"{method}, {adaptation.iterations} steps of {adaptation.batch_size} crops, seed {training.seed}"
    spec = _or_none(lambda: run.spec)
    if spec is not None and spec.provenance.get("is_vetoed"):
        return f"{steps}, which lost too many classes: delivered is the network that training started from"
    if spec is not None and spec.provenance.get("is_same_domain"):
        return f"{method} left the network as it is: the target looks like the source's own domain"
    return steps


def _accuracy(run: Run) -> Tile:
    rows = _or_none(lambda: read_accuracy(run)) or {}
    if BEFORE not in rows or AFTER not in rows:
        return Tile("mIoU on the target", None, run.command("make adapt"))
    before, after = rows[BEFORE].miou, rows[AFTER].miou
    return Tile("mIoU on the target", f"{after:.1f} %", f"{after - before:+.1f} points over the source network")


def _size(run: Run) -> Tile:
    if run.manifest is None:
        return Tile("Size", None, run.command("make export"))
    artefacts = run.manifest.artefacts
    # What nobody could run is no promise of what will be served.
    proven = [artefact for artefact in artefacts if artefact.parity] or artefacts
    smallest = min(proven, key=lambda artefact: artefact.num_bytes)
    whole = sum(file.num_bytes for file in run.manifest.files)
    return Tile("Size", f"{smallest.num_bytes / 1e6:.1f} MB", f"{smallest.file}; the whole bundle {whole / 1e6:.0f} MB")


def _latency(run: Run) -> Tile:
    found, ladder = _or_none(lambda: read_latency(run)), _or_none(lambda: read_ladder(run))
    timed = [row for row in ladder.rows if row.median_ms and row.artefact and not row.refusal] if ladder else []
    fastest = min(timed, key=lambda row: row.median_ms or 0.0, default=None)
    if fastest is not None:
        return Tile(
            "Median latency",
            f"{fastest.median_ms:.1f} ms",
            f"{fastest.artefact} in {fastest.engine}, the fastest of {len(timed)}",
        )
    if found is None:
        return Tile("Median latency", None, run.command("make bench"))
    told = f"{found.ours.name}; {found.speedup_p50:.2f}x the speed of the peer"
    return Tile("Median latency", f"{found.ours.percentiles_ms['p50']:.1f} ms", told)


def _gates(run: Run) -> Tile:
    if run.manifest is None:
        return Tile("Gates", None, run.command("make export"))
    gates = read_gates(run)
    refused = [judged.file for judged in gates if judged.problems]
    passed = [artefact for artefact in run.manifest.artefacts if artefact.parity]
    remark = f"{sum(len(artefact.parity) for artefact in passed)} comparisons with PyTorch in float32"
    if refused:
        remark = f"refused and not in the bundle: {', '.join(refused)}"
    return Tile("Gates", f"{len(passed)} of {len(passed) + len(refused)} passed", remark)
