"""One YAML file describes a run; each stage reads its own section of it into a closed pydantic model.

    training: {...}     read by `python -m training`
    export: {...}       read by `python -m export`
    runtime: {...}      read by `python -m runtime`
    benchmarks: {...}   read by `python -m benchmarks`

Unknown keys are refused with the nearest valid name, and keys that are given twice. `--set a.b=value` is the only
override and passes through the same checks. A folder stands for its file `run.yaml`. A text that starts with `$FOLDER`
means a path beside the run file, wherever both are carried.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.errors import ConfigError

__all__ = ["FOLDER", "RUN_FILE", "SECTIONS", "StrictModel", "assign", "load_config", "nearest", "validated"]

SECTIONS = ("training", "export", "runtime", "benchmarks")
RUN_FILE, FOLDER = "run.yaml", "$FOLDER"


class StrictModel(BaseModel):
    """Base of every config and manifest model: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=StrictModel)

MERGE = "tag:yaml.org,2002:merge"

# What pydantic says in terms of Python, in those of a run file; by the type of its errors.
IN_YAML = {
    "tuple_type": "expected a list, [...]",
    "model_type": "expected a group of keys, {{...}}",
    "model_attributes_type": "expected a group of keys, {{...}}",
    "value_error": "{error}",
    "union_tag_not_found": "the key {discriminator} is missing, which says what is meant",
}


def load_config(path: Path | None, section: str, model: type[Model], overrides: Sequence[str] = ()) -> Model:
    """Read one stage's section of a run file.

    Args:
        path: the YAML file, or a folder with a `run.yaml`; None where the command line says everything.
        section: one of `SECTIONS`; a missing section is read as empty.
        model: the closed model of that section.
        overrides: `key.path=value` texts; values are read as YAML. A path may start with a section's name, and
            is then meant for that stage alone, so that one list of overrides can serve several stages.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is not valid.
    """
    document = {} if path is None else _read_yaml(path)
    place = f"{path or 'command line'}, section {section}"
    unknown = [name for name in document if name not in SECTIONS]
    if unknown:
        raise ConfigError(f"{path}: unknown section {unknown[0]!r}{nearest(unknown[0], SECTIONS)}")
    values = document.get(section) or {}
    if not isinstance(values, dict):
        raise ConfigError(f"{place}: expected a mapping of keys to values, got {values!r}")
    for override in overrides:
        stage, _, rest = override.partition(".")
        if stage == section:
            _apply_override(values, rest)
        elif stage not in SECTIONS:
            _apply_override(values, override)
    return validated(model, values, place=place)


def validated(model: type[Model], values: Mapping[str, Any], *, place: str) -> Model:
    """A config of plain values; `place` says in messages where they stand.

    Raises:
        ConfigError: a key is unknown, missing, or has a value that is not valid.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{place}: {_first_problems(error, model)}") from error


def assign(values: dict[str, Any], key: str, value: Any, *, place: str) -> None:
    """Set a dotted key in a tree of plain values; groups that are not there are made.

    Raises:
        ConfigError: a part of the key before the last is a value.
    """
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{place}: {parent!r} is a value, not a group of keys")
    values[last] = value


def nearest(name: str, valid: Sequence[str]) -> str:
    """A phrase that tells the nearest valid name, or all of them where none is near."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid names: {', '.join(valid)}"


def _read_yaml(path: Path) -> dict[str, Any]:
    path = path / RUN_FILE if path.is_dir() else path
    try:
        document = _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"config file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"config file {path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping with sections {', '.join(SECTIONS)}")
    return {name: _beside(path.parent, values) for name, values in document.items()}


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice in one group, of which YAML would keep the last and drop the others.

    It looks before merge keys (`<<`) are filled in: what they bring may be replaced.
    """

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in lines:
                raise yaml.YAMLError(
                    f"line {line} gives the key {key.value!r} again, which line {lines[name]} has already; put both "
                    "together"
                )
            lines[name] = line
        return node


def _parsed(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _beside(folder: Path, value: Any) -> Any:
    """A tree of plain values in which texts that start with `$FOLDER` lead into the folder."""
    if isinstance(value, dict):
        return {key: _beside(folder, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_beside(folder, inner) for inner in value]
    if isinstance(value, str) and (value == FOLDER or value.startswith(f"{FOLDER}/")):
        return f"{folder}{value.removeprefix(FOLDER)}"
    return value


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise ConfigError(f"--set {override!r}: expected key=value, for example --set seed=1")
    try:
        value = _parsed(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not YAML: {error}") from error
    assign(values, key, value, place=f"--set {override!r}")


def _first_problems(error: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for problem in error.errors()[:5]:
        key = ".".join(_walk(model, problem["loc"])[0])
        if problem["type"] == "extra_forbidden":
            siblings = _walk(model, problem["loc"][:-1])[1]
            lines.append(f"unknown key {key!r}{nearest(str(problem['loc'][-1]), siblings)}")
        else:
            got = "" if problem["type"] in ("missing", "value_error") else f" (got {problem['input']!r})"
            in_yaml = IN_YAML.get(problem["type"])
            message = problem["msg"] if in_yaml is None else in_yaml.format(**problem.get("ctx", {}))
            lines.append(f"{key}: {message}{got}" if key else f"{message}{got}")
    return "; ".join(lines)


def _walk(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], list[str]]:
    """A place as it is written, without the names of a union's members that errors have, and the keys valid there."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    written = []
    for part in location:
        options = _options(node, schema)
        by_tag = [option for option in options if len(options) > 1 and part in _tags(option)]
        if by_tag:
            node = by_tag[0]
            continue
        written.append(str(part))
        if isinstance(part, int):
            node = options[0].get("items", {})
            continue
        holders = [option for option in options if part in option.get("properties", {})]
        node = holders[0]["properties"][part] if holders else {}
    return written, [name for option in _options(node, schema) for name in option.get("properties", {})]


def _options(node: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The members of a union; of anything else, it alone."""
    resolved = _resolve(node, schema)
    return [_resolve(option, schema) for option in resolved.get("oneOf", resolved.get("anyOf", [resolved]))]


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else node


def _tags(node: dict[str, Any]) -> list[Any]:
    return [prop["const"] for prop in node.get("properties", {}).values() if "const" in prop]
