from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.contenders import Timed
from benchmarks.document import Ratio
from benchmarks.tune.judge import Variant, bases_of, best_of, finalists_of, verdict_of
from benchmarks.tune.options import variants_of, with_options
from benchmarks.tune.setting import Setting
from benchmarks.tune.trial import Trial
from benchmarks.turns import Contender
from runtime.backends.config import CpuConfig, CudaConfig, OpenVinoConfig
from runtime.bundle.manifest import Artefact
from runtime.bundle.opening import read_manifest
from tests.benchmarks.command_run import Exported

MS = 1_000_000
STEADY = tuple(10 * MS + step * MS // 100 for step in range(40))


@pytest.fixture(scope="module")
def fp32(exported_once: Exported) -> Artefact:
    return read_manifest(exported_once.bundle).artefacts[0]


def trial(setting: Setting, samples_ns: Sequence[int], refusal: str | None = None) -> Trial:
    timed = Timed(setting.name, lambda frame: frame, 0, samples_ns=list(samples_ns))
    return Trial(setting, Contender(timed, num_equal=1, num_pixels=1), refusal)


def times(factor: float) -> list[int]:
    return [int(sample * factor) for sample in STEADY]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.01, 1.2, "faster"), (0.8, 0.99, "slower"), (0.99, 1.2, "no difference"), (1.0, 1.0, "no difference")],
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, expected: str) -> None:
    assert verdict_of(Ratio(value=1.1, low=low, high=high)) == expected


def test_a_smaller_median_within_the_noise_is_no_gain(fp32: Artefact) -> None:
    base, other = Setting(fp32, CpuConfig()), Setting(fp32, CpuConfig(threads=2))
    rng = np.random.default_rng(0)
    noisy = [int(sample) for sample in rng.normal(10 * MS, 4 * MS, size=40).clip(MS)]
    baseline, luckier = trial(base, noisy), trial(other, [int(sample * 0.99) for sample in rng.permutation(noisy)])
    assert (luckier.median_ms or 0) < (baseline.median_ms or 0)
    assert verdict_of(luckier.ratio_to(baseline)) == "no difference"
    assert best_of([baseline, luckier], baseline) is baseline


def test_other_labels_have_no_time_and_are_never_the_best(fp32: Artefact) -> None:
    base, other = Setting(fp32, CpuConfig()), Setting(fp32, OpenVinoConfig(precision="bf16"))
    baseline, wrong = trial(base, STEADY), trial(other, times(0.1), "label agreement 0.5")
    assert wrong.median_ms is None
    assert wrong.ratio_to(baseline) is None
    assert best_of([baseline, wrong], baseline) is baseline
    assert bases_of([baseline, wrong]) == [base]


def test_the_fastest_of_all_and_of_each_engine_of_the_cpu_are_varied(fp32: Artefact) -> None:
    cpu, bf16, openvino, cuda = (
        Setting(fp32, backend)
        for backend in (CpuConfig(), OpenVinoConfig(precision="bf16"), OpenVinoConfig(), CudaConfig())
    )
    pairs = [trial(cpu, times(3)), trial(bf16, times(1)), trial(openvino, times(2)), trial(cuda, times(4))]
    assert bases_of(pairs) == [bf16, cpu]
    pairs[3] = trial(cuda, times(0.5))
    assert bases_of(pairs) == [cuda, bf16, cpu]


def finalists(base: Setting, default: Setting, factors: dict[str, dict[Any, float]]) -> list[Setting]:
    """Those after a run in which values of options took so many times as long as the base."""
    variants = [Variant(base, option, setting) for option, setting in variants_of(base, (1, 2))]
    run = [trial(base, STEADY)]
    for variant in variants:
        value = getattr(variant.setting.backend, variant.option)
        run.append(trial(variant.setting, times(factors.get(variant.option, {}).get(value, 1.0))))
    return finalists_of(default, [base], variants, run)


def test_one_option_that_helped_is_measured_anew(fp32: Artefact) -> None:
    base = Setting(fp32, CpuConfig())
    found = finalists(base, base, {"threads": {1: 0.9, 2: 0.5}})
    assert found == [base, with_options(base, {"threads": 2})]


def test_options_that_helped_are_tried_together(fp32: Artefact) -> None:
    base = Setting(fp32, CpuConfig())
    found = finalists(base, base, {"threads": {2: 0.9}, "is_spinning": {True: 0.5}})
    assert found == [
        base,
        with_options(base, {"is_spinning": True}),
        with_options(base, {"threads": 2, "is_spinning": True}),
    ]


def test_nothing_is_compared_where_nothing_helped(fp32: Artefact) -> None:
    base = Setting(fp32, CpuConfig())
    assert finalists(base, base, {"threads": {1: 3.0}}) == [base]


def test_the_fastest_pair_meets_the_default_that_it_is_not(fp32: Artefact) -> None:
    base, default = Setting(fp32, OpenVinoConfig()), Setting(fp32, CpuConfig())
    assert finalists(base, default, {}) == [default, base]
