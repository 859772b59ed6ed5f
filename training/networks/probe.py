"""Whether a network can be adapted as the run asks, found out in a second instead of after hours.

It is tried on noise of the sizes it is going to see: in training mode, with gradients, as the student sees a batch of
crops, and in evaluation mode, as the vehicle sees a frame.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from runtime.errors import ConfigError
from training.checkpoint import NetworkSpec
from training.networks.network import NetworkOutput, SegmentationNetwork

__all__ = ["require_sees", "require_usable"]

MULTIPLES = (8, 14, 16, 32, 64, 128)
DROPPED_OUT = 1e-2
# What frameworks raise where a size does not fit; anything else is a bug of the network and keeps its traceback.
REFUSALS = (RuntimeError, ValueError, AssertionError)


def require_usable(
    network: SegmentationNetwork,
    spec: NetworkSpec,
    crop_hw: tuple[int, int],
    batch_size: int,
    *,
    crop_key: str = "adaptation.views.crop_hw",
    frame_sizes: Mapping[str, tuple[int, int]] | None = None,
) -> None:
    """Refuse a network that cannot be trained or deployed at the sizes of the run; it is left as it was.

    Run it in the run's autocast context, so that it needs the memory that training needs.

    Args:
        network: on the run's device.
        spec: its classes, and the size it sees when deployed.
        crop_hw: height and width of a training crop.
        batch_size: crops in a step.
        crop_key: where in the config the crop's size stands.
        frame_sizes: more sizes it sees in evaluation mode, by the key they come from.

    Raises:
        ConfigError: it refuses a size, or returns something that the rest cannot work with; names the key to change.
    """
    evaluated = {"model.network_hw": spec.network_hw, **(frame_sizes or {})}
    for key, hw in {crop_key: crop_hw, **evaluated}.items():
        _require_multiple(network, key, hw)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError("the network has no trainable parameter; let those that are to adapt require gradients")
    # A copy, because a pass in training mode moves batch-norm statistics.
    probed = copy.deepcopy(network)
    devices = {parameter.device for parameter in network.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(devices=[device.index for device in devices]):
        output = _run(probed.train(), crop_hw, batch_size, crop_key)
        _require_contract(output, spec)
        _require_gradients(output)
        del output
        with torch.no_grad():
            for key, hw in evaluated.items():
                _require_contract(_run(probed.eval(), hw, 1, key), spec)
            _require_repeatable(probed, spec.network_hw)


def require_sees(network: SegmentationNetwork, key: str, hw: tuple[int, int]) -> None:
    """Refuse a size that the network cannot see when it is deployed; it is in evaluation mode afterwards.

    Raises:
        ConfigError: names `key`, and a size that fits where there is one.
    """
    _require_multiple(network, key, hw)
    with torch.no_grad():
        _run(network.eval(), hw, 1, key)


def _require_multiple(network: SegmentationNetwork, key: str, hw: tuple[int, int]) -> None:
    multiple = network.size_multiple
    if any(side % multiple for side in hw):
        raise ConfigError(
            f"{key}: the network takes heights and widths that are multiples of {multiple}, got {hw}; use "
            f"{_rounded(hw, multiple)}"
        )


def _run(network: SegmentationNetwork, hw: tuple[int, int], batch_size: int, key: str) -> NetworkOutput:
    """Logits and features of noise.

    Raises:
        ConfigError: the network refuses the size, or the device has too little memory for it.
    """
    images = _noise(network, hw, batch_size)
    try:
        output: NetworkOutput = network(images)
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"{key}: {images.device} has too little memory for the network on {batch_size} image(s) of {hw}; lower "
            "batch_size or the size"
        ) from error
    except REFUSALS as error:
        raise ConfigError(
            f"{key}: the network cannot compute on {batch_size} image(s) of {hw} ({type(error).__name__}: {error}); "
            f"{_advice(network, hw, batch_size)}"
        ) from error
    return output


def _advice(network: SegmentationNetwork, hw: tuple[int, int], batch_size: int) -> str:
    """Which size near the refused one the network takes."""
    for multiple in MULTIPLES:
        near = _rounded(hw, multiple)
        try:
            with torch.no_grad():
                network(_noise(network, near, batch_size))
        except REFUSALS:
            continue
        if near != hw:
            return f"it takes {near}: use multiples of {multiple}, and say so in model.size_multiple"
    return "it takes no size near this one either; give the size it was built for"


def _require_contract(output: NetworkOutput, spec: NetworkSpec) -> None:
    num_classes = spec.label_space.num_classes
    if output.logits.shape[1] != num_classes:
        raise ConfigError(
            f"the network's logits have {output.logits.shape[1]} channels, label_space={spec.label_space} has "
            f"{num_classes} classes; build it for these classes, or correct label_space"
        )
    for name, tensor in output._asdict().items():
        if not tensor.isfinite().all():
            raise ConfigError(
                f"the network's {name} are not finite on noise; its weights are damaged or far too large, or "
                "precision=fp16 is too narrow for it"
            )


def _require_gradients(output: NetworkOutput) -> None:
    for name, tensor in output._asdict().items():
        if not tensor.requires_grad:
            raise ConfigError(
                f"the network's {name} depend on no trainable parameter, so nothing could be learnt through them; let "
                f"layers before them require gradients{', or name a later model.feature_layer' * (name == 'features')}"
            )


def _require_repeatable(network: SegmentationNetwork, hw: tuple[int, int]) -> None:
    """Source and memory network judge and label: in evaluation mode they must say the same thing twice."""
    image = _noise(network, hw, 1)
    first, second = (network.logits(image).float() for _ in range(2))
    if _differ(first, second):
        raise ConfigError(
            "the network gives other logits for the same image in evaluation mode; use nn.Dropout, or pass "
            "training=self.training to functional.dropout"
        )


def _differ(first: Tensor, second: Tensor) -> bool:
    largest = float(first.abs().max())
    return float((first - second).abs().max()) > DROPPED_OUT * max(largest, 1e-6)


def _noise(network: SegmentationNetwork, hw: tuple[int, int], batch_size: int) -> Tensor:
    """Network input (N, 3, *hw), the same for the same size. On a black image, dropout would have nothing to drop."""
    images = torch.randn(batch_size, 3, *hw, generator=torch.Generator().manual_seed(0))
    return images.to(next(network.parameters()).device, memory_format=torch.channels_last)


def _rounded(hw: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The nearest size of which both sides are multiples."""
    return max(multiple, multiple * round(hw[0] / multiple)), max(multiple, multiple * round(hw[1] / multiple))
