import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.bundle.keys import key_id
from runtime.bundle.opening import read_manifest
from runtime.bundle.signature import SIGNATURE_NAME, read_signature, signature_line, verify
from runtime.errors import BackendError, BundleError, ConfigError

PEM, SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
WriteKey = Callable[[int], Path]


def key_of(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))


def sign(bundle: Path, seed: int) -> None:
    key = key_of(seed)
    line = signature_line(key_id(key.public_key()), key.sign((bundle / "manifest.json").read_bytes()))
    (bundle / SIGNATURE_NAME).write_bytes(line)


@pytest.fixture
def public_key(tmp_path: Path) -> WriteKey:
    """Writes the public half of a numbered key."""

    def write(seed: int) -> Path:
        path = tmp_path / f"{seed}.pem"
        path.write_bytes(key_of(seed).public_key().public_bytes(PEM, SPKI))
        return path

    return write


@pytest.fixture
def signed(bundle: Path) -> Path:
    """The bundle, signed with key 1."""
    sign(bundle, 1)
    return bundle


def test_signature_is_the_standard_s(tmp_path: Path) -> None:
    """RFC 8032, section 7.1, test 1: the empty message."""
    key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
        "5141438e7a100b"
    )
    public = serialization.load_der_public_key(bytes.fromhex("302a300506032b6570032100" + key))
    (tmp_path / "public.pem").write_bytes(public.public_bytes(PEM, SPKI))
    # SHA-256 of the 32 bytes of the key.
    (tmp_path / SIGNATURE_NAME).write_text(f"ed25519 21fe31dfa154a261 {signature}\n")
    assert verify(tmp_path, tmp_path / "public.pem", b"") == "21fe31dfa154a261"
    with pytest.raises(BundleError, match="was altered"):
        verify(tmp_path, tmp_path / "public.pem", b" ")


def test_signed_bundle_is_read_with_the_key_and_without(signed: Path, public_key: WriteKey) -> None:
    assert read_manifest(signed, public_key(1)) == read_manifest(signed)


def test_unsigned_bundle_is_refused_where_a_key_is_required(bundle: Path, public_key: WriteKey) -> None:
    with pytest.raises(BundleError, match=r"is not signed: manifest\.sig is missing, but a signature of key \w{16} "):
        read_manifest(bundle, public_key(1))


def test_other_signer_is_refused_with_both_keys(signed: Path, public_key: WriteKey) -> None:
    one, two = (key_id(key_of(seed).public_key()) for seed in (1, 2))
    with pytest.raises(BundleError, match=rf"signed with key {one}, but the required key is {two}"):
        read_manifest(signed, public_key(2))


def test_signature_of_another_key_under_the_required_keys_name_is_refused(signed: Path, public_key: WriteKey) -> None:
    manifest = (signed / "manifest.json").read_bytes()
    forged = signature_line(key_id(key_of(2).public_key()), key_of(1).sign(manifest))
    (signed / SIGNATURE_NAME).write_bytes(forged)
    with pytest.raises(BundleError, match=r"does not fit manifest\.json"):
        read_manifest(signed, public_key(2))


def test_altered_manifest_is_refused_before_it_is_parsed(signed: Path, public_key: WriteKey) -> None:
    (signed / "manifest.json").write_bytes(b"not even JSON")
    with pytest.raises(BundleError, match=r"was altered: manifest\.sig, of key \w{16}, does not fit manifest\.json"):
        read_manifest(signed, public_key(1))


def test_every_byte_of_the_signature_file_counts(signed: Path, public_key: WriteKey) -> None:
    path, key = signed / SIGNATURE_NAME, public_key(1)
    content = path.read_bytes()
    for place in range(len(content)):
        altered = bytearray(content)
        # 0 <-> 1, a <-> `, space <-> !
        altered[place] ^= 1
        path.write_bytes(altered)
        with pytest.raises(BundleError, match=r"is damaged|was signed with key|does not fit"):
            read_manifest(signed, key)


@pytest.mark.parametrize(
    "change", [lambda old: old[:-1], lambda old: old + b"\n", lambda old: old.upper(), lambda _: b""]
)
def test_damaged_signature_file_is_named(signed: Path, public_key: WriteKey, change: Callable[[bytes], bytes]) -> None:
    path = signed / SIGNATURE_NAME
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BundleError, match=r"manifest\.sig is damaged; expected one line `ed25519 KEY-ID SIGNATURE`"):
        read_manifest(signed, public_key(1))
    with pytest.raises(BundleError, match="is damaged"):
        read_signature(signed)


def test_signature_that_is_a_folder_is_refused(bundle: Path, public_key: WriteKey) -> None:
    (bundle / SIGNATURE_NAME).mkdir()
    with pytest.raises(BundleError, match=r"manifest\.sig cannot be read"):
        read_manifest(bundle, public_key(1))


def test_file_beside_a_signed_bundle_is_refused_only_where_the_signature_is_required(
    signed: Path, public_key: WriteKey
) -> None:
    (signed / "libcustom.so").write_bytes(b"code")
    read_manifest(signed)
    with pytest.raises(BundleError, match=r"holds 'libcustom\.so', which its signed manifest does not list"):
        read_manifest(signed, public_key(1))


def test_public_key_that_is_missing_or_private_or_of_another_kind_is_refused(signed: Path, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(ConfigError, match=r"public key .*key\.pem cannot be read \(No such file"):
        read_manifest(signed, path)
    private = key_of(1).private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private)
    with pytest.raises(ConfigError, match="holds a private key, which must stay with whoever signs"):
        read_manifest(signed, path)
    path.write_bytes(generate_private_key(SECP256R1()).public_key().public_bytes(PEM, SPKI))
    with pytest.raises(ConfigError, match=r"is not an Ed25519 public key in PEM \(its key is for another algorithm\)"):
        read_manifest(signed, path)
    path.write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(ConfigError, match="is not an Ed25519 public key in PEM"):
        read_manifest(signed, path)


def test_without_cryptography_the_extra_to_install_is_named(
    signed: Path, public_key: WriteKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = public_key(1)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    read_manifest(signed)
    with pytest.raises(BackendError, match=r"need the library cryptography.*`pip install 'iapc\[trust\]'`"):
        read_manifest(signed, key)
