"""A run's settings in layers: defaults, published values, a preset, a file, flags."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from driftpolicy.agents import METHODS, find_method
from driftpolicy.config import TrainConfig, lower_layers, resolve
from driftpolicy.errors import FieldError, UserError, nearest

DEFAULT_METHOD = TrainConfig.method
DEFAULT_PRESET = "paper"


@dataclasses.dataclass(frozen=True)
class SettingsFile:
    """What a file says of a run: some of the keys of ``config.json``, or all, and a preset."""

    path: Path
    """Where it was read."""
    table: Mapping[str, Any]
    """Its keys and values, as they stand there."""

    @classmethod
    def read(cls, path: str | Path) -> "SettingsFile":
        """Read a file: JSON if its name ends in ``.json``, else TOML, which may have comments.

        Raises:
            UserError: if it cannot be read, or task, method or preset is no text.
        """
        path = Path(path).expanduser()
        kind = "JSON" if path.suffix == ".json" else "TOML"
        try:
            text = path.read_text(encoding="utf-8")
            table = (
                json.loads(text, object_pairs_hook=_without_doubles)
                if kind == "JSON"
                else tomllib.loads(text)
            )
        except OSError as error:
            raise UserError(f"cannot read the settings {path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is no {kind} file: {error}") from None
        if not isinstance(table, dict):
            raise UserError(f"{path} holds no settings: it must be a table of them")
        for name in ("task", "method", "preset"):
            if not isinstance(table.get(name, ""), str):
                raise UserError(f"{path}: {name} must be a text, not {table[name]!r}")
        return cls(path, table)

    def text(self, name: str) -> str | None:
        """Return the task, the method or the preset that the file names, None if it does not."""
        return self.table.get(name)

    def values(self, method: str) -> dict[str, Any]:
        """Return the settings by field name, without task, method and preset.

        Args:
            method: whose settings the table ``agent`` holds.

        Raises:
            UserError: for an unknown key, with the nearest known one.
        """
        train, agent = _fields(TrainConfig), _fields(find_method(method).config)
        table = {k: v for k, v in self.table.items() if k not in ("task", "method", "preset")}
        deeper = table.pop("agent", {})
        if not isinstance(deeper, dict):
            raise UserError(f"{self.path}: agent must be a table of the method's settings")
        for name in table:
            if name in agent:
                raise UserError(f"{self.path}: {name} belongs into the table [agent]")
            self._require_known(name, ["task", "method", "preset", "agent", *train], "the settings")
        own = self.text("method")
        theirs = _fields(METHODS[own][1]) if own in METHODS else []
        for name in deeper:
            if name in theirs and name not in agent:
                raise UserError(
                    f"{self.path}: {name} is a setting of {own}, which {method} does not have: "
                    f"take it out, or train {own}"
                )
            self._require_known(name, agent, f"the settings of {method}")
        return {**table, **deeper}

    def _require_known(self, name: str, known: Sequence[str], whose: str) -> None:
        if name not in known:
            near = nearest(name, known)
            raise UserError(f"{self.path}: {name!r} is not among {whose}; nearest: {near}")


@dataclasses.dataclass(frozen=True)
class Settled:
    """The settings of a run and where each comes from."""

    config: TrainConfig
    """All of them."""
    origins: Mapping[str, str]
    """By field name, of the run's config and of the method's."""

    def to_toml(self) -> str:
        """Return the settings as a file that :class:`SettingsFile` reads, origins as comments."""
        agent = self.config.agent
        names = [name for name in _fields(TrainConfig) if name != "agent"]
        lines = ["\n".join(self._lines(self.config, names))]
        lines.append("\n".join(["[agent]", *self._lines(agent, _fields(type(agent)))]))
        return "\n\n".join(lines) + "\n"

    def _lines(self, config: Any, names: Sequence[str]) -> list[str]:
        rows = []
        for name in names:
            value = getattr(config, name)
            # TOML has no word for nothing: a line that is left out keeps it.
            text = f"# {name}: none" if value is None else f"{name} = {_toml(value)}"
            rows.append((text, self.origins[name]))
        width = min(max(len(text) for text, _ in rows), 44)
        return [f"{text:{width}}  # {origin}" for text, origin in rows]


def settle(
    task: str | None,
    method: str | None,
    preset: str | None,
    flags: Mapping[str, Any],
    *,
    file: SettingsFile | None = None,
    machine: Mapping[str, Any] | None = None,
) -> Settled:
    """Return the settings of a run: each layer wins over those before it.

    Args:
        task: its name; None takes the file's or the preset's.
        method: its name; None takes the file's, or dfp.
        preset: its name; None takes the file's, or paper.
        flags: settings by field name, which win over all others.
        file: settings that win over the preset's.
        machine: settings that this machine asks for, which win over the preset's too.

    Raises:
        UserError: for an unknown name, or a value out of range; of a file, naming it.
    """
    given = {"task": task, "method": method}
    for name, value in {**given, "preset": preset}.items():
        if not isinstance(value, str | None):
            raise UserError(f"{name} must be a text, not {value!r}")
    task = task or (file and file.text("task"))
    method = method or (file and file.text("method")) or DEFAULT_METHOD
    preset = preset or (file and file.text("preset")) or DEFAULT_PRESET
    machine = machine or {}
    values = file.values(method) if file else {}
    chosen = {**machine, **values, **flags}
    try:
        config = resolve(task, method, preset, chosen)
    except FieldError as error:
        if file is None or error.field not in values or error.field in flags:
            raise
        raise UserError(f"{file.path}: {error}") from None
    _, published, settings = lower_layers(config.task, method, preset, config.phase)
    named = {name: file.text(name) for name in given if file.text(name)} if file else {}
    layers = [
        ("paper's table", published),
        (f"preset {preset}", settings),
        ("this machine", machine),
        (f"file {file.path.name}" if file else "", {**named, **values}),
        ("flag", {**flags, **{name: value for name, value in given.items() if value}}),
    ]
    names = [*_fields(TrainConfig), *_fields(type(config.agent))]
    origins = {
        name: next((origin for origin, layer in reversed(layers) if name in layer), "default")
        for name in names
    }
    return Settled(config, origins)


def _fields(config: type) -> list[str]:
    """Return the names of a config's fields."""
    return [field.name for field in dataclasses.fields(config)]


def _toml(value: Any) -> str:
    """Return a config's value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):  # JSON's escapes are TOML's, but for one that JSON leaves out
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of JSON's pairs; of a key that is there twice, one value would be lost."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)} is there twice")
    return table
