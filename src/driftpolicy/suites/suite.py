"""A suite: which runs belong together, as data, in a TOML file of the package's or a user's."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from driftpolicy.agents import find_method
from driftpolicy.config import TrainConfig, convert, fits, resolve
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder, task_folder

SUITES = Path(__file__).parent
"""The folder with the suites of the package: one file each, named like the suite."""
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")  # part of a folder's name


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a suite."""

    task: str
    """The task's name."""
    method: str
    """The method's name."""
    seed: int
    """The run's seed."""
    variant: str = ""
    """What is varied, such as ``lambda=0.5``; part of the folder's name."""
    preset: str = "paper"
    """Whose settings hold where there are no overrides."""
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """Values by the names of config fields."""

    @property
    def label(self) -> str:
        """Return the method and what is varied: ``dfp``, ``dfp@lambda=0.5``."""
        return f"{self.method}@{self.variant}" if self.variant else self.method

    @property
    def name(self) -> str:
        """Return ``task/label/seedk``, the run's folder under the suite's."""
        return f"{task_folder(self.task)}/{self.label}/seed{self.seed}"

    def folder(self, root: Path) -> RunFolder:
        """Return the run's folder under the suite's folder ``root``."""
        return RunFolder(root / self.name)

    def config(self) -> TrainConfig:
        """Return all settings of the run, as ``dfp train`` would resolve them.

        Raises:
            UserError: for an unknown task, method, preset or field, or a value out of range.
        """
        given = _typed_overrides(self.method, self.overrides) | {"seed": self.seed}
        return resolve(self.task, self.method, self.preset, given)


@dataclasses.dataclass(frozen=True)
class Block:
    """Every task with every method and every seed, all with the same settings."""

    tasks: tuple[str, ...]
    """Names of tasks."""
    methods: tuple[str, ...]
    """Names of methods."""
    seeds: tuple[int, ...]
    """Seeds of each."""
    variant: str = ""
    """What is varied in this block; part of the folders' names."""
    preset: str = "paper"
    """Whose settings hold where there are no overrides."""
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """Values by the names of config fields."""

    def cells(self) -> list[Cell]:
        """Return the block's runs: a seed of everything before the next seed."""
        return [
            Cell(task, method, seed, self.variant, self.preset, self.overrides)
            for seed in self.seeds
            for task in self.tasks
            for method in self.methods
        ]


@dataclasses.dataclass(frozen=True)
class Suite:
    """Blocks of runs under one name."""

    name: str
    """Its file's name without ``.toml``."""
    title: str
    """One line for people."""
    blocks: tuple[Block, ...]
    """What is run, in this order."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return all tasks, in order of their first use."""
        return _unique(task for block in self.blocks for task in block.tasks)

    @property
    def methods(self) -> tuple[str, ...]:
        """Return all methods, in order of their first use."""
        return _unique(method for block in self.blocks for method in block.methods)

    @property
    def variants(self) -> tuple[str, ...]:
        """Return all variants, in order of their first use; ``("",)`` where nothing is varied."""
        return _unique(block.variant for block in self.blocks)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return all seeds, in order of their first use."""
        return _unique(seed for block in self.blocks for seed in block.seeds)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the methods with their variants, in order of their first use."""
        return _unique(cell.label for cell in self.cells())

    def cells(self) -> list[Cell]:
        """Return every run, block by block."""
        return [cell for block in self.blocks for cell in block.cells()]


