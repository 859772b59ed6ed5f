"""Makes signing keys and signs bundles; what a vehicle checks is in `runtime.bundle.signature`."""

import os
from pathlib import Path

from runtime.bundle.keys import key_id, passphrase, read_private_key, require_cryptography
from runtime.bundle.manifest import MANIFEST_NAME
from runtime.bundle.signature import SIGNATURE_NAME, signature_line
from runtime.errors import BundleError, ConfigError
from runtime.files import replacing, writable_folder

__all__ = ["PRIVATE_KEY_NAME", "PUBLIC_KEY_NAME", "keygen", "sign"]

PRIVATE_KEY_NAME, PUBLIC_KEY_NAME = "private.pem", "public.pem"


def keygen(folder: Path) -> tuple[Path, Path]:
    """Write a new pair of keys as `private.pem`, which its owner alone may read, and `public.pem`, for the vehicles.

    With a passphrase in the environment (`runtime.bundle.keys`) the private key is encrypted with it.

    Returns:
        The paths of the private and of the public key.

    Raises:
        BackendError: `cryptography` is not installed.
        ConfigError: the folder cannot be written, or a key is there: it may be the only one that fits a fleet.
    """
    require_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    secret = passphrase()
    encryption = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    private, public = folder / PRIVATE_KEY_NAME, folder / PUBLIC_KEY_NAME
    writable_folder(folder)
    for path in (private, public):
        # Before either is written, so that never a new half stands beside an old one.
        if path.is_symlink() or path.exists():
            raise _is_there(path)
    _create(private, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption), mode=0o600)
    _create(public, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo), mode=0o644)
    return private, public


def sign(bundle: Path, private_key: Path) -> str:
    """Sign the manifest of a bundle, as it stands, into `manifest.sig`; a signature that was there is replaced.

    The bundle's files are vouched for through the manifest's hashes; whether they fit is for the caller to check.

    Returns:
        The id of the key.

    Raises:
        BackendError: `cryptography` is not installed.
        ConfigError: the private key cannot be read, or its passphrase is missing or wrong.
        BundleError: there is no manifest, or the folder cannot be written.
    """
    key = read_private_key(private_key)
    try:
        manifest = (bundle / MANIFEST_NAME).read_bytes()
    except OSError as error:
        raise BundleError(f"{bundle} is not a bundle: {MANIFEST_NAME} cannot be read ({error.strerror})") from error
    signer = key_id(key.public_key())
    try:
        with replacing(bundle / SIGNATURE_NAME) as temporary:
            temporary.write_bytes(signature_line(signer, key.sign(manifest)))
    except OSError as error:
        raise BundleError(f"bundle {bundle}: {SIGNATURE_NAME} cannot be written ({error.strerror})") from error
    return signer


def _create(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that must not be there yet, and at no moment with wider permissions."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink()
            raise
    except FileExistsError as error:
        raise _is_there(path) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); choose another folder") from error


def _is_there(path: Path) -> ConfigError:
    return ConfigError(f"{path} exists and is not overwritten; choose another folder, or move it away")
