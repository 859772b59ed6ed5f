"""The network sees in the artefact what it saw in training, and what the manifest says it sees."""

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.bundle.manifest import InputConvention, Precision
from training.checkpoint import NetworkSpec

__all__ = ["convention_problem", "graph_problem", "network_input"]

# In grey levels of 255, whatever the convention's unit is. In float32 a place on an axis of 2048 pixels is known to
# the nearest 1e-4, which between black and white is 0.03 levels; types of 11 and 8 bits keep 255 to the nearest 0.06
# and 0.5 after each of a few operations.
TOLERANCES: dict[Precision, float] = {"fp32": 0.1, "fp16": 0.5, "bf16": 2.0, "int8": 0.1}


def graph_problem(
    frame: NDArray[np.uint8], image: NDArray[np.floating], spec: NetworkSpec, precision: Precision
) -> str | None:
    """What is wrong with an artefact's preprocessing, in a sentence; None where it is training's.

    Args:
        frame: (1, H, W, 3) RGB.
        image: the artefact's tensor `image` for it, (1, 3, h, w).
        spec: how the network was fed in training.
        precision: the artefact's.
    """
    expected = _trained_input(frame, spec)
    if image.shape != expected.shape:
        return f"its network sees {image.shape}, expected {expected.shape} as in training"
    return _difference(image, expected, spec.model.convention, TOLERANCES[precision], "its network does not see")


def convention_problem(frame: NDArray[np.uint8], convention: InputConvention, spec: NetworkSpec) -> str | None:
    """What is wrong with the manifest's `input`, in a sentence; None where it leads to training's network input.

    Args:
        frame: (1, H, W, 3) RGB.
        convention: what the manifest is going to say.
        spec: how the network was fed in training.
    """
    stated = network_input(frame, convention, spec.network_hw)
    start = f"the manifest's input {convention.model_dump_json()} does not lead to"
    return _difference(stated, _trained_input(frame, spec), spec.model.convention, TOLERANCES["fp32"], start)


def network_input(
    frame: NDArray[np.uint8], convention: InputConvention, network_hw: tuple[int, int]
) -> NDArray[np.float64]:
    """What a manifest's words mean, worked out without torch: it must not inherit a mistake of the code it judges.

    Bilinear sampling at half-pixel centres, without smoothing: pixel i of n lies at (i + 0.5) / n of the side.

    Args:
        frame: (1, H, W, 3) RGB.
        convention: channel order, mean and deviation.
        network_hw: height and width of the result.

    Returns:
        (1, 3, *network_hw), normalised.
    """
    rows, columns = (_sampling(old, new) for old, new in zip(frame.shape[1:3], network_hw, strict=True))
    resized = np.einsum("yh,xw,nhwc->ncyx", rows, columns, frame.astype(np.float64), optimize=True)
    ordered = resized if convention.channel_order == "rgb" else resized[:, ::-1]
    mean, std = (np.asarray(values).reshape(1, 3, 1, 1) for values in (convention.mean, convention.std))
    normalised: NDArray[np.float64] = (ordered - mean) / std
    return normalised


def _sampling(old: int, new: int) -> NDArray[np.float64]:
    """Weights (new, old) of one axis."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    before = np.floor(places).astype(int)
    after = np.minimum(before + 1, old - 1)
    weights = np.zeros((new, old))
    np.add.at(weights, (np.arange(new), before), 1 - (places - before))
    np.add.at(weights, (np.arange(new), after), places - before)
    return weights


def _trained_input(frame: NDArray[np.uint8], spec: NetworkSpec) -> NDArray[np.float32]:
    with torch.inference_mode():
        image: NDArray[np.float32] = spec.frame_input()(torch.from_numpy(frame), spec.network_hw).numpy()
    return image


def _difference(
    got: NDArray[np.floating],
    expected: NDArray[np.float32],
    convention: InputConvention,
    tolerance: float,
    start: str,
) -> str | None:
    mean, std = (np.asarray(values).reshape(1, 3, 1, 1) for values in (convention.mean, convention.std))
    shown, wanted = (image.astype(np.float64) * std + mean for image in (got, expected))
    # A NaN is no difference that could be compared, and must not pass as a small one.
    worst = float(np.nan_to_num(np.abs(shown - wanted), nan=np.inf).max())
    if worst <= tolerance:
        return None
    is_swapped = np.abs(shown[:, ::-1] - wanted).max() <= tolerance
    cause = "red and blue are swapped" if is_swapped else "compare channel order, mean, deviation and resizing"
    return (
        f"{start} what training showed it: it differs by up to {worst:.3g} of 255 grey levels, expected at most "
        f"{tolerance:g}; {cause}"
    )
