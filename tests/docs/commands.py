"""The commands of a shell block, and what a test does with each of them.

``dfp`` runs in this process, with arguments that make it small. Commands that install, build or
start the tests are held against what they name: extras, files, marks, versions.
"""

import argparse
import importlib
import importlib.util
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from driftpolicy.agents import find_method
from driftpolicy.cli import COMMANDS, main
from driftpolicy.cli.options import add_config_flags
from driftpolicy.config import TrainConfig
from tests.docs.pages import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())

# Networks of a few units, and batches of a few windows.
TINY = [
    *("--actor-hidden", "8", "--critic-hidden", "8", "--batch-size", "4", "--best-of", "2"),
    *("--replay-capacity", "64", "--no-video", "--processes", "1", "--no-overlap"),
]
# A whole run: it collects an episode, makes two steps of each phase, and evaluates.
WHOLE = [
    *TINY,
    *("--collect-episodes", "1", "--offline-steps", "2", "--online-steps", "2"),
    *("--warmup-steps", "1", "--eval-every", "4", "--eval-episodes", "1", "--log-every", "2"),
]
# A run up to its first step: it reads the data, makes the agent, and saves a checkpoint.
STOP = ["--max-minutes", "0.0001"]
# How each command is made small, by its first words; the longest that fits holds.
SMALL = {
    "train --preset quickstart": WHOLE,
    "train": [*TINY, *STOP],
    "resume": STOP,
    "compare": [],
    "runs": [],
    "watch": [],
    "eval": ["--episodes", "1"],
    "export": ["--states", "10"],
    "data collect": ["--episodes", "1", "--processes", "1", "--episode-steps", "12", "--overwrite"],
    "data collect lift": ["--episodes", "1", "--processes", "1", "--overwrite"],
    "data download": ["--overwrite"],  # and from a server of the test
    "data verify": ["--demos", "1"],
    "data inspect": [],
    "data push": [],  # to a server of the test
    "data pull": [],
    "hub push": [],
    "benchmark run": [],  # of suites whose runs are all finished
    "benchmark table": [],
    "benchmark curves": [],
    "benchmark page": [],
    "tasks": [],
    "doctor": [],
}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a block."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            yield words[:end]
            words = words[end + 1 :]


def dfp(words: list[str]) -> list[str] | None:
    """Return the arguments of ``uv run dfp``, or None if the command is another."""
    return words[3:] if words[:3] == ["uv", "run", "dfp"] else None


def small(arguments: list[str]) -> list[str]:
    """Return a command's arguments followed by those that make it small.

    Raises:
        KeyError: if there is no rule for the command.
    """
    line = " ".join(arguments)
    rule = max((name for name in SMALL if line.startswith(name)), key=len, default=line)
    if arguments[0] == "eval" and not any("my_robot" in word for word in arguments):
        # The simulators' films take a minute to draw, and tests/training has tests of them.
        at = arguments.index("--video") if "--video" in arguments else len(arguments)
        arguments = arguments[:at] + arguments[at + 2 :]
    return [*arguments, *SMALL[rule]]


def settings(flags: list[str]) -> dict[str, Any]:
    """Return flags of ``dfp train`` as the keywords of ``driftpolicy.train``."""
    parser = argparse.ArgumentParser()
    add_config_flags(parser, TrainConfig, skip=("task", "method", "agent"))
    add_config_flags(parser, find_method("dfp").config)
    return vars(parser.parse_args(flags))


def fill(words: list[str], values: Mapping[str, str]) -> list[str]:
    """Put values in the place of words in capitals, such as RUN in RUN/rollout.mp4."""
    pattern = re.compile(rf"(?<![A-Z_])({'|'.join(values)})(?![A-Z_])")
    return [pattern.sub(lambda match: values[match[0]], word) for word in words]


