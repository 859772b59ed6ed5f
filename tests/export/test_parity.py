from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.backends import TorchBackend
from export.config import ExportConfig
from export.frozen import Frozen, freeze, open_target_frames
from export.onnx_from_torch import onnx_from_torch
from export.parity import artefact_table, check_parity, compare
from runtime.backends import open_backend
from runtime.errors import GateError
from runtime.manifest import Artefact, Parity
from runtime.settings import CpuConfig
from training.networks.deeplab_v2 import DeepLabV2

FRAME_HW = (64, 96)
NUM_FRAMES = 4
Maps = NDArray[np.uint8]
MakeConfig = Callable[..., ExportConfig]
MakeNetwork = Callable[..., Path]


class AlteredBackend(TorchBackend):
    """PyTorch's answers, but 6 labels wrong in each frame, and one confidence off by 5."""

    def infer(self, frame: Maps) -> tuple[Maps, Maps]:
        labels, confidence = (array.copy() for array in super().infer(frame))
        labels[0, 0, :6] += 1
        confidence[0, 0, 0] = abs(int(confidence[0, 0, 0]) - 5)
        return labels, confidence


def artefact(file: str, agreement: float, difference: int) -> Artefact:
    parity = Parity(num_frames=4, label_agreement=agreement, max_confidence_difference=difference)
    return Artefact(file=file, sha256="0" * 64, num_bytes=2_000_000, format="onnx", precision="fp32", parity=parity)


def compare_onnx(altered: Frozen, reference: Frozen, config: ExportConfig, folder: Path) -> Parity:
    onnx_from_torch(altered.network, folder / "altered.onnx", {})
    backend = open_backend(CpuConfig(), folder / "altered.onnx", frame_height=FRAME_HW[0], frame_width=FRAME_HW[1])
    compared = compare(reference, open_target_frames(config), {"altered.onnx": backend}, num_golden_frames=1)
    return compared.parities["altered.onnx"]


def test_agreement_is_the_share_of_equal_pixels_over_all_frames(frozen: Frozen, make_config: MakeConfig) -> None:
    frames = open_target_frames(make_config(checkpoint="a"))
    backends = {"same": TorchBackend(frozen.network), "altered": AlteredBackend(frozen.network)}
    compared = compare(frozen, frames, backends, num_golden_frames=2)
    assert compared.parities["same"] == Parity(num_frames=NUM_FRAMES, label_agreement=1.0, max_confidence_difference=0)
    # 6 of 64 * 96 = 6144 pixels in every frame.
    assert compared.parities["altered"].label_agreement == pytest.approx(1 - 6 / 6144, abs=1e-12)
    assert compared.parities["altered"].max_confidence_difference == 5


def test_golden_frames_are_the_first_and_last_with_pytorch_labels(frozen: Frozen, make_config: MakeConfig) -> None:
    frames = open_target_frames(make_config(checkpoint="a"))
    compared = compare(frozen, frames, {}, num_golden_frames=2)
    first, *_, last = frames
    np.testing.assert_array_equal(compared.golden_frames, np.concatenate([first, last]))
    expected = [TorchBackend(frozen.network).infer(frame)[0] for frame in (first, last)]
    np.testing.assert_array_equal(compared.golden_labels, np.concatenate(expected))
    # Otherwise the comparisons of this file would compare one label with itself.
    assert len(np.unique(compared.golden_labels)) >= 5


def test_altered_weights_are_seen(make_config: MakeConfig, make_network: MakeNetwork, tmp_path: Path) -> None:
    def change(network: DeepLabV2) -> None:
        network.get_parameter("layer4.0.conv1.weight").mul_(1.05)

    config = make_config()
    altered = freeze(make_config(checkpoint=make_network(change=change)), FRAME_HW)
    parity = compare_onnx(altered, freeze(config, FRAME_HW), config, tmp_path)
    assert parity.label_agreement < 0.9999


def test_swapped_channels_are_seen(frozen: Frozen, make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config()
    frozen.network.input.is_bgr = True
    parity = compare_onnx(frozen, freeze(config, FRAME_HW), config, tmp_path)
    assert parity.label_agreement < 0.99


def test_artefacts_at_the_tolerances_pass() -> None:
    check_parity([artefact("a.onnx", 0.99, 2)], min_label_agreement=0.99, max_confidence_difference=2)


@pytest.mark.parametrize(("agreement", "difference"), [(0.9899, 2), (0.99, 3)])
def test_artefact_beyond_a_tolerance_is_refused_with_the_figures_of_all(agreement: float, difference: int) -> None:
    artefacts = [artefact("good.onnx", 1.0, 0), artefact("bad.onnx", agreement, difference)]
    with pytest.raises(GateError, match=r"^bad\.onnx: other output than the PyTorch network") as caught:
        check_parity(artefacts, min_label_agreement=0.99, max_confidence_difference=2)
    message = str(caught.value)
    assert artefact_table(artefacts) in message
    assert "label agreement >= 0.99 and confidence difference <= 2 of 255" in message


def test_table_says_why_an_artefact_was_not_run() -> None:
    engine = Artefact(
        file="fp32.engine",
        sha256="0" * 64,
        num_bytes=2_000_000,
        format="tensorrt",
        precision="fp32",
        parity=None,
        not_run="no CUDA device on the exporting machine",
    )
    lines = artefact_table([artefact("fp32.onnx", 0.99995, 1), engine]).splitlines()
    assert lines[1].split() == ["fp32.onnx", "2.0", "0.999950", "1"]
    assert lines[2].endswith("2.0  not run: no CUDA device on the exporting machine")
    check_parity([engine], min_label_agreement=1.0, max_confidence_difference=0)


def test_network_that_overflows_is_refused(make_config: MakeConfig, make_network: MakeNetwork) -> None:
    def change(network: DeepLabV2) -> None:
        for index in range(4):
            network.get_parameter(f"classifier.{index}.weight").mul_(1e38)

    config = make_config(checkpoint=make_network(change=change))
    with pytest.raises(GateError, match="output is not finite"):
        compare(freeze(config, FRAME_HW), open_target_frames(config), {}, num_golden_frames=1)


def test_network_that_sees_one_class_everywhere_is_warned_of(
    make_config: MakeConfig, make_network: MakeNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(network: DeepLabV2) -> None:
        network.get_parameter("classifier.0.bias")[2] = 1e4

    config = make_config(checkpoint=make_network(change=change))
    compare(freeze(config, FRAME_HW), open_target_frames(config), {}, num_golden_frames=1)
    assert "calls every pixel of every frame 'building'" in capsys.readouterr().err
