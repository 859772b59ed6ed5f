import pytest

from export.tensorrt import progress as progress_module
from export.tensorrt.progress import build_progress
from runtime.backends.tensorrt.library import EngineLibrary

pytestmark = pytest.mark.tensorrt


def test_outermost_phase_is_the_bar(rtx: EngineLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    with build_progress(rtx, "building") as monitor:
        monitor.phase_start("outer", None, 4)
        monitor.phase_start("inner", "outer", 100)
        assert all(monitor.step_complete("inner", step) for step in range(100))
        monitor.phase_finish("inner")
        assert all(monitor.step_complete("outer", step) for step in range(2))
        monitor.phase_finish("outer")
    assert "2/4" in capsys.readouterr().err


def test_interrupt_cancels_the_build_and_is_raised_after_it(
    rtx: EngineLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress_module, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _build_a_little(rtx)


def _build_a_little(rtx: EngineLibrary) -> None:
    with build_progress(rtx, "building") as monitor:
        monitor.phase_start("outer", None, 4)
        assert not monitor.step_complete("outer", 0)
        monitor.phase_finish("outer")
