"""What an adaptation was worth, where the target has a labelled test set: figures, a table and a picture.

This is the only part of `adapt` that sees a target label, and it runs when the adapted network is already on disk.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runtime.command import say
from runtime.errors import ConfigError
from runtime.files import write_json
from runtime.labels import LABEL_SPACES
from runtime.metrics import ConfusionMatrix
from training.adapt import adapted_path
from training.checkpoint import NetworkSpec, load_network
from training.config import TrainingConfig
from training.data.open import open_frames, open_labelled_frames
from training.device import Compute, choose_compute
from training.distributed import ALONE, World
from training.evaluate import evaluate
from training.networks.network import SegmentationNetwork
from training.pictures import write_comparison
from training.source import factory_of, load_source
from training.statistics.balance import balance_classes
from training.statistics.batch_norm import blend, has_statistics, load_statistics, read_statistics
from training.target_images import SCORED_FRAMES, network_inputs, target_statistics

__all__ = ["baselines", "report"]

FIGURES = {
    "source only": "source_miou",
    "BN replaced": "bn_miou",
    "BN half blended": "bn_half_miou",
    "BN as chosen": "bn_chosen_miou",
    "balanced": "balanced_miou",
    "adapted": "adapted_miou",
}
SHARES = {"BN replaced": 1.0, "BN half blended": 0.5}
BALANCE = 0.5
# Published results on SYNTHIA come with a second mean, of the same predictions without wall, fence and pole.
SECOND_MEANS = {"synthia16": ("miou13", LABEL_SPACES["synthia13"].names)}


def report(config: TrainingConfig, *, world: World = ALONE) -> dict[str, Any]:
    """Evaluate source, batch-norm baselines and adapted network on the target's test set.

    Writes `report.json` (mIoU and IoU per class of every row) and `comparison.png`, and prints the table.

    Args:
        config: the run.
        world: the processes that share the frames.

    Returns:
        Key figures: `source_miou`, `bn_miou` (statistics replaced), `bn_half_miou` (half blended), `bn_chosen_miou`
        (the share `adaptation.statistics_share` gives), `balanced_miou` (that, with class frequencies taken out),
        `adapted_miou`; empty where the config names no test set. The `bn_` rows are absent for a network without
        batch norm, `balanced_miou` for one without offsets to move. In label space synthia16 each comes with a
        `_miou13`. All are known to the first process alone.
    """
    if config.target.test is None:
        say("no labelled target test set is configured: nothing to report against")
        return {}
    compute = choose_compute(config.device, config.precision, world)
    adapted, spec = load_network(adapted_path(config), factory=factory_of(config.model))
    test = open_labelled_frames(config.target.test, spec.label_space)
    adapted = compute.place(adapted)
    rows = {
        title: evaluate(network, spec, test, compute, title=title)
        for title, network in baselines(config, spec, compute)
    }
    rows["adapted"] = evaluate(adapted, spec, test, compute, title="adapted")
    if not world.is_first:
        return {}
    source = load_source(config).network
    if spec.provenance.get("is_vetoed"):
        say("the row `adapted` is of the network that training started from: what was learnt was vetoed")
    picture = config.output / "comparison.png"
    write_comparison(picture, test, compute.place(source), adapted, spec, compute)
    return _write(config.output / "report.json", rows, spec, picture)


def baselines(config: TrainingConfig, spec: NetworkSpec, compute: Compute) -> Iterator[tuple[str, SegmentationNetwork]]:
    """What needs no gradient step: the source network, and with shares of the target's statistics, by title.

    It is one network, changed in place from one to the next: measure each before asking for the one after it. The last
    has class frequencies taken out of its predictions, as strongly as the config says, or by half if it says nothing.

    Args:
        config: the run.
        spec: of the network adaptation starts from, which knows the share that was chosen.
        compute: where the networks are placed.
    """
    source = compute.place(load_source(config).network)
    yield "source only", source
    frames = open_frames(config.target.adapt)
    if has_statistics(source):
        own = read_statistics(source)
        target = target_statistics(source, spec, frames, compute, limit=config.adaptation.statistics_frames)
        for title, share in {**SHARES, "BN as chosen": float(spec.provenance["statistics_share"])}.items():
            load_statistics(source, blend(own, target, share))
            yield title, source
    images = list(network_inputs(spec, frames, compute, limit=SCORED_FRAMES))
    try:
        balance_classes(source.eval(), images, compute, strength=config.adaptation.balance or BALANCE)
    except ConfigError as error:
        say(f"there is no row of the balanced network: {error}")
        return
    yield "balanced", source


def _write(path: Path, rows: Mapping[str, ConfusionMatrix], spec: NetworkSpec, picture: Path) -> dict[str, Any]:
    names = spec.label_space.names
    document = {
        title: {**_means(matrix, spec), "iou": dict(matrix.iou_by_name(names))} for title, matrix in rows.items()
    }
    write_json(path, document)
    say(_table(document, names))
    say(f"picture: {picture}")
    return {
        **{
            FIGURES[title].replace("miou", mean): value
            for title, row in document.items()
            for mean, value in row.items()
            if mean != "iou"
        },
        "report": str(path),
        "picture": str(picture),
    }


def _means(matrix: ConfusionMatrix, spec: NetworkSpec) -> dict[str, float]:
    means = {"miou": round(matrix.miou(), 2)}
    if spec.label_space.name in SECOND_MEANS:
        name, classes = SECOND_MEANS[spec.label_space.name]
        means[name] = round(matrix.miou([spec.label_space.train_id(member) for member in classes]), 2)
    return means


def _table(document: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> str:
    lines = [f"{'IoU in percent':16}" + "".join(f"{title:>17}" for title in document)]
    for name in names:
        values = [row["iou"][name] for row in document.values()]
        lines.append(f"{name:16}" + "".join(f"{'-' if v is None else format(v, '.1f'):>17}" for v in values))
    for mean, title in (("miou", "mean"), ("miou13", "mean of 13")):
        if all(mean in row for row in document.values()):
            lines.append(f"{title:16}" + "".join(f"{row[mean]:>17.1f}" for row in document.values()))
    return "\n".join(lines)
