import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.errors import BundleError
from runtime.manifest import Artefact, BundleFile, Manifest, read_manifest, verified_path

CONTENT = {"sha256": "0" * 64, "num_bytes": 1}


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
        Artefact(file="a.onnx", **CONTENT, format="onnx", precision="fp32", parity=None)


def test_unknown_key_is_refused(bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra": 1}))
    with pytest.raises(BundleError, match="is damaged at extra"):
        read_manifest(bundle)


def test_text_that_is_no_json_is_refused(bundle: Path) -> None:
    (bundle / "manifest.json").write_text('{"schema_version": 1,')
    with pytest.raises(BundleError, match="is damaged at its start"):
        read_manifest(bundle)


def test_verified_path_refuses_other_content_of_the_same_size(bundle: Path) -> None:
    entry = read_manifest(bundle).golden.frames
    path = verified_path(bundle, entry)
    assert path == bundle / "golden_frames.npy"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(BundleError, match=r"golden_frames\.npy has SHA-256 .* the manifest says"):
        verified_path(bundle, entry)
