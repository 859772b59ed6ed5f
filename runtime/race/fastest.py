"""Opens a bundle in the engine that is fastest here: the one remembered, or the winner of a race."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.backends.config import AutoConfig, BackendConfig
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import bundle_id_of
from runtime.command import say
from runtime.errors import BackendError, BundleError
from runtime.race.contenders import Contender, Refusal, contenders_of, title_of
from runtime.race.device import describe_device
from runtime.race.race import Outcome, Runner, race
from runtime.race.remembered import Winner, key_of, recall, remember

__all__ = ["open_fastest", "remember_engine"]

R = TypeVar("R", bound=Runner)
Row = tuple[str, str, str, str]


def open_fastest(
    bundle: Path,
    manifest: Manifest,
    config: AutoConfig,
    artefact: str | None,
    open_runner: Callable[[Contender], R],
    frames: NDArray[np.uint8],
) -> R:
    """Open a bundle in the fastest engine, and say what was measured where a race was needed.

    Args:
        bundle: for messages.
        manifest: what it holds.
        config: how to race.
        artefact: the file to serve; None takes the fastest.
        open_runner: opens a contender, warms it up and proves its labels.
        frames: (N, H, W, 3), to race with.

    Raises:
        BundleError: there is no such artefact.
        BackendError: no engine of this machine serves the bundle.
    """
    files = [entry.file for entry in manifest.artefacts]
    if artefact not in (None, *files):
        raise BundleError(
            f"bundle {bundle} has no artefact {artefact}, only {', '.join(files)}; correct runtime.artefact, or export "
            "the bundle again"
        )
    device = describe_device()
    key = _key(bundle_id_of(manifest), device, config, artefact)
    contenders, refusals = contenders_of(manifest, config, artefact)
    known = recall(config.cache, key)
    if known is not None and (runner := _open_known(known, contenders, open_runner)) is not None:
        return runner
    outcome = race(contenders, open_runner, frames, config.race_s)
    if not isinstance(outcome, Outcome):
        raise BackendError(
            f"no engine of this machine serves bundle {bundle}:\n{_table([], [*refusals, *outcome])}\n"
            "install one of those, or export the bundle again with an artefact for what is here"
        )
    fastest, median_ms = outcome.times_ms[0]
    say(f"engines for {bundle} on this machine:\n{_table(outcome.times_ms, [*refusals, *outcome.refusals])}")
    winner = Winner(backend=fastest.backend, artefact=fastest.artefact.file, median_ms=median_ms, device=device)
    remember(config.cache, key, winner)
    return outcome.winner


def remember_engine(
    bundle_id: str, config: AutoConfig, artefact: str | None, backend: BackendConfig, file: str
) -> None:
    """Have the next start open a bundle without a race, in the engine that already serves it.

    Args:
        bundle_id: see `bundle_id_of`; where a race was held with this bundle, its winner stays.
        config: how to race.
        artefact: the only artefact to race with; None is all.
        backend: the engine.
        file: the artefact that it serves.
    """
    device = describe_device()
    key = _key(bundle_id, device, config, artefact)
    if recall(config.cache, key) is None:
        remember(config.cache, key, Winner(backend=backend, artefact=file, device=device))


def _key(bundle_id: str, device: Mapping[str, Any], config: AutoConfig, artefact: str | None) -> str:
    return key_of(
        bundle=bundle_id, device=device, artefact=artefact, threads=config.threads, device_id=config.device_id
    )


def _open_known(known: Winner, contenders: list[Contender], open_runner: Callable[[Contender], R]) -> R | None:
    same = (entry for entry in contenders if (entry.backend, entry.artefact.file) == (known.backend, known.artefact))
    contender = next(same, None)
    if contender is None:
        say(f"the fastest engine that was remembered, {title_of(known.backend)}, is not here any more; racing again")
        return None
    try:
        return open_runner(contender)
    except BackendError as error:
        say(f"the fastest engine that was remembered does not open any more ({error}); racing again")
        return None


def _table(times_ms: Sequence[tuple[Contender, float]], refusals: Sequence[Refusal]) -> str:
    rows: list[Row] = [("backend", "artefact", "ms", "why not")]
    rows += [(title_of(entry.backend), entry.artefact.file, f"{ms:.2f}", "") for entry, ms in times_ms]
    rows += [
        (title_of(entry.backend), entry.artefact.file if entry.artefact else "any", "-", entry.reason)
        for entry in refusals
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:3]
    return "\n".join(
        f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip() for row in rows
    )
