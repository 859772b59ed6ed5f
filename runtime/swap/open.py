"""Opens what the loop serves."""

from runtime.errors import ConfigError
from runtime.health.monitor import Monitor
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from runtime.swap.served import Served
from runtime.swap.store import Store
from runtime.swap.swapping import SwappingServed

__all__ = ["open_served"]


def open_served(config: RuntimeConfig, monitor: Monitor) -> Served:
    """The bundle that the config names, ready to serve; with a `swap` group also those that come after it.

    Raises:
        ConfigError: no bundle is named, or the state folder cannot be written.
        IapcError: the bundle cannot be served, and there is no good copy of an earlier one; as `Segmenter.open`.
    """
    bundle, swap = config.bundle, config.swap
    if bundle is None:
        raise ConfigError("runtime.bundle is missing: name the folder that `python -m export` wrote")
    if swap is None:
        return Served(lambda: Segmenter.open(bundle, config))
    # Half of what the loop leaves of the time after which a process that was asked to end is killed.
    end_s = (config.supervisor.stop_s - config.loop.stop_ms / 1e3) / 2
    return SwappingServed(bundle, Store(swap.state, config, Segmenter.open), monitor, swap, end_s=end_s)
