import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.frozen import Frozen
from export.torchscript_from_torch import FACTS_NAME, load_torchscript, torchscript_from_torch

FACTS = {"frame_hw": "64x96", "input": "rgb_imagenet"}


@pytest.fixture
def archive(frozen: Frozen, tmp_path: Path) -> Path:
    torchscript_from_torch(frozen.network, tmp_path / "a.torchscript", FACTS)
    return tmp_path / "a.torchscript"


def test_loads_without_this_project_and_says_what_it_is(archive: Path) -> None:
    extra = {FACTS_NAME: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(archive, _extra_files=extra)  # type: ignore[no-untyped-call]
    assert json.loads(extra[FACTS_NAME]) == FACTS
    # Frozen: no parameter is left that could be changed, and dropout or batch norm have no mode.
    assert list(module.parameters()) == []


def test_repeats_labels_and_confidence(frozen: Frozen, archive: Path, some_frames: NDArray[np.uint8]) -> None:
    module = load_torchscript(archive)
    with torch.no_grad():
        for frame in torch.from_numpy(some_frames)[:, None]:
            labels, confidence = module(frame)
            expected_labels, expected_confidence = frozen.network(frame)
            assert labels.dtype == confidence.dtype == torch.uint8
            assert len(labels.unique()) > 3
            assert (labels == expected_labels).float().mean() > 0.9999
            assert (confidence.int() - expected_confidence.int()).abs().max() <= 1


def test_same_network_gives_same_bytes_which_tell_nothing_of_the_machine(
    frozen: Frozen, archive: Path, tmp_path: Path
) -> None:
    # The second trace of a process; torch numbers the classes that it makes.
    torchscript_from_torch(frozen.network, tmp_path / "b.torchscript", FACTS)
    assert (tmp_path / "b.torchscript").read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as entries:
        assert not any(str(Path.cwd()).encode() in entries.read(name) for name in entries.namelist())
