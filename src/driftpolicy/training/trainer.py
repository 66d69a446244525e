"""One run: the offline phase, the online phase, and everything needed to stop and go on exactly.

Every random number is a function of the seed and a counter, so a checkpoint needs no generator
state beyond the counters; the same seed gives the same run, bit for bit, on the same machine.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from driftpolicy.agents import Agent
from driftpolicy.batch import Batch
from driftpolicy.data.replay import Replay, Sampler
from driftpolicy.data.transitions import Dataset, WindowSpec
from driftpolicy.envs.base import Session, episode_seed, make_environment
from driftpolicy.envs.parallel import Workers
from driftpolicy.envs.tasks import find_task
from driftpolicy.errors import UserError
from driftpolicy.training import checkpoints
from driftpolicy.training.config import TrainConfig
from driftpolicy.training.evaluation import decide, evaluate, summarise
from driftpolicy.training.logs import EVAL_COLUMNS, CsvLog, Means, Sink
from driftpolicy.training.restore import RunKeys, new_agent, restore_agent
from driftpolicy.training.run import RunFolder
from driftpolicy.training.updates import update_block

_TRAINING = 1  # names the stream of episode seeds; evaluation's is another
_BLOCK = 50  # offline steps per compiled block: the longest wait for a safe point
_EPISODE_METRICS = ("episode_success", "episode_return", "episode_length")


class Trainer:
    """A run in memory. ``step`` counts offline gradient steps, then online environment steps."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        dataset: Dataset,
        workers: Workers,
        data_id: str,
        sinks: list[Sink] | None = None,
    ):
        """A run at its beginning, or where its last checkpoint left it.

        Args:
            config: of the run.
            folder: of the run; the caller holds its lock.
            dataset: prior data.
            workers: processes for evaluation.
            data_id: identifies the prior data; a checkpoint made with others is refused.
            sinks: further logs.

        Raises:
            UserError: if the last checkpoint is corrupted, newer, or of other data or config.
        """
        self.config = config
        self.folder = folder
        self.step = 0
        self.wall_s = 0.0
        self.last_eval: dict[str, Any] | None = None
        self.last_log: dict[str, float] = {}
        self._saved = -1  # step of the last checkpoint
        self._workers = workers
        self._data_id = data_id
        self._sinks = sinks or []
        self._session = Session(make_environment(find_task(config.task)))
        environment = self._session.environment
        self._replay = Replay(
            config.replay_capacity, environment.observation_dim, environment.action_dim
        )
        agent = config.agent
        spec = WindowSpec(agent.chunk_length, agent.discount, agent.terminal_windows == "keep")
        self._sampler = Sampler([dataset, self._replay], spec, config.batch_size, config.seed)
        self._episode = -1  # number of the running training episode
        self._episode_reward, self._episode_steps = 0.0, 0
        self._pending = np.zeros((0, environment.action_dim), np.float32)  # rest of the chunk
        self._means = Means()
        self._keys = RunKeys(config.seed)
        self.agent = self._create()
        found = checkpoints.list_checkpoints(folder.checkpoints)
        lengths = self._load(found[-1]) if found else {"eval": 0, "train": 0}
        self._logged = (*self._metric_names(), *_EPISODE_METRICS)
        columns = ("step", "phase", *self._logged)
        self._eval_log = CsvLog(folder.eval_csv, EVAL_COLUMNS, lengths["eval"])
        self._train_log = CsvLog(folder.train_csv, columns, lengths["train"])

    # The run.

    @property
    def phase(self) -> str:
        """``offline`` or ``online``."""
        return "offline" if self.step < self.config.offline_steps else "online"

    def run(self, stop: Callable[[], bool], report: Callable[["Trainer"], None]) -> bool:
        """Train until the end or until ``stop()`` says so; checkpoints either way.

        Args:
            stop: asked at every safe point.
            report: called at every safe point, to show progress.

        Returns:
            Whether the run is complete.

        Raises:
            UserError: if the loss is not finite, or the disk is full.
        """
        started = time.monotonic() - self.wall_s
        while self.step < self.config.total_steps and not stop():
            if self.phase == "offline":
                self._offline_block()
            else:
                self._online_chunk()
            self.wall_s = time.monotonic() - started
            self._at_boundary()
            self.wall_s = time.monotonic() - started
            report(self)
        if self.step != self._saved:
            self.save()
        return self.step >= self.config.total_steps

    def _offline_block(self) -> None:
        """Gradient steps on prior data, up to the next boundary."""
        count = min(_BLOCK, self._until_boundary())
        self._update(self._sampler.sample(self.step, _BLOCK), self.step, count)
        self.step += count

    def _online_chunk(self) -> None:
        """Decide, execute the chunk open-loop, and one gradient step per environment step.

        The policy is asked only between chunks, so making the chunk's gradient steps after its last
        environment step, each from the replay as it was then, is the same as one by one.
        """
        if self._episode < 0:
            self._switch_to_online()
        if len(self._pending) == 0:
            assert self._session.observation is not None
            key = jax.random.fold_in(self._keys.act, self.step)
            self._pending = decide(self.agent, self._session.observation, key)
        batches: list[Batch] = []
        for _ in range(min(len(self._pending), self._until_boundary())):
            action, self._pending = self._pending[0], self._pending[1:]
            ended = self._environment_step(action)
            if self.step >= self.config.offline_steps + self.config.warmup_steps:
                batches.append(self._sampler.sample(self.step))
            self.step += 1
            if ended:
                self._pending = self._pending[:0]
                self._start_episode()
                break
        if batches:
            padded = batches + [batches[-1]] * (self.config.agent.chunk_length - len(batches))
            stacked = jax.tree.map(lambda *arrays: np.concatenate(arrays), *padded)
            self._update(stacked, self.step - len(batches), len(batches))

    def _switch_to_online(self) -> None:
        self.agent = self.agent.start_online()
        self._start_episode()

    def _start_episode(self) -> None:
        self._episode += 1
        self._episode_reward, self._episode_steps = 0.0, 0
        seed = episode_seed(self.config.seed, _TRAINING, self._episode)
        self._replay.start_episode(self._session.reset(seed))

    def _environment_step(self, action: np.ndarray) -> bool:
        step = self._session.step(action)
        self._replay.add(action, step.reward, step.terminated, step.observation)
        self._episode_reward += step.reward
        self._episode_steps += 1
        ended = step.terminated or step.truncated
        if ended:
            values = (float(step.success), self._episode_reward, float(self._episode_steps))
            for name, value in zip(_EPISODE_METRICS, values, strict=True):
                self._means.add(name, value)
        return ended

    def _update(self, batches: Batch, first: int, count: int) -> None:
        self.agent, logs = update_block(
            self.agent, batches, self._keys.update, jnp.int32(first), jnp.int32(count)
        )
        logs = {name: np.asarray(values)[:count].tolist() for name, values in logs.items()}
        for name, values in logs.items():
            for value in values:
                self._means.add(name, value)
        if not all(map(math.isfinite, logs["loss"])):
            raise UserError(
                f"the loss is not finite at step {first + count}: lower --learning-rate or check "
                f"the data; the last checkpoint is in {self.folder.checkpoints}"
            )

    # Boundaries: logs, evaluations, checkpoints.

    def _until_boundary(self) -> int:
        c = self.config
        start, end = (
            (0, c.offline_steps) if self.phase == "offline" else (c.offline_steps, c.total_steps)
        )
        into = self.step - start
        every = (c.log_every, c.eval_every, c.checkpoint_every)
        return min(end - self.step, *(e - into % e for e in every))

    def _at_boundary(self) -> None:
        c = self.config
        start = 0 if self.step <= c.offline_steps else c.offline_steps
        phase = "offline" if start == 0 and c.offline_steps else "online"
        into = self.step - start
        phase_ends = self.step in (c.offline_steps, c.total_steps)
        if into % c.log_every == 0 or phase_ends:
            values = {name: self._means.mean(name) for name in self._logged}
            self._train_log.write({"step": self.step, "phase": phase, **values})
            for sink in self._sinks:
                sink.log(self.step, {k: v for k, v in values.items() if not math.isnan(v)})
            self._means = Means()
            self.last_log = values
        if into % c.eval_every == 0 or phase_ends:
            self._evaluate(phase)
        if into % c.checkpoint_every == 0 or phase_ends:
            self.save()

    def _evaluate(self, phase: str) -> None:
        episodes = evaluate(
            self.agent,
            self._workers,
            seed=self.config.seed,
            episodes=self.config.eval_episodes,
            key=self._keys.evaluate,
        )
        result = summarise(episodes)
        self.last_eval = {"step": self.step, "phase": phase, **result}
        self._eval_log.write({**self.last_eval, "wall_s": round(self.wall_s, 1)})
        for sink in self._sinks:
            sink.log(self.step, {f"eval/{name}": value for name, value in result.items()})

    # State.

    def _create(self) -> Agent:
        environment = self._session.environment
        return new_agent(
            self.config, environment.observation_dim, environment.action_dim, self._keys.init
        )

    def _metric_names(self) -> list[str]:
        environment = self._session.environment
        size, length = self.config.batch_size, self.config.agent.chunk_length
        shapes = Batch(
            jnp.zeros((size, environment.observation_dim)),
            jnp.zeros((size, length, environment.action_dim)),
            jnp.zeros(size),
            jnp.zeros(size),
            jnp.zeros((size, environment.observation_dim)),
            jnp.zeros((size, length)),
        )
        key = self._keys.update
        return sorted(jax.eval_shape(lambda a, b: a.update(b, key)[1], self.agent, shapes))

    def save(self) -> Path:
        """Write a checkpoint.

        Raises:
            UserError: if the disk is full; the earlier checkpoints stay.
        """
        online = self._episode >= 0
        meta = {
            "config": self.config.to_json(),
            "data": self._data_id,
            "step": self.step,
            "online": online,
            "episode": self._episode,
            "episode_reward": self._episode_reward,
            "episode_steps": self._episode_steps,
            "wall_s": self.wall_s,
            "last_eval": self.last_eval,
            "means": self._means.state(),
            "csv": {"eval": self._eval_log.length(), "train": self._train_log.length()},
            "dims": [
                self._session.environment.observation_dim,
                self._session.environment.action_dim,
            ],
        }
        groups = {
            "agent": checkpoints.tree_arrays(self.agent),
            "replay": self._replay.state(),
            "environment": self._session.state() if online else {},
            "chunk": {"pending": self._pending},
        }
        path = checkpoints.save(self.folder.checkpoints, self.step, meta, groups)
        self._saved = self.step
        return path

    def _load(self, path: Path) -> dict[str, int]:
        meta, groups = checkpoints.load(path)
        if meta["data"] != self._data_id:
            raise UserError(
                f"the prior data are not those of checkpoint {path}; name the right file (--data)"
            )
        if TrainConfig.from_json(meta["config"]).agent != self.config.agent:
            raise UserError(
                f"checkpoint {path} was made with another config than {self.folder.path}"
            )
        self.agent = restore_agent(self.agent, meta, groups["agent"], path)
        self.step = self._saved = meta["step"]
        self.wall_s = meta["wall_s"]
        self.last_eval = meta["last_eval"]
        self._means = Means.load(meta["means"])
        self._episode = meta["episode"]
        self._episode_reward = meta["episode_reward"]
        self._episode_steps = meta["episode_steps"]
        self._replay.load(groups["replay"])
        self._pending = groups["chunk"]["pending"]
        if meta["online"]:
            self._session.load(groups["environment"])
        return meta["csv"]

    def close(self) -> None:
        """Close the logs."""
        self._eval_log.close()
        self._train_log.close()
        for sink in self._sinks:
            sink.close()
