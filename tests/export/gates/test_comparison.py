import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from export.config import ExportConfig
from export.engines import Opened, TorchBackend, open_engines
from export.forms import Form
from export.frozen import Frozen, freeze
from export.gates.comparison import Compared, Reference, compare, run_reference
from runtime.errors import BackendError, GateError
from training.networks.deeplab_v2 import DeepLabV2

FRAME_HW = (64, 96)
NUM_PIXELS = 64 * 96
TORCHSCRIPT = Form("torchscript", "fp32")
Maps = NDArray[np.uint8]
MakeConfig = Callable[..., ExportConfig]
MakeNetwork = Callable[..., Path]


class AlteredBackend(TorchBackend):
    """PyTorch's answers, but 6 labels wrong in each frame, and one confidence off by 5."""

    def infer(self, frame: Maps) -> tuple[Maps, Maps]:
        labels, confidence = (array.copy() for array in super().infer(frame))
        labels[0, 0, :6] = (labels[0, 0, :6] + 1) % 19
        confidence[0, 0, 0] = abs(int(confidence[0, 0, 0]) - 5)
        return labels, confidence


class FailingBackend(TorchBackend):
    """An engine that runs out of something on its second frame."""

    num_frames = 0

    def infer(self, frame: Maps) -> tuple[Maps, Maps]:
        self.num_frames += 1
        if self.num_frames == 2:
            raise BackendError("no memory left")
        return super().infer(frame)


def compare_backends(reference: Reference, backends: Mapping[str, TorchBackend]) -> Compared:
    return compare(reference, Opened(backends), path=Path("some.torchscript"), form=TORCHSCRIPT)


def test_every_engine_has_its_own_entry(honest: Frozen, reference: Reference) -> None:
    backends = {"same": TorchBackend(honest.network), "altered": AlteredBackend(honest.network)}
    compared = compare_backends(reference, backends)
    same, altered = compared.parities
    assert (same.engine, altered.engine) == ("same", "altered")
    assert (same.label_agreement, same.max_confidence_difference, same.miou_change) == (1.0, 0, 0.0)
    assert all(entry.recall in (1.0, None) for entry in same.classes)
    assert altered.label_agreement == pytest.approx(1 - 6 / NUM_PIXELS, abs=1e-12)
    assert altered.max_confidence_difference == 5
    # What the reader is shown is of the worse one.
    assert compared.golden_agreement == pytest.approx(1 - 6 / NUM_PIXELS, abs=1e-12)
    assert [difference.index for difference in compared.differences] == [0, 1, 2]
    assert sum(confusion.num_pixels for confusion in compared.confusions) == 18
    assert compared.problems == ()


def test_pytorch_itself_is_the_measure_of_iou(reference: Reference, honest: Frozen) -> None:
    # The truth of the fixture is PyTorch's labels of the first two frames.
    assert reference.miou == pytest.approx(100.0)
    (parity,) = compare_backends(reference, {"altered": AlteredBackend(honest.network)}).parities
    assert parity.miou is not None
    assert parity.miou < 100
    assert parity.miou_change == pytest.approx(parity.miou - 100)


def test_without_truth_there_is_no_iou(honest: Frozen, gate_frames: list[Maps]) -> None:
    reference = run_reference(honest, gate_frames, num_golden_frames=1)
    (parity,) = compare_backends(reference, {"same": TorchBackend(honest.network)}).parities
    assert (reference.miou, parity.miou, parity.miou_change) == (None, None, None)
    assert {entry.iou_change for entry in parity.classes} == {None}


def test_golden_frames_are_the_first_and_last_with_pytorch_labels(
    honest: Frozen, reference: Reference, gate_frames: list[Maps]
) -> None:
    np.testing.assert_array_equal(reference.golden_frames, np.concatenate([gate_frames[0], gate_frames[2]]))
    expected = [TorchBackend(honest.network).infer(frame)[0] for frame in (gate_frames[0], gate_frames[2])]
    np.testing.assert_array_equal(reference.golden_labels, np.concatenate(expected))
    # Otherwise the comparisons of these tests would compare one label with itself.
    assert len(np.unique(reference.golden_labels)) >= 5


def test_engine_that_fails_on_a_frame_is_a_problem_and_the_others_go_on(reference: Reference, honest: Frozen) -> None:
    backends = {"failing": FailingBackend(honest.network), "same": TorchBackend(honest.network)}
    compared = compare_backends(reference, backends)
    assert [parity.engine for parity in compared.parities] == ["same"]
    assert compared.parities[0].num_frames == 3
    assert compared.problems == ("failing fails on a frame: no memory left",)


