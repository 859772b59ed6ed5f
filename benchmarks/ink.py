"""What all pictures share: colours, and axes without what nobody reads."""

from matplotlib.axes import Axes

__all__ = ["ACCENT", "INK", "ORACLE", "PALE", "RULE", "SEED_OFFSET", "SOURCE", "tidy"]

INK, PALE, RULE = "#222222", "#8fa3b3", "#d5dade"
ACCENT, SOURCE, ORACLE = "#0b63a5", "#a5560b", "#2f8a4c"
"""The configured method, what learns from labelled source frames too, and the oracle."""
SEED_OFFSET = 0.24
"""Of the seeds' dots from their mean's, in rows or steps: on the bar they would hide it and each other."""


def tidy(axes: Axes) -> None:
    """Leave a rule below and a pale grid behind."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(length=0, labelsize=10, labelcolor=INK)
    axes.grid(color=RULE, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
