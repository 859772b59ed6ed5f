"""Ed25519 keys in PEM files; a key is named by the start of its public half's SHA-256.

The vehicle holds the public key alone. The private one is read by whoever signs.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ConfigError, MissingPackageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["PASSPHRASE_VARIABLE", "key_id", "passphrase", "read_private_key", "read_public_key", "require_cryptography"]

PASSPHRASE_VARIABLE = "IAPC_KEY_PASSPHRASE"  # noqa: S105  the name of a variable, no passphrase
# A PEM file of an Ed25519 key has about 120 bytes; whatever is this long is something else.
MAX_BYTES = 65536


def require_cryptography() -> None:
    """Explain what to install where signatures are asked for and cannot be computed.

    Raises:
        MissingPackageError: `cryptography` cannot be imported.
    """
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401  loads the native part, which may fail
    except ImportError as error:
        raise MissingPackageError(
            f"signatures need the library cryptography, which cannot be imported ({error}); install it with "
            "`pip install 'iapc[trust]'`"
        ) from error


def key_id(public_key: "Ed25519PublicKey") -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the key's 32 bytes."""
    return hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16]


def passphrase() -> bytes | None:
    """The passphrase of private keys, from the environment; None where there is none."""
    return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """Read the key that signatures are checked with.

    Raises:
        MissingPackageError: `cryptography` is not installed.
        ConfigError: the file cannot be read or holds something else.
    """
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read(path, "public")
    if b"PRIVATE KEY-----" in content:
        raise ConfigError(
            f"public key {path} holds a private key, which must stay with whoever signs; give the public.pem that "
            "`python -m export keygen` wrote beside it"
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "public", str(error)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "public", "its key is for another algorithm")
    return key


def read_private_key(path: Path) -> "Ed25519PrivateKey":
    """Read the key that signs; an encrypted one is opened with the passphrase in the environment.

    Raises:
        MissingPackageError: `cryptography` is not installed.
        ConfigError: the file cannot be read, holds something else, or its passphrase is missing or wrong.
    """
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(path, "private")
    secret: bytes | None = None
    try:
        try:
            key = load_pem_private_key(content, None)
        except TypeError:
            # How the library says that the key is encrypted.
            secret = passphrase()
            if secret is None:
                raise ConfigError(
                    f"private key {path} is encrypted; put its passphrase into the environment variable "
                    f"{PASSPHRASE_VARIABLE}"
                ) from None
            key = load_pem_private_key(content, secret)
    except (ValueError, UnsupportedAlgorithm) as error:
        if secret is not None:
            raise ConfigError(
                f"private key {path} cannot be opened with the passphrase in {PASSPHRASE_VARIABLE} ({error}); correct "
                "the passphrase"
            ) from error
        raise _not_a_key(path, "private", str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "private", "its key is for another algorithm")
    return key


def _read(path: Path, half: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{half} key {path} cannot be read ({error.strerror}); give the {half}.pem that `python -m export keygen` "
            "wrote"
        ) from error


def _not_a_key(path: Path, half: str, problem: str) -> ConfigError:
    return ConfigError(
        f"{path} is not an Ed25519 {half} key in PEM ({problem}); give the {half}.pem that `python -m export keygen` "
        "wrote"
    )
