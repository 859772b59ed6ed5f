"""The `methods` group of the `benchmarks` section: what is varied, on which data, and over which seeds."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from runtime.config import StrictModel

__all__ = ["MethodsConfig", "OracleConfig", "TableName", "name_of"]

TableName = Literal["ablation", "sensitivity", "variants", "methods", "plus"]


class OracleConfig(StrictModel):
    """The source network fine-tuned with the target's training labels: what there was to gain."""

    iterations: PositiveInt | None = None
    """Null: as many as the adaptation has."""
    learning_rate: PositiveFloat = 1e-3
    """Of AdamW, falling to zero at the last step."""


class MethodsConfig(StrictModel):
    """What `methods` runs besides the method as configured, which is in every table as the row `all`."""

    data: tuple[Path, ...] = ()
    """Run files whose `training` sections are varied, each a data set named after its file; none: the run file itself.
    """
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    """Of the adaptation alone: the source network of a data set is one and the same."""
    tables: tuple[TableName, ...] = ("methods",)
    """`methods` puts every other method in the place of the configured one, with all else as it is, and `plus` IAPC+,
    whole and without each of its parts; the others vary IAPC."""
    sensitivity_values: Literal["all", "ends"] = "all"
    """`ends` runs the lowest and the highest of each weight's values, and the configured one."""
    iterations: PositiveInt | None = None
    """Steps of every cell; null: as many as the adaptation has. The schedule stays the adaptation's."""
    oracle: OracleConfig | None = OracleConfig()
    """Null leaves it out, and with it the shares of the gap to it."""
    workers: PositiveInt | None = None
    """Cells that run at a time, each in a process of its own; null: one for every GPU, or for every two CPU threads."""
    keep_networks: bool = False
    """Keep the adapted network of each cell that runs from now on, and do not delete it after its evaluation."""
    rows: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Rows of your own: a title, and the keys below `adaptation` that it changes, dotted, with their values."""

    @model_validator(mode="after")
    def _is_told_apart(self) -> "MethodsConfig":
        names = [name_of(path) for path in self.data]
        for key, values in {"seeds": self.seeds, "tables": self.tables, "data": names}.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{key}={list(values)} names one twice; name each once")
        if "all" in self.rows:
            raise ValueError("rows: 'all' is the method as configured; give your row another name")
        return self


def name_of(run_file: Path) -> str:
    """What a data set is called in tables: its run file without the suffix, or the folder that stands for it."""
    return run_file.stem if run_file.suffix in (".yaml", ".yml") else run_file.name
