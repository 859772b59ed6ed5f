"""The sections of the report, in their order.

A new one is a file beside this, its template in `page/sections`, and a line here.
"""

from benchmarks.report.section import Section
from benchmarks.report.sections import (
    accuracy,
    bundle,
    choose,
    environment,
    front,
    importance,
    latency,
    peers,
    prototypes,
    pseudo_labels,
    scenes,
    stages,
    training,
    tune,
)

__all__ = ["SECTIONS"]

SECTIONS: tuple[Section, ...] = (
    scenes.SECTION,
    accuracy.SECTION,
    pseudo_labels.SECTION,
    importance.SECTION,
    prototypes.SECTION,
    training.SECTION,
    bundle.SECTION,
    latency.SECTION,
    peers.SECTION,
    tune.SECTION,
    front.SECTION,
    choose.SECTION,
    stages.SECTION,
    environment.SECTION,
)
