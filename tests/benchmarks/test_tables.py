import pytest

from benchmarks.document import Ratio
from benchmarks.tables import change, markdown_table, number, share, text_table, with_interval


@pytest.mark.parametrize(
    ("value", "is_signed", "text"),
    [(None, False, "-"), (1.25, False, "1.2"), (1.0, True, "+1.0"), (-0.04, True, "+0.0"), (-0.25, True, "-0.2")],
)
def test_number_is_rounded_and_signed_as_asked(value: float | None, is_signed: bool, text: str) -> None:
    assert number(value, 1, is_signed=is_signed) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.99456, "99.46%"), (1.0, "100.00%")])
def test_share_is_percent(value: float | None, text: str) -> None:
    assert share(value, 2) == text


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (None, None, "-"),
        (-0.232, None, "-0.23"),
        (-0.232, (-0.4, -0.001), "-0.23 (-0.40 to +0.00)"),
        (0.0, (0.0, 0.0), "+0.00 (+0.00 to +0.00)"),
    ],
)
def test_change_is_signed_and_its_interval_stands_behind(
    value: float | None, interval: tuple[float, float] | None, text: str
) -> None:
    assert change(value, interval) == text


def test_interval_stands_behind_its_value() -> None:
    assert with_interval(Ratio(value=2.0, low=1.895, high=2.25)) == "2.00 (1.90 to 2.25)"
    assert with_interval(None) == "-"


def test_text_is_aligned_and_ends_with_no_space() -> None:
    text = text_table(
        ["name", "engine", "ms", ""], [["a", "PyTorch", "10.5", ""], ["long", "b", "2", "not run"]], num_left=2
    )
    assert text.splitlines() == [
        "name  engine     ms",
        "a     PyTorch  10.5",
        "long  b           2  not run",
    ]


def test_bar_in_a_cell_does_not_end_it() -> None:
    assert markdown_table(["a", "b"], [["1 | 2", "3"]]) == ["| a | b |", "|:--|--:|", r"| 1 \| 2 | 3 |"]
