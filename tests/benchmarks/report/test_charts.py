from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.report.charts.axes import Axis, ticks
from benchmarks.report.charts.ecdf import Times, ecdf
from benchmarks.report.charts.front import Contender, front_chart, front_of
from benchmarks.report.charts.heat_map import heat_map
from benchmarks.report.charts.lines import curve
from benchmarks.report.sections.prototypes import similarity_of
from benchmarks.report.shares import floored
from benchmarks.report.spread import spread


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 8))
@example(1.0, 400001.0, 3)
def test_ticks_are_evenly_spaced_and_within_their_range(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert 1 <= len(found) <= most
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in found)
    steps = [after - before for before, after in pairwise(found)]
    assert np.allclose(steps, steps[:1] * len(steps), rtol=1e-6)


def test_ticks_are_round() -> None:
    assert ticks(0, 96, 6) == [0, 20, 40, 60, 80]
    assert ticks(0.3, 1.0, 5) == pytest.approx([0.4, 0.6, 0.8, 1.0])


def test_axis_without_a_span_has_a_place_for_its_value() -> None:
    assert Axis(3.0, 3.0, start=10.0, end=110.0).place(3.0) == 10.0


def test_front_holds_what_nothing_beats() -> None:
    points = [(5.0, 30.0), (4.0, 29.0), (4.5, 28.0), (5.0, 31.0), (4.0, 29.0)]
    contenders = [Contender(str(place), *point) for place, point in enumerate(points)]
    # Of equals the first is named.
    assert front_of(contenders) == [1, 3]


def test_numbers_of_dots_on_one_place_do_not_lie_on_each_other() -> None:
    chart = str(front_chart([Contender("one", 5.0, 30.0), Contender("other", 5.0, 30.0)]))
    numbers = [part.split('"') for part in chart.split('class="number"')[1:]]
    assert numbers[0][1] == numbers[1][1]
    assert abs(float(numbers[0][3]) - float(numbers[1][3])) >= 13


def test_samples_beyond_the_edge_are_counted() -> None:
    samples = [10.0] * 199 + [1000.0]
    chart, beyond = ecdf([Times("ours", samples, {"p50": 10.0}), Times("peer", [20.0] * 200, {"p50": 20.0})])
    assert beyond == [1, 0]
    assert "1000" not in chart


def test_percentile_beyond_the_edge_moves_the_edge() -> None:
    samples = [10.0] * 99 + [50.0]
    assert ecdf([Times("ours", samples, {"p99": 50.0})])[1] == [0]


def test_names_in_charts_are_escaped() -> None:
    for chart in (
        curve([(0.0, 1.0), (1.0, 2.0)], name="<b>"),
        ecdf([Times("<b>", [1.0, 2.0], {"p50": 1.0})])[0],
        front_chart([Contender("<b>", 1.0, 2.0)]),
        heat_map(np.eye(2), ("<b>", "sky"), low=0.0, high=1.0, title="<b>"),
    ):
        assert "<b>" not in chart
        assert "&lt;b&gt;" in chart


@pytest.mark.parametrize("values", [[0.0, 0.0], [-2.0, -1.0], [1e-5, 1e-4], [3.0]])
def test_curve_of_any_values_stays_in_its_picture(values: list[float]) -> None:
    chart = str(curve(list(enumerate(values)), name="term", window=2))
    path = chart.split('class="line first" d="')[1].split('"')[0]
    heights = [float(part.split()[1]) for part in path[1:].split("L")]
    assert all(0 <= height <= 200 for height in heights)
    assert "nan" not in chart


def test_similarity_is_the_cosine_and_absent_classes_have_none() -> None:
    found = similarity_of(np.array([[1.0, 0.0], [2.0, 2.0], [0.0, 0.0]]))
    assert found[0, 1] == pytest.approx(np.sqrt(0.5))
    assert found[0, 0] == pytest.approx(1.0)
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 2]).all()


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(1.0, 4, "100.0000 %"), (0.999_999_9, 4, "99.9999 %"), (0.29, 0, "29 %"), (0.97519, 2, "97.51 %")],
)
def test_shares_are_rounded_down(share: float, digits: int, text: str) -> None:
    assert floored(share, digits) == text


def test_spread_takes_the_ends_and_nothing_twice() -> None:
    assert spread(3, 24) == [0, 1, 2]
    assert spread(100, 4) == [0, 33, 66, 99]
    assert spread(9, 1) == [4]
    assert all(len(set(spread(number, 24))) == 24 for number in range(24, 200))
