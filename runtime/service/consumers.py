"""Everyone who gets the results of `serve`: the sinks of the config, and the rooms that look at results themselves."""

from contextlib import ExitStack

from runtime.health.monitor import Monitor
from runtime.loop.loop import NamedSink
from runtime.settings import RuntimeConfig
from runtime.sinks.config import place_of
from runtime.sinks.open import open_sink
from runtime.sinks.sink import Sink
from runtime.swap.served import Served

__all__ = ["open_consumers"]


def open_consumers(config: RuntimeConfig, served: Served, monitor: Monitor) -> tuple[list[NamedSink], list[str]]:
    """Open all that the config asks for; where one does not open, those before it are closed again.

    Returns:
        The consumers, which the loop closes, and in words where a person finds what they make of results.

    Raises:
        IapcError: one does not open.
    """
    manifest = served.manifest
    consumers: list[NamedSink] = []
    places: list[str] = []
    with ExitStack() as on_failure:

        def add(name: str, sink: Sink, *, is_watched: bool = False) -> None:
            on_failure.callback(sink.close)
            consumers.append(NamedSink(name, sink, is_watched))

        for sink_config in config.sinks:
            place = place_of(sink_config)
            add(place, open_sink(sink_config, manifest, config), is_watched=sink_config.is_watched)
            places.append(place)
        # Rooms that are switched off are not even loaded: that is time until the first frame.
        if config.drift is not None:
            from runtime.drift.watch import DriftWatch

            add("drift", DriftWatch(config.drift, served.known, monitor))
        if config.harvest is not None:
            from runtime.harvest.harvest import Harvest

            add("harvest", Harvest(config.harvest, served.known))
            places.append(f"harvest {config.harvest.folder}")
        if config.live is not None:
            from runtime.live.view import LiveView

            view = LiveView(config.live, manifest, config.overlay_opacity)
            add("live view", view)
            places.append(f"live view {view.url}")
        on_failure.pop_all()
    return consumers, places
