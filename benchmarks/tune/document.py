"""`tune.json`: what one run of the command tried, and what came of it."""

from typing import Literal, TypeAlias

from pydantic import NonNegativeFloat, PositiveInt

from benchmarks.bundle_document import CheckedDocument
from benchmarks.document import Ratio
from runtime.backends.config import BackendConfig
from runtime.bundle.manifest import Share
from runtime.config import StrictModel

__all__ = ["TuneDocument", "TuneRow", "Verdict"]

Verdict: TypeAlias = Literal["faster", "slower", "no difference"]


class TuneRow(StrictModel):
    """A setting in a run.

    `against` names the row of the same run that it is compared with; None for what others are compared with. `ratio`
    is how many times as fast it is, and `verdict` what may be said of that: faster or slower only where the whole
    interval is. `refusal` says why there is no score. `cpu_ms` is the time of all cores together a frame.
    """

    setting: str
    artefact: str
    backend: BackendConfig
    against: str | None = None
    refusal: str | None = None
    label_agreement: Share | None = None
    median_ms: float | None = None
    p90_ms: float | None = None
    cpu_ms: NonNegativeFloat | None = None
    ratio: Ratio | None = None
    verdict: Verdict | None = None
    samples_ns: tuple[int, ...] = ()


class TuneDocument(CheckedDocument):
    """The settings of a bundle on one machine.

    Three runs: `pairs`, each artefact in each engine as it is by default; `options`, the best of them with one option
    changed at a time; `last`, what came of these against the default, with samples of its own, or nothing where
    there was nothing to compare. Within a run query i of all rows is the same frame, `frames[i % len(frames)]`.

    `default` is the setting that the runtime chooses by itself (`backend.provider: auto`), or the fastest with a
    score where that has none; `best` is faster than it, or it itself; both None where nothing has a score.
    `speedup` is that of `best` in the last run. `runtime_yaml` asks the runtime for `best`. Labels were compared with
    those of PyTorch on `num_compared` frames. `notes` tell what was not tried.
    """

    scenario: str
    pairs: tuple[TuneRow, ...]
    options: tuple[TuneRow, ...]
    last: tuple[TuneRow, ...]
    default: str | None
    best: str | None
    speedup: Ratio | None
    runtime_yaml: str | None
    notes: tuple[str, ...]
    num_rounds: PositiveInt
    num_compared: PositiveInt

    def row(self, setting: str | None) -> TuneRow | None:
        """A setting's row of the latest run that it took part in."""
        rows = (*self.last, *self.options, *self.pairs)
        return next((row for row in rows if row.setting == setting), None)
