from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.frozen import Frozen
from export.pt2_from_torch import FACTS_NAME, load_pt2, pt2_from_torch
from runtime.errors import BackendError
from training.frame_network import FrameNetwork
from training.networks.config import INPUT_CONVENTIONS
from training.networks.wrapped import WrappedNetwork

EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
FACTS = {"classes": "road,sidewalk"}


@pytest.fixture
def program(frozen: Frozen, tmp_path: Path) -> Path:
    pt2_from_torch(frozen.network, tmp_path / "a.pt2", FACTS)
    return tmp_path / "a.pt2"


def test_program_repeats_labels_and_confidence(frozen: Frozen, program: Path, some_frames: NDArray[np.uint8]) -> None:
    loaded = load_pt2(program)
    with torch.no_grad():
        for frame in torch.from_numpy(some_frames)[:, None]:
            labels, confidence = loaded(frame)
            expected_labels, expected_confidence = frozen.network(frame)
            assert labels.dtype == confidence.dtype == torch.uint8
            assert len(labels.unique()) > 3
            assert (labels == expected_labels).float().mean() > 0.9999
            assert (confidence.int() - expected_confidence.int()).abs().max() <= 1


def test_facts_are_inside(program: Path) -> None:
    extra = {FACTS_NAME: ""}
    torch.export.load(program, extra_files=extra)
    assert extra[FACTS_NAME] == '{"classes": "road,sidewalk"}'


def test_same_network_gives_same_bytes_which_tell_nothing_of_the_machine(
    frozen: Frozen, program: Path, tmp_path: Path
) -> None:
    pt2_from_torch(frozen.network, tmp_path / "b.pt2", FACTS)
    assert (tmp_path / "b.pt2").read_bytes() == program.read_bytes()
    assert str(Path.cwd()).encode() not in program.read_bytes()
    assert b"frame_network.py" not in program.read_bytes()


class LooksAtValues(nn.Module):
    """What its first pixel is decides what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, 19, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(image)
        return logits if float(image[0, 0, 0, 0]) > 0 else -logits


def test_network_that_cannot_be_traced_is_an_error(tmp_path: Path) -> None:
    network = WrappedNetwork(LooksAtValues(), feature_layer="classifier")
    graph = FrameNetwork(network, INPUT_CONVENTIONS["rgb_unit"], network_hw=(8, 8), frame_hw=(8, 8))
    with pytest.raises(BackendError, match=r"(?s)cannot export the network as a program .*remove fp32.pt2 from"):
        pt2_from_torch(graph, tmp_path / "a.pt2", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 but no more", EMPTY_ZIP])
def test_what_is_no_program_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt2"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"a\.pt2"):
        load_pt2(path)
