from pathlib import Path

import pytest

from runtime.backends.config import AutoConfig, CpuConfig, CudaConfig, TensorRtEpConfig
from runtime.config import load_config, nearest
from runtime.errors import ConfigError
from runtime.settings import RuntimeConfig
from runtime.sinks.config import NpzConfig


def load(folder: Path, text: str, *overrides: str) -> RuntimeConfig:
    path = folder / "run.yaml"
    path.write_text(text)
    return load_config(path, "runtime", RuntimeConfig, overrides)


def test_missing_section_gives_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "training: {}") == RuntimeConfig(backend=CpuConfig(threads=None), overlay_opacity=0.5)


def test_no_file_gives_the_defaults_and_the_overrides() -> None:
    assert load_config(None, "runtime", RuntimeConfig) == RuntimeConfig()
    chosen = load_config(None, "runtime", RuntimeConfig, ["backend.provider=cuda", "backend.device_id=1"])
    assert chosen.backend == CudaConfig(device_id=1)


def test_override_replaces_one_key_of_the_file(tmp_path: Path) -> None:
    text = "runtime: {overlay_opacity: 0.25, backend: {provider: cpu, threads: 2}}"
    config = load(tmp_path, text, "backend.threads=3")
    assert config == RuntimeConfig(backend=CpuConfig(threads=3), overlay_opacity=0.25)


def test_choice_may_be_left_to_a_race() -> None:
    chosen = load_config(None, "runtime", RuntimeConfig, ["backend.provider=auto", "backend.race_s=1"])
    assert chosen.backend == AutoConfig(race_s=1.0)
    with pytest.raises(ConfigError, match=r"unknown key 'backend\.race'; did you mean 'race_s'"):
        load_config(None, "runtime", RuntimeConfig, ["backend.provider=auto", "backend.race=1"])


def test_caches_lie_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert AutoConfig().cache == tmp_path / "iapc" / "races.json"
    assert TensorRtEpConfig().cache == tmp_path / "iapc" / "tensorrt_ep"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert AutoConfig().cache == Path.home() / ".cache" / "iapc" / "races.json"


def test_config_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RuntimeConfig().overlay_opacity = 0.1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runtime: {overlay_opacty: 1}", "unknown key 'overlay_opacty'; did you mean 'overlay_opacity'"),
        ("runtime: {backend: {provider: cpu, thread: 1}}", "unknown key 'backend.thread'; did you mean 'threads'"),
        ("runtime: {backend: {provider: cuda, device: 1}}", "did you mean 'device_id'"),
        ("runtime: {sinks: [{kind: npz, foldr: a}]}", "sinks.0.folder: Field required; unknown key 'sinks.0.foldr'"),
        (
            "runtime: {backend: {provider: cuda, threads: 1}}",
            "unknown key '.*threads'; valid names: provider, device_id",
        ),
        ("runtime: {backend: {provider: tpu}}", "'tpu' .* expected tags: 'cpu', 'cuda'"),
        ("runtime: {backend: {provider: cpu, threads: 0}}", r"threads: Input should be greater than 0 \(got 0\)"),
        ("runtme: {}", "unknown section 'runtme'; did you mean 'runtime'"),
        ("runtime: {backend: {threads: 1}}", "backend: the key 'provider' is missing"),
        ("runtime: {sinks: [{kind: ring, nam: a}]}", r"unknown key 'sinks\.0\.nam'; did you mean 'name'"),
        ("runtime: {sinks: {kind: ring, name: a}}", r"sinks: expected a list, \[...\] \(got"),
        ("runtime: {source: drive.mp4}", r"source: expected a group of keys, \{...\} \(got 'drive.mp4'\)"),
        ("runtime: {loop: 5}", r"loop: expected a group of keys, \{...\} \(got 5\)"),
        ("runtime: {sinks: [{kind: video, path: a/b.avi}]}", r"the video is an MP4; name it b\.mp4"),
        (
            "runtime: {sinks: [{kind: npz, folder: a}, {kind: ring, name: a}, {kind: npz, folder: a}]}",
            "two sinks write to npz a;",
        ),
        (
            "runtime: {source: {kind: folder, path: drive}, sinks: [{kind: pictures, folder: drive/out}]}",
            "section runtime: drive/out lies inside the source",
        ),
        (
            "runtime: {source: {kind: folder, path: drive}, harvest: {folder: drive}}",
            "section runtime: drive lies inside the source",
        ),
        (
            "runtime: {source: {kind: video, path: 'rtsp://camera', timeout_s: 6}}",
            r"source\.timeout_s=6 is no less than loop\.stop_ms=6000: .*; lower the one, or raise the other, which "
            r"supervisor\.stop_s=10 has to exceed",
        ),
        (
            "runtime: {loop: {stop_ms: 10000}}",
            r"loop\.stop_ms=10000 is no less than supervisor\.stop_s=10, .*; lower the one or raise the other",
        ),
        ("runtime: [1]", r"section runtime: expected a mapping of keys to values, got \[1\]"),
        ("just text", "expected a mapping with sections"),
        ("a: [", r"run\.yaml cannot be read"),
    ],
)
def test_mistake_in_the_file_is_named_with_the_nearest_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text, "overlay_opacity=0.5")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("overlay_opacity", "expected key=value"),
        ("overlay_opacity.red=1", "'overlay_opacity' is a value, not a group of keys"),
        ("overlay_opacity=[", "the value is not YAML"),
        ("overlay_opacity=half", "overlay_opacity: Input should be a valid number"),
    ],
)
def test_mistake_in_an_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, "runtime: {overlay_opacity: 0.25}", override)


