"""Which budgets the figures of a run do not meet, each as a sentence."""

from collections.abc import Iterator

from benchmarks.document import Ratio
from benchmarks.samples import MIN_SAMPLES
from benchmarks.scenarios.budgets import Budgets, CameraBudget, LatencyBudget
from benchmarks.scenarios.document import Camera, ScenariosDocument, Times

__all__ = ["unmet_budgets"]


def unmet_budgets(budgets: Budgets, document: ScenariosDocument) -> Iterator[str]:
    """Every bound that a figure is beyond, and every bound on a figure that the samples are too few for."""
    single, offline, resume = document.single_stream, document.offline, document.resume
    if budgets.single_stream is not None and single is not None:
        yield from _times("single_stream", budgets.single_stream, single.times)
        yield from _least("single_stream: frames a second", single.frames_per_s, budgets.single_stream.frames_per_s)
    if budgets.offline is not None and offline is not None:
        best = max(row.frames_per_s for row in offline.rows if row.is_ours)
        yield from _least("offline: frames a second", best, budgets.offline.frames_per_s)
    for camera in document.cameras:
        if (budget := budgets.camera.get(camera.rate_hz)) is not None:
            yield from _camera(f"camera of {camera.rate_hz:g} Hz", budget, camera)
    if budgets.multi_camera is not None:
        for number, camera in enumerate(document.multi_camera):
            yield from _camera(f"multi_camera, camera {number}", budgets.multi_camera, camera)
    if budgets.contention is not None and document.contention is not None:
        yield from _slowdown("contention", document.contention.slowdown, budgets.contention.slowdown)
    if budgets.cold_start is not None and document.cold_start is not None:
        yield from _most("cold_start: ready_ms", document.cold_start.ready_ms, budgets.cold_start.ready_ms)
    if budgets.resume is not None and resume is not None:
        yield from _slowdown("resume", resume.slowdown, budgets.resume.slowdown)
        yield from _most("resume: max ms of first frames", resume.first.max_ms, budgets.resume.max_ms)


def _camera(name: str, budget: CameraBudget, camera: Camera) -> Iterator[str]:
    yield from _times(name, budget, camera.times)
    yield from _most(f"{name}: missed_share", camera.missed_share, budget.missed_share)


def _times(name: str, budget: LatencyBudget, times: Times | None) -> Iterator[str]:
    for percentile, bound_ms in budget.percentiles_ms.items():
        found = None if times is None else times.percentiles_ms[percentile]
        if found is None:
            number = 0 if times is None else len(times.samples_ns)
            yield (
                f"{name}: {percentile} needs {MIN_SAMPLES[percentile]} samples, there are {number}; at most "
                f"{bound_ms:g} ms was demanded"
            )
        yield from _most(f"{name}: {percentile} ms", found, bound_ms)
    if budget.max_ms is not None and times is None:
        yield f"{name}: no labels came; at most {budget.max_ms:g} ms was demanded"
    yield from _most(f"{name}: max ms", None if times is None else times.max_ms, budget.max_ms)


def _slowdown(name: str, found: Ratio, bound: float | None) -> Iterator[str]:
    if bound is not None and found.high > bound:
        yield (f"{name}: slowdown {found.value:.3f} (interval up to {found.high:.3f}), at most {bound:g} was demanded")


def _most(what: str, found: float | None, bound: float | None) -> Iterator[str]:
    if found is not None and bound is not None and found > bound:
        yield f"{what} {found:.6g}, at most {bound:g} was demanded"


def _least(what: str, found: float, bound: float | None) -> Iterator[str]:
    if bound is not None and found < bound:
        yield f"{what} {found:.6g}, at least {bound:g} was demanded"
