"""Results worked by hand: left third road, middle sky, right car."""

from collections.abc import Callable

import numpy as np
import pytest

from runtime.health.reasons import OK, Health
from runtime.labels import ClassInfo
from runtime.result import Captured, Counters, Result, Stages

MakeResult = Callable[..., Result]


@pytest.fixture
def classes() -> tuple[ClassInfo, ...]:
    return (
        ClassInfo(name="road", colour=(128, 64, 128)),
        ClassInfo(name="sky", colour=(70, 130, 180)),
        ClassInfo(name="car", colour=(0, 0, 142)),
    )


@pytest.fixture
def make_result() -> MakeResult:
    """Gives the result of frame `frame_id`; arguments replace its health or size."""

    def make(frame_id: int = 0, *, health: Health = OK, hw: tuple[int, int] = (16, 24)) -> Result:
        labels = np.repeat(np.arange(3, dtype=np.uint8), hw[1] // 3)[np.newaxis].repeat(hw[0], axis=0)
        captured_ns = 1_000_000_000 * (frame_id + 1)
        stages = Stages(1_000_000, 2_000_000, 30_000_000, 400_000, 600_000)
        return Result(
            captured=Captured(frame_id, captured_ns, f"frame_{frame_id}"),
            frame=np.full((*hw, 3), 10, np.uint8),
            labels=labels,
            confidence=np.full(hw, 204, np.uint8),
            published_ns=captured_ns + stages.total_ns,
            deadline_ns=200_000_000,
            stages=stages,
            health=health,
            counters=Counters(num_captured=frame_id + 1, num_published=frame_id + 1),
            drop_ratio=0.125,
            bundle_id="abc",
        )

    return make
