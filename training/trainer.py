"""The training loop: steps, learning rate, progress, metrics, resumption. It knows no method.

A state file is written every `checkpoint_every` steps. A run killed at any moment and started again goes on from
it and, on a CPU, ends with the same bits as one never interrupted, because batches are a function of the step
(`training.views.batches`) and the state holds all else. Several processes hold the same state, which the first writes,
so that a run may go on with another number of them.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.profiler import record_function
from torch.utils.data import Dataset

from runtime.command import progress
from runtime.errors import CheckpointError, ConfigError, TrainingError
from runtime.files import write_text
from training.checkpoint import load_tensors, read_tensors, save_tensors
from training.config import OptimizerConfig
from training.device import Compute
from training.distributed import ALONE, World
from training.methods.method import Method
from training.schedule import learning_rate_factor, parameter_groups, set_learning_rate
from training.views.batch import Batch
from training.views.batches import load_batches

__all__ = ["Run", "build_optimizer", "train", "training_step"]

STATE_KIND = "iapc-state-1"
Item = TypeVar("Item", bound=Batch)


@dataclass(frozen=True, slots=True)
class Run(Generic[Item]):
    """One training run."""

    folder: Path
    """Receives `state.safetensors` and `metrics.jsonl`."""
    fingerprint: str
    """Names everything the result depends on; a state of another fingerprint is refused."""
    batches: Dataset[Item]
    iterations: int
    batch_size: int
    """Images of all processes together."""
    workers: int
    checkpoint_every: int
    optimizer: OptimizerConfig
    compute: Compute
    seed: int
    """Of what a network draws while training, such as dropout."""
    title: str

    @property
    def state_path(self) -> Path:
        """The file the run resumes from."""
        return self.folder / "state.safetensors"


def train(method: Method[Item], run: Run[Item], to_device: Callable[[Item], Item]) -> None:
    """Run all steps that are left, then leave the finished state on disk.

    Args:
        method: holds the student, which is trained in place.
        run: what to do.
        to_device: moves a batch to where the method computes.

    Raises:
        TrainingError: a loss or gradient is NaN or infinite; names the term and the frames.
        CheckpointError: the state on disk belongs to other settings or is damaged.
    """
    optimizer = build_optimizer(method, run.optimizer)
    scaler = run.compute.scaler()
    first = _restore(method, optimizer, scaler, run) if run.state_path.exists() else 0
    # Whoever is done may write or delete the state that another still has to read.
    run.compute.world.wait()
    if first >= run.iterations:
        return
    batches = load_batches(run.batches, first, run.iterations, workers=run.workers)
    bar = progress(batches, title=run.title, unit="step", total=run.iterations, initial=first)
    with _open_metrics(run, first) as metrics:
        started = time.perf_counter()
        for step, batch in bar:
            terms = _step(method, optimizer, scaler, run, step, to_device(batch))
            images_per_s = (step + 1 - first) * run.batch_size / (time.perf_counter() - started)
            metrics.write(json.dumps({"step": step, **terms, "images_per_s": round(images_per_s, 2)}) + "\n")
            # Metrics before state: a kill in between leaves lines too many, which resuming cuts, never too few.
            metrics.flush()
            is_due = (step + 1) % run.checkpoint_every == 0 or step + 1 == run.iterations
            if is_due and run.compute.world.is_first:
                _save(method, optimizer, scaler, run, step + 1)
            shown = {name: f"{value:.3f}" for name, value in terms.items() if name != "lr"}
            # Shown when the bar is next drawn: a log file would otherwise get a line a step.
            bar.set_postfix({**shown, "images/s": f"{images_per_s:.1f}"}, refresh=False)


def _step(
    method: Method[Item],
    optimizer: optim.Optimizer,
    scaler: torch.amp.GradScaler,
    run: Run[Item],
    step: int,
    batch: Item,
) -> dict[str, float]:
    # What a step draws is a function of the step, like its batch.
    torch.manual_seed(int(np.random.default_rng([run.seed, step, run.compute.world.rank]).integers(2**63)))
    config = run.optimizer
    factor = learning_rate_factor(step, warmup=config.warmup, horizon=config.horizon)
    set_learning_rate(optimizer, factor)
    values = training_step(
        method,
        optimizer,
        scaler,
        batch,
        require_finite=lambda found: _require_finite(found, step, batch, run),
        world=run.compute.world,
    )
    return {**run.compute.world.mean_of(values), "lr": config.learning_rate * factor}


def training_step(
    method: Method[Item],
    optimizer: optim.Optimizer,
    scaler: torch.amp.GradScaler,
    batch: Item,
    *,
    require_finite: Callable[[Mapping[str, float]], None],
    world: World = ALONE,
) -> dict[str, float]:
    """Losses, backward pass, optimiser step.

    Args:
        method: what is learnt.
        optimizer: its learning rates are set.
        scaler: of the loss.
        batch: where the method computes.
        require_finite: is given the terms, then the gradient's norm, and raises where one is not finite.
        world: whose processes share the batch.

    Returns:
        The weighted terms by name, of this process's part of the batch.

    Raises:
        ConfigError: the method has no term.
    """
    terms = method.losses(batch)
    if not terms:
        raise ConfigError("all weights of adaptation.method are 0, and there is nothing to learn; set one of them")
    values = {name: float(term.detach()) for name, term in terms.items()}
    require_finite(values)
    with record_function("backward"):
        torch.autograd.backward(scaler.scale(torch.stack(list(terms.values())).sum()))
    with record_function("optimiser"):
        _share_gradients(method.heads, world)
        if not scaler.is_enabled():
            trained = (*method.student.parameters(), *method.heads.parameters())
            gradients = [p.grad for p in trained if p.grad is not None]
            require_finite({"gradient": float(torch.nn.utils.get_total_norm(gradients))})
        scaler.step(optimizer)
        scaler.update()
        # Now and not before the next backward pass: activations need the room.
        optimizer.zero_grad(set_to_none=True)
    with record_function("memory update"):
        method.after_step()
    return values


def _share_gradients(heads: nn.Module, world: World) -> None:
    """Make gradients means over processes, as those of the student are by its wrapper.

    A head may be used in some steps and not in others, which that wrapper does not allow; nor do fused optimisers,
    which want all of their parameters to begin at once. Where it was not used its gradient is 0.
    """
    for parameter in heads.parameters():
        own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.grad = own if world.size == 1 else world.sum(own) / world.size


def _require_finite(values: Mapping[str, float], step: int, batch: Batch, run: Run[Any]) -> None:
    """Stop all processes where a value of any is not finite, naming the frames of those where it is so."""
    if all(math.isfinite(mean) for mean in run.compute.world.mean_of(values).values()):
        return
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    gathered = run.compute.world.gather((broken[0], values[broken[0]], batch.names) if broken else None)
    found = [broken_there for broken_there in gathered if broken_there is not None]
    name, value, _ = found[0]
    frames = [frame for _, _, frames in found for frame in frames]
    kept = f"the last good state is kept in {run.state_path}" if run.state_path.exists() else "no state was written"
    raise TrainingError(
        f"{run.title}, step {step}: {name} is {value} on frames {', '.join(frames)}; {kept}. "
        "Lower the learning rate, or use precision=fp32, and run again"
    )


def build_optimizer(method: Method[Any], config: OptimizerConfig) -> optim.Optimizer:
    """The configured optimiser over what of the student is trained, and over the method's heads."""
    groups = parameter_groups(
        method.student,
        method.heads,
        learning_rate=config.learning_rate,
        backbone_multiplier=config.backbone_multiplier,
        head_multiplier=config.head_multiplier,
    )
    if config.name == "adamw":
        return optim.AdamW(groups, weight_decay=config.weight_decay, betas=(config.momentum, 0.999), fused=True)
    return optim.SGD(
        groups, momentum=config.momentum, nesterov=config.momentum > 0, weight_decay=config.weight_decay, fused=True
    )


