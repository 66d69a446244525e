"""A folder in which the pages' blocks run: data, a robot, and the run folders of suites."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import driftpolicy
from driftpolicy.cli import main
from driftpolicy.suites.suite import find_suite
from tests.docs import commands
from tests.docs.pages import CHECKOUT, Block
from tests.hub.server import hub_of_a_test
from tests.report.conftest import to, write_run

RUN = "runs/cube-single-play-singletask-task1-v0/dfp/seed0"
SINGLE, DOUBLE = "cube-single-play-v0.npz", "cube-double-play-v0"
LIFT = "lift/mh/low_dim_v15.hdf5"
VALUES = {
    "RUN": RUN,
    "PATH": f"served/{DOUBLE}.npz",
    "FILE": f"served/{LIFT}",
    "FOLDER": "shards",
    "SUITE": "paper",
    "TASK": "cube-double-play-singletask-task2-v0",
    "METHOD": "dfp",
    "SEED": "0",
}
"""What the words in capitals stand for."""

# Observations of four numbers, of which the first two are to become 0; it renders small pictures.
ROBOT = """
import gymnasium
import numpy as np


class Robot(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}
    observation_space = gymnasium.spaces.Box(-2.0, 2.0, (4,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = self.np_random.uniform(0.6, 1, 2), 0
        return self.observe(), {}

    def observe(self):
        return np.concatenate([self.place, self.place]).astype(np.float32)

    def step(self, action):
        self.place = np.clip(self.place + 0.1 * np.asarray(action), -1, 1)
        self.steps += 1
        success = bool(np.abs(self.place).max() < 0.1)
        return self.observe(), -1.0, success, self.steps >= 20, {"success": success}

    def render(self):
        return np.full((32, 32, 3), 255 - 10 * self.steps, np.uint8)


def make(render_mode=None):
    return Robot(render_mode)
"""


def demonstrations(robot: Any, count: int = 3) -> list[SimpleNamespace]:
    """Return episodes of the robot in which it reaches its target."""
    episodes = []
    for seed in range(count):
        observation, _ = robot.reset(seed=seed)
        episode = SimpleNamespace(observations=[observation], actions=[], success=[])
        ended = False
        while not ended:
            action = np.clip(-robot.place / 0.1, -0.9, 0.9) + 0.01 * len(episode.actions)
            observation, _, terminated, truncated, info = robot.step(action)
            episode.observations.append(observation)
            episode.actions.append(action)
            episode.success.append(info["success"])
            ended = terminated or truncated
        episodes.append(episode)
    return episodes


class Workshop:
    """Runs blocks in its folder. What makes no run is done once, however many pages show it."""

    def __init__(self, folder: Path, url: str):
        """Prepare what the blocks take for granted."""
        self.folder = folder
        self._url = url
        self._ran: set[tuple[str, ...]] = set()
        (folder / "my_robot.py").write_text(ROBOT)
        self._robot: dict[str, Any] = {}
        exec(ROBOT, self._robot)
        self._namespaces: dict[str, dict[str, Any]] = {}
        shutil.copy(CHECKOUT / "results" / "cost.csv", folder / "cost.csv")
        link(CHECKOUT / "results", folder / "results")
        arrays = {}
        for i, episode in enumerate(demonstrations(self._robot["make"]())):
            for name, values in vars(episode).items():
                arrays[f"episode_{i}/{name}"] = np.array(values)
        np.savez(folder / "demonstrations.npz", **arrays)

    def collect(self, words: str, made: str, *places: Path) -> None:
        """Collect an episode, unless that is done, and let it be found in several places."""
        self.shell(["uv", "run", "dfp", "data", "collect", *words.split()])
        for place in places:
            link(self.folder / "data" / made, self.folder / place)

    def finish(self, suite: str, name: str, tasks: int | None) -> None:
        """Write the runs on a suite's first tasks, or on all of them, as if they were finished."""
        asked = find_suite(suite)
        for cell in asked.cells:
            if cell.task in asked.tasks[:tasks]:
                write_run(Path("runs") / name, cell, to(50), to(90), summary={"steps": 1})

    def begin(self) -> None:
        """Leave no run of another page, except the finished one."""
        for task in (self.folder / "runs").iterdir():
            if not (self.folder / RUN).is_relative_to(task):
                shutil.rmtree(task)

    def run(self, block: Block) -> None:
        """Run a block, after those above it on its page."""
        if block.language == "bash":
            for words in commands.commands(block.text):
                self.shell(commands.fill(words, VALUES))
        elif block.language == "python":
            with jax.numpy_rank_promotion("allow"):  # as it is where users run it
                exec(compile(block.text, str(block), "exec"), self._namespace(block.page))
        elif block.language == "toml":
            (self.folder / "width.toml").write_text(block.text)

    def shell(self, words: list[str]) -> None:
        """Run a command as small as it can be."""
        arguments = commands.dfp(words)
        if arguments is None:
            commands.check(words)
            return
        if tuple(words) in self._ran:
            return
        commands.show(words)
        self._prepare(arguments)
        arguments = commands.small(arguments)
        if arguments[:2] == ["data", "download"]:
            arguments += ["--from", self._url]
        assert main(arguments) == 0
        again = ("train", "resume", "export")  # other pages write to the same places
        if arguments[0] not in again or "quickstart" in arguments:
            self._ran.add(tuple(words))

    def _prepare(self, arguments: list[str]) -> None:
        """Make what a command reads, where no block above makes it."""
        line = " ".join(arguments)
        ogbench, robomimic = Path("home/.ogbench/data"), Path("home/.robomimic")
        if arguments[:2] == ["data", "collect"]:
            return
        if "cube-double" in line:
            made = "cube-double-play-v0-collected.npz"
            words = "cube-double-play-v0 --episodes 1000"  # as in the README: once for both
            self.collect(words, made, ogbench / f"{DOUBLE}.npz", Path(f"served/{DOUBLE}.npz"))
        if "lift-mh" in line or LIFT in line:
            made = "lift-mh-low_dim-collected.hdf5"
            self.collect("lift", made, robomimic / LIFT, Path("served") / LIFT)
        if "cube-single" in line and arguments[0] == "train":  # what the quickstart collected
            link(self.folder / "data" / "cube-single-play-v0-collected.npz", ogbench / SINGLE)
        if "shards" in line:
            made = "cube-quadruple-play-v0-collected.npz"
            self.collect("cube-quadruple-play-v0", made, Path("shards/part-000.npz"))
        if arguments[0] == "benchmark":
            for suite in arguments[2:]:
                if suite in ("paper", "paper-ablations", "smoke", "width.toml"):
                    name = suite.removesuffix(".toml").removesuffix("-ablations")
                    self.finish(suite, name, tasks=None if arguments[1] == "run" else 1)
        if "--run" in arguments:
            shutil.rmtree(arguments[arguments.index("--run") + 1], ignore_errors=True)

    def _namespace(self, page: str) -> dict[str, Any]:
        """Return the names that the Python blocks of a page share, and those they presuppose."""
        if page not in self._namespaces:
            size = 4 if page.endswith("robot.md") else 28
            names: dict[str, Any] = {"observation": np.zeros(size, np.float32), "np": np}
            names["generated"] = jnp.zeros((2, 3, 4))
            names["positives"] = jnp.ones((2, 5, 4))
            names["episodes"] = demonstrations(self._robot["make"]())
            sent: list[Any] = []

            def send_action(action: Any) -> None:
                sent.append(action)
                if len(sent) == 7:
                    names["runner"].stop()

            names["read_observation"] = lambda: names["observation"]
            names["send_action"] = send_action
            names["hold_still"] = lambda: None
            self._namespaces[page] = names
        return self._namespaces[page]


def link(source: Path, target: Path) -> None:
    """Let a file be found at a second place."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder at an address of this machine."""
    folder.mkdir()
    handler = functools.partial(_Files, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def workshop(folder: Path) -> Iterator[Workshop]:
    """Make a workshop, with a home folder and a server of data, and work in it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        serving(folder / "served") as url,
        hub_of_a_test(folder / "home", patch),
    ):
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setenv("COLUMNS", "120")
        patch.setitem(os.environ, "JAX_PLATFORMS", "cpu")
        train, small = driftpolicy.train, commands.settings(commands.WHOLE)
        patch.setattr(driftpolicy, "train", lambda *names, **given: train(*names, **given | small))
        with chdir(folder):
            yield Workshop(folder, url)
