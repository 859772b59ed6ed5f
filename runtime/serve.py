"""A bundle in service: opens what the config names, runs the loop, and tells what it was like.

The composition of all rooms of this package; each knows the contract of the loop, and none another.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from runtime.cold_start import ColdStart
from runtime.command import say
from runtime.errors import BundleError, ConfigError
from runtime.loop.process import settle_process
from runtime.settings import RuntimeConfig
from runtime.stop_signals import calling_on_stop

if TYPE_CHECKING:
    from runtime.health.history import History
    from runtime.health.monitor import Monitor
    from runtime.loop.loop import NamedSink
    from runtime.manifest import Manifest
    from runtime.sinks.config import SinkConfig
    from runtime.swap.served import Served

__all__ = ["serve"]


def _nothing() -> None:
    return None


def serve(
    config: RuntimeConfig,
    *,
    beat: Callable[[], None] = _nothing,
    ready: Callable[[], None] = _nothing,
    stopping: Callable[[], None] = _nothing,
) -> Mapping[str, Any]:
    """Serve until SIGTERM, SIGINT or the end of the source; on the main thread of a process that does nothing else.

    Args:
        config: what to serve, from where, to whom.
        beat: called at every heartbeat at which the loop is alive.
        ready: called once, when everything is open and the first frame is about to be read.
        stopping: called once, when a signal asked to stop.

    Returns:
        Figures of the whole run.

    Raises:
        ConfigError: a setting is missing, cannot be met here, or names a bundle that is refused: not to be retried.
        IapcError: anything else that did not open, or an engine that failed again and again.
    """
    start = ColdStart()
    start.passed("config")
    if config.bundle is None or config.source is None:
        raise ConfigError("serve needs runtime.bundle and runtime.source; give --bundle FOLDER and --source SOURCE")
    settle_process(config.loop)
    # Not before: numpy and the engines start threads when they are loaded, which keep what the process had then.
    from runtime.health.history import History
    from runtime.health.monitor import Monitor
    from runtime.health.throttling import Throttling
    from runtime.loop.loop import Loop
    from runtime.sources.open import open_source
    from runtime.swap.open import open_served

    start.passed("imports")
    source = config.source
    monitor = Monitor(config.health, monotonic_ns)
    try:
        served = open_served(config, monitor)
    except BundleError as error:
        raise ConfigError(f"runtime.bundle: {error}") from error
    with closing(served), Throttling(monitor, config.health) as throttling:
        frame_hw = (served.manifest.frame_height, served.manifest.frame_width)
        history = History(monotonic_ns())
        sinks, places = _open_sinks(config, served.manifest, monitor, history)
        loop = Loop(served, lambda: open_source(source, frame_hw), sinks, monitor, config.loop, beat=beat)
        start.passed("ready")
        say(_announcement(config, served, start, places, throttling.sources))
        ready()

        def stop() -> None:
            stopping()
            loop.stop()

        with calling_on_stop(stop):
            counters = loop.run()
    say(history.summary(counters))
    return {
        "bundle": str(config.bundle),
        "bundle_id": served.bundle_id,
        **history.figures(counters),
        "cold_start_s": start.stages_s(),
    }


def _open_sinks(
    config: RuntimeConfig, manifest: "Manifest", monitor: "Monitor", history: "History"
) -> tuple[list["NamedSink"], list[str]]:
    """Every consumer of results, and in words where they go; all are closed again where one does not open."""
    from runtime.loop.loop import NamedSink
    from runtime.sinks.open import open_sink

    places = []
    sinks = [NamedSink("history", history, is_watched=False)]
    with ExitStack() as on_failure:

        def add(name: str, sink: Any, *, is_watched: bool = False) -> None:
            on_failure.callback(sink.close)
            sinks.append(NamedSink(name, sink, is_watched))

        for sink_config in config.sinks:
            name = _sink_name(sink_config)
            add(name, open_sink(sink_config, manifest, config), is_watched=sink_config.is_watched)
            places.append(name)
        if config.drift is not None:
            from runtime.drift.watch import DriftWatch

            add("drift", DriftWatch(config.drift, manifest, monitor))
        if config.harvest is not None:
            from runtime.harvest.harvest import Harvest

            add("harvest", Harvest(config.harvest, manifest))
            places.append(f"harvest {config.harvest.folder}")
        if config.live is not None:
            from runtime.live.view import LiveView

            view = LiveView(config.live, manifest, config.overlay_opacity)
            add("live view", view)
            places.append(f"live view {view.url}")
        on_failure.pop_all()
    return sinks, places


def _sink_name(config: "SinkConfig") -> str:
    """For messages: the kind and the place, for example `npz runs/labels`."""
    place = {"ring": "name", "pictures": "folder", "npz": "folder", "video": "path", "jsonl": "path"}[config.kind]
    return f"{config.kind} {getattr(config, place)}"


def _announcement(
    config: RuntimeConfig, served: "Served", start: ColdStart, places: list[str], throttle_sources: tuple[str, ...]
) -> str:
    assert config.source is not None
    manifest = served.manifest
    source = ", ".join(f"{key} {value}" for key, value in config.source.model_dump(mode="json").items())
    return "\n".join(
        [
            f"ready after {start.summary()}",
            f"  bundle      {config.bundle} ({served.bundle_id[:12]}), {manifest.frame_width}x{manifest.frame_height}, "
            f"{len(manifest.classes)} classes",
            f"  source      {source}",
            f"  results     {'; '.join(places) or 'nowhere: runtime.sinks is empty and runtime.live is null'}",
            f"  deadline    {config.loop.deadline_ms} ms",
            f"  throttling  {', '.join(throttle_sources) or 'cannot be seen here: the system tells no clocks'}",
        ]
    )
