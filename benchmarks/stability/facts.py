"""Where the runs came from, a line for each fact, and in which of them they differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.report.documents import date_text
from benchmarks.stability.document import Run
from benchmarks.tables import ABSENT

__all__ = ["Fact", "differences", "facts_of"]

HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Fact:
    """What the runs say of one thing; `is_circumstance` is False for what is another in every run anyway."""

    name: str
    by_run: tuple[str, ...]
    is_circumstance: bool = True

    @property
    def differs(self) -> bool:
        """Whether the runs were made under other circumstances in this."""
        return self.is_circumstance and len(set(self.by_run)) > 1


def facts_of(runs: Sequence[Run]) -> list[Fact]:
    """What there is to tell, in the order of the table."""
    return [fact for fact in _facts(runs) if set(fact.by_run) != {ABSENT}]


def differences(runs: Sequence[Run]) -> list[str]:
    """Names of what differs."""
    return [fact.name for fact in _facts(runs) if fact.differs]


def _facts(runs: Sequence[Run]) -> Iterator[Fact]:
    environments = [run.environment for run in runs]

    def shared(key: str) -> tuple[str, ...]:
        return tuple(_text(getattr(environment, key)) for environment in environments)

    yield Fact("written", tuple(date_text(run.created_unix_s) for run in runs), is_circumstance=False)
    yield Fact("ours", tuple(run.ours for run in runs))
    for name, key in (
        ("processor", "cpu"),
        ("GPU", "gpu"),
        ("cores", "cores"),
        ("threads", "threads"),
        ("governor", "governor"),
        ("system", "system"),
        ("Python", "python"),
        ("NumPy", "numpy"),
        ("torch", "torch"),
        ("ONNX Runtime", "onnxruntime"),
        ("OpenVINO", "openvino"),
        ("revision", "revision"),
    ):
        yield Fact(name, shared(key))
    yield Fact("load before the run", shared("load_average"), is_circumstance=False)
    yield Fact("frames timed", tuple(str(run.num_rounds) for run in runs))
    scenarios = tuple(run.scenario for run in runs)
    # A sentence, too long for a table that says the same of all runs.
    if len(set(scenarios)) > 1:
        yield Fact("scenario", scenarios)
    yield Fact("checkpoint", tuple(run.checkpoint_sha256[:HASH_DIGITS] for run in runs))
    yield Fact("manifest", tuple(run.manifest_sha256[:HASH_DIGITS] for run in runs))


def _text(value: object) -> str:
    return ABSENT if value is None else str(value)
