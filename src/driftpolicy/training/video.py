"""Films of evaluation episodes, drawn in a process of their own."""

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from driftpolicy.agents.decision import DecisionRule
from driftpolicy.envs.base import Environment, Step
from driftpolicy.envs.episodes import Episode, EpisodeRunner
from driftpolicy.envs.guard import guarded
from driftpolicy.envs.opengl import PACKAGES, no_opengl
from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import environment_maker
from driftpolicy.tasks.task import Task
from driftpolicy.training.captions import Caption, add_caption
from driftpolicy.training.deciding import Decider
from driftpolicy.training.evaluation import episode_seeds

_SIZE = 480  # pixels, both ways
_BLOCK = 16  # a multiple of so many pixels suits every codec
_RATE = 20.0  # control steps per second, where an environment does not say
_FRAMES = 10  # per second of a film, about: in software, drawing one takes longer than a step


class _Filmed:
    """An environment that writes frames to a video file as it steps, words above them."""

    def __init__(self, environment: Environment):
        self.environment = environment
        self.writer: Any = None
        self.caption = Caption()
        self.observation_dim = environment.observation_dim
        self.action_dim = environment.action_dim
        self.control_rate = environment.control_rate
        rate = environment.control_rate or _RATE
        self._every = max(1, round(rate / _FRAMES))  # steps per frame
        self.frames_per_second = rate / self._every

    def reset(self, seed: int) -> np.ndarray:
        observation = self.environment.reset(seed)
        self.caption = replace(self.caption, goal=self.goal(), step=0, success=False)
        return observation

    def step(self, action: np.ndarray) -> Step:
        step = self.environment.step(action)
        self.caption = replace(self.caption, step=self.caption.step + 1, success=step.success)
        if self.caption.step % self._every == 0:
            self.frame()
        return step

    def goal(self) -> str:
        return self.environment.goal()

    def render(self) -> np.ndarray:
        return self.environment.render()

    def frame(self, times: int = 1) -> None:
        if self.writer is not None:
            with guarded("the environment failed to draw itself"):
                image = self.environment.render()
            image = add_caption(image, self.caption)
            height, width = (_BLOCK * (side // _BLOCK) for side in image.shape[:2])
            for _ in range(times):
                self.writer.append_data(image[:height, :width])


_value = jax.jit(lambda rule, observation, chunk: rule.value(observation, chunk))


class FilmRunner(EpisodeRunner):
    """Runs episodes and films them; lives in a worker process, where it picks the renderer."""

    def __init__(self, task: Task, make: Callable[[], Environment], backend: str):
        """Film the environment of ``task``, which ``make`` makes.

        ``backend`` is MuJoCo's name of a way to render without a display.
        """
        os.environ["MUJOCO_GL"] = backend  # read when the first scene is drawn, at the latest
        self._film = _Filmed(make())
        super().__init__(lambda: self._film)
        self._task = task
        self._film.reset(0)
        sys.unraisablehook = lambda _: None  # a renderer that is half made complains when it goes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._film.render()  # fails here if nothing can be rendered

    def renderer(self) -> str:
        """Return the name of what renders."""
        return os.environ["MUJOCO_GL"]

    def open(self, out: str, label: str) -> None:
        """Start the film; ``label`` says whose policy acts."""
        import imageio.v2 as imageio

        rate = self._film.frames_per_second
        try:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            self._film.writer = imageio.get_writer(out, fps=rate, macro_block_size=_BLOCK)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write the video {out}: {error}") from None
        self._film.caption = Caption(title=f"{label}  {self._task.title}")

    def announce(self, value: float, episode: str) -> None:
        """Note what the critic says of the chunk that comes next, and which episode this is."""
        self._film.caption = replace(self._film.caption, value=value, episode=episode)
        if self._film.caption.step == 0:
            self._film.frame()

    def execute(self, chunk: np.ndarray) -> np.ndarray | Episode:
        """Execute a chunk as in an evaluation; an episode's last scene stands for a moment."""
        reply = super().execute(chunk)
        if isinstance(reply, Episode):
            self._film.frame(times=_FRAMES)
        return reply

    def close(self) -> None:
        """End the film."""
        self._film.writer.close()


def film_workers(task: Task, patience: float | None = None) -> Workers[FilmRunner]:
    """Start one process that can render, by ``MUJOCO_GL`` if set, else EGL, else OSMesa.

    Args:
        task: whose environment is drawn.
        patience: as :class:`driftpolicy.envs.parallel.Workers` has it.

    Raises:
        UserError: if neither works, naming what to install.
    """
    chosen = os.environ.get("MUJOCO_GL")
    failure: Exception | None = None
    backends = (chosen,) if chosen else tuple(PACKAGES)
    make = environment_maker(task, render_size=_SIZE)
    for backend in backends:
        workers = Workers(1, FilmRunner, task, make, backend)
        workers.patience = patience or None
        try:
            workers.call(0, FilmRunner.reset, 0)
            return workers
        except (RuntimeError, UserError) as error:
            workers.close()
            failure = error
    if task.custom and isinstance(failure, UserError):
        raise UserError(f"cannot render: {failure}")
    raise no_opengl(*backends)


def film(
    rule: DecisionRule,
    task: Task,
    out: Path,
    *,
    seed: int,
    episodes: int,
    key: PRNGKeyArray,
    label: str,
    patience: float | None = None,
) -> list[Episode]:
    """Film the first ``episodes`` evaluation episodes, one after the other, into ``out``.

    Above the scene stand ``label`` (whose policy this is), the task, its goal, the step, and
    ``Q(s, a)`` of the chunk under way.

    Raises:
        UserError: if nothing can be rendered, the environment fails, or ``out`` cannot be written.
    """
    decide = Decider(rule)
    results: list[Episode] = []
    with film_workers(task, patience) as workers:
        workers.call(0, FilmRunner.open, str(out), label)
        for episode, reset_seed in enumerate(episode_seeds(seed, episodes)):
            reply: np.ndarray | Episode = workers.call(0, FilmRunner.reset, reset_seed)
            noise = decide.noise(jax.random.fold_in(key, episode))
            while not isinstance(reply, Episode):
                chunk = decide(reply, next(noise))
                value = float(_value(rule, jnp.asarray(reply), jnp.asarray(chunk)))
                workers.call(0, FilmRunner.announce, value, f"episode {episode + 1} of {episodes}")
                reply = workers.call(0, FilmRunner.execute, chunk)
            results.append(reply)
        workers.call(0, FilmRunner.close)
    return results
