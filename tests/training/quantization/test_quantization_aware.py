"""Fake quantization: the integers of ONNX Runtime, gradients past them, and training that makes up for them."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from runtime.bundle.manifest import Scheme
from runtime.config import validated
from runtime.errors import ConfigError
from training.checkpoint import NetworkSpec, load_network, read_network, save_network
from training.config import TrainingConfig
from training.device import Compute
from training.losses.terms import divergence
from training.methods.iapc import Iapc, IapcConfig
from training.methods.method import Setting
from training.networks.deeplab_v2 import DeepLabV2
from training.quantization.fake_quantization import (
    ActivationRounding,
    QuantizedTensor,
    WeightRounding,
    fake_quantized,
    float_state,
    is_fake_quantized,
    learnt_ranges,
)
from training.quantization.quantization_aware import TunedNetwork, adapt_with_integers

MakeSettings = Callable[..., dict[str, Any]]
SCHEMES: tuple[Scheme, ...] = ("u8s8", "s8s8")


def by_onnxruntime(values: Tensor, scale: Tensor, zero_point: Tensor, dtype: Any, axis: int = 0) -> Tensor:
    """QuantizeLinear, then DequantizeLinear."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(values.shape))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(values.shape))]
    constants = [
        onnx.numpy_helper.from_array(scale.numpy(), "scale"),
        onnx.numpy_helper.from_array(zero_point.numpy().astype(dtype), "zero_point"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["q"], axis=axis),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero_point"], ["y"], axis=axis),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "round", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": values.numpy()})[0])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ends", [(0.0, 6.0), (-1.7, 3.1), (0.5, 2.0), (-2.5, -1.0)])
def test_activations_are_rounded_as_onnxruntime_does(scheme: Scheme, ends: tuple[float, float]) -> None:
    rounding = ActivationRounding(*ends, scheme)
    values = torch.randn(50_000, generator=torch.Generator().manual_seed(0)) * 3
    dtype = np.uint8 if scheme == "u8s8" else np.int8
    expected = by_onnxruntime(values, rounding.scale.detach()[0], rounding.zero_point[0], dtype)
    rounded = rounding(values).detach()
    # Half-way values fall to one side or the other of a division and a multiplication by the reciprocal.
    differing = (rounded - expected).abs() > 1e-5
    assert differing.float().mean() < 1e-4
    assert (rounded - expected).abs().max() <= 1.001 * rounding.scale.detach()
    assert len(rounded.unique()) > 64


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_quantizer_finds_scale_and_zero_point_again_from_the_range(scheme: Scheme) -> None:
    from onnxruntime.quantization.quant_utils import compute_scale_zp

    rounding = ActivationRounding(-1.7, 3.1, scheme)
    with torch.no_grad():
        rounding.free.fill_(-0.01)
    first, last = (0, 255) if scheme == "u8s8" else (-127, 127)
    kind = np.uint8 if scheme == "u8s8" else np.int8
    zero_point, scale = compute_scale_zp(
        *(np.array(end, dtype=np.float32) for end in rounding.range()),
        np.array(first, dtype=kind),
        np.array(last, dtype=kind),
        symmetric=scheme == "s8s8",
    )
    assert int(zero_point) == int(rounding.zero_point)
    assert float(scale) == pytest.approx(float(rounding.scale.detach()), rel=1e-6)


