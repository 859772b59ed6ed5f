"""The thread that finds a new bundle and sees it into service, or out of it.

watch       the bundle's folder changed, and holds a whole bundle of another id
copy        into the state folder, where nobody edits it
open        noted as on trial; beside the one in service: hashes, signature, golden frames, warm-up
shadow      live frames through both: labels agree, output finite and not frozen, fast enough
swap        the loop's thread takes it between two frames
probation   worse health brings the old one back between two frames
good        noted as such; the old one is closed and deleted
"""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import bundle_id_of, read_manifest
from runtime.command import say
from runtime.ending import leave_behind
from runtime.errors import BundleError, IapcError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.swap.background import background, can_give_way
from runtime.swap.config import SwapConfig
from runtime.swap.handover import Handover, Opened
from runtime.swap.served import Served
from runtime.swap.store import Store
from runtime.swap.trial import require_same_outputs, stand_trial
from runtime.swap.watch import Sighting, Watch, look

__all__ = ["Successor"]


class Successor(Thread):
    """Works until `end`; an unexpected error is kept in `error`.

    Args:
        bundle: folder, or link to one, at which new bundles appear.
        store: keeps copies of bundles, and opens them.
        served: what is in service; only read here.
        handover: to and from the loop's thread.
        monitor: hears of bundles that are refused.
        config: what a bundle must prove.
        end_s: longest that `end` waits.
    """

    def __init__(
        self,
        bundle: Path,
        store: Store,
        served: Served,
        handover: Handover,
        *,
        monitor: Monitor,
        config: SwapConfig,
        end_s: float,
    ) -> None:
        super().__init__(name="swap", daemon=True)
        self._bundle, self._store, self._served, self._handover = bundle, store, served, handover
        self._monitor, self._config, self._end_s = monitor, config, end_s
        self._watch = Watch(bundle, config.settle_s)
        self._stopping = Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """See the module."""
        try:
            if not can_give_way():
                say(
                    "swap: this process may not lower the priority of a thread and raise it again, so that opening a "
                    "new bundle slows the loop; allow it (systemd: LimitNICE=20; else RLIMIT_NICE of 20)"
                )
            self._tidy()
            while not self._stopping.is_set():
                self._look()
                self._stopping.wait(self._config.check_s)
        except BaseException as error:  # raised by the loop's thread
            self.error = error

    def end(self) -> None:
        """Stop; a bundle that is just being opened is waited for no longer than `end_s`. May be repeated.

        Opening one can take minutes, building its engine among them, and nothing can interrupt that. Whoever waits for
        the end of the process would kill it, and the bundle would be taken for what ended it: so that is noted first.
        """
        self._stopping.set()
        self._handover.end()
        self._note(self._store.interrupt_trial)
        self.join(self._end_s)
        if self.is_alive():
            leave_behind(self)
            say("swap: a bundle is still being opened for its trial, and is left behind; the next start tries it again")

    def _look(self) -> None:
        sighting = self._watch.news()
        if sighting is None:
            return
        try:
            manifest, why_refused = self._take_in(sighting)
        except IapcError as error:
            if self._watch.in_vain(sighting):
                self._refuse(str(error))
            return
        self._watch.judge(sighting)
        self._monitor.clear(Reason.BUNDLE_REFUSED)
        if why_refused is not None:
            name = _short(bundle_id_of(manifest))
            self._refuse(
                f"bundle {name} was refused earlier and is not tried again: {why_refused}; put another in its place"
            )
        elif bundle_id_of(manifest) != self._served.bundle_id:
            self._try(manifest, bundle_id_of(manifest))
            self._tidy()

    def _take_in(self, sighting: Sighting) -> tuple[Manifest, str | None]:
        """What was seen, and why it is not to be tried; a bundle that is gets copied."""
        manifest = read_manifest(sighting.folder, self._store.public_key)
        bundle_id = bundle_id_of(manifest)
        why_refused = self._store.why_refused(bundle_id)
        if why_refused is None and bundle_id != self._served.bundle_id:
            with background():
                self._store.take_in(sighting.folder, manifest, bundle_id)
            if look(self._bundle) != sighting:
                raise BundleError(f"bundle {sighting.folder} changed while it was copied")
        return manifest, why_refused

    def _try(self, manifest: Manifest, bundle_id: str) -> None:
        say(f"swap: bundle {_short(bundle_id)} is on trial beside {_short(self._served.bundle_id)}")
        try:
            require_same_outputs(self._served.manifest, manifest)
            self._store.begin_trial(bundle_id, self._config.max_attempts)
            if self._stopping.is_set():
                # `end` may have looked before.
                self._store.interrupt_trial()
                return
            passed = stand_trial(lambda: self._store.open(bundle_id), self._handover, self._config, self._stopping)
        except (IapcError, OSError) as error:
            self._refuse(f"bundle {_short(bundle_id)} is not taken over: {error}")
            self._note(self._store.end_trial)
            return
        if passed is not None:
            candidate, figures = passed
            say(f"swap: bundle {_short(bundle_id)} takes over with the next frame: {figures}")
            self._see_through(Opened(candidate, bundle_id))

    def _see_through(self, opened: Opened) -> None:
        """Wait for the end of its probation."""
        retired = self._handover.offer(opened)
        if retired is None:
            return
        name = _short(opened.bundle_id)
        if retired.problem is None:
            self._note(lambda: self._store.promote(opened.bundle_id))
            say(f"swap: bundle {name} stays, after {self._config.num_probation_frames} frames without a fault")
        else:
            problem = retired.problem
            self._refuse(f"bundle {name} was taken over and is out of service again: {problem}")
            self._note(lambda: self._store.refuse(opened.bundle_id, problem))
        retired.opened.segmenter.close()

    def _refuse(self, why: str) -> None:
        self._monitor.set(Reason.BUNDLE_REFUSED, why)
        say(f"swap: {why}")

    def _tidy(self) -> None:
        self._note(lambda: self._store.prune(self._served.bundle_id))

    def _note(self, write: Callable[[], None]) -> None:
        """Change the state folder; where that fails the loop goes on, and people hear of it."""
        try:
            write()
        except OSError as error:
            self._refuse(
                f"{self._config.state} cannot be written ({error}), and a restart goes back to what it says now; make "
                "room, or correct its permissions"
            )


def _short(bundle_id: str) -> str:
    return bundle_id[:12]
