"""What is concluded from a run: what is faster, what is varied next, and what comes to the last comparison."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.document import Ratio
from benchmarks.tune.document import Verdict
from benchmarks.tune.options import with_options
from benchmarks.tune.setting import Setting
from benchmarks.tune.trial import Trial, Trials

__all__ = ["Variant", "bases_of", "best_of", "by_median", "finalists_of", "trial_of", "verdict_of"]

CPU_PROVIDERS = ("cpu", "openvino")


@dataclass(frozen=True, slots=True)
class Variant:
    """A setting that differs from its base in one option."""

    base: Setting
    option: str
    setting: Setting


def verdict_of(ratio: Ratio | None) -> Verdict | None:
    """What a ratio says: nothing, unless its whole interval is on one side of 1; None without a ratio."""
    if ratio is None:
        return None
    if ratio.low > 1.0:
        return "faster"
    return "slower" if ratio.high < 1.0 else "no difference"


def by_median(trials: Trials) -> list[Trial]:
    """Those that have a score, fastest first."""
    return sorted((trial for trial in trials if trial.scored is not None), key=lambda trial: trial.median_ms or 0.0)


def trial_of(trials: Trials, setting: Setting) -> Trial | None:
    """A setting's trial; None where it did not take part."""
    return next((trial for trial in trials if trial.setting == setting), None)


def bases_of(pairs: Trials) -> list[Setting]:
    """What is worth varying: the fastest of all, and the fastest of each engine of the CPU."""
    bases: list[Setting] = []
    for trial in by_median(pairs):
        provider = trial.setting.backend.provider
        is_first_of_its_engine = all(base.backend.provider != provider for base in bases)
        if not bases or (provider in CPU_PROVIDERS and is_first_of_its_engine):
            bases.append(trial.setting)
    return bases


def finalists_of(
    default: Setting, bases: Sequence[Setting], variants: Sequence[Variant], options: Trials
) -> list[Setting]:
    """Who takes part in the last comparison, the default first; alone where nothing promises to beat it.

    Of each base, its best option and, where several options helped, all of these together. They are measured anew,
    because the best of many has had luck in the run that made it the best.

    Args:
        default: what the others are compared with.
        bases: what was varied.
        variants: how.
        options: the run of bases and variants.
    """
    finalists = [default]
    for base in bases:
        gains = dict(_gains(base, variants, options))
        best = max(gains.values(), key=lambda gain: gain[1], default=None)
        # The fastest as it is may beat what the race chose; the best of a slower engine as it is lost already.
        candidates = [base] if base == bases[0] else []
        if best is not None:
            candidates = [with_options(base, best[0])]
        if len(gains) > 1:
            together = {option: value for changed, _ in gains.values() for option, value in changed.items()}
            candidates.append(with_options(base, together))
        finalists += [setting for setting in candidates if setting not in finalists]
    return finalists


def best_of(trials: Trials, default: Trial) -> Trial:
    """The fastest of those that are faster than the default beyond the noise; else the default."""
    faster = [trial for trial in by_median(trials) if verdict_of(trial.ratio_to(default)) == "faster"]
    return faster[0] if faster else default


def _gains(
    base: Setting, variants: Sequence[Variant], options: Trials
) -> Iterator[tuple[str, tuple[Mapping[str, Any], float]]]:
    """By option that helped: its best value, and how many times as fast as the base it is."""
    baseline = trial_of(options, base)
    gains: dict[str, tuple[Mapping[str, Any], float]] = {}
    for variant in variants:
        trial = trial_of(options, variant.setting)
        ratio = None if variant.base != base or trial is None else trial.ratio_to(baseline)
        if ratio is None or verdict_of(ratio) != "faster":
            continue
        if variant.option not in gains or ratio.value > gains[variant.option][1]:
            value = getattr(variant.setting.backend, variant.option)
            gains[variant.option] = ({variant.option: value}, ratio.value)
    yield from gains.items()