@pytest.mark.parametrize("limit", [127, 64])
def test_weights_are_rounded_as_onnxruntime_does(limit: int) -> None:
    weight = torch.randn((16, 8, 3, 3), generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    scale = weight.abs().flatten(1).amax(dim=1) / limit
    scale[3] = 1
    expected = by_onnxruntime(weight, scale, torch.zeros(16), np.int8)
    torch.testing.assert_close(WeightRounding(limit)(weight), expected, rtol=0, atol=1e-6)


def test_rounding_weights_commutes_with_folding_batch_norm() -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(5, 7, 3, bias=False), nn.BatchNorm2d(7)
    with torch.no_grad():
        norm.get_buffer("running_mean").normal_()
        norm.get_buffer("running_var").uniform_(0.1, 4)
        norm.weight.normal_()  # of either sign
        norm.bias.normal_()
    norm.eval()
    image = torch.randn(2, 5, 9, 9)
    plain = norm(convolution(image))
    folded = torch.nn.utils.fusion.fuse_conv_bn_eval(copy.deepcopy(convolution).eval(), norm)
    tensors = {"image": QuantizedTensor(-3, 3, read_by=("0",))}
    apart = fake_quantized(nn.Sequential(convolution, norm), tensors, scheme="u8s8")
    together = fake_quantized(nn.Sequential(folded), tensors, scheme="u8s8")
    torch.testing.assert_close(apart(image), together(image), rtol=1e-4, atol=1e-4)
    assert (apart(image) - plain).abs().max() > 1e-3


def test_gradients_pass_where_nothing_is_clipped_and_not_beyond() -> None:
    rounding = ActivationRounding(0.0, 2.55, "u8s8")
    values = torch.tensor([-1.0, 0.004, 1.2341, 2.551, 3.0], requires_grad=True)
    rounding(values).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 1, 1, 0]
    weight = torch.randn(4, 3, requires_grad=True)
    WeightRounding()(weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == torch.ones(4, 3).tolist()


def test_the_scale_learns_as_plain_arithmetic_with_straight_through_rounding_would() -> None:
    rounding = ActivationRounding(-1.0, 2.0, "u8s8")
    # None near an end of the range, where the two may differ on which side it is.
    values = torch.linspace(-2, 3, 101) + 0.021
    wanted = values**2 / 1000
    (rounding(values) * wanted).sum().backward()
    scale = rounding.scale.detach().requires_grad_()
    shifted = values / scale + rounding.zero_point
    levels = (shifted + (shifted.round() - shifted).detach()).clamp(0, 255)
    torch.autograd.backward(((levels - rounding.zero_point) * scale * wanted).sum())
    assert rounding.free.grad is not None
    assert scale.grad is not None
    torch.testing.assert_close(rounding.free.grad, 32 * scale.grad * scale.detach(), rtol=1e-3, atol=1e-4)


def test_a_range_never_runs_away() -> None:
    rounding = ActivationRounding(-1.0, 2.0, "u8s8")
    for value, factor in ((1e6, 4.0), (-1e6, 0.25)):
        with torch.no_grad():
            rounding.free.fill_(value)
        assert rounding.range() == pytest.approx((-factor, 2 * factor), rel=1e-3)
    values = torch.full((1000,), 5.0)
    rounding = ActivationRounding(-1.0, 2.0, "u8s8")
    (rounding(values) * 1e6).sum().backward()
    assert rounding.free.grad is not None
    assert float(rounding.free.grad) == pytest.approx(32)


def test_bfloat16_is_rounded_in_float32() -> None:
    rounding = ActivationRounding(0.0, 6.0, "u8s8")
    values = torch.linspace(0, 6, 64).bfloat16()
    rounded = rounding(values)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, rounding(values.float()), rtol=0, atol=0)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_a_range_without_width_is_refused(low: float, high: float) -> None:
    with pytest.raises(ConfigError, match="expected finite ends and a width"):
        ActivationRounding(low, high, "u8s8")


@pytest.fixture
def tensors(network: DeepLabV2) -> dict[str, QuantizedTensor]:
    """Every convolution but the first, with the ranges of noise."""
    return tensors_of(network)


def tensors_of(network: nn.Module, factor: float = 1.0) -> dict[str, QuantizedTensor]:
    """One tensor for all classifiers, which read the same; all others apart. `factor` makes ranges too wide."""
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d) and name != "stem.0"]
    heads = tuple(name for name in names if name.startswith("classifier"))
    seen: dict[str, tuple[float, float]] = {}

    def hook(name: str) -> Any:
        return lambda module, inputs: seen.__setitem__(name, (float(inputs[0].min()), float(inputs[0].max())))

    handles = [network.get_submodule(name).register_forward_pre_hook(hook(name)) for name in names]
    with torch.no_grad():
        copied = network.eval()
        copied(torch.randn((2, 3, 64, 96), generator=torch.Generator().manual_seed(0)))
    for handle in handles:
        handle.remove()
    groups = {name: (name,) for name in names if name not in heads} | {"features": heads}
    ranges = {key: seen[group[0]] for key, group in groups.items()}
    return {
        key: QuantizedTensor(ranges[key][0] * factor, ranges[key][1] * factor, read_by=group)
        for key, group in groups.items()
    }


@pytest.fixture
def image() -> Tensor:
    return torch.randn((2, 3, 32, 48), generator=torch.Generator().manual_seed(1))