def suite_names() -> list[str]:
    """Return the names of the suites that come with the package."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def find_suite(name_or_path: str | Path) -> Suite:
    """Return a suite of the package by its name, or a user's by the path of its ``.toml`` file.

    Raises:
        UserError: if there is none, or the file is not a suite, saying what is wrong in it.
    """
    text = str(name_or_path)
    if text in suite_names():
        path = SUITES / f"{text}.toml"
    elif text.endswith(".toml"):
        path = Path(text).expanduser()
    else:
        known = ", ".join(suite_names())
        raise UserError(f"unknown suite {text!r}; known: {known}, or the path of a .toml file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the suite {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no TOML file: {error}") from None
    try:
        return _suite(path.stem, table)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def join_suites(names: Sequence[str | Path]) -> Suite:
    """Return several suites as one, under the first's name; a run that two have is there once.

    Raises:
        UserError: as :func:`find_suite`, or if two suites make the same run with different
            settings.
    """
    suites = [find_suite(name) for name in names]
    if len(suites) == 1:
        return suites[0]
    known: dict[str, Cell] = {}
    for cell in (cell for suite in suites for cell in suite.cells()):
        if known.setdefault(cell.name, cell).config() != cell.config():
            raise UserError(f"the suites {', '.join(map(str, names))} disagree about {cell.name}")
    blocks = dict.fromkeys(block for suite in suites for block in suite.blocks)
    title = "; ".join(suite.title for suite in suites)
    return Suite(suites[0].name, title, tuple(blocks))


def _suite(name: str, table: Mapping[str, Any]) -> Suite:
    """Return the suite that a file's table describes; every run's settings are resolved once."""
    common = {key: value for key, value in table.items() if key not in ("title", "blocks")}
    title = table.get("title", name)
    parts = table.get("blocks", [{}])
    if not isinstance(title, str):
        raise UserError(f"title must be a text, not {title!r}")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UserError("blocks must be tables, each under the line [[blocks]]")
    suite = Suite(name, title, tuple(_block(common, part) for part in parts))
    seen: set[str] = set()
    for cell in suite.cells():
        cell.config()
        if cell.name in seen:
            raise UserError(f"{cell.name} is there twice; give its blocks different variants")
        seen.add(cell.name)
    if not seen:
        raise UserError("has no runs")
    return suite


def _block(common: Mapping[str, Any], part: Mapping[str, Any]) -> Block:
    """Return a block with its keys over those of the whole file; overrides are merged."""
    values = {**common, **part}
    fields = [field.name for field in dataclasses.fields(Block)]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(f"unknown key {unknown[0]!r}; known: title, blocks, {', '.join(fields)}")
    for key in ("tasks", "methods", "seeds"):
        if key not in values:
            raise UserError(f"a block has no {key}")
    kinds = {"tasks": str, "methods": str, "seeds": int}
    for key, kind in kinds.items():
        items = values[key]
        if not isinstance(items, list) or not items or any(type(v) is not kind for v in items):
            noun = "texts" if kind is str else "whole numbers"
            raise UserError(f"{key} must be a list of {noun}, not {items!r}")
        if len(set(items)) < len(items):
            raise UserError(f"{key} names something twice: {items}")
        values[key] = tuple(items)
    for method in values["methods"]:
        find_method(method)
    variant, preset = values.get("variant", ""), values.get("preset", "paper")
    if not isinstance(variant, str) or (variant and not _VARIANT.fullmatch(variant)):
        raise UserError(f"variant must be letters, digits and . _ + = -, not {variant!r}")
    if not isinstance(preset, str):
        raise UserError(f"preset must be a text, not {preset!r}")
    shared, further = common.get("overrides", {}), part.get("overrides", {})
    if not isinstance(shared, dict) or not isinstance(further, dict):
        raise UserError("overrides must be a table of settings")
    return Block(**{**values, "overrides": {**shared, **further}})


def _typed_overrides(method: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return TOML's values as the config has them: lists as tuples, whole numbers as floats.

    Raises:
        UserError: for a value of another type, or a field that the suite's own keys decide.
    """
    hints = typing.get_type_hints(TrainConfig) | typing.get_type_hints(find_method(method).config)
    values = {}
    for name, value in overrides.items():
        if name in ("task", "method", "seed", "agent"):
            raise UserError(f"overrides cannot set {name}")
        hint = hints.get(name, object)  # an unknown name is refused where settings are resolved
        values[name] = convert(value, hint)
        if not fits(values[name], hint):
            raise UserError(f"overrides: {name} = {value!r} is of the wrong type")
    return values


def _unique(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))
