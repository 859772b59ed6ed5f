"""Where and how precisely to compute, decided once per run."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from runtime.errors import ConfigError

__all__ = ["Compute", "Precision", "choose_compute"]

Precision = Literal["fp32", "bf16", "fp16"]
Network = TypeVar("Network", bound=nn.Module)
Item = TypeVar("Item", bound=tuple[Any, ...])
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and the precision of its convolutions; weights and losses stay in float32."""

    device: torch.device
    precision: Precision

    def place(self, network: Network) -> Network:
        """Move a network here, its weights in channels-last order, which convolutions like best."""
        network.to(self.device).to(memory_format=torch.channels_last)
        return network

    def move(self, batch: Item) -> Item:
        """A batch with its tensors here; names stay, and so does what is None."""
        moved = [v.to(self.device, non_blocking=True) if isinstance(v, Tensor) else v for v in batch]
        return type(batch)(*moved)

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which forward passes run."""
        dtype = _DTYPES.get(self.precision)
        return torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling: needed by fp16, whose gradients underflow; a no-op otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")


def choose_compute(
    device: Literal["auto", "cpu", "cuda"], precision: Literal["auto", "fp32", "bf16", "fp16"]
) -> Compute:
    """Resolve `auto`: a GPU where there is one; bf16 where the device computes it natively, else fp32.

    Raises:
        ConfigError: CUDA was asked for and is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda, but torch sees no CUDA device; use device=cpu, or check the driver")
    chosen = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if precision == "auto":
        return Compute(chosen, "bf16" if _has_native_bf16(chosen) else "fp32")
    return Compute(chosen, precision)


def _has_native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
