"""Starts the loop's process, kills it when it falls silent, and starts it again.

It has neither engine nor frames, so that nothing of what makes the loop fail can make this fail.
"""

import select
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from runtime.errors import ConfigError, LoopProcessError
from runtime.loop.backoff import Backoff
from runtime.supervisor.child import Child, ending
from runtime.supervisor.config import SupervisorConfig
from runtime.supervisor.stop_request import StopRequest
from runtime.supervisor.systemd import Systemd

__all__ = ["Supervisor"]

# How often systemd hears that the supervisor is alive, whatever its child does.
PULSE_S = 1.0
# What a process that was asked to end gives back: done, and interrupted before it could be ready.
ENDED_AS_ASKED = (0, 130, 143, -2, -15)


class Supervisor:
    """Keeps one process alive until it is done, is asked to stop, or cannot be kept alive.

    Args:
        command: starts the process, which takes a `Heartbeat` from its argument `--heartbeat NUMBER`.
        environment: its environment variables.
        config: patience.
        systemd: hears how it goes.
        say: tells a person.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        config: SupervisorConfig,
        systemd: Systemd,
        say: Callable[[str], None],
    ) -> None:
        self._command, self._environment = command, environment
        self._config, self._systemd, self._say = config, systemd, say
        self._backoff = Backoff(config.backoff_s, config.max_backoff_s)

    def run(self) -> None:
        """Supervise, on the main thread; returns when the process is done, or was stopped by SIGTERM or SIGINT.

        Raises:
            ConfigError: the process refused its config or its bundle; it would do so again.
            LoopProcessError: it failed again and again, or when it was stopped.
        """
        with StopRequest() as stop:
            while not stop.is_made and not self._serve(stop):
                pass

    def _serve(self, stop: StopRequest) -> bool:
        """One life of the process, and the wait after it; whether it was the last."""
        with Child(self._command, self._environment) as child:
            self._say(f"supervisor: started the loop's process, {child.pid}")
            problem = self._watch(child, stop)
            if stop.is_made:
                self._systemd.stopping()
            # Who hangs hears a wish to end late or never, and every second of waiting is one without results.
            status = child.end(self._config.stop_s) if problem is None else child.kill()
            service_s = 0.0 if child.ready_s is None else monotonic() - child.ready_s
        if stop.is_made or (status == 0 and problem is None):
            self._require_good_end(status)
            return True
        if status == ConfigError.exit_status:
            raise ConfigError(
                "the loop's process refused its config or bundle, as told above; it would do so again and is not "
                "started again"
            )
        self._prepare_restart(problem or f"the loop's process {ending(status)}", service_s, stop)
        return False

    def _watch(self, child: Child, stop: StopRequest) -> str | None:
        """Until the process is gone or a stop is asked for, which gives None, or until it was silent for too long."""
        was_ready = False
        left_s = PULSE_S
        while True:
            select.select([child.pipe, stop.pipe], [], [], max(0.0, min(PULSE_S, left_s)))
            child.listen()
            self._systemd.alive()
            if child.is_gone or stop.is_made:
                return None
            if child.ready_s is not None and not was_ready:
                was_ready = True
                self._systemd.ready(f"serving; {self._backoff.num_waits} restarts of the loop's process")
            limit_s = self._config.start_s if child.ready_s is None else self._config.silence_s
            left_s = child.heard_s + limit_s - monotonic()
            if left_s <= 0:
                missing = "was not ready" if child.ready_s is None else "gave no sign of life"
                return f"the loop's process {missing} for {limit_s:g} s and was killed"

    def _prepare_restart(self, problem: str, service_s: float, stop: StopRequest) -> None:
        config = self._config
        if service_s >= config.settled_s:
            self._backoff.reset()
        num_before = self._backoff.num_waits
        if num_before >= config.max_restarts:
            raise LoopProcessError(
                f"{problem}; gave up after {num_before} restarts without {config.settled_s:g} s of service in "
                "between. What it told is above; supervisor.max_restarts allows more"
            )
        wait_s = self._backoff.next_s()
        text = f"{problem}; restart {num_before + 1} of {config.max_restarts} in {wait_s:g} s"
        self._say(f"supervisor: {text}")
        self._systemd.status(text)
        until_s = monotonic() + wait_s
        while (left_s := until_s - monotonic()) > 0 and not stop.wait(min(left_s, PULSE_S)):
            self._systemd.alive()

    def _require_good_end(self, status: int) -> None:
        if status not in ENDED_AS_ASKED:
            what_now = "files that it had not finished are missing" if status < 0 else "what it told is above"
            raise LoopProcessError(f"the loop's process {ending(status)} when it was stopped; {what_now}")
