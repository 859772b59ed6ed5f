from pathlib import Path
from typing import Any, get_args

import pytest

from benchmarks.tune.options import OPTIONS, thread_counts, variants_of, with_options
from benchmarks.tune.setting import Setting
from runtime.backends.config import BackendConfig, CpuConfig, OpenVinoConfig, TensorRtConfig, TensorRtEpConfig
from runtime.bundle.manifest import Artefact
from runtime.bundle.opening import read_manifest
from runtime.config import load_config
from runtime.settings import RuntimeConfig
from tests.benchmarks.command_run import Exported


@pytest.fixture(scope="module")
def fp32(exported_once: Exported) -> Artefact:
    return read_manifest(exported_once.bundle).artefacts[0]


def test_every_engine_is_in_the_table_with_fields_of_its_config() -> None:
    union, _ = get_args(BackendConfig)
    kinds = {kind().provider: kind for kind in get_args(union)}
    assert set(OPTIONS) == set(kinds)
    for provider, options in OPTIONS.items():
        assert set(options) <= set(kinds[provider].model_fields)


def test_options_left_out_are_places_not_choices() -> None:
    union, _ = get_args(BackendConfig)
    left_out = {
        field for kind in get_args(union) for field in kind.model_fields if field not in OPTIONS[kind().provider]
    }
    assert left_out == {"provider", "device_id", "cache"}


def test_a_variant_differs_from_its_base_in_one_option(fp32: Artefact) -> None:
    base = Setting(fp32, OpenVinoConfig(precision="bf16"))
    found = [(option, setting.backend) for option, setting in variants_of(base, (1, 2))]
    assert found == [
        ("threads", OpenVinoConfig(precision="bf16", threads=1)),
        ("threads", OpenVinoConfig(precision="bf16", threads=2)),
        ("precision", OpenVinoConfig(precision="fp32")),
    ]


def test_what_a_base_has_already_is_no_variant(fp32: Artefact) -> None:
    base = Setting(fp32, CpuConfig(threads=2, is_spinning=True))
    found = [setting.backend for _, setting in variants_of(base, (1, 2))]
    assert found == [CpuConfig(threads=1, is_spinning=True), CpuConfig(threads=2)]


def test_an_engine_without_options_has_no_variants(fp32: Artefact) -> None:
    assert not list(variants_of(Setting(fp32, TensorRtEpConfig()), (1, 2)))


def test_options_together_pass_the_checks_of_the_config(fp32: Artefact) -> None:
    base = Setting(fp32, CpuConfig())
    assert with_options(base, {"threads": 2, "is_spinning": True}).backend == CpuConfig(threads=2, is_spinning=True)
    with pytest.raises(ValueError, match="threads"):
        with_options(base, {"threads": 0})


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(1, (1,)), (3, (1, 2, 3)), (8, (1, 2, 3, 4, 5, 6, 7, 8)), (12, (1, 2, 4, 8, 12)), (16, (1, 2, 4, 8, 16))],
)
def test_each_number_of_few_cores_and_powers_of_two_of_many(cores: int, expected: tuple[int, ...]) -> None:
    assert thread_counts(cores) == expected


@pytest.mark.parametrize(
    ("backend", "name", "line"),
    [
        (CpuConfig(), "fp32.onnx in cpu", "{provider: cpu}"),
        (
            CpuConfig(threads=2, is_spinning=True),
            "fp32.onnx in cpu, threads=2, is_spinning=true",
            "{provider: cpu, threads: 2, is_spinning: true}",
        ),
        (
            OpenVinoConfig(precision="bf16", threads=2),
            "fp32.onnx in openvino bf16, threads=2",
            "{provider: openvino, precision: bf16, threads: 2}",
        ),
        (TensorRtConfig(cuda_graph=False), "fp32.onnx in tensorrt, cuda_graph=false", None),
        (TensorRtEpConfig(cache=Path("a folder: of engines")), None, None),
    ],
)
def test_the_snippet_is_a_section_that_the_runtime_reads(
    fp32: Artefact, tmp_path: Path, backend: Any, name: str | None, line: str | None
) -> None:
    setting = Setting(fp32, backend)
    (tmp_path / "run.yaml").write_text(setting.runtime_yaml)
    found = load_config(tmp_path / "run.yaml", "runtime", RuntimeConfig)
    assert (found.backend, found.artefact) == (backend, "fp32.onnx")
    assert name in (None, setting.name)
    assert line is None or f"  backend: {line}\n" in setting.runtime_yaml
