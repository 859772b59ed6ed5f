"""What one frame costs in operations and values, counted while the deploy graph runs without data."""

import copy

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch.utils.flop_counter import FlopCounterMode

from runtime.bundle.manifest import Precision
from runtime.config import StrictModel
from training.frame_network import FrameNetwork

__all__ = ["Work", "count_work"]

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


class Work(StrictModel):
    """One frame through the network.

    `operations` are those of convolutions and matrix products, a multiplication and an addition counted as two.
    `num_weights` are values that have to be read; `num_edge_bytes` are those of the frame and of its labels and
    confidence.
    """

    operations: PositiveInt
    num_weights: PositiveInt
    num_edge_bytes: NonNegativeInt

    def compulsory_bytes(self, precision: Precision) -> int:
        """What has to cross the memory bus even if all activations stay in caches: weights, frame, labels."""
        return self.num_weights * BYTES[precision] + self.num_edge_bytes


def count_work(graph: FrameNetwork) -> Work:
    """Count the work of one frame; nothing is computed.

    Args:
        graph: the deploy graph; it is copied, and stays as it is.
    """
    meta = copy.deepcopy(graph).to("meta")
    frame = torch.zeros((1, *graph.frame_hw, 3), dtype=torch.uint8, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as operations:
        outputs = meta(frame)
    return Work(
        operations=operations.get_total_flops(),
        num_weights=sum(weight.numel() for weight in meta.network.parameters()),
        num_edge_bytes=frame.numel() + sum(output.numel() * output.element_size() for output in outputs),
    )