def test_stream_with_the_default_times_can_stop_in_time_and_a_file_waits_for_nobody(tmp_path: Path) -> None:
    load(tmp_path, "runtime: {source: {kind: video, path: 'rtsp://camera'}}")
    load(tmp_path, "runtime: {source: {kind: video, path: drive.mp4, timeout_s: 60}}")


def test_group_that_is_given_twice_is_refused_with_its_lines(tmp_path: Path) -> None:
    text = "runtime:\n  loop: {deadline_ms: 50}\n  overlay_opacity: 0.5\n  'loop': {heartbeat_ms: 50}\n"
    with pytest.raises(
        ConfigError, match=r"run\.yaml cannot be read: line 4 gives the key 'loop' again, which line 2 has"
    ):
        load(tmp_path, text)
    with pytest.raises(ConfigError, match=r"the value is not YAML: line 1 gives the key 'threads' again"):
        load(tmp_path, "runtime: {}", "backend={provider: cpu, threads: 1, threads: 2}")
    # The same name in two groups is two keys.
    load(tmp_path, "training: {runtime: 1}\nruntime: {loop: {max_restarts: 1}, supervisor: {max_restarts: 1}}")


def test_merged_keys_may_be_replaced(tmp_path: Path) -> None:
    text = """
training:
  inner: {loop: &first {deadline_ms: 50, heartbeat_ms: 20}}
  again: {loop: &second {<<: *first, deadline_ms: 60}}
runtime: {loop: {<<: *second, heartbeat_ms: 30}}
"""
    config = load(tmp_path, text)
    assert (config.loop.deadline_ms, config.loop.heartbeat_ms) == (60, 30)


def test_name_without_neighbour_lists_all() -> None:
    assert nearest("zzz", ["cpu", "cuda"]) == "; valid names: cpu, cuda"


def test_folder_stands_for_its_run_file_and_paths_beside_it_move_along(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    text = "runtime: {bundle: $FOLDER/bundle, artefact: $FOLDERS, sinks: [{kind: npz, folder: $FOLDER}]}"
    (first / "run.yaml").write_text(text)
    first.rename(second)
    config = load_config(second, "runtime", RuntimeConfig, ["overlay_opacity=0.25"])
    assert (config.bundle, config.overlay_opacity) == (second / "bundle", 0.25)
    assert config.artefact == "$FOLDERS"
    assert config.sinks == (NpzConfig(folder=second),)


def test_folder_without_a_run_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.yaml does not exist"):
        load_config(tmp_path, "runtime", RuntimeConfig)
