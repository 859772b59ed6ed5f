"""A network that computes as its INT8 artefact will: numbers stay floats, rounded to those that integers stand for.

Weights of convolutions and linear layers are rounded per output channel, symmetrically, which commutes with folding
batch norm into them later; activations per tensor, in the scheme of the artefact. Parameters keep full precision
beneath (`torch.nn.utils.parametrize`), and gradients pass the rounding as if it were not there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from runtime.bundle.manifest import Scheme
from runtime.errors import ConfigError

__all__ = [
    "ActivationRounding",
    "QuantizedTensor",
    "WeightRounding",
    "fake_quantized",
    "float_state",
    "is_fake_quantized",
    "learnt_ranges",
]

Network = TypeVar("Network", bound=nn.Module)
# Where a tensor's rounding hangs in the layers that read and write it.
READ, WRITTEN = "rounding_of_input", "rounding_of_output"
WEIGHT_LIMIT, REDUCED_WEIGHT_LIMIT = 127, 64
# Learning rates are those of weights: a unit of what is learnt is this much of the logarithm of a scale, at which
# ranges move by parts of a percent a step under SGD as under Adam.
LOG_UNIT = 32.0
# A range has been measured: learning may narrow or widen it this much, and no single step may decide.
MAX_FACTOR, MAX_GRADIENT = 4.0, 1.0


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """An activation that the artefact stores as integers: its range, and modules of the network by dotted name.

    `read_by` are layers that compute with it, of which the weights are integers too; `written_by` modules whose
    output it is, for tensors that nothing reads directly, such as the branch of a sum.
    """

    low: float
    high: float
    read_by: tuple[str, ...] = ()
    written_by: tuple[str, ...] = ()


class WeightRounding(nn.Module):
    """Weights (out, ...) -> the same shape, each output channel rounded to 2 * limit + 1 levels around zero."""

    def __init__(self, limit: int = WEIGHT_LIMIT) -> None:
        """Keep the largest integer: 127, or 64 for CPUs whose 16-bit sums would overflow."""
        super().__init__()
        self.limit = limit

    def forward(self, weight: Tensor) -> Tensor:
        """The rounded weights, in float32; the largest of a channel is always kept, so that nothing is clipped."""
        weight = weight.float()
        scale = weight.detach().abs().flatten(1).amax(dim=1) / self.limit
        # A channel of zeros: any scale does.
        scale = torch.where(scale < torch.finfo(scale.dtype).tiny, torch.ones_like(scale), scale)
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero_point, 0, -self.limit, self.limit)


class ActivationRounding(nn.Module):
    """An activation of any shape -> the same, rounded to 256 levels of a range and clipped to it, in float32.

    The scale is learnt (Esser et al., "Learned step size quantization", arXiv 1902.08153), as a factor of bounded
    logarithm that starts at 0: so it stays positive, and weight decay pulls towards the range measured, not towards
    none. The zero point stays.
    """

    start: Tensor
    zero_point: Tensor

    def __init__(self, low: float, high: float, scheme: Scheme) -> None:
        """Start from a range, which is widened to hold zero, and in scheme `s8s8` to be symmetric.

        Raises:
            ConfigError: the range is empty or not finite.
        """
        super().__init__()
        low, high = min(low, 0.0), max(high, 0.0)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ConfigError(
                f"an activation has the range {low} to {high}, expected finite ends and a width; "
                "calibrate on frames on which the network's layers are not all zero"
            )
        if scheme == "u8s8":
            self.first, self.last = 0, 255
            scale = (high - low) / 255
            zero_point = round(-low / scale)
        else:
            # ONNX Runtime's symmetric scale ends at 127, while the operator itself clips at -128.
            self.first, self.last = -128, 127
            scale, zero_point = max(-low, high) / 127, 0
        self.register_buffer("start", torch.tensor([scale], dtype=torch.float32))
        self.register_buffer("zero_point", torch.tensor([zero_point], dtype=torch.int32))
        self.free = nn.Parameter(torch.zeros(1))

    @property
    def scale(self) -> Tensor:
        """(1,) distance of two levels."""
        return self.start * self._log_factor().exp()

    def _log_factor(self) -> Tensor:
        return math.log(MAX_FACTOR) * torch.tanh(LOG_UNIT / math.log(MAX_FACTOR) * self.free)

    def range(self) -> tuple[float, float]:
        """The range from which a quantizer computes this scale and zero point."""
        scale, zero_point = float(self.scale.detach()), int(self.zero_point)
        low = self.first - zero_point if self.first == 0 else -self.last
        return low * scale, (self.last - zero_point) * scale

    def forward(self, values: Tensor) -> Tensor:
        """The rounded values."""
        rounded: Tensor = _Round.apply(
            values.float(), self._log_factor(), self.scale.detach(), self.zero_point, self.first, self.last
        )
        return rounded


class _Round(torch.autograd.Function):
    """Rounds; passes the gradient where nothing is clipped, and gives that of the scale's logarithm.

    What a step of the scale does to a value is what rounding did to it, and where it is clipped, the whole value.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, log_factor: Tensor, scale: Tensor, zero_point: Tensor, first: int, last: int
    ) -> Tensor:
        ctx.save_for_backward(values, scale, zero_point)
        ctx.ends = first, last
        return torch.fake_quantize_per_tensor_affine(values, scale, zero_point, first, last)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        values, scale, zero_point = ctx.saved_tensors
        first, last = ctx.ends
        low, high = (first - 0.5 - zero_point) * scale, (last + 0.5 - zero_point) * scale
        passed = gradient * ((values >= low) & (values <= high))
        of_factor = None
        if ctx.needs_input_grad[1]:
            rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero_point, first, last)
            total = (gradient * rounded).sum() - (passed * values).sum()
            of_factor = total.clamp(-MAX_GRADIENT, MAX_GRADIENT).reshape(1)
        return passed, of_factor, None, None, None, None


