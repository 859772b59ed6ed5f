import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SEGMENT = """
import sys
from pathlib import Path
from runtime.config import validated
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

bundle, provider = sys.argv[1:]
config = validated(RuntimeConfig, {"backend": {"provider": provider}}, place="test")
Segmenter.open(Path(bundle), config).close()
print(sorted(name for name in ("onnxruntime", "openvino", "openvino_telemetry") if name in sys.modules))
"""


@pytest.mark.parametrize(("provider", "package"), [("cpu", "onnxruntime"), ("openvino", "openvino")])
def test_engine_leaves_no_trace_of_telemetry(bundle: Path, tmp_path: Path, provider: str, package: str) -> None:
    """Both makers' reporting begins with an identifier that is kept in the home folder."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SEGMENT, str(bundle), provider],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert package in done.stdout
    assert "telemetry" not in done.stdout
    assert list(home.rglob("*")) == []
