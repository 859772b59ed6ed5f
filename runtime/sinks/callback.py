"""Results for the program that embeds the loop."""

from collections.abc import Callable

from runtime.errors import SinkError
from runtime.result import Result, Status

__all__ = ["CallbackSink"]


class CallbackSink:
    """Calls a function with each result, on the sink's own thread; see `Sink`.

    What a function raises is told as a failure of this sink, and the next result is tried.

    Args:
        take: gets each result; its arrays are valid until it returns.
        hear: gets each status; None where nobody wants them.
        name: what messages call the function.
    """

    def __init__(
        self,
        take: Callable[[Result], None],
        hear: Callable[[Status], None] | None = None,
        name: str = "the function that takes results",
    ) -> None:
        self._take, self._hear, self._name = take, hear, name

    def write(self, result: Result) -> None:
        """Call the function; see `Sink.write`."""
        self._call(lambda: self._take(result))

    def tell(self, status: Status) -> None:
        """Call the other function; see `Sink.tell`."""
        hear = self._hear
        if hear is not None:
            self._call(lambda: hear(status))

    def close(self) -> None:
        """Nothing: the functions belong to their program."""

    def _call(self, function: Callable[[], None]) -> None:
        try:
            function()
        except SinkError:
            raise
        except Exception as error:
            raise SinkError(f"{self._name} raised {type(error).__name__}: {error}") from error
