"""The reference, made from the program: its modules, and the flags of its commands."""

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator

from repository import PACKAGE, module_of, room_of

import driftpolicy
from driftpolicy.agents import METHODS, find_method
from driftpolicy.cli import COMMANDS
from driftpolicy.cli.options import add_config_flags

_DEFAULT = re.compile(r"^(?P<meaning>.*?) *\[(?P<default>[^\[\]]*)\]$", re.DOTALL)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the address and the text of every page of the reference."""
    yield "reference/python/index.md", _overview()
    rooms: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = module_of(path)
        if path != PACKAGE / "__init__.py" and not path.stem.startswith("__main"):
            rooms.setdefault(room_of(path), []).append(module)
    for room, modules in rooms.items():
        parts = [f"# driftpolicy.{room}\n", *(f"::: {module}\n" for module in sorted(modules))]
        alone = "    options: {show_root_heading: false, show_root_toc_entry: false}\n"
        if modules == [f"driftpolicy.{room}"]:  # the page's title is the module's
            parts = [f"# driftpolicy.{room} {{ #driftpolicy.{room} }}\n", parts[1] + alone]
        yield f"reference/python/{room}.md", "\n".join(parts)
    for name in COMMANDS:
        yield f"reference/commands/{name}.md", "\n".join(_command(name))


def _overview() -> str:
    """Return the page that lists what ``import driftpolicy`` offers, and the rooms."""
    lines = ["# The Python API\n", inspect.cleandoc(_indented(driftpolicy.__doc__ or "")), ""]
    lines += ["| name | |", "| --- | --- |"]
    for name in driftpolicy.__all__:
        if name.startswith("__"):
            continue
        one = getattr(driftpolicy, name)
        summary = (inspect.getdoc(one) or "").splitlines()[0]
        path = f"{one.__module__}.{one.__qualname__}"
        lines.append(f"| [`driftpolicy.{name}`][{path}] | {_plain(summary)} |")
    lines += [
        "",
        "Every module has its place on the page of its room, the part of the package that",
    ]
    lines += ["[the architecture](../../architecture.md#the-rooms) describes."]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> str:
    """Return a docstring whose code, after the first line, is in a block."""
    first, _, code = text.partition("\n")
    return f"{first}\n\n```python\n{code.strip()}\n```"


def _command(name: str) -> Iterator[str]:
    """Yield the lines of a command's page: its arguments, and its subcommands'."""
    module = importlib.import_module(f"driftpolicy.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"dfp {name}", description=COMMANDS[name].capitalize())
    module.configure(parser)
    yield f"# dfp {name}\n"
    yield from _parser(parser, "##")
    if hasattr(module, "look_ahead"):
        yield "\n## The settings of each method\n"
        yield "`--method` decides which of these there are.\n"
        methods: dict[type, list[str]] = {}
        for method in METHODS:
            methods.setdefault(find_method(method).config, []).append(method)
        for config, names in methods.items():
            flags = argparse.ArgumentParser(add_help=False)
            group = flags.add_argument_group("method")
            add_config_flags(group, config)
            yield f"\n### {', '.join(f'`{each}`' for each in names)}\n"
            yield f"{_plain((inspect.getdoc(config) or '').splitlines()[0])}\n"
            yield from _table(group)


def _parser(parser: argparse.ArgumentParser, heading: str) -> Iterator[str]:
    """Yield the lines about a parser, its groups of arguments and its subcommands."""
    yield f"{parser.description}.\n" if parser.description else ""
    nested = []
    for group in parser._action_groups:
        actions = group._group_actions
        nested += [each for each in actions if isinstance(each, argparse._SubParsersAction)]
        if any(_shown(action) for action in actions):
            if group.title not in ("positional arguments", "options"):
                yield f"\n{heading} {(group.title or '').capitalize()}\n"
            yield from _table(group)
    for action in nested:
        for subparser in action.choices.values():
            yield f"\n{heading} {subparser.prog}\n"
            yield from _parser(subparser, heading + "#")


def _shown(action: argparse.Action) -> bool:
    """Tell whether an argument has a line of its own."""
    return not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)


def _table(group: argparse._ArgumentGroup) -> Iterator[str]:
    """Yield a table of a group's arguments: how it is spelled, what it means, its default."""
    yield "| argument | meaning | default |\n| --- | --- | --- |"
    for action in filter(_shown, group._group_actions):
        text = (action.help or "").replace("%%", "%")
        match = _DEFAULT.match(text)
        meaning, default = (match["meaning"], match["default"]) if match else (text, "")
        yield f"| {_spelling(action)} | {_plain(meaning.rstrip('; '))} | {_plain(default)} |"
    yield ""


def _spelling(action: argparse.Action) -> str:
    """Return an argument as one types it."""
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    if action.nargs in ("+", "*"):
        metavar += " ..."
    if not action.option_strings:
        return f"`{metavar}`"
    value = "" if action.nargs == 0 else f" {metavar}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def _plain(text: str) -> str:
    """Return text for a cell of a table."""
    return re.sub(r"([|<>*_])", r"\\\1", text).replace("``", "`")
