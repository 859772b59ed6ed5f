"""Opening a file of someone else's runs nothing, whatever is in it."""

import argparse
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from runtime.errors import CheckpointError
from training.checkpoint import save_tensors
from training.public_checkpoints.read import is_our_own, read_document

Write = Callable[[Path, Any], object]


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "write",
    [
        lambda path, document: torch.save(document, path),
        lambda path, document: torch.save(document, path, _use_new_zipfile_serialization=False),
        lambda path, document: path.write_bytes(pickle.dumps(document, protocol=2)),
        lambda path, document: path.write_bytes(pickle.dumps(document, protocol=4)),
    ],
    ids=["zip", "legacy", "plain_pickle", "new_pickle"],
)
@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".pth.tar", ".safetensors"])
def test_a_malicious_pickle_is_refused_and_not_run(suffix: str, write: Write, tmp_path: Path) -> None:
    path, trace = tmp_path / f"model{suffix}", tmp_path / "trace"
    write(path, {"state_dict": {"conv1.weight": torch.zeros(1)}, "note": Malicious(trace)})
    with pytest.raises(CheckpointError, match=r"checkpoint .*model\."):
        read_document(path)
    assert not trace.exists()
    os.mkdir(trace)  # noqa: PTH102 - the very call that was refused would have worked
    assert trace.exists()


@pytest.mark.parametrize(
    ("held", "name"),
    [
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (np.zeros(3), "multiarray._reconstruct"),
        (Path("x"), "pathlib"),
    ],
)
def test_what_is_more_than_tensors_is_refused_by_name(held: Any, name: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "held": held}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"it would call \S*" + name.replace(".", r"\.") + r".*state_dict\(\)"):
        read_document(tmp_path / "model.pth")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("score", [np.float64(0.369), np.float32(0.369), np.int64(3)])
def test_a_numpy_scalar_beside_the_weights_is_read(score: Any, is_zip: bool, tmp_path: Path) -> None:
    document = {"state_dict": OrderedDict(weight=torch.ones(2)), "best_MIou": score}
    torch.save(document, tmp_path / "model.pth.tar", _use_new_zipfile_serialization=is_zip)
    found = read_document(tmp_path / "model.pth.tar")
    assert found["best_MIou"] == score
    assert torch.equal(found["state_dict"]["weight"], torch.ones(2))


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_a_numpy_scalar_is_read_under_the_name_of_either_age_of_numpy(module: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    torch.save({"best": np.float64(0.5)}, path, _use_new_zipfile_serialization=False)
    own = np.float64(0.0).__reduce__()[0].__module__
    written = path.read_bytes()
    assert f"c{own}\nscalar\n".encode() in written
    path.write_bytes(written.replace(f"c{own}\n".encode(), f"c{module}\n".encode()))
    assert read_document(path) == {"best": 0.5}


@pytest.mark.parametrize("kept", [0, 10, 200, -10, -100])
def test_a_truncated_file_is_named(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.rand(1000)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.pth is damaged or no PyTorch file \(.+\); download it again"):
        read_document(path)


def test_a_truncated_safetensors_file_is_named_and_not_taken_for_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.rand(1000)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        read_document(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no\.pth does not exist; correct the path"):
        read_document(tmp_path / "no.pth")


def test_safetensors_are_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.pth")
    assert torch.equal(read_document(tmp_path / "model.pth")["a"], torch.ones(2))


def test_our_own_files_are_told_from_those_of_others(tmp_path: Path) -> None:
    save_tensors(tmp_path / "own.safetensors", {"a": torch.ones(2)}, {"kind": "some"})
    save_file({"a": torch.ones(2)}, tmp_path / "foreign.safetensors")
    torch.save({"a": torch.ones(2)}, tmp_path / "foreign.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    own = {path.name: is_our_own(path) for path in tmp_path.iterdir()}
    assert own == {"own.safetensors": True, "foreign.safetensors": False, "foreign.pth": False, "cut.safetensors": True}
    assert is_our_own(tmp_path / "missing.pth")
