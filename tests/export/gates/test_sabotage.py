"""Six ways to break an export without an error message, each stopped by the gate with the sentence that names it."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.config import Budgets
from export.forms import FORMS, Form
from export.frozen import Frozen
from export.gates.comparison import Reference
from export.gates.verdict import Verdict, judge
from export.onnx_from_torch import onnx_from_torch
from runtime.bundle.manifest import Precision
from training.frame_network import FrameNetwork
from training.networks.deeplab_v2 import DeepLabV2

Sabotage = Callable[[FrameNetwork, DeepLabV2], None]
Judge = Callable[[Sabotage], Verdict]
Maps = NDArray[np.uint8]


@pytest.fixture
def judged(reference: Reference, honest: Frozen, tmp_path: Path) -> Judge:
    """Exports a sabotaged copy of the network as `fp32.onnx` and lets the gate judge it."""

    def run(sabotage: Sabotage) -> Verdict:
        graph = deepcopy(honest.network)
        network = graph.network
        assert isinstance(network, DeepLabV2)
        with torch.no_grad():
            sabotage(graph, network)
        path = tmp_path / "fp32.onnx"
        onnx_from_torch(graph, path, {})
        return judge(reference, path, FORMS["fp32.onnx"], Budgets())

    return run


def problem(verdict: Verdict, start: str) -> str:
    assert verdict.word == "refused"
    found = [one for one in verdict.problems if one.startswith(start)]
    assert found, verdict.problems
    return found[0]


def test_export_without_sabotage_is_kept(judged: Judge) -> None:
    verdict = judged(lambda _graph, _network: None)
    assert (verdict.word, verdict.problems) == ("kept", ())


def test_swapped_channel_order(judged: Judge) -> None:
    def sabotage(graph: FrameNetwork, _: DeepLabV2) -> None:
        graph.input.is_bgr = not graph.input.is_bgr

    found = problem(judged(sabotage), "its network does not see what training showed it")
    assert found.endswith("red and blue are swapped")


def test_wrong_mean(judged: Judge) -> None:
    def sabotage(graph: FrameNetwork, _: DeepLabV2) -> None:
        graph.input.mean[0, 1] += 10

    found = problem(judged(sabotage), "its network does not see what training showed it")
    assert "it differs by up to 10 of 255 grey levels, expected at most 0.1" in found


def test_align_corners_the_other_way_round(judged: Judge) -> None:
    def sabotage(_: FrameNetwork, network: DeepLabV2) -> None:
        network.align_corners = not network.align_corners

    found = problem(judged(sabotage), "onnxruntime: label agreement 0.")
    assert found.endswith(
        "its logits agree, so what follows them differs: upsampling (align_corners), argmax, or another engine"
    )


def test_transposed_classes(judged: Judge, reference: Reference) -> None:
    # The two classes with the most pixels, so that the gate may judge them.
    a, b = sorted(np.argsort(np.bincount(reference.golden_labels.ravel(), minlength=19))[-2:].tolist())

    def sabotage(_: FrameNetwork, network: DeepLabV2) -> None:
        order = list(range(19))
        order[a], order[b] = b, a
        for parameter in network.classifier.parameters():
            parameter.copy_(parameter[order])

    names = reference.frozen.spec.label_space.names
    found = problem(judged(sabotage), "onnxruntime: it gives")
    assert found.startswith(f"onnxruntime: it gives {names[b]!r} where PyTorch says {names[a]!r}, and the reverse")


def test_zeroed_layer(judged: Judge) -> None:
    def sabotage(_: FrameNetwork, network: DeepLabV2) -> None:
        network.get_parameter("layer4.0.conv1.weight").zero_()

    assert "of their deviation, expected at most 0.001" in problem(judged(sabotage), "onnxruntime: logits error ")


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_low_precision_request_that_stays_fp32(precision: Precision, reference: Reference, fp32_onnx: Path) -> None:
    verdict = judge(reference, fp32_onnx, Form("onnx", precision), Budgets())
    found = problem(verdict, "only 0.0% of its multiply-accumulates")
    assert found.endswith(f"are in {precision}, expected at least 99%; it is not what its name says")


def test_nothing_but_the_share_stops_a_perfect_fp16_that_is_fp32(reference: Reference, fp32_onnx: Path) -> None:
    assert len(judge(reference, fp32_onnx, Form("onnx", "fp16"), Budgets()).problems) == 1
