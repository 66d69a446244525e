"""A run in memory: what its checkpoint holds, restored to the last bit.

Every random number is a function of the seed and a counter, so a checkpoint needs no generator
state beyond the counters; the same seed gives the same run, bit for bit, on the same machine.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.agents import Agent
from driftpolicy.config import FREE_FIELDS, TrainConfig, first_difference, setting_text
from driftpolicy.data.replay import Replay
from driftpolicy.data.transitions import Prior
from driftpolicy.data.windows import WindowSpec
from driftpolicy.errors import UserError
from driftpolicy.runs.checkpoints import Checkpoint, list_checkpoints, step_of
from driftpolicy.runs.folder import RunFolder
from driftpolicy.runs.trees import require_arrays, tree_arrays
from driftpolicy.tasks.task import Task
from driftpolicy.training import schedule
from driftpolicy.training.collection import Collection
from driftpolicy.training.logs import Means
from driftpolicy.training.offline_from import load_offline_end, source_of
from driftpolicy.training.restore import new_agent, restore_agent
from driftpolicy.training.seeding import RunKeys
from driftpolicy.training.supply import Resident, Streamed, Supply


class RunState:
    """One training run. ``step`` counts offline gradient steps, then online environment steps."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        prior: Prior,
        data_id: str,
        *,
        fresh_episode: bool = False,
    ):
        """Begin a run, or continue it from its last checkpoint.

        Args:
            config: the run's.
            folder: the run's; the caller holds its lock.
            prior: prior data; kept only if they are on the disk.
            data_id: identifies the prior data; a checkpoint made with others is refused.
            fresh_episode: go on from a checkpoint in new episodes instead of in its own.

        Raises:
            UserError: if the last checkpoint is corrupted, of another version, or of other data or
                another config.
        """
        self.config = config
        self.folder = folder
        self.keys = RunKeys(config.seed)
        self.step = 0
        self.wall_s = 0.0
        self.last_eval: dict[str, Any] | None = None
        self.means = Means()
        self.error: UserError | None = None
        """What went wrong; the run goes no further."""
        self.logs: dict[str, bytes] = {}
        """The contents of the logs that belong to this state; none yet at the beginning."""
        self.collection: Collection | None = None
        """The environments, once they are needed."""
        self._episodes: Mapping[str, np.ndarray] | None = None
        """The episodes that the environments are in the middle of, until they are started."""
        self.owed: list[np.ndarray] = []
        """The replay's marks at online steps whose gradient steps are still to be made."""
        self.dims = (prior.observation_dim, prior.action_dim)
        self._data_id = data_id
        self._fresh_episode = fresh_episode
        self._scaling = prior.scaling
        self._control_rate = prior.control_rate
        self._ticked: float | None = None
        # A round of the online phase adds at most a chunk and an episode's first row to a ring.
        slack = config.agent.chunk_length + 2
        self.replay = Replay(config.replay_capacity, *self.dims, rings=config.num_envs, slack=slack)
        if saved := list_checkpoints(folder.checkpoints):
            self.agent = self._restore(saved[-1])
        elif source := source_of(config):
            self.agent = self._begin_online_from(source)
        else:
            self.agent = new_agent(config, *self.dims, self.keys.init)
        beside = prior.beside_replay(config.online_prior)
        self.offline_prior = self._supply(prior)
        self.online_prior = self.offline_prior if beside is prior else self._supply(beside)

    @property
    def task(self) -> Task:
        """The run's task, with the scaling of its prior data."""
        return self.config.configured_task(self._scaling)

    @property
    def online(self) -> bool:
        """Whether the online phase has begun."""
        return self.collection is not None or self._episodes is not None

    @property
    def windows(self) -> WindowSpec:
        """How rows become training windows."""
        agent = self.config.agent
        return WindowSpec(
            agent.chunk_length,
            agent.discount,
            keep_terminal=agent.terminal_windows == "keep",
            online_share=self.config.online_share,
        )

    @property
    def phase(self) -> str:
        """``offline`` or ``online``: of the next step."""
        return schedule.phase_at(self.config, self.step)

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.step >= self.config.total_steps

    @property
    def going(self) -> bool:
        """Whether there is more to do, and nothing has gone wrong."""
        return not self.finished and self.error is None

    def tick(self) -> None:
        """Bring ``wall_s`` up to date; the clock stands still until the first call."""
        now = time.monotonic()
        self.wall_s += now - (self._ticked or now)
        self._ticked = now

    def start_environments(self) -> None:
        """Begin the first episodes, or go on with those that a checkpoint was in the middle of.

        Raises:
            UserError: as :meth:`driftpolicy.training.collection.Collection.load`.
        """
        if self.collection is not None:
            return
        self.collection = Collection(self.config, self.task, self.replay)
        if self._episodes is None:
            self.collection.start()
            return
        if self._fresh_episode:
            self.collection.restart(self._episodes)
        else:
            self.collection.load(self._episodes)
        self._episodes = None

    def _supply(self, prior: Prior) -> Supply:
        c = self.config
        if c.data_on == "device" or (c.data_on == "auto" and not prior.on_disk):
            return Resident(prior)
        blocks = (
            (first, count, schedule.OFFLINE_BLOCK)
            for first, count in schedule.offline_blocks(c, self.step)
        )
        return Streamed(prior, self.keys.update, self.windows, c.batch_size, blocks)

    def checkpoint(self, logs: Mapping[str, bytes]) -> Checkpoint:
        """Return everything that the run needs to go on from here.

        Args:
            logs: their contents, safely on disk.
        """
        return Checkpoint(
            config=self.config,
            data_id=self._data_id,
            step=self.step,
            online=self.online,
            wall_s=self.wall_s,
            last_eval=self.last_eval,
            means=self.means.state(),
            logs=logs,
            observation_dim=self.dims[0],
            action_dim=self.dims[1],
            scaling=self._scaling,
            control_rate=self._control_rate,
            agent=tree_arrays(self.agent),
            replay=self.replay.state(),
            collection=self.collection.state() if self.collection else self._episodes or {},
            owed_marks=np.array(self.owed, np.int32),
        )

    def _restore(self, path: Path) -> Agent:
        """Go on from a checkpoint of this run; return its agent.

        Raises:
            UserError: if it is corrupted, of another version, or of other data or another config.
        """
        checkpoint = Checkpoint.load(path)
        checkpoint.require_current(path)
        if checkpoint.data_id != self._data_id:
            raise UserError(
                f"the prior data are not those of checkpoint {path}: put them back, or name the "
                f"place where they are in {self.folder.config_file} (data)"
            )
        if not self._scaled_as(checkpoint):
            raise UserError(
                f"checkpoint {path} was made with other bounds of actions, or other observations: "
                "has the environment's action space changed?"
            )
        if differs := first_difference(self.config, checkpoint.config, FREE_FIELDS):
            name, now, then = differs
            raise UserError(
                f"{self.folder.config_file} says {name} {setting_text(now)}, but the run began "
                f"with {setting_text(then)}: put that back, or train a new run"
            )
        self._take_record(checkpoint, self.folder)
        if checkpoint.step != step_of(path) or not 0 <= self.step <= self.config.total_steps:
            raise UserError(f"checkpoint {path} holds step {self.step}: it is of another run")
        self._require_layout(checkpoint, path)
        try:
            self.replay.load(dict(checkpoint.replay))
        except ValueError as error:
            raise UserError(f"checkpoint {path} has a damaged replay: {error}") from None
        self.owed = list(checkpoint.owed_marks)
        if checkpoint.online:
            self._episodes = checkpoint.collection
        return restore_agent(self.config, checkpoint, path)

    def _require_layout(self, checkpoint: Checkpoint, path: Path) -> None:
        """Refuse a checkpoint whose arrays, beside the agent's, are not those of this run.

        Raises:
            UserError: naming the first that is missing, unknown, or of another shape or type.
        """
        count, action_dim = self.config.num_envs, self.dims[1]
        rows = {
            name: ((3, count) if name == "counts" else (-1, *array.shape[1:]), array.dtype)
            for name, array in self.replay.state().items()
        }
        require_arrays(rows, checkpoint.replay, path)
        layout = Collection.layout(count, *self.dims) if checkpoint.online else {}
        require_arrays(layout, checkpoint.collection, path)
        given = {
            name: array
            for name, array in checkpoint.collection.items()
            if name.endswith(".pending") and len(array)
        }
        require_arrays(dict.fromkeys(given, ((-1, action_dim), np.float32)), given, path)
        if len(checkpoint.owed_marks):
            marks = {"marks": ((-1, count, 3), np.int32)}
            require_arrays(marks, {"marks": checkpoint.owed_marks}, path)

    def _begin_online_from(self, source: RunFolder) -> Agent:
        """Begin where another run's offline phase ended; return the agent of that time.

        Raises:
            UserError: if it has not ended, or was made of other data or settings.
        """
        checkpoint = load_offline_end(self.config, source)
        if checkpoint.data_id != self._data_id or not self._scaled_as(checkpoint):
            raise UserError(f"the offline phase of {source.path} was trained on other prior data")
        self._take_record(checkpoint, source)
        return restore_agent(self.config, checkpoint, source.offline_end)

    def _scaled_as(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a checkpoint's numbers mean the same as the prior data's."""
        if self._scaling is None:
            return checkpoint.scaling is None
        return self._scaling.same_map(checkpoint.scaling)

    def _take_record(self, checkpoint: Checkpoint, source: RunFolder) -> None:
        """Take over the counters and the logs of a checkpoint of ``source``."""
        self.step = checkpoint.step
        self.wall_s = checkpoint.wall_s
        self.last_eval = None if checkpoint.last_eval is None else dict(checkpoint.last_eval)
        self.means = Means.load(checkpoint.means)
        self.logs = source.logs(checkpoint)

    def close(self) -> None:
        """End the environments and the reading of prior data."""
        self.offline_prior.close()
        self.online_prior.close()
        if self.collection is not None:
            self.collection.close()
