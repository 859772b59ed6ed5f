"""The deploy graph: a camera frame in, a label map out, with everything between inside.

Evaluation runs this very module and export freezes it, so that what is measured is what is shipped.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.bundle.manifest import InputConvention
from training.networks.network import SegmentationNetwork, upsample

__all__ = ["FrameInput", "FrameNetwork", "Stages", "require_every_pixel_seen"]


class Stages(NamedTuple):
    """What a deploy graph computes on its way.

    `image` (N, 3, H', W') float32 enters the network, `logits` (N, C, h, w) float32 leave it; `labels` and
    `confidence`, both (N, H, W) uint8, are made of them.
    """

    image: Tensor
    logits: Tensor
    labels: Tensor
    confidence: Tensor


class FrameInput(nn.Module):
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32, channels reordered, mean subtracted, divided by std."""

    mean: Tensor
    std: Tensor

    def __init__(self, convention: InputConvention) -> None:
        """Keep the convention's constants as buffers that move with the module but are not saved."""
        super().__init__()
        self.is_bgr = convention.channel_order == "bgr"
        self.register_buffer("mean", torch.tensor(convention.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(convention.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, frames: Tensor, hw: tuple[int, int] | None = None) -> Tensor:
        """Network input for a batch of frames, resized to `hw` where it is given and differs.

        The cast comes before the transpose because TensorRT refuses to transpose uint8.
        """
        image = frames.to(torch.float32).permute(0, 3, 1, 2)
        if self.is_bgr:
            image = image.flip(1)
        if hw is not None and tuple(image.shape[2:]) != tuple(hw):
            image = F.interpolate(image, size=hw, mode="bilinear", align_corners=False)
        return (image - self.mean) / self.std


def require_every_pixel_seen(frame_hw: tuple[int, int], network_hw: tuple[int, int]) -> None:
    """Refuse frames that are resized by more than half on their way into the network.

    Raises:
        ValueError: a side is more than twice the network's: plain bilinear sampling would then skip pixels, and thin
            classes with them.
    """
    if any(frame > 2 * seen for frame, seen in zip(frame_hw, network_hw, strict=True)):
        raise ValueError(
            f"frame_hw={frame_hw} is more than twice network_hw={network_hw}: resizing would skip pixels; "
            f"use a network_hw of at least {tuple(-(-side // 2) for side in frame_hw)}, or crop or bin the frames"
        )


class FrameNetwork(nn.Module):
    """(N, H, W, 3) uint8 RGB frames -> labels and confidence, both (N, H, W) uint8.

    Labels are the argmax of the logits upsampled to the frame. Confidence is the largest class probability,
    taken at logit resolution (19 exponentials per cell, not per pixel), upsampled and scaled to 0..255. It is 0 around
    logits that are NaN or infinite, which nothing finite gives.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        convention: InputConvention,
        *,
        network_hw: tuple[int, int],
        frame_hw: tuple[int, int],
    ) -> None:
        """Wrap a network, which is put in evaluation mode.

        Args:
            network: takes (N, 3, *network_hw).
            convention: how pixel values become network input.
            network_hw: height and width the network sees.
            frame_hw: height and width of the frames and of the label maps.

        Raises:
            ValueError: a frame is more than twice the network's size.
        """
        super().__init__()
        require_every_pixel_seen(frame_hw, network_hw)
        self.network = network.eval()
        self.input = FrameInput(convention)
        self.network_hw = network_hw
        self.frame_hw = frame_hw

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Labels and confidence of a batch of frames."""
        stages = self.stages(frames)
        return stages.labels, stages.confidence

    def stages(self, frames: Tensor) -> Stages:
        """Labels and confidence of a batch of frames, and what they come from."""
        image = self.input(frames, self.network_hw)
        logits, align_corners = self.network.logits(image).float(), self.network.align_corners
        labels = upsample(logits, self.frame_hw, align_corners=align_corners).argmax(dim=1).to(torch.uint8)
        certainty = logits.softmax(dim=1).amax(dim=1, keepdim=True)
        # NaN where any logit is NaN or infinite, else 0: not every engine's maximum of 19 passes on one NaN.
        certainty = certainty + (logits * 0.0).sum(dim=1, keepdim=True)
        certainty = upsample(certainty, self.frame_hw, align_corners=align_corners)
        confidence = (certainty * 255.0).round().squeeze(1).to(torch.uint8)
        return Stages(image, logits, labels, confidence)
