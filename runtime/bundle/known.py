"""The bundles whose results may come: a result says by its id alone which one it is of."""

from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import bundle_id_of
from runtime.errors import SinkError

__all__ = ["KnownBundles"]


class KnownBundles:
    """Manifests by id; made known by the thread that swaps bundles, looked up by those that get results.

    Args:
        first: the manifest of the bundle in service.

    Attributes:
        first: as given.
    """

    def __init__(self, first: Manifest) -> None:
        self.first = first
        self._manifests: dict[str, Manifest] = {}
        self.know(first)

    def know(self, manifest: Manifest) -> None:
        """Results of this bundle may come from now on; call it before the first one does."""
        self._manifests[bundle_id_of(manifest)] = manifest

    def manifest_of(self, bundle_id: str) -> Manifest:
        """The manifest of a result's bundle.

        Raises:
            SinkError: nobody made it known.
        """
        manifest = self._manifests.get(bundle_id)
        if manifest is None:
            raise SinkError(
                f"results come from bundle {bundle_id[:12] or 'without a name'}, and known are "
                f"{', '.join(known[:12] for known in self._manifests)}; call KnownBundles.know with its manifest"
            )
        return manifest
