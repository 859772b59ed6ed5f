import errno
import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.bundle.manifest import Artefact, BundleFile, Manifest
from runtime.bundle.opening import read_manifest, verified_path
from runtime.errors import BundleError

CONTENT = {"sha256": "0" * 64, "num_bytes": 1}


def edit(bundle: Path, **changes: object) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_manifest_round_trips_through_json(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_manifest_lists_every_other_file_of_the_bundle(bundle: Path) -> None:
    listed = {entry.file for entry in read_manifest(bundle).files}
    assert listed == {path.name for path in bundle.iterdir()} - {"manifest.json"}


@pytest.mark.parametrize("file", ["../weights.onnx", "/etc/passwd", "a/b.onnx", ".hidden", ""])
def test_file_outside_the_bundle_cannot_be_named(file: str) -> None:
    with pytest.raises(ValidationError, match="file"):
        BundleFile(file=file, **CONTENT)


def test_artefact_needs_either_parity_or_the_reason_why_not() -> None:
    with pytest.raises(ValidationError, match="give either parity, or not_run"):
        Artefact(file="a.onnx", **CONTENT, format="onnx", precision="fp32")


def test_only_int8_tells_how_it_was_quantized() -> None:
    with pytest.raises(ValidationError, match="quantization belongs to int8"):
        Artefact(file="a.onnx", **CONTENT, format="onnx", precision="int8", not_run="no engine")


def test_unknown_key_is_refused(bundle: Path) -> None:
    edit(bundle, extra=1)
    with pytest.raises(BundleError, match="is damaged at extra"):
        read_manifest(bundle)


def test_text_that_is_no_json_is_refused(bundle: Path) -> None:
    (bundle / "manifest.json").write_text('{"schema_version": 1,')
    with pytest.raises(BundleError, match="is damaged at its start"):
        read_manifest(bundle)


def test_reference_of_other_classes_is_refused(bundle: Path) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    del document["reference"]["features"]["class_sky"]
    edit(bundle, reference=document["reference"])
    with pytest.raises(BundleError, match=r"reference\.features must be, in this order, luminance, .*class_sky"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (2, r"has schema version 2; this runtime reads version 3: .*older than the runtime.*`python -m export bundle`"),
        (4, r"has schema version 4; this runtime reads version 3: the runtime is older than the bundle; update"),
        ("3", "is damaged at schema_version"),
        (True, "is damaged at schema_version"),
    ],
)
def test_other_schema_version_is_refused_whatever_else_changed(bundle: Path, version: object, message: str) -> None:
    edit(bundle, schema_version=version, created_unix_s=0, align_corners="perhaps")
    with pytest.raises(BundleError, match=message):
        read_manifest(bundle)


def test_manifest_without_a_version_is_refused(bundle: Path) -> None:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    del document["schema_version"]
    path.write_text(json.dumps(document))
    with pytest.raises(BundleError, match="is damaged at schema_version: Field required"):
        read_manifest(bundle)


def test_one_altered_byte_anywhere_in_any_file_is_refused(bundle: Path) -> None:
    entries = read_manifest(bundle).files
    assert len(entries) == 3
    for entry in entries:
        path = bundle / entry.file
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            altered = bytearray(content)
            altered[place] ^= 1
            path.write_bytes(altered)
            with pytest.raises(BundleError, match=rf"was altered: {entry.file} has SHA-256 .* the manifest says"):
                verified_path(bundle, entry)
        path.write_bytes(content)
        assert verified_path(bundle, entry) == path


def test_truncated_file_is_refused_with_both_sizes(bundle: Path) -> None:
    entry = read_manifest(bundle).golden.frames
    path = bundle / entry.file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        BundleError, match=rf"golden_frames\.npy has {entry.num_bytes - 1} bytes, .* {entry.num_bytes};"
    ):
        verified_path(bundle, entry)


def test_missing_file_is_refused(bundle: Path) -> None:
    entry = read_manifest(bundle).golden.frames
    (bundle / entry.file).unlink()
    with pytest.raises(BundleError, match=r"is incomplete: golden_frames\.npy is missing"):
        verified_path(bundle, entry)


def test_link_is_refused_even_where_its_content_is_right(bundle: Path, tmp_path: Path) -> None:
    entry = read_manifest(bundle).golden.frames
    (bundle / entry.file).rename(tmp_path / "elsewhere.npy")
    (bundle / entry.file).symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(BundleError, match=r"golden_frames\.npy is a link to .*elsewhere\.npy"):
        verified_path(bundle, entry)


def test_folder_and_pipe_in_the_place_of_a_file_are_refused(bundle: Path) -> None:
    entry = read_manifest(bundle).golden.frames
    path = bundle / entry.file
    path.unlink()
    path.mkdir()
    with pytest.raises(BundleError, match=r"golden_frames\.npy is not a file"):
        verified_path(bundle, entry)
    path.rmdir()
    # Reading a pipe that no one writes to would wait for ever.
    os.mkfifo(path)
    with pytest.raises(BundleError, match=r"golden_frames\.npy is not a file"):
        verified_path(bundle, entry)


def test_file_that_may_not_be_read_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    entry = read_manifest(bundle).golden.frames
    # The superuser, as whom tests may run, can read everything.
    monkeypatch.setattr("runtime.bundle.opening.sha256_of", refuse)
    with pytest.raises(BundleError, match=r"golden_frames\.npy cannot be read \(Permission denied\)"):
        verified_path(bundle, entry)


def test_notes_beside_an_unsigned_bundle_are_allowed(bundle: Path) -> None:
    before = read_manifest(bundle)
    (bundle / "notes.txt").write_text("drove well")
    assert read_manifest(bundle) == before
