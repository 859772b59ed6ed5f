"""Where and how precisely to compute, decided once per run."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.distributed import ALONE, World
from training.networks.network import SegmentationNetwork

__all__ = ["Compute", "Precision", "choose_compute"]

Precision = Literal["fp32", "bf16", "fp16"]
Network = TypeVar("Network", bound=nn.Module)
Item = TypeVar("Item", bound=tuple[Any, ...])
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and the precision of its convolutions; weights and losses stay in float32.

    `world` says which process of the run computes here.
    """

    device: torch.device
    precision: Precision
    world: World = ALONE

    def place(self, network: Network) -> Network:
        """Move a network here, its weights in channels-last order where its code can compute on that."""
        network.to(self.device)
        if all(module.channels_last for module in network.modules() if isinstance(module, SegmentationNetwork)):
            network.to(memory_format=torch.channels_last)
        return network

    def move(self, batch: Item) -> Item:
        """A batch with its tensors here, those of a batch within it too; names stay, and so does what is None."""
        return type(batch)(*(self._moved(value) for value in batch))

    def _moved(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(self.device, non_blocking=True)
        return self.move(value) if isinstance(value, tuple) else value

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which forward passes run."""
        dtype = _DTYPES.get(self.precision)
        return torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling: needed by fp16, whose gradients underflow; a no-op otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")


def choose_compute(
    device: Literal["auto", "cpu", "cuda"], precision: Literal["auto", "fp32", "bf16", "fp16"], world: World = ALONE
) -> Compute:
    """Resolve `auto`: a GPU where there is one; bf16 where the device computes it natively, else fp32.

    Of several processes on a machine each gets a GPU of its own.

    Raises:
        ConfigError: CUDA was asked for and is not there, or there are more processes than GPUs.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda, but torch sees no CUDA device; use device=cpu, or check the driver")
    chosen = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if chosen.type == "cuda" and world.size > 1:
        chosen = _own_gpu(world)
    if precision == "auto":
        return Compute(chosen, "bf16" if _has_native_bf16(chosen) else "fp32", world)
    return Compute(chosen, precision, world)


def _own_gpu(world: World) -> torch.device:
    if world.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {world.local_rank} of this machine has no GPU: torch sees {torch.cuda.device_count()}; start at "
            "most that many processes (--nproc_per_node), or use device=cpu"
        )
    gpu = torch.device("cuda", world.local_rank)
    # What names no GPU, such as pinned memory, means this one.
    torch.cuda.set_device(gpu)
    return gpu


def _has_native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