def test_a_copy_computes_the_same_and_learns_apart(
    network: DeepLabV2, tensors: dict[str, QuantizedTensor], image: Tensor
) -> None:
    plain = network.eval()(image).logits
    student = fake_quantized(network, tensors, scheme="u8s8")
    memory = copy.deepcopy(student)
    expected = student(image).logits
    assert not torch.equal(expected, plain)
    assert torch.equal(memory(image).logits, expected)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.mul_(1.5).add_(0.01)
    assert torch.equal(memory(image).logits, expected)
    assert not torch.allclose(student(image).logits, expected, rtol=1e-2, atol=1e-2)
    # One tensor has one range, in the copy too.
    assert memory.get_submodule("classifier.0.rounding_of_input") is memory.get_submodule(
        "classifier.3.rounding_of_input"
    )


def test_memory_order_changes_nothing(image: Tensor) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 16, 3))
    rounded = fake_quantized(plain, {"a": QuantizedTensor(-3, 3, read_by=("0",))}, scheme="s8s8")
    other = copy.deepcopy(rounded).to(memory_format=torch.channels_last)
    shuffled = image.contiguous(memory_format=torch.channels_last)
    seen: list[Tensor] = []
    other.register_forward_hook(lambda module, inputs, output: seen.append(output))
    torch.testing.assert_close(other(shuffled), rounded(image), rtol=1e-5, atol=1e-5)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_layers_that_no_tensor_names_stay_as_they_are(network: DeepLabV2, tensors: dict[str, QuantizedTensor]) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    kept = network.stem[0]
    student = fake_quantized(network, tensors, scheme="s8s8")
    assert student.stem[0] is kept
    assert not is_fake_quantized(kept)
    assert is_fake_quantized(student)
    plain = NetworkSpec.model_validate(
        {
            "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": (32, 48)},
            "label_space": "camvid11",
        }
    ).build()
    state = float_state(student, like=plain)
    plain.load_state_dict(state)
    assert state.keys() == before.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


