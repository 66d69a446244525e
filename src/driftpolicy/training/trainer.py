"""One run: the offline phase, the online phase, and everything needed to stop and go on exactly.

Every random number is a function of the seed and a counter, so a checkpoint needs no generator
state beyond the counters; the same seed gives the same run, bit for bit, on the same machine.
"""

import math
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from driftpolicy.config import TrainConfig
from driftpolicy.data.replay import Replay
from driftpolicy.data.transitions import Prior, WindowSpec
from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError
from driftpolicy.runs import checkpoints
from driftpolicy.runs.folder import RunFolder
from driftpolicy.runs.tables import EVAL_COLUMNS, CsvLog
from driftpolicy.scaling import Scaling
from driftpolicy.training.collection import EPISODE_METRICS, Collection
from driftpolicy.training.evaluation import evaluate, summarise
from driftpolicy.training.logs import Means, Sink
from driftpolicy.training.restore import RunKeys, new_agent, restore_agent
from driftpolicy.training.supply import Resident, Streamed, Supply
from driftpolicy.training.updates import Logs, Request, metric_names

_BLOCK = 25  # offline steps per compiled block: the longest wait for a safe point is two of them
Updates = Generator[Request, tuple[Any, Logs], None]


class Trainer:
    """A run in memory. ``step`` counts offline gradient steps, then online environment steps."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        dataset: Prior,
        workers: Workers,
        data_id: str,
        sinks: list[Sink] | None = None,
    ):
        """A run at its beginning, or where its last checkpoint left it.

        Args:
            config: of the run.
            folder: of the run; the caller holds its lock.
            dataset: prior data; kept only if they are on the disk.
            workers: processes for evaluation.
            data_id: identifies the prior data; a checkpoint made with others is refused.
            sinks: further logs.

        Raises:
            UserError: if the last checkpoint is corrupted, of another version, or of other data or
                config.
        """
        self.config = config
        self.folder = folder
        self.task = config.configured_task(dataset.scaling)
        self.step = 0
        self.wall_s = 0.0
        self._ticked: float | None = None  # when wall_s was brought up to date
        self.last_eval: dict[str, Any] | None = None
        self.last_log: dict[str, float] = {}
        self._saved = -1  # step of the last checkpoint
        self._workers = workers
        self._data_id = data_id
        self._sinks = sinks or []
        self._dims = (dataset.observation_dim, dataset.action_dim)
        self._scaling = dataset.scaling
        self._control_rate = dataset.control_rate
        agent = config.agent
        self._spec = WindowSpec(
            agent.chunk_length, agent.discount, agent.terminal_windows == "keep"
        )
        self._keys = RunKeys(config.seed)
        # A round of the loop adds at most a chunk and the first row of an episode to each ring.
        slack = agent.chunk_length + 2
        beside = dataset.beside_replay(config.online_prior)
        self._offline = self._supply(dataset)
        self._online = self._offline if beside is dataset else self._supply(beside)
        self._replay = Replay(
            config.replay_capacity, *self._dims, rings=config.num_envs, slack=slack
        )
        self._mirror: Any = None  # of the replay
        self._collection: Collection | None = None
        self._owed: list[np.ndarray] = []  # the replay's marks at steps not yet learned from
        self._running: tuple[int, int, Logs] | None = None  # first step, count, logs
        self._means = Means()
        self.agent = new_agent(config, *self._dims, self._keys.init)
        found = checkpoints.list_checkpoints(folder.checkpoints)
        lengths = self._load(found[-1]) if found else {"eval": 0, "train": 0}
        self._logged = (*metric_names(self.agent, *self._dims), *EPISODE_METRICS)
        columns = ("step", "phase", *self._logged)
        self._eval_log = CsvLog(folder.eval_csv, EVAL_COLUMNS, lengths["eval"])
        self._train_log = CsvLog(folder.train_csv, columns, lengths["train"])

    # The run.

    @property
    def phase(self) -> str:
        """``offline`` or ``online``."""
        return "offline" if self.step < self.config.offline_steps else "online"

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.step >= self.config.total_steps

    def advance(self) -> Updates:
        """Up to the next safe point; yields the gradient steps to be made, to be sent them done."""
        if self.phase == "offline":
            count = min(_BLOCK, self._until_boundary(self.step))
            yield from self._update(self.step, count, [])
            self.step += count
        else:
            yield from self._online_round()
        self.tick()
        self._at_boundary()
        self.tick()

    def tick(self) -> None:
        """Bring ``wall_s`` up to date; the clock stands still until the first call."""
        now = time.monotonic()
        self.wall_s += now - (self._ticked or now)
        self._ticked = now

    def _online_round(self) -> Updates:
        """Decide where a chunk has been executed; execute, and one gradient step for each step.

        With ``overlap`` the gradient steps owed for the chunk before are made meanwhile, else those
        for this chunk afterwards. The policy is asked only between chunks, and every gradient step
        draws from the replay as it was at its environment step: without overlap it is the same as
        one by one.
        """
        collection = self._collection or self._switch_to_online()
        owed: list[np.ndarray] = []
        if collection.undecided:
            collection.decide(self.agent, jax.random.fold_in(self._keys.act, self.step))
            owed, self._owed = self._owed, []
        collection.submit(self._until_boundary(self.step))
        yield from self._update(self.step - len(owed), len(owed), owed)
        for _ in collection.results(self._means):
            if self.step >= self.config.offline_steps + self.config.warmup_steps:
                self._owed.append(self._replay.marks())
            self.step += 1
        self._mirror = self._replay.update_mirror(self._mirror)
        if not self.config.overlap or self.finished:
            owed, self._owed = self._owed, []
            yield from self._update(self.step - len(owed), len(owed), owed)

    def _switch_to_online(self) -> Collection:
        self.agent = self.agent.start_online()
        self._collection = Collection(self.config, self.task, self._replay)
        self._collection.start()
        self._mirror = self._replay.mirror()
        return self._collection

    def _request(self, first: int, count: int, marks: list[np.ndarray]) -> Request:
        config, online = self.config, len(marks) > 0
        steps = config.num_envs * config.agent.chunk_length if online else _BLOCK
        padded = np.stack(marks + marks[-1:] * (steps - count)) if online else None
        supply = self._online if online else self._offline
        return Request(
            self.agent,
            supply.rows(first, count, steps, padded),
            self._mirror if online else None,
            padded,
            self._keys.update,
            first,
            count,
            self._spec,
            config.batch_size,
            steps,
        )

    def _supply(self, prior: Prior) -> Supply:
        c = self.config
        if c.data_on == "device" or (c.data_on == "auto" and not prior.on_disk):
            return Resident(prior)
        return Streamed(
            prior, self._keys.update, c.agent.chunk_length, c.batch_size, self._offline_blocks()
        )

    def _offline_blocks(self) -> Iterator[tuple[int, int, int]]:
        """What is left of the offline phase, as :meth:`advance` goes through it."""
        step = self.step
        while step < self.config.offline_steps:
            count = min(_BLOCK, self._until_boundary(step))
            yield step, count, _BLOCK
            step += count

    def _update(self, first: int, count: int, marks: list[np.ndarray]) -> Updates:
        if count:
            self.agent, logs = yield self._request(first, count, marks)
            self.settle()  # what was made before, while this is under way
            self._running = (first, count, logs)

    def settle(self) -> None:
        """Wait for the gradient steps under way and note what they logged."""
        if self._running is None:
            return
        (first, count, running), self._running = self._running, None
        logs = {name: np.asarray(values)[:count].tolist() for name, values in running.items()}
        for name, values in logs.items():
            for value in values:
                self._means.add(name, value)
        if not all(map(math.isfinite, logs["loss"])):
            raise UserError(
                f"the loss is not finite at step {first + count}: lower --learning-rate or check "
                f"the data; the last checkpoint is in {self.folder.checkpoints}"
            )

    # Boundaries: logs, evaluations, checkpoints.

    def _until_boundary(self, step: int) -> int:
        c = self.config
        offline = step < c.offline_steps
        start, end = (0, c.offline_steps) if offline else (c.offline_steps, c.total_steps)
        into = step - start
        every = (c.log_every, c.eval_every, c.checkpoint_every)
        return min(end - step, *(e - into % e for e in every))

    def _at_boundary(self) -> None:
        c = self.config
        start = 0 if self.step <= c.offline_steps else c.offline_steps
        phase = "offline" if start == 0 and c.offline_steps else "online"
        phase_ends = self.step in (c.offline_steps, c.total_steps)

        def due(every: int) -> bool:
            return (self.step - start) % every == 0 or phase_ends

        if due(c.log_every) or due(c.eval_every) or due(c.checkpoint_every):
            self.settle()
        if due(c.log_every):
            self._log(phase)
        if due(c.eval_every):
            self._evaluate(phase)
        if due(c.checkpoint_every):
            self.save()

    def _log(self, phase: str) -> None:
        values = {name: self._means.mean(name) for name in self._logged}
        self._train_log.write({"step": self.step, "phase": phase, **values})
        for sink in self._sinks:
            sink.log(self.step, {k: v for k, v in values.items() if not math.isnan(v)})
        self._means = Means()
        self.last_log = values

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

    def save(self) -> Path:
        """Write a checkpoint, unless there is one of this step.

        Raises:
            UserError: if the disk is full; the earlier checkpoints stay.
        """
        self.settle()
        if self.step == self._saved:
            return checkpoints.latest(self.folder.checkpoints)
        meta = {
            "config": self.config.to_json(),
            "data": self._data_id,
            "step": self.step,
            "online": self._collection is not None,
            "wall_s": self.wall_s,
            "last_eval": self.last_eval,
            "means": self._means.state(),
            "csv": {"eval": self._eval_log.length(), "train": self._train_log.length()},
            "dims": self._dims,
            "scaling": self._scaling and self._scaling.to_json(),
            "control_rate": self._control_rate,
        }
        groups = {
            "agent": checkpoints.tree_arrays(self.agent),
            "replay": self._replay.state(),
            "collection": self._collection.state() if self._collection else {},
            "owed": {"marks": np.array(self._owed, np.int32)},
        }
        path = checkpoints.save(self.folder.checkpoints, self.step, meta, groups)
        self._saved = self.step
        return path

    def _load(self, path: Path) -> dict[str, int]:
        meta, groups = checkpoints.load(path)
        checkpoints.require_current(meta, path)
        if meta["data"] != self._data_id:
            raise UserError(
                f"the prior data are not those of checkpoint {path}; name the right file (--data)"
            )
        if Scaling.from_json(meta.get("scaling")) != self._scaling:
            raise UserError(
                f"checkpoint {path} was made with other bounds of actions, or other observations: "
                "has the environment's action space changed?"
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
        self._replay.load(groups["replay"])
        self._owed = list(groups["owed"]["marks"])
        if meta["online"]:
            self._collection = Collection(self.config, self.task, self._replay)
            self._collection.load(groups["collection"])
            self._mirror = self._replay.mirror()
        return meta["csv"]

    def close(self) -> None:
        """Close the logs and end the environments."""
        self._eval_log.close()
        self._train_log.close()
        self._offline.close()
        self._online.close()
        if self._collection is not None:
            self._collection.close()
        for sink in self._sinks:
            sink.close()
