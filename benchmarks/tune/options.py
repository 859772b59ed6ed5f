"""The options that are tried, by engine, and the settings that come of them."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from benchmarks.tune.setting import Setting

__all__ = ["OPTIONS", "thread_counts", "variants_of", "with_options"]

THREADS = "threads"
"""The option whose values are numbers of threads, which depend on the machine."""

OPTIONS: Mapping[str, Mapping[str, tuple[Any, ...]]] = MappingProxyType(
    {
        "cpu": {THREADS: (), "is_spinning": (False, True)},
        "openvino": {THREADS: (), "precision": ("fp32", "bf16")},
        "cuda": {},
        "tensorrt_ep": {},
        "tensorrt": {"cuda_graph": (True, False)},
    }
)
"""By provider, the fields of its config and their values. Folders and device numbers make nothing faster."""

# Each number is an engine that is open beside the others: more would fill memory and minutes.
EACH_UP_TO = 8


def thread_counts(cores: int) -> tuple[int, ...]:
    """Numbers of threads worth trying: each up to the cores, or, of many cores, powers of two and all of them."""
    if cores <= EACH_UP_TO:
        return tuple(range(1, cores + 1))
    return (*(2**power for power in range((cores - 1).bit_length())), cores)


def variants_of(base: Setting, threads: Sequence[int]) -> Iterator[tuple[str, Setting]]:
    """Every setting that differs from the base in one option, with the option's name.

    Args:
        base: what is varied.
        threads: numbers of threads to try.
    """
    for option, values in OPTIONS[base.backend.provider].items():
        for value in threads if option == THREADS else values:
            if getattr(base.backend, option) != value:
                yield option, with_options(base, {option: value})


def with_options(base: Setting, changed: Mapping[str, Any]) -> Setting:
    """The base with some options changed."""
    kind = type(base.backend)
    return Setting(base.artefact, kind.model_validate({**base.backend.model_dump(), **changed}))
