"""Who vouches for a bundle: an Ed25519 signature over the exact bytes of its manifest, which holds all other hashes.

`manifest.sig` is one line, `ed25519 KEY-ID SIGNATURE`, in hexadecimal digits. In it as in the manifest every byte
counts: there is no second spelling of the same signature, and nothing of a bundle is parsed before it was checked.
"""

import re
from pathlib import Path

from runtime.bundle.keys import key_id, read_public_key
from runtime.errors import BundleError

__all__ = ["SIGNATURE_NAME", "read_signature", "signature_line", "verify"]

SIGNATURE_NAME = "manifest.sig"
_LINE = re.compile(rb"ed25519 ([0-9a-f]{16}) ([0-9a-f]{128})\n")
_LINE_BYTES = len("ed25519 ") + 16 + 1 + 128 + 1


def verify(bundle: Path, public_key: Path, manifest: bytes) -> str:
    """Check who signed a bundle's manifest; gives the key's id.

    Args:
        bundle: the folder with `manifest.sig`.
        public_key: PEM file of the key that must have signed.
        manifest: the bytes of `manifest.json`, read once: what is checked here is what the caller parses.

    Raises:
        BackendError: `cryptography` is not installed.
        ConfigError: the public key cannot be read.
        BundleError: the bundle is not signed, its signature is damaged or of another key, or does not fit.
    """
    key = read_public_key(public_key)
    from cryptography.exceptions import InvalidSignature

    expected = key_id(key)
    found = read_signature(bundle)
    if found is None:
        raise BundleError(
            f"bundle {bundle} is not signed: {SIGNATURE_NAME} is missing, but a signature of key {expected} "
            f"({public_key}) is required; sign it with `python -m export sign`, or take it from whoever does"
        )
    signer, signature = found
    if signer != expected:
        raise BundleError(
            f"bundle {bundle} was signed with key {signer}, but the required key is {expected} ({public_key}); get "
            "the bundle from whoever holds that key, or set the public key of its signer if you trust them"
        )
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        raise BundleError(
            f"bundle {bundle} was altered: {SIGNATURE_NAME}, of key {expected}, does not fit manifest.json; do not run "
            "it, copy it again from whoever signed it"
        ) from None
    return expected


def read_signature(bundle: Path) -> tuple[str, bytes] | None:
    """Id of the signing key and its 64 bytes of signature, nothing of which is proven; None where there is none.

    Raises:
        BundleError: `manifest.sig` cannot be read, or is no signature.
    """
    path = bundle / SIGNATURE_NAME
    try:
        with path.open("rb") as file:
            content = file.read(_LINE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(
            f"bundle {bundle}: {SIGNATURE_NAME} cannot be read ({error.strerror}); correct its permissions"
        ) from error
    line = _LINE.fullmatch(content)
    if line is None:
        raise BundleError(
            f"bundle {bundle}: {SIGNATURE_NAME} is damaged; expected one line `ed25519 KEY-ID SIGNATURE` of "
            f"{_LINE_BYTES} bytes; copy the bundle again, or sign it again"
        )
    return line[1].decode(), bytes.fromhex(line[2].decode())


def signature_line(signer: str, signature: bytes) -> bytes:
    """The content of `manifest.sig`."""
    line = f"ed25519 {signer} {signature.hex()}\n".encode()
    assert _LINE.fullmatch(line)
    return line
