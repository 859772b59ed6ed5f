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
from runtime.errors import ConfigError
from runtime.files import sha256_of
from runtime.harvest.config import HarvestConfig
from runtime.harvest.harvest import Harvest
from runtime.health.reasons import OK
from runtime.result import Captured, Counters, Result, Stages
from runtime.segmenter import Segmenter
from training.adapt import adapt, adapted_path
from training.config import GivenSource, TrainingConfig
from training.report import report

SMALLER = ["adaptation.iterations=1", "adaptation.batch_size=2", "device=cpu", "workers=0"]


@pytest.fixture
def harvest(exported: ExportConfig, some_frames: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder in which a vehicle kept three frames."""
    folder = tmp_path / "harvest"
    drive(exported.bundle, some_frames, folder)
    return folder


def drive(bundle: Path, frames: NDArray[np.uint8], folder: Path) -> None:
    """A vehicle serves a bundle, and its harvest keeps every frame."""
    with Segmenter.open(bundle) as segmenter:
        sink = Harvest(HarvestConfig(folder=folder), KnownBundles(segmenter.manifest))
        for number, frame in enumerate(frames):
            found = segmenter.segment(frame)
            captured = Captured(number, number * 10**10, "frame")
            times = (0, 1, Stages(0, 0, 0, 0, 0), OK, Counters(), 0.0, bundle_id_of(segmenter.manifest))
            sink.write(Result(captured, frame, found.labels, found.confidence, *times))
        sink.close()


def test_kept_frames_make_the_next_bundle_wherever_the_folder_goes_and_that_one_the_next(
    harvest: Path,
    exported: ExportConfig,
    some_frames: NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
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
    # The next vehicle's harvest adapts as this one did, from what this one made, and leaves that as it is.
    first = adapted_path(training)
    before = first.read_bytes()
    drive(export.bundle, some_frames, workshop)
    training = load_config(workshop, "training", TrainingConfig, SMALLER)
    assert isinstance(training.source, GivenSource)
    assert training.source.path == first
    assert training.adaptation.iterations == 1
    told = adapt(training)
    assert told["source_sha256"] == manifest.provenance["checkpoint_sha256"] == sha256_of(first)
    assert first.read_bytes() == before
    assert load_config(workshop, "export", ExportConfig).checkpoint == adapted_path(training) != first
    adapt(training)
    assert "network is already adapted" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["adapted.safetensors", "vetoed.safetensors"])
def test_source_that_the_run_would_overwrite_is_refused_and_stays(
    harvest: Path, exported: ExportConfig, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    shutil.copy(exported.checkpoint, output / name)
    (tmp_path / "link").symlink_to(output)
    test = "{layout: streets, domain: target, first: 0, count: 2, height: 64, width: 96}"
    overrides = [*SMALLER, f"output={output}", f"source.path={tmp_path}/link/{name}", f"target.test={test}"]
    training = load_config(harvest, "training", TrainingConfig, overrides)
    # The report would measure the adapted network as its own source.
    for command in (adapt, report):
        with pytest.raises(ConfigError, match=rf"source\.path=.*/{name} is a file that this run writes.*set output to"):
            command(training)
    assert [path.name for path in output.iterdir()] == [name]
    assert sha256_of(output / name) == sha256_of(exported.checkpoint)


def test_network_that_was_never_adapted_gets_settings_of_its_own_size(harvest: Path) -> None:
    training = load_config(harvest, "training", TrainingConfig)
    assert training.adaptation.views.crop_hw == training.model.network_hw == (64, 96)
    assert training.adaptation.iterations == 300
    assert training.label_space.name == "cityscapes19"
    assert load_config(harvest, "export", ExportConfig).test is None
