"""From a bundle in a vehicle to the frames it keeps, to the network adapted to them, to the next bundle."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.bundle import export_bundle
from export.config import ExportConfig
from runtime.bundle.known import KnownBundles
from runtime.bundle.opening import bundle_id_of, read_manifest
from runtime.config import load_config
from runtime.harvest.config import HarvestConfig
from runtime.harvest.harvest import Harvest
from runtime.health.reasons import OK
from runtime.result import Captured, Counters, Result, Stages
from runtime.segmenter import Segmenter
from training.adapt import adapt, adapted_path
from training.config import TrainingConfig

SMALLER = ["adaptation.iterations=1", "adaptation.batch_size=2", "device=cpu", "workers=0"]


@pytest.fixture
def harvest(exported: ExportConfig, some_frames: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder in which a vehicle kept three frames."""
    folder = tmp_path / "harvest"
    with Segmenter.open(exported.bundle) as segmenter:
        sink = Harvest(HarvestConfig(folder=folder), KnownBundles(segmenter.manifest))
        for number, frame in enumerate(some_frames):
            found = segmenter.segment(frame)
            captured = Captured(number, number * 10**10, "frame")
            times = (0, 1, Stages(0, 0, 0, 0, 0), OK, Counters(), 0.0, bundle_id_of(segmenter.manifest))
            sink.write(Result(captured, frame, found.labels, found.confidence, *times))
        sink.close()
    return folder


def test_kept_frames_make_the_next_bundle_wherever_the_folder_goes(
    harvest: Path, exported: ExportConfig, tmp_path: Path
) -> None:
    workshop = tmp_path / "workshop"
    shutil.move(harvest, workshop)
    training = load_config(workshop, "training", TrainingConfig, SMALLER)
    told = adapt(training)
    assert told["adaptation"] == training.adaptation.model_dump(mode="json")
    assert told["source_sha256"] == read_manifest(exported.bundle).provenance["checkpoint_sha256"]
    export = load_config(workshop, "export", ExportConfig, ["artefacts=[fp32.onnx]"])
    assert export.checkpoint == adapted_path(training)
    manifest = export_bundle(export)
    assert export.bundle == workshop / "bundle"
    assert manifest.reference.num_frames == 3
    # The next vehicle's harvest adapts as this one did.
    assert manifest.provenance["adaptation"]["iterations"] == 1
    assert manifest.provenance["export"]["checkpoint"] == str(adapted_path(training))


def test_network_that_was_never_adapted_gets_settings_of_its_own_size(harvest: Path) -> None:
    training = load_config(harvest, "training", TrainingConfig)
    assert training.adaptation.views.crop_hw == training.model.network_hw == (64, 96)
    assert training.adaptation.iterations == 300
    assert training.label_space.name == "cityscapes19"
    assert load_config(harvest, "export", ExportConfig).test is None