def test_what_is_written_is_rounded_too(network: DeepLabV2, image: Tensor) -> None:
    tensors = {"branch": QuantizedTensor(-4, 4, written_by=("layer1.0.bn2",))}
    seen: list[Tensor] = []
    student = fake_quantized(network.eval(), tensors, scheme="u8s8")
    student.get_submodule("layer1.0.bn2").register_forward_hook(
        lambda module, inputs, output: seen.append(output.detach().clone())
    )
    student(image).logits.sum().backward()
    scale = 8 / 255
    levels = seen[0] / scale
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
    assert learnt_ranges(student, tensors)["branch"] == pytest.approx((-4, 4), abs=scale)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (QuantizedTensor(0, 1, read_by=("layer9",)), "no module of the network"),
        (QuantizedTensor(0, 1, read_by=("layer1.0.bn1",)), "only nn.Conv2d and nn.Linear"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(network: DeepLabV2, tensor: QuantizedTensor, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fake_quantized(network, {"x": tensor}, scheme="u8s8")


def test_linear_layers_are_rounded(image: Tensor) -> None:
    plain = nn.Sequential(nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 4))
    tensors = {"a": QuantizedTensor(-3, 3, read_by=("0",)), "b": QuantizedTensor(0, 1, read_by=("2",))}
    rounded = fake_quantized(copy.deepcopy(plain), tensors, scheme="u8s8")
    difference = (rounded(image) - plain(image)).detach().abs()
    assert 0 < difference.mean() < 0.05


def test_classifiers_are_not_summed_past_their_rounding(
    network: DeepLabV2, spec: NetworkSpec, tensors: dict[str, QuantizedTensor], compute: Compute
) -> None:
    config = validated(IapcConfig, {"name": "iapc"}, place="test")

    def student_of(source: DeepLabV2) -> Any:
        prior = torch.full((11,), 1 / 11)
        method = Iapc(
            config, Setting(source, spec.frame_input(), prior, compute, iterations=10, has_fixed_statistics=True)
        )
        return method.student

    assert student_of(copy.deepcopy(network)).classifier.by_taps
    assert not student_of(fake_quantized(network, tensors, scheme="u8s8")).classifier.by_taps


def test_divergence_is_that_of_the_predictions() -> None:
    logits = torch.tensor([0.5, 0.5]).log().view(1, 2, 1, 1)
    expected = torch.tensor([0.8, 0.2]).log().view(1, 2, 1, 1) + 3
    wanted = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    assert float(divergence(logits, expected)) == pytest.approx(wanted, rel=1e-5)
    assert float(divergence(expected, expected)) == pytest.approx(0, abs=1e-6)


@pytest.fixture
def checkpoint(network: DeepLabV2, spec: NetworkSpec, tmp_path: Path) -> Path:
    path = tmp_path / "adapted.safetensors"
    save_network(path, network, spec)
    return path


@pytest.fixture
def learn(world: Path, make_settings: MakeSettings, checkpoint: Path) -> Callable[..., TunedNetwork]:
    """Runs a tiny training with integers whose error is large: ranges are much too wide."""

    def run(folder: Path, *, iterations: int = 2, multiplier: float = 0.01, **adaptation: Any) -> TunedNetwork:
        config = validated(TrainingConfig, make_settings(world, folder / "out", **adaptation), place="test")
        network, _ = load_network(checkpoint)
        return adapt_with_integers(
            config,
            checkpoint=checkpoint,
            tensors=tensors_of(network, factor=32.0),
            scheme="u8s8",
            iterations=iterations,
            learning_rate_multiplier=multiplier,
            folder=folder / "aware",
        )

    return run


def test_the_file_holds_plain_weights_and_tells_how_they_came(
    learn: Callable[..., TunedNetwork], tmp_path: Path, checkpoint: Path
) -> None:
    tuned = learn(tmp_path)
    network, spec = load_network(tuned.path)
    adapted, adapted_spec = load_network(checkpoint)
    assert not is_fake_quantized(network)
    assert read_network(tuned.path)[0].keys() == adapted.state_dict().keys()
    assert spec.model == adapted_spec.model
    assert spec.provenance["made_by"] == "adapt with integers"
    assert spec.provenance["integers"]["iterations"] == 2
    assert tuned.ranges.keys() == tensors_of(adapted).keys()
    moved = {
        name for name, tensor in network.state_dict().items() if not torch.equal(tensor, adapted.state_dict()[name])
    }
    assert "layer3.0.conv1.weight" in moved
    # Statistics and scales of batch norm are those of the adapted network.
    assert not [name for name in moved if ".bn" in name or "running" in name]


def test_a_second_call_finds_the_result_and_other_settings_do_not(
    learn: Callable[..., TunedNetwork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = learn(tmp_path)
    assert learn(tmp_path, iterations=1).path != first.path
    monkeypatch.setattr("training.quantization.quantization_aware.train_on_target", None)
    assert learn(tmp_path) == first
    with pytest.raises(TypeError):
        learn(tmp_path, multiplier=0.5)


def test_other_frames_are_learnt_anew(
    learn: Callable[..., TunedNetwork],
    world: Path,
    tmp_path: Path,
    make_frames: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = learn(tmp_path)
    six = make_frames(tmp_path / "six", count=6)
    kept = world / "frames"
    kept.rename(world / "five")
    try:
        kept.symlink_to(six)
        assert learn(tmp_path).path != first.path
    finally:
        kept.unlink()
        (world / "five").rename(kept)
    monkeypatch.setattr("training.quantization.quantization_aware.train_on_target", None)
    assert learn(tmp_path, checkpoint_every=7) == first


def test_a_run_that_was_stopped_goes_on_to_the_same_end(
    learn: Callable[..., TunedNetwork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = learn(tmp_path / "whole", iterations=3)
    from training import trainer

    save = trainer._save
    stopped: list[bool] = []

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        if not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "_save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "stopped", iterations=3)
    resumed = learn(tmp_path / "stopped", iterations=3)
    assert resumed.ranges == whole.ranges
    for name, tensor in read_network(whole.path)[0].items():
        assert torch.equal(tensor, read_network(resumed.path)[0][name]), name


def test_nothing_to_learn_is_refused(
    world: Path, make_settings: MakeSettings, checkpoint: Path, tmp_path: Path
) -> None:
    config = validated(TrainingConfig, make_settings(world, tmp_path), place="test")
    with pytest.raises(ConfigError, match="nothing to learn"):
        adapt_with_integers(
            config,
            checkpoint=checkpoint,
            tensors={},
            scheme="u8s8",
            iterations=1,
            learning_rate_multiplier=1.0,
            folder=tmp_path / "aware",
        )


def test_learning_brings_labels_back_to_the_teachers(learn: Callable[..., TunedNetwork], tmp_path: Path) -> None:
    tuned = learn(tmp_path, iterations=12)
    assert tuned.agreement_before < 0.7
    assert tuned.agreement_after > tuned.agreement_before + 0.1