def parse(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command read its arguments, and do nothing with them."""
    module = importlib.import_module(f"driftpolicy.cli.{arguments[0]}")
    monkeypatch.setattr(module, "run", lambda options: 0)
    assert main(arguments) == 0


def check(words: list[str]) -> None:
    """Hold a command that is not run against what it names."""
    match words:
        case ["uv", "sync", *options]:
            assert set(options[1::2]) <= set(PROJECT["project"]["optional-dependencies"])
            assert set(options[::2]) <= {"--extra"}
        case ["pip", "install", *options]:
            for option in options:
                check_installed(option)
        case ["docker", "build", "--target", target, "--tag", tag, "."]:
            assert f" AS {target}\n" in (CHECKOUT / "Dockerfile").read_text()
            assert tag == f"driftpolicy:{target}"
        case ["docker", "run", *options]:
            at = next(i for i, option in enumerate(options) if option.startswith("driftpolicy:"))
            assert options[at + 1] in COMMANDS
        case ["uv", "build", "--wheel"]:
            assert PROJECT["build-system"]["build-backend"]
        case ["uv", "run", "pytest", *options]:
            check_tests(options)
        case ["uv", "run", ("ruff" | "pyright") as tool, *_]:
            assert any(each.startswith(tool) for each in PROJECT["dependency-groups"]["dev"])
        case ["uv", "run", "mkdocs", "build", *options]:
            assert set(options) <= {"--strict"}
            assert (CHECKOUT / "mkdocs.yml").is_file()
        case ["uv", "run", "python", script, *options]:
            source = (CHECKOUT / script).read_text()
            for option in options:
                assert not option.startswith("--") or f'"{option}"' in source, option
        case ["uv", "run", "pre-commit", *_] | ["uvx", "pre-commit", *_]:
            assert (CHECKOUT / ".pre-commit-config.yaml").is_file()
        case ["bash", script, *_]:
            subprocess.run(["bash", "-n", CHECKOUT / script], check=True)
        case ["git", "switch" | "commit" | "push", *_]:
            pass
        case _:
            pytest.fail(f"there is no rule for running {shlex.join(words)}")


def check_installed(requirement: str) -> None:
    """Hold an argument of pip against the lists of dependencies."""
    if requirement.startswith("-") or requirement in (".", "uv"):
        return
    if requirement.startswith("driftpolicy-"):
        assert requirement.endswith(".whl")
        return
    if requirement.endswith(".txt"):
        assert (CHECKOUT / requirement).is_file()
        return
    if match := re.fullmatch(r"\.\[([\w,-]+)\]", requirement):
        assert set(match[1].split(",")) <= set(PROJECT["project"]["optional-dependencies"])
        return
    extras = PROJECT["project"]["optional-dependencies"].values()
    known = [*PROJECT["project"]["dependencies"], *(each for extra in extras for each in extra)]
    assert any(re.split(r"[^\w-]", each)[0] == requirement for each in known), requirement


def check_tests(options: list[str]) -> None:
    """Hold arguments of pytest against the marks and files that exist."""
    marks = {each.split(":")[0] for each in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    for option, value in itertools.pairwise([*options, ""]):
        if option == "-m":
            assert set(value.split()) - {"not", "and", "or"} <= marks
        elif option.startswith("tests/"):
            assert (CHECKOUT / option.split("::")[0]).exists(), option


def require(words: list[str]) -> None:
    """Skip the test if a command needs an extra that is not installed."""
    needs = {"export": "onnx", "lift": "robosuite", "page": "jinja2"}
    needs |= dict.fromkeys(("push", "pull"), "huggingface_hub")
    for word, module in needs.items():
        for given in words:
            if word in given.split("-") and importlib.util.find_spec(module) is None:
                pytest.skip(f"needs {module}, which is not installed here")


def show(words: list[str]) -> None:
    """Print a command as one would type it, for the report of a test that fails."""
    print(f"$ {shlex.join(words)}", flush=True, file=sys.stderr)
