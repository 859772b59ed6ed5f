import io
import warnings
import zipfile

import torch
from torch import Tensor, nn

from export.torchscript_archive import normalised


class Doubled(nn.Module):
    """Weights and biases, and a module inside."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x))
        return result


def traced(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is (deprecated|not supported)")
        frozen = torch.jit.freeze(torch.jit.trace(module, (torch.ones(1, 3),)))  # type: ignore[no-untyped-call]
        torch.jit.save(frozen, buffer, _extra_files={"iapc.json": '{"a": "b"}'})
    return buffer.getvalue()


def test_network_traced_twice_gives_the_same_bytes_after_but_not_before() -> None:
    module = Doubled().eval()
    first, second = traced(module), traced(module)
    assert first != second
    assert normalised(first) == normalised(second)
    assert normalised(normalised(first)) == normalised(first)


def test_nothing_tells_where_the_exporter_was_installed() -> None:
    archive = traced(Doubled().eval())
    with zipfile.ZipFile(io.BytesIO(archive)) as before, zipfile.ZipFile(io.BytesIO(normalised(archive))) as after:
        assert any(torch.__path__[0].encode() in before.read(name) for name in before.namelist())
        assert not any(torch.__path__[0].encode() in after.read(name) for name in after.namelist())


def test_archive_is_loaded_and_computes_as_before() -> None:
    module = Doubled().eval()
    facts: dict[str, str | bytes] = {"iapc.json": ""}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is (deprecated|not supported)")
        loaded = torch.jit.load(io.BytesIO(normalised(traced(module))), _extra_files=facts)  # type: ignore[no-untyped-call]
    x = torch.linspace(-1, 1, 6).view(2, 3)
    assert torch.equal(loaded(x), module(x))
    assert facts == {"iapc.json": b'{"a": "b"}'}
