"""`scenarios`: the bundle as it is used, with every sample kept and every label looked at."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, assert_never

import torch

from benchmarks.bundle_document import how_measured
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import Frame, load_frozen, read_frames, require_same_network
from benchmarks.environment import describe_environment
from benchmarks.loop.config import LoopBenchmarkConfig
from benchmarks.loop.start import measure_start
from benchmarks.scenarios.camera import CameraPlan, measure_camera
from benchmarks.scenarios.config import Scenario
from benchmarks.scenarios.contention import measure_contention
from benchmarks.scenarios.document import ScenariosDocument
from benchmarks.scenarios.figures import key_figures
from benchmarks.scenarios.multi_camera import measure_cameras
from benchmarks.scenarios.offline import engine_numbers, measure_offline
from benchmarks.scenarios.page import scenarios_page, scenarios_text
from benchmarks.scenarios.picture import draw_scenarios
from benchmarks.scenarios.resume import measure_resume
from benchmarks.scenarios.served import ServedBundle, choose_engine
from benchmarks.scenarios.single_stream import measure_single_stream
from benchmarks.scenarios.unmet import unmet_budgets
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import read_manifest
from runtime.command import announce, say
from runtime.errors import GateError
from runtime.files import writable_folder, write_json, write_text
from runtime.race.contenders import title_of
from training.device import Compute
from training.frame_network import FrameNetwork

__all__ = ["DOCUMENT_NAME", "measure_scenarios"]

DOCUMENT_NAME, PAGE_NAME, PICTURE_NAME = "scenarios.json", "scenarios.md", "scenarios.png"


def measure_scenarios(config: BenchmarksConfig) -> dict[str, Any]:
    """Run the scenarios of the config; write `scenarios.json`, `scenarios.md` and `scenarios.png`.

    The first line of stdout says in JSON what is about to run, and where.

    Returns:
        Key figures of each scenario that ran, `unmet` budgets, `document`, `page` and, where there is something to
        draw, `picture`.

    Raises:
        ConfigError: the bundle was not made from the checkpoint, or there are more engines than threads.
        DataError: a frame cannot be read.
        FrameError: one is not of the bundle's size.
        BundleError: a file of the bundle is missing or altered.
        BackendError: an engine, a process of a scenario or the second load failed.
        GateError: labels changed while the time was taken, or counters do not add up, after which there are no
            figures; or a budget is not met, after which everything was written all the same.
    """
    options = config.scenarios
    manifest = read_manifest(config.bundle)
    folder = writable_folder(config.output)
    graph = _peer(config, manifest)
    names, frames = read_frames(config.frames, manifest)
    served = choose_engine(config)
    if "offline" in options.chosen:
        engine_numbers(options.offline, served.threads)
    environment = describe_environment(served.threads)
    announce(
        {
            "command": "scenarios",
            "bundle": str(config.bundle),
            "artefact": served.artefact,
            "engine": title_of(served.backend),
            "cpu": environment.cpu,
            "threads": served.threads,
            "revision": environment.revision,
        }
    )
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(served.threads)
        measured: dict[str, Any] = {}
        for scenario in options.chosen:
            say(f"scenario {scenario}")
            measured |= _measure(scenario, config, served, graph, frames)
    document = ScenariosDocument(
        **how_measured(config, environment),
        artefact=served.artefact,
        engine=title_of(served.backend),
        warmup=config.warmup,
        **measured,
        frames=names,
    )
    document = document.model_copy(update={"unmet": tuple(unmet_budgets(options.budgets, document))})
    figures = _write(document, config.bundle, folder)
    if document.unmet:
        raise GateError(
            f"budgets of benchmarks.scenarios that are not met: {'; '.join(document.unmet)}", figures=figures
        )
    return figures


def _peer(config: BenchmarksConfig, manifest: Manifest) -> FrameNetwork | None:
    """The deploy graph in PyTorch eager mode, float32, channels last; None where nothing asks for it."""
    options = config.scenarios
    if "offline" not in options.chosen or not options.offline.batch_sizes:
        return None
    require_same_network(config, manifest)
    return Compute(torch.device("cpu"), "fp32").place(load_frozen(config, manifest).network)


def _measure(
    scenario: Scenario,
    config: BenchmarksConfig,
    served: ServedBundle,
    graph: FrameNetwork | None,
    frames: Sequence[Frame],
) -> dict[str, Any]:
    """One scenario, by the name of its field in the document; its engines are closed when it ends."""
    options, warmup, seed = config.scenarios, config.warmup, config.scenarios.seed
    match scenario:
        case "offline":
            return {"offline": measure_offline(served, graph, frames, options.offline, warmup=warmup, seed=seed)}
        case "multi_camera":
            return {"multi_camera": measure_cameras(served, frames, options.multi_camera, warmup=warmup, seed=seed)}
        case "cold_start":
            start = LoopBenchmarkConfig(backend=served.backend, artefact=served.artefact, num_starts=options.num_starts)
            return {"cold_start": measure_start(config.bundle, frames, start)}
        case _:
            pass
    with served.open() as segmenter:
        match scenario:
            case "single_stream":
                single = measure_single_stream(
                    segmenter, frames, num_queries=config.num_queries, warmup=warmup, seed=seed
                )
                return {"single_stream": single}
            case "camera":
                camera = options.camera
                plans = [
                    CameraPlan(f"camera of {rate:g} Hz", rate, camera.num_frames, camera.deadline_ms)
                    for rate in camera.rates_hz
                ]
                cameras = [
                    measure_camera(segmenter, frames, plan, threads=served.threads, warmup=warmup, seed=seed)
                    for plan in plans
                ]
                return {"cameras": tuple(cameras)}
            case "contention":
                found = measure_contention(segmenter, frames, options.contention, warmup=warmup, seed=seed)
                return {"contention": found}
            case "resume":
                return {"resume": measure_resume(segmenter, frames, options.resume, warmup=warmup, seed=seed)}
            case _:
                assert_never(scenario)


def _write(document: ScenariosDocument, bundle: Path, folder: Path) -> dict[str, Any]:
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    picture = PICTURE_NAME if draw_scenarios(document, folder / PICTURE_NAME) else None
    write_text(folder / PAGE_NAME, scenarios_page(document, bundle, DOCUMENT_NAME, picture))
    say(scenarios_text(document))
    return {
        **key_figures(document),
        "document": str(folder / DOCUMENT_NAME),
        "page": str(folder / PAGE_NAME),
        **({} if picture is None else {"picture": str(folder / picture)}),
    }
