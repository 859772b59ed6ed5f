"""How a section says that it has nothing to show."""

__all__ = ["NotThereError"]


class NotThereError(Exception):
    """What a section shows is not there; no failure, since a run grows command by command.

    Args:
        why: a sentence where no command of the section's would make it, as for a run without labels; "" where the
            section's own command does.
    """

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why
