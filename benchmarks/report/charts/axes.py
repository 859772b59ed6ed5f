"""A plot's scales: round ticks, and places of values in the picture."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

__all__ = ["Axis", "Frame", "svg", "tick_text", "ticks"]

LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 26.0, 38.0


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values within [low, high], 1, 2 or 5 times a power of ten apart, at most so many."""
    span = max(high - low, 1e-12)
    found = MaxNLocator(nbins=most - 1, steps=[1, 2, 5, 10]).tick_values(low, low + span)
    within = [float(tick) for tick in found if low - 1e-9 * span <= tick <= low + span * (1 + 1e-9)]
    # A tick that is within by rounding alone may be one too many.
    return within[:most]


def tick_text(value: float) -> str:
    """A tick's value without digits that are not there."""
    return f"{value:.6g}"


@dataclass(frozen=True, slots=True)
class Axis:
    """Values `low` to `high` from picture place `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value lies, to a tenth of a pixel."""
        span = (self.high - self.low) or 1.0
        return round(self.start + (value - self.low) / span * (self.end - self.start), 1)


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot of so many units, which the page stretches; axes lie inside its margins."""

    x: Axis
    y: Axis
    width: float
    height: float

    @classmethod
    def around(
        cls, x: tuple[float, float], y: tuple[float, float], *, width: float = 460.0, height: float = 260.0
    ) -> "Frame":
        """A frame for values in these ranges."""
        return cls(
            Axis(*x, start=LEFT, end=width - RIGHT),
            Axis(*y, start=height - BOTTOM, end=TOP),
            width=width,
            height=height,
        )

    def grid(self, x_name: str, y_name: str, *, num_x: int = 6, num_y: int = 5) -> Markup:
        """Lines and numbers of both axes, and what they count."""
        parts = []
        for value in ticks(self.y.low, self.y.high, num_y):
            at = self.y.place(value)
            line = Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>')
            parts.append(line.format(self.x.start, self.x.end, at, at))
            text = Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>')
            parts.append(text.format(self.x.start - 6, at + 4, tick_text(value)))
        for value in ticks(self.x.low, self.x.high, num_x):
            text = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>')
            parts.append(text.format(self.x.place(value), self.y.start + 16, tick_text(value)))
        name = Markup('<text class="name" x="{}" y="{}" text-anchor="{}">{}</text>')
        parts.append(name.format(self.x.end, self.height - 4, "end", x_name))
        parts.append(name.format(0, 11, "start", y_name))
        axis = Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>')
        parts.append(axis.format(self.x.start, self.x.end, self.y.start, self.y.start))
        return Markup("").join(parts)


def svg(width: float, height: float, description: str, body: Markup, kind: str) -> Markup:
    """A picture with a description for those who do not see it."""
    start = Markup('<svg class="chart {}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">')
    return start.format(kind, width, height, description) + body + Markup("</svg>")
