"""A bundle's folder: its manifest is read and checked before any file it lists, and each file before its use."""

import hashlib
import stat
from pathlib import Path

from pydantic import BaseModel, StrictInt, ValidationError

from runtime.bundle.manifest import MANIFEST_NAME, SCHEMA_VERSION, BundleFile, Manifest
from runtime.bundle.signature import SIGNATURE_NAME, verify
from runtime.errors import BundleError
from runtime.files import sha256_of

__all__ = ["bundle_id_of", "read_manifest", "verified_path"]


def read_manifest(bundle: Path, public_key: Path | None = None) -> Manifest:
    """Read and check a bundle's manifest; file contents are checked by `verified_path`.

    The file is read once, so that the bytes whose signature was checked are the bytes that are parsed.

    Args:
        bundle: the folder.
        public_key: PEM file of the key that must have signed it; None asks for no signature. Where one is required,
            the folder must hold nothing but what the manifest lists: the signer vouched for the folder as it was, and
            a file beside it, a library or a cache, may be picked up by what runs there. Elsewhere notes may lie there.

    Raises:
        BackendError: a signature is required, and `cryptography` is not installed.
        ConfigError: the public key cannot be read.
        BundleError: there is no manifest, it is damaged, of another schema version, or not signed as required.
    """
    path = bundle / MANIFEST_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{bundle} is not a bundle: {MANIFEST_NAME} cannot be read ({error.strerror}); run `make export`"
        ) from error
    if public_key is not None:
        verify(bundle, public_key, content)
    try:
        _require_version(path, _Versioned.model_validate_json(content).schema_version)
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise BundleError(
            f"{path} is damaged at {key or 'its start'}: {problem['msg']}; export or copy the bundle again"
        ) from error
    if public_key is not None:
        _refuse_unlisted(bundle, manifest)
    return manifest


def verified_path(bundle: Path, entry: BundleFile) -> Path:
    """Path of a bundle's file, after its content was found to be what the manifest says.

    Raises:
        BundleError: the file is missing, a link, unreadable, or its SHA-256 differs.
    """
    path = bundle / entry.file
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise BundleError(
                f"bundle {bundle}: {entry.file} is a link to {path.readlink()}, which may be changed outside the "
                "bundle; put the file itself in its place"
            )
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"bundle {bundle}: {entry.file} is not a file; export or copy the bundle again")
        if status.st_size != entry.num_bytes:
            raise BundleError(
                f"bundle {bundle} was altered: {entry.file} has {status.st_size} bytes, the manifest says "
                f"{entry.num_bytes}; do not run it, export or copy the bundle again"
            )
        digest = sha256_of(path)
    except FileNotFoundError as error:
        raise BundleError(
            f"bundle {bundle} is incomplete: {entry.file} is missing; export or copy the bundle again"
        ) from error
    except OSError as error:
        raise BundleError(
            f"bundle {bundle}: {entry.file} cannot be read ({error.strerror}); correct its permissions, or copy the "
            "bundle again"
        ) from error
    if digest != entry.sha256:
        raise BundleError(
            f"bundle {bundle} was altered: {entry.file} has SHA-256 {digest[:12]}..., the manifest says "
            f"{entry.sha256[:12]}...; do not run it, export or copy the bundle again"
        )
    return path


def bundle_id_of(manifest: Manifest) -> str:
    """What tells one bundle from another: the SHA-256 of everything its manifest says, file hashes among it."""
    return hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()


class _Versioned(BaseModel):
    """The one key that manifests of every version have."""

    schema_version: StrictInt


def _require_version(path: Path, version: int) -> None:
    if version == SCHEMA_VERSION:
        return
    start = f"{path} has schema version {version}; this runtime reads version {SCHEMA_VERSION}"
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{start}: the runtime is older than the bundle; update the runtime, or export with its version"
        )
    raise BundleError(
        f"{start}: the bundle is older than the runtime and lacks what it needs to know; export it again from its "
        "checkpoint with `python -m export bundle`"
    )


def _refuse_unlisted(bundle: Path, manifest: Manifest) -> None:
    listed = {MANIFEST_NAME, SIGNATURE_NAME, *(entry.file for entry in manifest.files)}
    try:
        unlisted = sorted(path.name for path in bundle.iterdir() if path.name not in listed)
    except OSError as error:
        raise BundleError(f"bundle {bundle} cannot be listed ({error.strerror}); correct its permissions") from error
    if unlisted:
        raise BundleError(
            f"bundle {bundle} holds {unlisted[0]!r}, which its signed manifest does not list; remove it, or copy the "
            "bundle again"
        )
