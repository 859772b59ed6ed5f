"""Learning rate and optimiser: linear warm-up, then polynomial decay; every parameter exactly once."""

from torch import nn, optim

from runtime.command import say
from training.config import OptimizerConfig
from training.networks.network import SegmentationNetwork

__all__ = ["learning_rate_factor", "parameter_groups", "set_learning_rate", "tell_of_warmup"]

WARMUP_START = 0.1


def learning_rate_factor(step: int, *, warmup: int, horizon: int, power: float = 0.9) -> float:
    """Factor on the base learning rate at a step (authors' code; the paper names only the power).

    Args:
        step: 0 for the first.
        warmup: steps of linear growth from 0.1 to 1.
        horizon: step at which the decay reaches 0; it may lie far behind the last step.
        power: of the polynomial.
    """
    if step < warmup:
        return WARMUP_START + (1.0 - WARMUP_START) * step / warmup
    return float((1.0 - min(step, horizon) / horizon) ** power)


def tell_of_warmup(config: OptimizerConfig, iterations: int, *, key: str) -> None:
    """Warn of a warm-up that a run does not outlast: right for the first part of a longer one, a slip in any other.

    Args:
        config: optimiser and schedule.
        iterations: steps of the run.
        key: of `config` in the run file.
    """
    if iterations <= config.warmup:
        reached = learning_rate_factor(iterations - 1, warmup=config.warmup, horizon=config.horizon)
        say(
            f"WARNING: {key}.warmup={config.warmup} lasts longer than the run of {iterations} steps, whose learning "
            f"rate reaches {reached:.0%} of {key}.learning_rate; a tenth of the steps is usual, {iterations // 10} here"
        )


def parameter_groups(
    network: SegmentationNetwork,
    heads: nn.Module | None = None,
    *,
    learning_rate: float,
    backbone_multiplier: float,
    head_multiplier: float,
) -> list[dict[str, object]]:
    """Trainable parameters in two groups, trunk and classifier, each at its multiple of the rate.

    `heads` besides the network learn like the classifier.

    The authors' code lists a convolution once per enclosing module, so that SGD moves it three or four times a
    step; here every tensor appears once, and a `backbone_multiplier` of 3 comes near what that did.
    """
    is_head = {
        name: bool(network.head) and f"{name}.".startswith(f"{network.head}.") for name, _ in network.named_parameters()
    }
    groups = []
    for multiplier, wants_head in ((backbone_multiplier, False), (head_multiplier, True)):
        rate = learning_rate * multiplier
        parameters = [p for name, p in network.named_parameters() if p.requires_grad and is_head[name] == wants_head]
        if wants_head and heads is not None:
            parameters += [parameter for parameter in heads.parameters() if parameter.requires_grad]
        groups.append({"params": parameters, "lr": rate, "base_lr": rate})
    return groups


def set_learning_rate(optimizer: optim.Optimizer, factor: float) -> None:
    """Give every group its base rate times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
