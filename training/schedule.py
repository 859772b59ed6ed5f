"""Learning rate and optimiser: linear warm-up, then polynomial decay; every parameter exactly once."""

from torch import nn, optim

__all__ = ["learning_rate_factor", "parameter_groups", "set_learning_rate"]

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


def parameter_groups(network: nn.Module, *, learning_rate: float, head_multiplier: float) -> list[dict[str, object]]:
    """Trainable parameters in two groups, trunk and classifier, the latter at a multiple of the rate.

    The authors' code lists a convolution once per enclosing module, so that SGD moves it three or four times a
    step; here every tensor appears once.
    """
    trunk = [p for name, p in network.named_parameters() if p.requires_grad and not name.startswith("classifier")]
    head = [p for name, p in network.named_parameters() if p.requires_grad and name.startswith("classifier")]
    return [
        {"params": trunk, "lr": learning_rate, "base_lr": learning_rate},
        {"params": head, "lr": learning_rate * head_multiplier, "base_lr": learning_rate * head_multiplier},
    ]


def set_learning_rate(optimizer: optim.Optimizer, factor: float) -> None:
    """Give every group its base rate times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
