"""What an adaptation step costs, as docs/training.md shows it."""

from benchmarks.adaptation.document import AdaptationDocument
from benchmarks.tables import markdown_table, number, share

__all__ = ["step_results"]


def step_results(document: AdaptationDocument) -> str:
    """A column for each contender, the plain step first, and what the table is of."""
    plain, *ours = document.contenders
    header = ["", "plain, fp32", *(f"ours, {found.precision}" for found in ours)]
    speedups = (f"**{document.speedup_vs_plain[found.precision]:.2f}x**" for found in ours)
    memory = (f"{_gib(found.peak_bytes)} ({document.memory_vs_plain[found.precision]:.2f}x)" for found in ours)
    rows = [
        ["images/s", *(number(found.images_per_s, 3) for found in document.contenders)],
        ["against the plain step", "1", *speedups],
        ["peak memory, torch's own included", _gib(plain.peak_bytes), *memory],
        ["largest difference of a loss at the first step", "-", *(share(found.loss_difference, 2) for found in ours)],
    ]
    environment, config = document.environment, document.config
    height, width = config["crop_hw"]
    return "\n".join(
        (
            *markdown_table(header, rows),
            "",
            f"`{config['backbone']}`, crops of {width}x{height}, batch {config['batch_size']}; medians of "
            f"{len(plain.seconds)} steps each, taking turns in one run; {environment.threads} threads of "
            f"{environment.cpu}, torch {environment.torch}.",
        )
    )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
