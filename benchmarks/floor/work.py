"""What one frame costs in operations and values, counted while the deploy graph runs without data."""

import copy
from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from runtime.bundle.manifest import Precision
from runtime.config import StrictModel
from training.frame_network import FrameNetwork

__all__ = ["Work", "count_work"]

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
_COUNTED = {torch.ops.aten.convolution.default, torch.ops.aten.mm.default, torch.ops.aten.addmm.default}
_COUNTED |= {torch.ops.aten.bmm.default, torch.ops.aten.linear.default}


class Work(StrictModel):
    """One frame through the network.

    `operations` are those of convolutions and matrix products, a multiplication and an addition counted as two.
    `num_weights` and `num_activations` are the values that these read and write once each, as if nothing stayed in a
    cache between two layers; `num_edge_bytes` are those of the frame and of its labels and confidence.
    """

    operations: PositiveInt
    num_weights: PositiveInt
    num_activations: PositiveInt
    num_edge_bytes: NonNegativeInt

    def compulsory_bytes(self, precision: Precision) -> int:
        """What has to cross the memory bus even if all activations stay in caches: weights, frame, labels."""
        return self.num_weights * BYTES[precision] + self.num_edge_bytes

    def layerwise_bytes(self, precision: Precision) -> int:
        """What crosses it where every layer reads its input from memory and writes its output there."""
        return self.compulsory_bytes(precision) + self.num_activations * BYTES[precision]


class _ValueCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Values read and written by convolutions and matrix products."""

    def __init__(self, weights: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = weights
        self.num_activations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _COUNTED:
            read = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and id(leaf) not in self._weights]
            self.num_activations += sum(tensor.numel() for tensor in read) + result.numel()
        return result


def count_work(graph: FrameNetwork) -> Work:
    """Count the work of one frame; nothing is computed.

    Args:
        graph: the deploy graph; it is copied, and stays as it is.
    """
    meta = copy.deepcopy(graph).to("meta")
    weights = list(meta.network.parameters())
    frame = torch.zeros((1, *graph.frame_hw, 3), dtype=torch.uint8, device="meta")
    values = _ValueCounter({id(weight) for weight in weights})
    with torch.no_grad(), FlopCounterMode(display=False) as operations, values:
        outputs = meta(frame)
    return Work(
        operations=operations.get_total_flops(),
        num_weights=sum(weight.numel() for weight in weights),
        num_activations=values.num_activations,
        num_edge_bytes=frame.numel() + sum(output.numel() * output.element_size() for output in outputs),
    )
