"""`tune`: which artefact, engine and options serve the bundle soonest here, and what each option brings."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.bundle_document import how_measured
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import SCENARIO, Frame, read_frames, require_same_network
from benchmarks.environment import Environment, describe_environment
from benchmarks.tune.document import TuneDocument, TuneRow
from benchmarks.tune.judge import Variant, bases_of, best_of, by_median, finalists_of, trial_of, verdict_of
from benchmarks.tune.options import thread_counts, variants_of
from benchmarks.tune.page import tune_page, tune_text
from benchmarks.tune.picture import draw_tune
from benchmarks.tune.setting import Setting
from benchmarks.tune.trial import Open, Trial, Trials, opener_of, pytorch_labels, take_turns
from runtime.backends.config import AutoConfig
from runtime.bundle.golden import read_golden
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import read_manifest
from runtime.command import say
from runtime.config import nearest
from runtime.errors import BackendError, ConfigError, GateError
from runtime.files import writable_folder, write_json, write_text
from runtime.race.contenders import Contender as Racer
from runtime.race.contenders import Refusal, contenders_of, title_of
from runtime.race.race import Outcome, race
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["DOCUMENT_NAME", "Runs", "measure_tune", "run_all"]

DOCUMENT_NAME, PAGE_NAME, PICTURE_NAME = "tune.json", "tune.md", "tune.png"
# Load average a core from which there was more than this command's own start.
BUSY = 0.5


@dataclass(frozen=True, slots=True)
class Runs:
    """What was tried, run by run, and what is concluded; `default` and `best` are None where nothing has a score."""

    pairs: Trials
    options: Trials
    variants: Sequence[Variant]
    last: Trials
    default: Trial | None
    best: Trial | None


def measure_tune(config: BenchmarksConfig) -> dict[str, Any]:
    """Try what this machine offers for the bundle; write `tune.json`, `tune.md` and `tune.png`.

    Returns:
        Key figures: `best`, with artefact and backend, `median_ms`, `cpu_ms`, `speedup` over `default` with its
        `interval`, `runtime_yaml` for a run file, `gains` of single options; `document`, `page` and `picture`.

    Raises:
        ConfigError: the bundle was not made from the checkpoint, or has no artefact of a name in the config.
        DataError: a frame cannot be read.
        FrameError: a frame is not of the bundle's size.
        BackendError: no engine of this machine serves the bundle.
        GateError: whatever runs gives other labels than the manifest says; everything was written all the same.
    """
    manifest = read_manifest(config.bundle)
    checkpoint_sha256 = require_same_network(config, manifest)
    racers, refusals = _racers(config, manifest)
    names, frames = read_frames(config.frames, manifest)
    folder = writable_folder(config.output)
    cores = torch.get_num_threads()
    environment = describe_environment(config.threads or cores)
    # Rounds beyond these compare no labels.
    shown = frames[: config.num_rounds]
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, cores)
        torch.set_num_threads(environment.threads)
        labels = pytorch_labels(config, manifest, shown)
    chosen = _auto_choice(config, manifest, racers)
    settings = [Setting(racer.artefact, racer.backend) for racer in racers]
    threads = config.tune.threads or thread_counts(cores)
    runs = run_all(settings, chosen, threads, opener_of(config.bundle), shown, labels, config)
    document = TuneDocument(
        **how_measured(config, environment),
        scenario=SCENARIO,
        pairs=tuple(_row(trial, _other(runs.default, trial), runs.pairs) for trial in runs.pairs),
        options=tuple(_row(trial, _base_of(trial, runs.variants), runs.options) for trial in runs.options),
        last=tuple(_row(trial, _other(runs.default, trial), runs.last) for trial in runs.last),
        default=None if runs.default is None else runs.default.setting.name,
        best=None if runs.best is None else runs.best.setting.name,
        speedup=None if runs.best is None else runs.best.ratio_to(runs.default),
        runtime_yaml=None if runs.best is None else runs.best.setting.runtime_yaml,
        notes=tuple(_notes(refusals, chosen, runs, environment)),
        num_rounds=config.num_rounds,
        num_compared=len(shown),
        checkpoint_sha256=checkpoint_sha256,
        frames=names[: len(shown)],
    )
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    write_text(folder / PAGE_NAME, tune_page(document, config.bundle, DOCUMENT_NAME, PICTURE_NAME))
    draw_tune(document, folder / PICTURE_NAME)
    say(tune_text(document))
    figures = _key_figures(document, folder)
    if runs.best is None:
        raise GateError(
            f"nothing that runs bundle {config.bundle} here has a score: other labels than its manifest says, or an "
            f"engine that refuses the file, for the reasons in {figures['page']}; use another engine version, or "
            "export the bundle again",
            figures=figures,
        )
    return figures


def run_all(
    settings: Sequence[Setting],
    chosen: Setting,
    threads: Sequence[int],
    open_setting: Open,
    frames: Sequence[Frame],
    labels: Sequence[Frame],
    config: BenchmarksConfig,
) -> Runs:
    """The three runs: what there is, one option at a time, and the best of that against the default.

    Args:
        settings: each artefact in each engine of this machine, as it is by default.
        chosen: the one of them that the runtime takes by itself.
        threads: numbers of CPU threads to try.
        open_setting: opens one.
        frames: shown in rotation.
        labels: PyTorch's, of each frame.
        config: how many rounds, after how many frames of warm-up.
    """

    def run(taking_part: Sequence[Setting]) -> list[Trial]:
        return take_turns(taking_part, open_setting, frames, labels, config)

    say(f"1 of 3: {len(settings)} pairs of artefact and engine")
    pairs = run(settings)
    scored = by_median(pairs)
    if not scored:
        return Runs(pairs, (), (), (), None, None)
    known = trial_of(scored, chosen)
    default = scored[0] if known is None else known
    bases = bases_of(pairs)
    variants = [Variant(base, option, setting) for base in bases for option, setting in variants_of(base, threads)]
    taking_part: list[Setting] = []
    for base in bases:
        for setting in (base, *(variant.setting for variant in variants if variant.base == base)):
            # The config may name a number of threads twice.
            if setting not in taking_part:
                taking_part.append(setting)
    say(f"2 of 3: one option at a time, {len(taking_part)} settings")
    options = run(taking_part)
    finalists = finalists_of(default.setting, bases, variants, options)
    if len(finalists) == 1:
        say("3 of 3: left out, nothing promises to be faster than the default")
        return Runs(pairs, options, variants, (), default, default)
    say(f"3 of 3: against the default, {len(finalists)} settings")
    last = run(finalists)
    anew = trial_of(last, default.setting)
    assert anew is not None
    return Runs(pairs, options, variants, last, anew, best_of(last, anew))


def _racers(config: BenchmarksConfig, manifest: Manifest) -> tuple[list[Racer], list[Refusal]]:
    """Who may take part, and who does not and why."""
    files = [artefact.file for artefact in manifest.artefacts]
    asked = config.tune.artefacts
    if unknown := [name for name in asked or () if name not in files]:
        raise ConfigError(
            f"benchmarks.tune.artefacts names {unknown[0]}, which bundle {config.bundle} does not have"
            f"{nearest(unknown[0], files)}; correct it, or export the bundle again with that artefact"
        )
    racers, refusals = contenders_of(manifest, AutoConfig(threads=config.threads), None)
    racers = [racer for racer in racers if asked is None or racer.artefact.file in asked]
    refusals = [entry for entry in refusals if asked is None or not entry.artefact or entry.artefact.file in asked]
    if not racers:
        told = "; ".join(_told(refusal) for refusal in refusals)
        raise BackendError(
            f"no engine of this machine serves {', '.join(asked or files)} of bundle {config.bundle} ({told}); install "
            "one of those, or leave benchmarks.tune.artefacts out"
        )
    return racers, refusals


def _auto_choice(config: BenchmarksConfig, manifest: Manifest, racers: Sequence[Racer]) -> Setting:
    """What the runtime takes by itself: held anew, so that a race of another day decides nothing."""

    def open_one(racer: Racer) -> Segmenter:
        return Segmenter.open(config.bundle, RuntimeConfig(backend=racer.backend, artefact=racer.artefact.file))

    frames = read_golden(config.bundle, manifest).frames
    outcome = race(racers, open_one, frames, AutoConfig().race_s)
    if not isinstance(outcome, Outcome):
        told = "; ".join(_told(refusal) for refusal in outcome)
        raise BackendError(
            f"no engine of this machine serves bundle {config.bundle} ({told}); use another engine version, or export "
            "the bundle again"
        )
    outcome.winner.close()
    winner, _ = outcome.times_ms[0]
    return Setting(winner.artefact, winner.backend)


def _told(refusal: Refusal) -> str:
    artefact = "" if refusal.artefact is None else f"{refusal.artefact.file} in "
    return f"{artefact}{title_of(refusal.backend)}: {' '.join(refusal.reason.split())}"


def _notes(refusals: Sequence[Refusal], chosen: Setting, runs: Runs, environment: Environment) -> Iterator[str]:
    yield from (f"Not tried: {_told(refusal)}." for refusal in refusals)
    if runs.default is not None and trial_of(by_median(runs.pairs), chosen) is None:
        yield (
            f"The runtime would choose {chosen.name} by itself (backend.provider: auto), which has no score here; the "
            "default is the fastest that has one."
        )
    if environment.load_average is not None and environment.load_average >= BUSY * (environment.cores or 1):
        yield (
            f"This machine was busy before the run: {environment.load_average} processes wanted a core, and times and "
            "intervals may have grown by that; run it again when it is quiet, or as busy as it will be in use."
        )


def _other(default: Trial | None, trial: Trial) -> Setting | None:
    """The default's setting, which the others are compared with."""
    return None if default is None or default.setting == trial.setting else default.setting


