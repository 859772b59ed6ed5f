"""The `methods` group of the `benchmarks` section: what is varied, and over which seeds."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from runtime.config import StrictModel

__all__ = ["MethodsConfig", "TableName"]

TableName = Literal["ablation", "sensitivity", "variants", "methods"]


class MethodsConfig(StrictModel):
    """What `methods` runs besides the method as configured, which is in every table as the row `all`."""

    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    """Of the adaptation alone: the source network is one and the same."""
    tables: tuple[TableName, ...] = ("ablation", "sensitivity", "variants")
    """The first three vary IAPC; `methods` puts every other method in its place, with all else as it is."""
    sensitivity_values: Literal["all", "ends"] = "all"
    """`ends` runs the lowest and the highest of each weight's values, and the configured one."""
    iterations: PositiveInt | None = None
    """Steps of every cell; null: as many as the adaptation has. The schedule stays the adaptation's."""
    keep_networks: bool = False
    """Keep the adapted network of each cell that runs from now on, and do not delete it after its evaluation."""
    rows: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Rows of your own: a title, and the keys below `adaptation` that it changes, dotted, with their values."""

    @model_validator(mode="after")
    def _is_told_apart(self) -> "MethodsConfig":
        for key, values in {"seeds": self.seeds, "tables": self.tables}.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{key}={list(values)} names one twice; name each once")
        if "all" in self.rows:
            raise ValueError("rows: 'all' is the method as configured; give your row another name")
        return self
