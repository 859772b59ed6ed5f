"""What of an artefact is outside its budget, in sentences."""

from collections.abc import Iterator

from export.config import Budget, Budgets
from export.gates.recalls import RARE_SHARE
from export.gates.shares import share_text
from runtime.bundle.manifest import Artefact, Parity

__all__ = ["MAX_ENGINE_SHARES", "MIN_LOW_PRECISION_SHARES", "STRAY_PIXELS", "problems"]

STRAY_PIXELS = 5
"""A class that lost no more than these is not refused: on its borders two logits are equal but for the last bit, and
in a class of a few hundred pixels each of those would break the budget of float32."""
MIN_LOW_PRECISION_SHARES = {"fp16": 0.99, "bf16": 0.99, "int8": 0.5}
"""Of the multiply-accumulates. INT8 may keep named layers in float32, and `gates.precision` finds any other; where they
are half of the work, it is INT8 by name only."""
MAX_ENGINE_SHARES = {"fp16": 0.75, "bf16": 0.75, "int8": 0.5}
"""Of the bytes of the weights in float32. An engine's types cannot be read without its GPU, but its weights are in it:
half of the bytes in 16 bits, a quarter in 8, and the rest is room for its own overhead and for float layers."""

EQUAL_LOGITS_ERROR = 1e-4
"""Logits this close differ by rounding alone, which moves few labels."""


def problems(artefact: Artefact, budgets: Budgets, *, frame_hw: tuple[int, int], weight_bytes: int) -> list[str]:
    """Each thing outside the budget of the artefact's precision: what was got and what was expected.

    An artefact that could not be run is judged by what its file proves alone.

    Args:
        artefact: with its parity.
        budgets: of all precisions.
        frame_hw: height and width of the frames that were compared.
        weight_bytes: what the network's weights take in float32.
    """
    budget, key = budgets.of(artefact.precision), f"export.budgets.{artefact.precision}"
    found = list(_unproven(artefact, weight_bytes))
    for parity in artefact.parity:
        num_pixels = parity.num_frames * frame_hw[0] * frame_hw[1]
        found += [f"{parity.engine}: {problem}" for problem in _outside(parity, budget, key, num_pixels)]
    return found


def _unproven(artefact: Artefact, weight_bytes: int) -> Iterator[str]:
    """Signs that the precision is not what the name says."""
    share = artefact.low_precision_share
    if artefact.precision == "fp32":
        return
    if artefact.format == "onnx":
        least = MIN_LOW_PRECISION_SHARES[artefact.precision]
        if share is None or share < least:
            got = "an unknown share" if share is None else f"{share:.1%}"
            yield (
                f"only {got} of its multiply-accumulates are in {artefact.precision}, expected at least {least:.0%}; "
                f"it is not what its name says"
            )
    if artefact.format == "tensorrt":
        most = MAX_ENGINE_SHARES[artefact.precision]
        if artefact.num_bytes >= most * weight_bytes:
            yield (
                f"it takes {artefact.num_bytes / 1e6:.1f} MB, {artefact.num_bytes / weight_bytes:.0%} of the weights "
                f"in float32, expected less than {most:.0%} in {artefact.precision}; the engine kept wider weights"
            )


def _outside(parity: Parity, budget: Budget, key: str, num_pixels: int) -> Iterator[str]:
    if parity.label_agreement < budget.min_label_agreement:
        yield (
            f"label agreement {share_text(parity.label_agreement, 6)}, expected at least {budget.min_label_agreement} "
            f"({key}.min_label_agreement){_where_it_lies(parity)}"
        )
    most = budget.max_confidence_difference
    if most is not None and parity.max_confidence_difference > most:
        yield (
            f"confidence differs by {parity.max_confidence_difference} of 255 at some pixel, expected at most {most} "
            f"({key}.max_confidence_difference)"
        )
    if parity.logits_error is not None and parity.logits_error > budget.max_logits_error:
        yield (
            f"logits error {parity.logits_error:.3g} of their deviation, expected at most {budget.max_logits_error:g} "
            f"({key}.max_logits_error)"
        )
    yield from _outside_by_class(parity, budget, key, num_pixels)
    if parity.miou_change is not None and -parity.miou_change > budget.max_miou_drop:
        yield (
            f"mIoU changes by {parity.miou_change:+.2f} points to {parity.miou:.2f}, expected a loss of at most "
            f"{budget.max_miou_drop:g} ({key}.max_miou_drop)"
        )


def _outside_by_class(parity: Parity, budget: Budget, key: str, num_pixels: int) -> Iterator[str]:
    """A sentence on the worst class of each kind, and how many more there are."""
    for is_rare, least, name in (
        (False, budget.min_class_recall, "min_class_recall"),
        (True, budget.min_rare_recall, "min_rare_recall"),
    ):
        lost = [
            (recall, entry.name, round((1 - recall) * entry.share * num_pixels))
            for entry in parity.classes
            if (recall := entry.recall) is not None and recall < least and (entry.share < RARE_SHARE) is is_rare
        ]
        lost = sorted(entry for entry in lost if entry[2] > STRAY_PIXELS)
        if lost:
            recall, worst, num_lost = lost[0]
            yield (
                f"{'rare class' if is_rare else 'class'} {worst!r} keeps {share_text(recall, 4)} of its pixels "
                f"({num_lost} lost), expected at least {least} ({key}.{name}){_and_more(len(lost) - 1)}"
            )
    changes = [(entry.iou_change, entry.name) for entry in parity.classes if entry.iou_change is not None]
    dropped = sorted(entry for entry in changes if -entry[0] > budget.max_class_iou_drop)
    if dropped:
        yield (
            f"IoU of class {dropped[0][1]!r} changes by {dropped[0][0]:+.2f} points, expected a loss of at most "
            f"{budget.max_class_iou_drop:g} ({key}.max_class_iou_drop){_and_more(len(dropped) - 1)}"
        )


def _and_more(number: int) -> str:
    return f"; {number} other {'class is' if number == 1 else 'classes are'} outside too" if number else ""


def _where_it_lies(parity: Parity) -> str:
    """A hint, where the figures allow one."""
    if parity.logits_error is None or parity.logits_error > EQUAL_LOGITS_ERROR:
        return ""
    return "; its logits agree, so what follows them differs: upsampling (align_corners), argmax, or another engine"
