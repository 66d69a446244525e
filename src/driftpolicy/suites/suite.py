"""A suite: which runs belong together, as data, in a TOML file of the package's or a user's."""

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from driftpolicy.agents import find_method
from driftpolicy.config import TrainConfig, resolve
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder
from driftpolicy.tasks.registry import find_task
from driftpolicy.tasks.task import Task

SUITES = Path(__file__).parent
"""The folder with the suites of the package: one file each, named like the suite."""
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")  # part of a folder's name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a suite, its settings resolved."""

    task: Task
    """The run's task."""
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
    config: TrainConfig = dataclasses.field(hash=False)
    """All settings, as ``dfp train`` would resolve them."""

    @property
    def label(self) -> str:
        """Return the method and what is varied: ``dfp``, ``dfp@lambda=0.5``."""
        return f"{self.method}@{self.variant}" if self.variant else self.method

    @property
    def name(self) -> str:
        """Return ``task/label/seedk``, the run's folder under the suite's."""
        return f"{self.task.folder}/{self.label}/seed{self.seed}"

    def folder(self, root: Path) -> RunFolder:
        """Return the run's folder under the suite's folder ``root``."""
        return RunFolder(root / self.name)


def make_cell(
    task: str,
    method: str,
    seed: int,
    *,
    variant: str = "",
    preset: str = "paper",
    overrides: Mapping[str, Any] | None = None,
) -> Cell:
    """Return a run with its settings resolved.

    Args:
        task: the task's name.
        method: the method's name.
        seed: the run's seed.
        variant: what is varied.
        preset: whose settings hold where there are no overrides.
        overrides: values by the names of config fields, as TOML has them.

    Raises:
        UserError: for an unknown task, method, preset or field, or a value out of range.
    """
    overrides = overrides or {}
    for name in ("task", "method", "seed", "agent"):
        if name in overrides:
            raise UserError(f"overrides cannot set {name}")
    return Cell(
        task=find_task(task),
        method=method,
        seed=seed,
        variant=variant,
        preset=preset,
        overrides=overrides,
        config=resolve(task, method, preset, {**overrides, "seed": seed}),
    )


@dataclasses.dataclass(frozen=True)
class Suite:
    """Runs under one name."""

    name: str
    """Its file's name without ``.toml``."""
    title: str
    """One line for people."""
    cells: tuple[Cell, ...]
    """Every run once, in the order in which they are made: block by block, a seed of everything
    before the next seed."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Return all tasks, in order of their first use."""
        return _unique(cell.task for cell in self.cells)

    @property
    def methods(self) -> tuple[str, ...]:
        """Return all methods, in order of their first use."""
        return _unique(cell.method for cell in self.cells)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return all seeds, in order of their first use."""
        return _unique(cell.seed for cell in self.cells)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the methods with their variants, in order of their first use."""
        return _unique(cell.label for cell in self.cells)

    def only(self, patterns: Sequence[str] | None) -> "Suite":
        """Return the runs whose name a pattern matches, as a suite of the same name.

        Args:
            patterns: such as ``*/dfp/*``, for :attr:`Cell.name`; one that begins with ``!`` leaves
                out what the rest of it matches. None, or none without ``!``: of all runs.

        Raises:
            UserError: naming a pattern that matches no run, or if all that is chosen is left out.
        """
        chosen, left_out = set[str](), set[str]()
        for pattern in patterns or ():
            matched = {c.name for c in self.cells if fnmatchcase(c.name, pattern.removeprefix("!"))}
            if not matched:
                first = self.cells[0].name
                raise UserError(f"--only {pattern}: no such run; the first is {first}")
            (left_out if pattern.startswith("!") else chosen).update(matched)
        names = (chosen or {cell.name for cell in self.cells}) - left_out
        if not names:
            raise UserError(f"--only {' '.join(patterns or ())}: leaves no run")
        return dataclasses.replace(self, cells=tuple(c for c in self.cells if c.name in names))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Block:
    """Every task with every method and every seed, all with the same settings."""

    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    variant: str = ""
    preset: str = "paper"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """Return the block's runs: a seed of everything before the next seed."""
        return [
            make_cell(
                task,
                method,
                seed,
                variant=self.variant,
                preset=self.preset,
                overrides=self.overrides,
            )
            for seed in self.seeds
            for task in self.tasks
            for method in self.methods
        ]


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
    cells: dict[str, Cell] = {}
    for cell in (cell for suite in suites for cell in suite.cells):
        if cells.setdefault(cell.name, cell).config != cell.config:
            raise UserError(f"the suites {', '.join(map(str, names))} disagree about {cell.name}")
    title = "; ".join(suite.title for suite in suites)
    return Suite(suites[0].name, title, tuple(cells.values()))


def _suite(name: str, table: Mapping[str, Any]) -> Suite:
    """Return the suite that a file's table describes."""
    common = {key: value for key, value in table.items() if key not in ("title", "blocks")}
    title = table.get("title", name)
    parts = table.get("blocks", [{}])
    if not isinstance(title, str):
        raise UserError(f"title must be a text, not {title!r}")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UserError("blocks must be tables, each under the line [[blocks]]")
    cells: dict[str, Cell] = {}
    for cell in (cell for part in parts for cell in _block(common, part).cells()):
        if cell.name in cells:
            raise UserError(f"{cell.name} is there twice; give its blocks different variants")
        cells[cell.name] = cell
    if not cells:
        raise UserError("has no runs")
    return Suite(name, title, tuple(cells.values()))


def _block(common: Mapping[str, Any], part: Mapping[str, Any]) -> _Block:
    """Return a block with its keys over those of the whole file; overrides are merged."""
    values = {**common, **part}
    fields = [field.name for field in dataclasses.fields(_Block)]
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
    return _Block(**{**values, "overrides": {**shared, **further}})


def _unique(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))
