"""What Linux tells of hot processors and lowered clocks, in sysfs."""

from collections.abc import Callable
from pathlib import Path

__all__ = ["Probe", "open_processor_clocks"]

Probe = Callable[[], str | None]
"""Says what is wrong now, or None."""
COUNTERS = "devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count"
TRIPS = "class/thermal/thermal_zone*/trip_point_*_temp"
CLOCKS = "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq"
# Trip points at which the kernel slows the machine down; at "active" ones it only starts a fan.
SLOWING_TRIPS = ("passive", "hot", "critical")


def open_processor_clocks(root: Path) -> dict[str, Probe]:
    """A probe for each kind of evidence that this machine has.

    Args:
        root: where sysfs is.
    """
    counters = {path: count for path in sorted(root.glob(COUNTERS)) if (count := _number(path)) is not None}
    trips = {path: limit for path in sorted(root.glob(TRIPS)) if (limit := _slowing_limit(path)) is not None}
    clocks = {path: clock for path in sorted(root.glob(CLOCKS)) if (clock := _number(path)) is not None}
    probes: dict[str, Probe] = {}
    if counters:
        probes["throttle counters"] = lambda: _counted(counters)
    if trips:
        probes["thermal zones"] = lambda: _too_hot(trips)
    if clocks:
        probes["clock limits"] = lambda: _lowered(clocks)
    return probes


def _counted(before: dict[Path, int]) -> str | None:
    """Processors whose counter moved since the last look, which is remembered in `before`."""
    moved = []
    for path, last in list(before.items()):
        count = _number(path)
        if count is not None and count != last:
            moved.append(path.parents[1].name)
            before[path] = count
    if not moved:
        return None
    return f"the temperature slowed down {_few(sorted(set(moved)))} since the last look"


def _too_hot(trips: dict[Path, int]) -> str | None:
    hot = []
    for path, limit in trips.items():
        temperature = _number(path.with_name("temp"))
        if temperature is not None and temperature >= limit:
            hot.append(f"{_text(path.with_name('type'))} at {temperature / 1e3:g} C, limit {limit / 1e3:g} C")
    return None if not hot else f"too hot: {_few(hot)}"


def _lowered(highest: dict[Path, int]) -> str | None:
    """Processors whose greatest clock fell; a limit that was there at the start is the owner's choice."""
    lowered = []
    for path, before in list(highest.items()):
        clock = _number(path)
        if clock is None:
            continue
        if clock < before:
            lowered.append(f"{path.parents[1].name} from {before / 1e3:g} to {clock / 1e3:g} MHz")
        highest[path] = max(clock, before)
    return None if not lowered else f"greatest clock lowered: {_few(lowered)}"


def _slowing_limit(path: Path) -> int | None:
    """Temperature of a trip point that slows the machine down; some are there and off, at zero or below."""
    if _text(path.with_name(path.name.replace("_temp", "_type"))) not in SLOWING_TRIPS:
        return None
    limit = _number(path)
    return limit if limit is not None and limit > 0 else None


def _few(items: list[str]) -> str:
    return ", ".join(items[:4]) + (f" and {len(items) - 4} more" if len(items) > 4 else "")


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    # Sensors are unplugged, asleep or busy, and then their files are gone or give an error: nothing is known now.
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
