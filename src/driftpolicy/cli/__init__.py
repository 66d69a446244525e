"""The command ``dfp``: one file per subcommand, thin, imported only when it is asked for.

In each file are ``configure(parser)``, which declares the flags, and ``run(options)``. Where more
flags depend on the arguments, ``look_ahead(parser, arguments)`` declares those.
"""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from driftpolicy import __version__
from driftpolicy.cli.numbers import number, whole
from driftpolicy.errors import FieldError, UserError, in_brief, nearest
from driftpolicy.flags import flag
from driftpolicy.progress import Lasting, drop_output

COMMANDS = {
    "train": "train a policy: offline, then online",
    "resume": "continue a run from its last checkpoint",
    "eval": "evaluate a trained policy, film it",
    "export": "write a trained policy as an ONNX file, for a robot",
    "runs": "list the runs of a folder and how they are doing",
    "watch": "follow a run",
    "compare": "show what differs between two runs",
    "data": "collect, inspect, download or publish prior data",
    "hub": "publish a trained policy on the Hugging Face Hub",
    "benchmark": "run a suite of runs and make its table, curves and page",
    "tasks": "list the tasks",
    "doctor": "check versions, devices and rendering",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, as every other error of the program."""

    def __init__(self, *args: Any, **keywords: Any):
        super().__init__(*args, **keywords)
        self.register("type", int, whole)
        self.register("type", float, number)

    def parse_known_args(self, *args: Any, **keywords: Any) -> Any:  # each command knows its flags
        options, unknown = super().parse_known_args(*args, **keywords)
        if unknown:
            name = unknown[0].partition("=")[0]
            known = [option.lstrip("-") for option in self._option_string_actions]
            near = nearest(name.lstrip("-"), known, alike=0.7)
            also = f"; nearest: --{near}" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{also}")
        return options, unknown

    def error(self, message: str):
        raise UserError(f"{message} ({self.prog} --help says more)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, or 2 for a user's mistake, printed in a line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(arguments)
        sys.stdout.flush()  # now, when it can still be said that the disk is full
        return status
    except FieldError as error:
        return _say(f"{flag(error.field)} must be {error.meaning}, not {error.value}", 2)
    except UserError as error:
        return _say(str(error), 2)
    except BrokenPipeError:  # the reader of a pipe went away: not an error of ours
        drop_output(sys.stdout)
        return 0
    except OSError as error:
        if error.errno in _FULL:
            drop_output(sys.stdout)
            return _say(f"cannot write: {error.strerror}", 2)
        if error.filename is None:  # not about a file that was named
            raise
        name = in_brief(str(error.filename), 60)
        if error.errno == errno.ENAMETOOLONG:
            return _say(f"{name} is no name that a file can have", 2)
        return _say(f"cannot use {name}: {error.strerror}", 2)
    except KeyboardInterrupt:
        return _say("interrupted", 130)


def _run(arguments: list[str]) -> int:
    """Run a command and return its exit status."""
    if os.path.expanduser("~") == "~":
        raise UserError("this user has no home folder: set HOME to one")
    parser = _Parser(prog="dfp", description="One-step generative policies for robots.")
    parser.add_argument("--version", action="version", version=f"driftpolicy {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary.capitalize())
        if arguments[:1] == [name]:
            module = importlib.import_module(f"driftpolicy.cli.{name}")
            module.configure(command)
            if hasattr(module, "look_ahead"):
                module.look_ahead(command, arguments[1:])
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    return options.run(options)


def _say(line: str, status: int) -> int:
    """Print why the command ends, if anybody can read it still, and return the status."""
    print(f"dfp: {line}", file=Lasting(sys.stderr), flush=True)
    return status