def fake_quantized(
    network: Network, tensors: Mapping[str, QuantizedTensor], *, scheme: Scheme, reduce_range: bool = False
) -> Network:
    """Round weights and activations of a network as an artefact does; done in place.

    Args:
        network: whose other layers stay as they are.
        tensors: the activations that become integers, by any name.
        scheme: `u8s8`, unsigned activations with a zero point, or `s8s8`, symmetric ones.
        reduce_range: seven-bit weights.

    Raises:
        ConfigError: a name is no module of the network, a reader is neither a convolution nor linear, or a range is
            empty.
    """
    modules = dict(network.named_modules())
    for name, tensor in tensors.items():
        if missing := [path for path in (*tensor.read_by, *tensor.written_by) if path not in modules]:
            raise ConfigError(f"tensor {name} belongs to {missing[0]!r}, which is no module of the network")
        # One for all: what is one tensor in the artefact has one range.
        rounding = ActivationRounding(tensor.low, tensor.high, scheme).to(_device_of(network))
        for path in tensor.read_by:
            layer = modules[path]
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                raise ConfigError(
                    f"tensor {name} is read by {path}, a {type(layer).__name__}; only nn.Conv2d and nn.Linear compute "
                    "with integers here: name it in export.int8.float_layers"
                )
            limit = REDUCED_WEIGHT_LIMIT if reduce_range else WEIGHT_LIMIT
            parametrize.register_parametrization(layer, "weight", WeightRounding(limit))
            layer.add_module(READ, rounding)
            layer.register_forward_pre_hook(_round_input)
        for path in tensor.written_by:
            modules[path].add_module(WRITTEN, rounding)
            modules[path].register_forward_hook(_round_output)
    return network


def is_fake_quantized(network: nn.Module) -> bool:
    """Whether a network computes with rounded weights or activations."""
    return any(isinstance(module, ActivationRounding | WeightRounding) for module in network.modules())


def learnt_ranges(network: nn.Module, tensors: Mapping[str, QuantizedTensor]) -> dict[str, tuple[float, float]]:
    """The range of each of the tensors that `fake_quantized` was given, as it is now."""
    found = {}
    for name, tensor in tensors.items():
        path = f"{tensor.read_by[0]}.{READ}" if tensor.read_by else f"{tensor.written_by[0]}.{WRITTEN}"
        rounding = network.get_submodule(path)
        assert isinstance(rounding, ActivationRounding)
        found[name] = rounding.range()
    return found


def float_state(network: nn.Module, like: nn.Module) -> dict[str, Tensor]:
    """The state of a fake-quantized network under the names of the network it was made from: weights not rounded."""
    state = network.state_dict()
    return {name: state[name if name in state else _beneath(name)] for name in like.state_dict()}


def _beneath(name: str) -> str:
    """Where `parametrize` keeps a parameter."""
    path, _, parameter = name.rpartition(".")
    return f"{path}.parametrizations.{parameter}.original"


def _round_input(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    first, *others = inputs
    return layer.get_submodule(READ)(first), *others


def _round_output(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    rounded: Tensor = layer.get_submodule(WRITTEN)(output)
    return rounded


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
