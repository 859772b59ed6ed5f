"""The processes of one run: `torchrun` starts them, each holds a World that says which of them it is.

All of them run the same program. What is cut into shares depends on rank and size alone, so that no process has to
tell another what to do; what only one may do, such as writing a file, the first does. `ALONE` is the ordinary case of
a single process, in which every method here does nothing.
"""

import atexit
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from runtime.errors import ConfigError

__all__ = ["ALONE", "World", "join_world"]

Item = TypeVar("Item")

TELLING = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class World:
    """Which process of a run this is. The collective methods have to be called by all processes, in the same order."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Rank among the processes of this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and speaks for all."""
        return self.rank == 0

    def places(self, batch_size: int) -> range:
        """The places of a batch that are this process's.

        Raises:
            ConfigError: the batch cannot be cut into equal shares, of which alone the mean of means is the mean.
        """
        share = batch_size // self.size
        if share * self.size != batch_size:
            below = max(share, 1) * self.size
            raise ConfigError(
                f"batch_size={batch_size} cannot be shared equally by {self.size} processes: it counts the images of "
                f"all of them together; use {below} or {below + self.size}, or another number of processes"
            )
        return range(self.rank * share, (self.rank + 1) * share)

    def trial_size(self, batch_size: int) -> int:
        """Images on which to try whether a network can be trained: a process's share of a batch.

        Two at least: a single one has no spread at a single pixel, where batch norm of the whole batch still has one.
        """
        return max(2, -(-batch_size // self.size))

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a list that all processes have, which must not depend on what the others did."""
        return items[self.rank :: self.size]

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes; without gradient."""
        if self.size == 1:
            return tensor
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean over all processes; differentiable with regard to the tensors of all of them."""
        if self.size == 1:
            return tensor
        total: Tensor = _Sum.apply(tensor)
        return total / self.size

    def mean_of(self, values: Mapping[str, float]) -> dict[str, float]:
        """Means over all processes of values of the same names."""
        if self.size == 1:
            return dict(values)
        means = self.mean(torch.tensor(list(values.values()), dtype=torch.float64))
        return dict(zip(values, means.tolist(), strict=True))

    def gather(self, item: Item) -> list[Item]:
        """The item of every process, by rank; it has to be picklable."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        dist.all_gather_object(items, item)
        return items

    def wait(self) -> None:
        """Wait until all processes are here."""
        # Not `barrier`, which on a GPU has NCCL spin, and gives up after ten minutes.
        self.sum(torch.zeros(1))

    def first_then_all(self, make: Callable[[], Item]) -> Item:
        """What `make` returns, called by the first process and then by the others, which find the files it wrote."""
        if not self.is_first:
            self.wait()
            return make()
        made = make()
        self.wait()
        return made

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network as it is called while training: the gradients of its parameters become means over processes.

        Parameters that take no part in the losses, as those of unused heads, have to be the same in every step; they
        are found in the first one.
        """
        if self.size == 1:
            return network
        return DistributedDataParallel(network, static_graph=True)


ALONE = World()


@contextmanager
def join_world() -> Iterator[World]:
    """Meet the other processes that `torchrun` started, and leave them at the end.

    When processes fail, the first error is raised in its process alone, which tells it; the others, failing with it or
    because it is gone, exit with status 1 and in silence.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    # CPU tensors keep their own network, which waits for minutes without a GPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield World(dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", "0")))
    except BaseException:
        if not _fails_first():
            raise SystemExit(1) from None
        raise
    dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum over all processes. Every process's loss depends on every process's tensor: gradients are summed as well."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def _fails_first() -> bool:
    """Whether no other process failed before this one; returns to the others when that one has told and is gone.

    The launcher ends all processes as soon as one is gone: whoever is silent must not leave before it is told why.
    """
    # Documented, though torch does not list it.
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)  # type: ignore[attr-defined]
    # The launcher may start the processes again, and keeps the store.
    attempt = f"iapc/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if store.add(f"{attempt}/failed", 1) == 1:
        atexit.register(store.set, f"{attempt}/told", "")
        return True
    # Past the time it takes to tell, that process was killed.
    with suppress(dist.DistStoreError):
        store.wait([f"{attempt}/told"], TELLING)
    return False
