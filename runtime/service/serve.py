"""A bundle in service: opens what the config names, runs the loop, and tells what it was like."""

from collections.abc import Callable, Mapping
from contextlib import closing
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from runtime.command import say
from runtime.config import StrictModel
from runtime.errors import AddressError, BundleError, ConfigError, DiskFullError, SinkError
from runtime.loop.process import prepare_process
from runtime.service.claims import claimed_folders
from runtime.service.cold_start import ColdStart
from runtime.service.stop_signals import on_stop_signals
from runtime.settings import RuntimeConfig
from runtime.sources.config import SourceConfig
from runtime.sources.names import without_password

if TYPE_CHECKING:
    from runtime.health.monitor import Monitor
    from runtime.loop.loop import NamedSink
    from runtime.segmenter import Segmenter
    from runtime.swap.served import Served

__all__ = ["serve"]


def serve(
    config: RuntimeConfig, beat: Callable[[], None] = lambda: None, *, ready: Callable[[], None] = lambda: None
) -> Mapping[str, Any]:
    """Serve until SIGTERM, SIGINT or the end of the source; on the main thread of a process that does nothing else.

    Args:
        config: what to serve, from where, to whom.
        beat: called at every heartbeat at which the loop is alive.
        ready: called once, when everything is open and the first frame is about to be read.

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
    with claimed_folders(config):
        return _serve(config, config.source, start, beat, ready)


def _serve(
    config: RuntimeConfig,
    source: SourceConfig,
    start: ColdStart,
    beat: Callable[[], None],
    ready: Callable[[], None],
) -> Mapping[str, Any]:
    prepare_process(config.loop)
    # Not before: numpy and the engines start threads when they are loaded, which keep what the process had then.
    from runtime.health.history import History
    from runtime.health.monitor import Monitor
    from runtime.health.news import HealthNews
    from runtime.health.throttling import Throttling
    from runtime.loop.loop import Loop, NamedSink
    from runtime.sources.open import open_source

    start.passed("imports")
    monitor = Monitor(config.health, monotonic_ns)
    with closing(_open_served(config, monitor)) as served, Throttling(monitor, config.health) as throttling:
        start.passed("bundle", served.segmenter.opening)
        manifest = served.manifest
        history = History(monotonic_ns(), HealthNews(say).note)
        consumers, places = _open_consumers(config, served, monitor)
        loop = Loop(
            served,
            lambda: open_source(source, manifest.frame_hw),
            [NamedSink("history", history, is_watched=False), *consumers],
            monitor,
            config.loop,
            beat=beat,
        )
        start.passed("ready")
        say(f"ready after {start.summary()}")
        say(_announcement(config, served.segmenter, served.bundle_id, places, throttling.sources))
        with on_stop_signals(loop.stop):
            ready()
            counters = loop.run()
        # Before the bundle is closed, which may take longer than whoever stops this process waits.
        say(history.summary(counters))
    figures = {"bundle": str(config.bundle), "bundle_id": served.bundle_id, **history.figures(counters)}
    return {**figures, "cold_start_s": start.stages_s()}


def _open_served(config: RuntimeConfig, monitor: "Monitor") -> "Served":
    from runtime.swap.open import open_served

    try:
        return open_served(config, monitor)
    except BundleError as error:
        if config.swap is not None:
            # Whoever puts bundles there may be in the middle of it.
            raise
        raise ConfigError(f"runtime.bundle: {error}") from error


def _open_consumers(config: RuntimeConfig, served: "Served", monitor: "Monitor") -> tuple[list["NamedSink"], list[str]]:
    from runtime.service.consumers import open_consumers

    try:
        return open_consumers(config, served, monitor)
    except (DiskFullError, AddressError):
        # Somebody makes room, and a network comes up: starting again may help.
        raise
    except SinkError as error:
        # A port, a ring or a file that another process has: it would have it at the next attempt too.
        raise ConfigError(str(error)) from error


def _announcement(
    config: RuntimeConfig, segmenter: "Segmenter", bundle_id: str, places: list[str], throttle_sources: str
) -> str:
    manifest, artefact = segmenter.manifest, segmenter.artefact
    described = {
        "bundle": f"{config.bundle} ({bundle_id[:12]}), {manifest.frame_width}x{manifest.frame_height}, "
        f"{len(manifest.classes)} classes",
        "artefact": None if artefact is None else artefact.file,
        "engine": _plain(segmenter.backend),
        "source": _plain(config.source),
        "results": "; ".join(places) or "nowhere: runtime.sinks is empty and runtime.live is null",
        "deadline": f"{config.loop.deadline_ms} ms",
        "throttling": throttle_sources,
    }
    return "\n".join(f"  {title:<12}{text}" for title, text in described.items() if text is not None)


def _plain(config: StrictModel | None) -> str | None:
    """A group of settings as text, without those that are left to a default of None."""
    if config is None:
        return None
    values = config.model_dump(mode="json", exclude_none=True)
    # Logs are read by more people than the run file.
    return ", ".join(f"{key} {without_password(str(value))}" for key, value in values.items())