def _base_of(trial: Trial, variants: Sequence[Variant]) -> Setting | None:
    return next((variant.base for variant in variants if variant.setting == trial.setting), None)


def _row(trial: Trial, against: Setting | None, run: Trials) -> TuneRow:
    contender = trial.contender
    ratio = None if against is None else trial.ratio_to(trial_of(run, against))
    row = TuneRow(
        setting=trial.setting.name,
        artefact=trial.setting.artefact.file,
        backend=trial.setting.backend,
        against=None if against is None else against.name,
        refusal=trial.refusal,
        label_agreement=None if contender is None else contender.agreement,
    )
    if contender is None or trial.scored is None:
        return row
    return row.model_copy(
        update={
            "median_ms": trial.median_ms,
            "p90_ms": trial.percentile_ms("p90"),
            "cpu_ms": trial.cpu_ms,
            "ratio": ratio,
            "verdict": verdict_of(ratio),
            "samples_ns": tuple(contender.timed.samples_ns),
        }
    )


def _key_figures(document: TuneDocument, folder: Path) -> dict[str, Any]:
    best, default, speedup = document.row(document.best), document.row(document.default), document.speedup
    return {
        "best": None if best is None else {"artefact": best.artefact, "backend": best.backend.model_dump(mode="json")},
        "median_ms": None if best is None else _rounded(best.median_ms),
        "cpu_ms": None if best is None else _rounded(best.cpu_ms),
        "default": document.default,
        "default_ms": None if default is None else _rounded(default.median_ms),
        "speedup": None if speedup is None else _rounded(speedup.value),
        "interval": None if speedup is None else [_rounded(speedup.low), _rounded(speedup.high)],
        "gains": {
            row.setting: _rounded(row.ratio.value)
            for row in document.options
            if row.ratio is not None and row.verdict == "faster"
        },
        "runtime_yaml": document.runtime_yaml,
        "document": str(folder / DOCUMENT_NAME),
        "page": str(folder / PAGE_NAME),
        "picture": str(folder / PICTURE_NAME),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
