"""The networks of a run, opened to be looked at: nothing here learns, and labels are opened by others."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.config import BenchmarksConfig
from benchmarks.report.not_there import NotThereError
from runtime.errors import ConfigError
from training.checkpoint import NetworkSpec, load_network
from training.config import TrainingConfig
from training.device import Compute, choose_compute
from training.networks.network import SegmentationNetwork
from training.source import factory_of, load_source, source_path

__all__ = ["Networks", "open_networks", "predict"]


@dataclass(frozen=True, slots=True)
class Networks:
    """The network before and after, in evaluation mode; `spec` is the adapted one's. Files are those they lie in."""

    source: SegmentationNetwork
    adapted: SegmentationNetwork
    spec: NetworkSpec
    compute: Compute
    source_file: Path
    adapted_file: Path


def open_networks(training: TrainingConfig, config: BenchmarksConfig) -> Networks:
    """Open the source network of a run and the adapted one, in float32.

    Args:
        training: names the source network.
        config: names the adapted one, and the function that a network of one's own may call.

    Raises:
        NotThereError: one of the files is not there.
        CheckpointError: one is damaged, or names another function than the config allows.
        ConfigError: the run calls a function that the config does not allow.
    """
    factory = factory_of(training.model)
    if factory is not None and factory != config.factory:
        # The run's settings are a file in a folder, which must not choose what code runs here.
        raise ConfigError(
            f"the network of this run is built by factory {factory!r}, which runs code; benchmarks.factory is "
            f"{config.factory!r}; if you trust the run, set benchmarks.factory={factory}"
        )
    source_file = source_path(training)
    for file in (source_file, config.checkpoint):
        if not file.is_file():
            raise NotThereError(f"The network {file} is not there.")
    compute = choose_compute("auto", "fp32")
    adapted, spec = load_network(config.checkpoint, factory=config.factory)
    source = load_source(training).network
    return Networks(
        source=compute.place(source).eval(),
        adapted=compute.place(adapted).eval(),
        spec=spec,
        compute=compute,
        source_file=source_file,
        adapted_file=config.checkpoint,
    )


@torch.no_grad()
def predict(
    network: SegmentationNetwork, spec: NetworkSpec, image: NDArray[np.uint8], compute: Compute
) -> NDArray[np.uint8]:
    """Labels (H, W) of a frame (H, W, 3), through the deploy graph at the size that the network was trained for."""
    graph = spec.frame_network(network, (image.shape[0], image.shape[1])).to(compute.device)
    labels, _ = graph(torch.from_numpy(image).to(compute.device)[None])
    predicted: NDArray[np.uint8] = labels[0].cpu().numpy()
    return predicted
