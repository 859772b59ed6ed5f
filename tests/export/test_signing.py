import stat
from pathlib import Path

import pytest

from export.signing import keygen, sign
from runtime.bundle.keys import PASSPHRASE_VARIABLE, key_id, read_public_key
from runtime.bundle.signature import SIGNATURE_NAME, read_signature, verify
from runtime.errors import BundleError, ConfigError

MANIFEST = b'{"schema_version": 2}\n'


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """All of a bundle that signing looks at."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(MANIFEST)
    return folder


def test_what_one_half_signs_the_other_verifies(bundle: Path, tmp_path: Path) -> None:
    private, public = keygen(tmp_path / "keys" / "fleet")
    assert (private, public) == (tmp_path / "keys/fleet/private.pem", tmp_path / "keys/fleet/public.pem")
    signer = sign(bundle, private)
    assert verify(bundle, public, MANIFEST) == signer == key_id(read_public_key(public))
    with pytest.raises(BundleError, match="was altered"):
        verify(bundle, public, MANIFEST + b" ")


def test_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    private, public = keygen(tmp_path)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"PRIVATE" not in public.read_bytes()


def test_two_pairs_are_different(tmp_path: Path) -> None:
    assert len({key_id(read_public_key(keygen(tmp_path / name)[1])) for name in "ab"}) == 2


@pytest.mark.parametrize("name", ["private.pem", "public.pem"])
def test_no_key_is_ever_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("dear to someone")
    with pytest.raises(ConfigError, match=rf"{name} exists and is not overwritten"):
        keygen(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["dear to someone"]


def test_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private.pem").symlink_to(tmp_path / "shared.pem")
    with pytest.raises(ConfigError, match="exists and is not overwritten"):
        keygen(tmp_path)
    assert not (tmp_path / "shared.pem").exists()


def test_encrypted_key_signs_with_its_passphrase_alone(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    private, public = keygen(tmp_path)
    assert b"ENCRYPTED PRIVATE KEY" in private.read_bytes()
    sign(bundle, private)
    verify(bundle, public, MANIFEST)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(ConfigError, match=r"cannot be opened with the passphrase in IAPC_KEY_PASSPHRASE"):
        sign(bundle, private)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(ConfigError, match=r"is encrypted; put its passphrase into .*IAPC_KEY_PASSPHRASE"):
        sign(bundle, private)


def test_passphrase_for_other_keys_does_not_disturb_a_plain_one(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keygen(tmp_path)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "of another key")
    sign(bundle, private)
    verify(bundle, public, MANIFEST)


def test_signature_is_reproducible_and_replaced(bundle: Path, tmp_path: Path) -> None:
    private, _ = keygen(tmp_path)
    other, _ = keygen(tmp_path / "other")
    sign(bundle, private)
    first = (bundle / SIGNATURE_NAME).read_bytes()
    sign(bundle, other)
    assert (bundle / SIGNATURE_NAME).read_bytes() != first
    sign(bundle, private)
    assert (bundle / SIGNATURE_NAME).read_bytes() == first
    assert sorted(path.name for path in bundle.iterdir()) == ["manifest.json", "manifest.sig"]


def test_public_key_cannot_sign(bundle: Path, tmp_path: Path) -> None:
    _, public = keygen(tmp_path)
    with pytest.raises(ConfigError, match="is not an Ed25519 private key in PEM"):
        sign(bundle, public)
    assert read_signature(bundle) is None


def test_folder_without_manifest_is_not_signed(tmp_path: Path) -> None:
    private, _ = keygen(tmp_path)
    with pytest.raises(BundleError, match=r"is not a bundle: manifest\.json cannot be read"):
        sign(tmp_path, private)
    assert not (tmp_path / SIGNATURE_NAME).exists()
