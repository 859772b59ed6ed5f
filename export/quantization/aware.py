"""Learning with integers: what an INT8 graph rounds is found in the network, trained, and given back by its names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from export.config import ExportConfig
from export.frozen import Frozen, freeze
from runtime.bundle.manifest import Scheme
from runtime.errors import ConfigError
from training.config import TrainingConfig
from training.frame_network import FrameNetwork
from training.quantization.fake_quantization import QuantizedTensor
from training.quantization.quantization_aware import Range, TunedNetwork, adapt_with_integers

__all__ = ["Learnt", "learn_integers", "quantized_tensors"]

ACTIVATIONS = ("Relu", "Clip")
NETWORK = "network."


@dataclass(frozen=True, slots=True)
class Learnt:
    """A deploy graph whose weights suit its integers, and the ranges it learnt, by ONNX tensor name.

    Tensors that training does not round, such as sums, have none and are to be calibrated on the new graph.
    """

    frozen: Frozen
    checkpoint: Path
    ranges: dict[str, Range]
    tuned: TunedNetwork


def learn_integers(
    config: ExportConfig,
    training: TrainingConfig,
    *,
    model: Path,
    ranges: Mapping[str, Range],
    scheme: Scheme,
    float_layers: Collection[str],
    frozen: Frozen,
    folder: Path,
) -> Learnt:
    """Train the checkpoint's network with the integers of a graph; the file of weights lies in `folder` afterwards.

    Args:
        config: the export; its `int8.aware` says how long.
        training: the `training` section of the same run file: frames, losses, views, optimiser.
        model: the float32 ONNX graph of the network, in which `ranges` has its names.
        ranges: of the activations, by tensor name.
        scheme: how activations become integers.
        float_layers: names of layers that stay in float32: those of their weights, without `network.` and `.weight`.
        frozen: the deploy graph of the checkpoint.
        folder: where training keeps its state; a second call with the same arguments finds its result there.

    Raises:
        ConfigError: the `training` section describes another network, or nothing would be learnt.
        DataError: the target frames cannot be used.
        CheckpointError: the checkpoint cannot be used.
        TrainingError: a loss or gradient is not finite.
    """
    tensors = quantized_tensors(model, frozen.network, ranges=ranges, scheme=scheme, float_layers=float_layers)
    tuned = adapt_with_integers(
        training,
        checkpoint=config.checkpoint,
        tensors=tensors,
        scheme=scheme,
        iterations=config.int8.aware.iterations,
        learning_rate_multiplier=config.int8.aware.learning_rate_multiplier,
        folder=folder,
        likeness=config.int8.aware.likeness,
        reduce_range=config.int8.reduce_range,
    )
    again = freeze(config.model_copy(update={"checkpoint": tuned.path}), frozen.network.frame_hw)
    return Learnt(again, tuned.path, tuned.ranges, tuned)


def quantized_tensors(
    model: Path,
    network: FrameNetwork,
    *,
    ranges: Mapping[str, Range],
    scheme: Scheme,
    float_layers: Collection[str] = (),
) -> dict[str, QuantizedTensor]:
    """The activations of a float32 graph that its INT8 form stores as integers, with the modules they belong to.

    What a layer reads is rounded; in scheme `u8s8` also what a layer writes without an activation behind it, such as
    the branch of a sum. A layer that is no `nn.Conv2d` or `nn.Linear` of the network stays as it is.

    Args:
        model: the graph, in which a layer's weights are called as in the network, or are those of one `nn.Linear`.
        network: the deploy graph it was made from.
        ranges: by tensor name; tensors without one are left out.
        scheme: how activations become integers.
        float_layers: layers that stay in float32.

    Raises:
        ConfigError: a float layer is not in the graph.
    """
    layers = _layers(model, network.network)
    names = {layer.name for layer in layers} | {layer.module for layer in layers}
    if unknown := [name for name in float_layers if name not in names]:
        raise ConfigError(
            f"export.int8.float_layers names {unknown[0]}, which the network does not have; its layers are "
            f"{', '.join(sorted(names))}"
        )
    integer = [layer for layer in layers if layer.name not in float_layers and layer.module not in float_layers]
    read: dict[str, list[str]] = {}
    for layer in integer:
        if layer.reads in ranges:
            read.setdefault(layer.reads, []).append(layer.module)
    tensors = {name: QuantizedTensor(*ranges[name], read_by=tuple(modules)) for name, modules in read.items()}
    if scheme == "u8s8":
        ends = _norms_behind(network)
        for layer in integer:
            if layer.writes in ranges and layer.writes not in tensors and layer.is_bare:
                module = layer.module if layer.has_norm_behind else ends.get(layer.module, layer.module)
                tensors[layer.writes] = QuantizedTensor(*ranges[layer.writes], written_by=(module,))
    return tensors


@dataclass(frozen=True, slots=True)
class _Layer:
    """A node with weights, and the module of the network it comes from.

    `is_bare`: no activation follows, which would be rounded in its stead. `has_norm_behind`: its batch norm is a node
    of its own, not folded into it.
    """

    name: str
    module: str
    reads: str
    writes: str
    is_bare: bool
    has_norm_behind: bool


def _layers(path: Path, network: nn.Module) -> list[_Layer]:
    import onnx

    graph = onnx.load(path).graph
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    modules = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    consumers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node.op_type)
    found: list[_Layer] = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in initializers:
            continue
        weight = initializers[node.input[1]]
        name = weight.name.removeprefix(NETWORK).removesuffix(".weight")
        module = name if name in modules else _linear_of(onnx.numpy_helper.to_array(weight), modules)
        if module is None:
            continue
        behind = consumers.get(node.output[0], [])
        found.append(
            _Layer(
                name=name,
                module=module,
                reads=node.input[0],
                writes=node.output[0],
                is_bare=not (len(behind) == 1 and behind[0] in ACTIVATIONS),
                has_norm_behind="BatchNormalization" in behind,
            )
        )
    return _without_repeats(found)


def _without_repeats(layers: list[_Layer]) -> list[_Layer]:
    """Only modules that are one node of the graph: one that is called twice reads two tensors, of two ranges."""
    modules = [layer.module for layer in layers]
    return [layer for layer in layers if modules.count(layer.module) == 1]


def _linear_of(weight: Any, modules: Mapping[str, nn.Module]) -> str | None:
    """The linear layer with these weights: an exporter that transposes them gives them a name of its own."""
    values = torch.from_numpy(weight.copy())
    same = [
        name
        for name, module in modules.items()
        if isinstance(module, nn.Linear)
        and (torch.equal(module.weight.T, values) or torch.equal(module.weight, values))
    ]
    return same[0] if len(same) == 1 else None


@torch.no_grad()
def _norms_behind(network: FrameNetwork) -> dict[str, str]:
    """Layers by name, each with the batch norm that alone of all modules is given its output, found by running it."""
    written: dict[int, tuple[str, Tensor]] = {}
    found: dict[str, str] = {}
    handles = []

    def remember(name: str) -> Any:
        # The tensor is kept too: a number of one that is gone may be another's.
        return lambda module, inputs, output: written.__setitem__(id(output), (name, output))

    def look(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if id(inputs[0]) in written:
                found[written[id(inputs[0])][0]] = name

        return hook

    for name, module in network.network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            handles.append(module.register_forward_hook(remember(name)))
        elif isinstance(module, _BatchNorm):
            handles.append(module.register_forward_pre_hook(look(name)))
    try:
        network(torch.zeros((1, *network.frame_hw, 3), dtype=torch.uint8))
    finally:
        for handle in handles:
            handle.remove()
    return found