def _named_parameters(method: Method[Any]) -> Iterator[tuple[str, nn.Parameter]]:
    yield from method.student.named_parameters()
    yield from method.heads.named_parameters(prefix="heads")


def _named_optimizer_state(method: Method[Any], optimizer: optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimizer/{name}/{key}": value
        for name, parameter in _named_parameters(method)
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def _save(
    method: Method[Item], optimizer: optim.Optimizer, scaler: torch.amp.GradScaler, run: Run[Item], step: int
) -> None:
    tensors = {f"student/{name}": tensor for name, tensor in method.student.state_dict().items()}
    tensors |= {f"heads/{name}": tensor for name, tensor in method.heads.state_dict().items()}
    tensors |= _named_optimizer_state(method, optimizer)
    tensors |= {f"method/{name}": tensor for name, tensor in method.state().items()}
    metadata = {
        "kind": STATE_KIND,
        "step": str(step),
        "fingerprint": run.fingerprint,
        "scaler": json.dumps(scaler.state_dict()),
    }
    save_tensors(run.state_path, tensors, metadata)


def _restore(method: Method[Item], optimizer: optim.Optimizer, scaler: torch.amp.GradScaler, run: Run[Item]) -> int:
    tensors, metadata = read_tensors(run.state_path)
    if metadata.get("kind") != STATE_KIND or metadata.get("fingerprint") != run.fingerprint:
        raise CheckpointError(
            f"{run.state_path} belongs to a run with other settings, data or weights; "
            "give this run another output folder, or delete that one to start again"
        )
    load_tensors(method.student, _below("student/", tensors), run.state_path)
    load_tensors(method.heads, _below("heads/", tensors), run.state_path)
    method.load_state(_below("method/", tensors))
    for name, parameter in _named_parameters(method):
        state = _below(f"optimizer/{name}/", tensors)
        if state:
            # In the parameter's memory order: fused optimisers walk all of a parameter's tensors in one. They count
            # their steps where the parameter is.
            optimizer.state[parameter] = {
                k: v.to(parameter.device) if k == "step" else torch.empty_like(parameter).copy_(v)
                for k, v in state.items()
            }
    scaler.load_state_dict(json.loads(metadata["scaler"]))
    return int(metadata["step"])


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _open_metrics(run: Run[Any], first: int) -> TextIO:
    """Where the first process logs steps from `first` on; what others log is the same and goes nowhere."""
    if not run.compute.world.is_first:
        return Path(os.devnull).open("w", encoding="utf-8")
    path = run.folder / "metrics.jsonl"
    if path.exists():
        # Lines of steps that will run again go, and a last line cut short by a kill.
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(path, "".join(lines[:first]))
    return path.open("a", encoding="utf-8")