def test_artefact_that_every_engine_fails_on_has_no_parity(reference: Reference, honest: Frozen) -> None:
    compared = compare_backends(reference, {"failing": FailingBackend(honest.network)})
    assert (compared.parities, compared.golden_agreement) == ((), None)
    assert compared.not_run == "every engine of this machine failed on it"


def test_labels_of_another_shape_are_a_problem(reference: Reference, honest: Frozen) -> None:
    class Halved(TorchBackend):
        def infer(self, frame: Maps) -> tuple[Maps, Maps]:
            labels, confidence = super().infer(frame)
            return labels[:, ::2], confidence[:, ::2]

    compared = compare_backends(reference, {"halved": Halved(honest.network)})
    assert "uint8 (1, 32, 96) and uint8 (1, 32, 96), expected labels and confidence" in compared.problems[0]


def test_honest_onnx_agrees_inside_and_outside_in_every_engine(
    reference: Reference, fp32_onnx: Path, fp32: Form, honest: Frozen
) -> None:
    with open_engines(fp32_onnx, fp32, honest) as opened:
        compared = compare(reference, opened, path=fp32_onnx, form=fp32)
    assert compared.parities[0].engine == "onnxruntime"
    assert compared.problems == ()
    assert all(parity.label_agreement >= 0.9999 for parity in compared.parities)
    first, *others = (parity.logits_error for parity in compared.parities)
    assert first is not None
    assert 0 < first < 1e-4
    assert others == [None] * len(others)


def test_logits_error_is_relative_to_their_deviation(
    reference: Reference, fp32_onnx: Path, fp32: Form, honest: Frozen
) -> None:
    # Adding a tenth of the deviation to every logit changes no label, and is an error of exactly a tenth.
    deviation = float(np.concatenate([logits for _, logits in reference.inner]).std())
    shifted = tuple((frame, logits + 0.1 * deviation) for frame, logits in reference.inner)
    with open_engines(fp32_onnx, fp32, honest) as opened:
        compared = compare(replace(reference, inner=shifted), opened, path=fp32_onnx, form=fp32)
    assert compared.parities[0].logits_error == pytest.approx(0.1, rel=1e-3)


def test_logits_that_are_not_finite_are_a_problem(
    reference: Reference, fp32_onnx: Path, fp32: Form, honest: Frozen, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.onnx"
    with damaged(fp32_onnx, path) as weight:
        weight[:] = np.inf
    with open_engines(path, fp32, honest) as opened:
        compared = compare(reference, opened, path=path, form=fp32)
    assert "its logits are not finite on a target frame, where PyTorch's are" in compared.problems
    assert any(
        problem.startswith("onnxruntime: its confidence is not finite on 3 of 3") for problem in compared.problems
    )


@contextlib.contextmanager
def damaged(source: Path, path: Path) -> Iterator[NDArray[np.float32]]:
    """The weights of a graph's last convolution, to be altered, written to another file."""
    model = onnx.load(source)
    name = [node for node in model.graph.node if node.op_type == "Conv"][-1].input[1]
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    weight = onnx.numpy_helper.to_array(tensor).copy()
    yield weight
    tensor.CopyFrom(onnx.numpy_helper.from_array(weight, name))
    path.write_bytes(model.SerializeToString())


def test_network_that_overflows_is_refused(
    make_config: MakeConfig, make_network: MakeNetwork, gate_frames: list[Maps]
) -> None:
    def change(network: DeepLabV2) -> None:
        for index in range(4):
            network.get_parameter(f"classifier.{index}.weight").mul_(1e38)

    overflowing = freeze(make_config(checkpoint=make_network(change=change)), FRAME_HW)
    with pytest.raises(GateError, match="output is not finite"):
        run_reference(overflowing, gate_frames, num_golden_frames=1)


def test_network_that_sees_one_class_everywhere_is_warned_of(
    make_config: MakeConfig, make_network: MakeNetwork, gate_frames: list[Maps], capsys: pytest.CaptureFixture[str]
) -> None:
    def change(network: DeepLabV2) -> None:
        network.get_parameter("classifier.0.bias")[2] = 1e4

    run_reference(
        freeze(make_config(checkpoint=make_network(change=change)), FRAME_HW), gate_frames, num_golden_frames=1
    )
    assert "calls every pixel of every frame 'building'" in capsys.readouterr().err
