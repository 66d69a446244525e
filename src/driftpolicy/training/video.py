"""Films of evaluation episodes, drawn in a process of their own."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from driftpolicy.agents import Agent
from driftpolicy.envs.base import Environment, Step, make_environment
from driftpolicy.envs.episodes import Episode, EpisodeRunner
from driftpolicy.envs.parallel import Workers
from driftpolicy.envs.tasks import Task
from driftpolicy.errors import UserError
from driftpolicy.training.evaluation import Decider, episode_seeds

_SIZE = 480  # pixels, both ways
_BLOCK = 16  # a multiple of so many pixels suits every codec
_RATE = 20  # frames per second where the control rate, which makes a film real, is not known
BACKENDS = ("egl", "osmesa")


class _Filmed:
    """An environment that writes a frame of every step to a video file."""

    def __init__(self, environment: Environment):
        self.environment = environment
        self.writer: Any = None
        self.observation_dim = environment.observation_dim
        self.action_dim = environment.action_dim
        self.control_rate = environment.control_rate

    def reset(self, seed: int) -> np.ndarray:
        observation = self.environment.reset(seed)
        self._frame()
        return observation

    def step(self, action: np.ndarray) -> Step:
        step = self.environment.step(action)
        self._frame()
        return step

    def render(self) -> np.ndarray:
        return self.environment.render()

    def _frame(self) -> None:
        frame = self.environment.render()
        if self.writer is not None:
            height, width = (_BLOCK * (side // _BLOCK) for side in frame.shape[:2])
            self.writer.append_data(frame[:height, :width])


class FilmRunner(EpisodeRunner):
    """Runs episodes and films them; lives in a worker process, where it picks the renderer."""

    def __init__(self, task: Task, backend: str):
        """``backend`` is MuJoCo's name of a way to render without a display."""
        os.environ["MUJOCO_GL"] = backend  # read when MuJoCo is imported: just below
        self._film = _Filmed(make_environment(task, render_size=_SIZE))
        super().__init__(task, self._film)
        self._film.reset(0)  # fails here if nothing can be rendered

    def renderer(self) -> str:
        """The name of what renders."""
        return os.environ["MUJOCO_GL"]

    def open(self, out: str) -> None:
        """Start the film."""
        import imageio.v2 as imageio

        rate = self._film.control_rate or _RATE
        try:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            self._film.writer = imageio.get_writer(out, fps=rate, macro_block_size=_BLOCK)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write the video {out}: {error}") from None

    def close(self) -> None:
        """End the film."""
        self._film.writer.close()


def film_workers(task: Task) -> Workers:
    """One process that can render, by ``MUJOCO_GL`` if set, else EGL, else OSMesa.

    Raises:
        UserError: if neither works, naming what to install.
    """
    chosen = os.environ.get("MUJOCO_GL")
    failure: Exception | None = None
    for backend in (chosen,) if chosen else BACKENDS:
        workers = Workers(1, FilmRunner, task, backend)
        try:
            workers.call(0, "reset", 0)
            return workers
        except (RuntimeError, UserError) as error:
            workers.close()
            failure = error
    if task.own and isinstance(failure, UserError):
        raise UserError(f"cannot render: {failure}")
    tried = chosen or " or ".join(BACKENDS)
    raise UserError(
        f"cannot render: no working OpenGL ({tried}); install one, for instance "
        "apt-get install libegl1 libgl1-mesa-dri, or libosmesa6"
    )


def film(
    agent: Agent, task: Task, out: Path, *, seed: int, episodes: int, key: PRNGKeyArray
) -> list[Episode]:
    """Film the first ``episodes`` evaluation episodes, one after the other, into ``out``.

    Raises:
        UserError: if nothing can be rendered or ``out`` cannot be written.
    """
    decide = Decider(agent)
    results: list[Episode] = []
    with film_workers(task) as workers:
        workers.call(0, "open", str(out))
        for episode, reset_seed in enumerate(episode_seeds(seed, episodes)):
            reply = workers.call(0, "reset", reset_seed)
            decisions = 0
            while not isinstance(reply, Episode):
                step_key = jax.random.fold_in(jax.random.fold_in(key, episode), decisions)
                reply = workers.call(0, "execute", decide(reply, step_key))
                decisions += 1
            results.append(reply)
        workers.call(0, "close")
    return results
