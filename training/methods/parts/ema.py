"""The moving average that teachers and memories are."""

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["ema_update"]


def ema_update(memory: torch.nn.Module, student: torch.nn.Module, *, momentum: float) -> None:
    """`momentum * memory + (1 - momentum) * student` for parameters; buffers are copied (authors' code)."""
    move = get_ema_multi_avg_fn(momentum)  # type: ignore[no-untyped-call]
    move(list(memory.parameters()), list(student.parameters()), None)
    for kept, buffer in zip(memory.buffers(), student.buffers(), strict=True):
        kept.copy_(buffer)
