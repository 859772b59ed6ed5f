"""Which bundle serves when the process starts."""

from pathlib import Path

from runtime.bundle.opening import bundle_id_of, read_manifest
from runtime.command import say
from runtime.errors import BundleError, IapcError
from runtime.segmenter import Segmenter
from runtime.swap.store import Store

__all__ = ["open_first"]


def open_first(bundle: Path, store: Store) -> Segmenter:
    """The last good bundle from its copy; where there is none, the one at the path, which then is the good one.

    A bundle that came to the path while no process ran, or whose trial ended with the last one, is not served at once:
    it has its trial beside the good one.

    Raises:
        IapcError: neither can be served; as `Segmenter.open`.
    """
    if store.damage is not None:
        say(f"swap: {store.damage}; going on with {bundle}")
    good = store.record.good
    if good is not None:
        try:
            return store.open(good)
        except IapcError as error:
            say(f"swap: the copy of the last good bundle cannot be served ({error}); going on with {bundle}")
    manifest = read_manifest(bundle, store.public_key)
    bundle_id = bundle_id_of(manifest)
    why = store.why_refused(bundle_id)
    if why is not None:
        raise BundleError(
            f"bundle {bundle} was refused earlier ({why}), and there is no good copy of another; put another bundle "
            "there, or delete the folder swap.state to try it again"
        )
    store.take_in(bundle, manifest, bundle_id)
    segmenter = store.open(bundle_id)
    try:
        store.promote(bundle_id)
    except OSError as error:
        segmenter.close()
        raise BundleError(
            f"bundle {bundle} cannot be noted as good ({error}); make room, or correct permissions"
        ) from error
    return segmenter
