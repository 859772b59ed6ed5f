import numpy as np
import pytest

from export.config import Int8Budget
from export.gates.recalls import ClassRecall
from export.quantization.candidate import Losses, compare

BUDGET = Int8Budget(min_label_agreement=0.98, max_logits_error=0.05, min_class_recall=0.9, min_rare_recall=0.8)


def losses(
    *, label_agreement: float = 1.0, logits_error: float = 0.0, share: float = 0.5, recall: float | None = None
) -> Losses:
    return Losses(label_agreement, logits_error, (ClassRecall(share, recall),))


@pytest.mark.parametrize(
    ("safe", "within", "beyond"),
    [
        ({"label_agreement": 0.985}, {"label_agreement": 0.981}, {"label_agreement": 0.979}),
        ({"logits_error": 0.039}, {"logits_error": 0.041}, {"logits_error": 0.051}),
        ({"recall": 0.96}, {"recall": 0.94}, {"recall": 0.89}),
        ({"recall": 0.91, "share": 0.01}, {"recall": 0.89, "share": 0.01}, {"recall": 0.79, "share": 0.01}),
    ],
)
def test_a_budget_is_kept_safely_or_just_or_not(
    safe: dict[str, float], within: dict[str, float], beyond: dict[str, float]
) -> None:
    assert losses(**safe).is_safely_within(BUDGET)
    assert losses(**within).is_within(BUDGET)
    assert not losses(**within).is_safely_within(BUDGET)
    assert not losses(**beyond).is_within(BUDGET)


def test_a_class_of_too_few_pixels_is_not_judged() -> None:
    assert losses(recall=None).is_safely_within(BUDGET)
    assert losses(recall=None).worst_recall is None


def test_losses_are_counted_over_all_frames() -> None:
    logits = np.array([[[1.0, -1.0]]], dtype=np.float32)
    one = (np.zeros((10, 20), dtype=np.uint8), logits)
    other = (np.ones((10, 20), dtype=np.uint8), logits)
    changed = np.ones((10, 20), dtype=np.uint8)
    changed[:5] = 0
    found = compare([one, other], iter([one, (changed, logits + 0.5)]), num_classes=3)
    assert found.label_agreement == 0.75
    # Root of the mean of 0 and 0.25, over a deviation of 1.
    assert found.logits_error == pytest.approx(np.sqrt(0.125))
    assert found.classes == (ClassRecall(0.5, 1.0), ClassRecall(0.5, 0.5), ClassRecall(0.0, None))
    assert found.worst_recall == 0.5


def test_what_keeps_its_classes_comes_before_what_agrees_a_little_more() -> None:
    safe, within, beyond = (
        losses(label_agreement=agreement, recall=recall)
        for agreement, recall in ((0.991, 0.97), (0.992, 0.92), (0.993, 0.85))
    )
    assert sorted((beyond, safe, within), key=lambda one: one.rank(BUDGET)) == [beyond, within, safe]
    assert losses(label_agreement=0.992, recall=0.96).rank(BUDGET) > safe.rank(BUDGET)
