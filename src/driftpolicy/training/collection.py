"""The online phase's environments: they act with the policy and fill the replay."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float32

from driftpolicy.config import TrainConfig
from driftpolicy.data.replay import Replay
from driftpolicy.envs.base import episode_seed
from driftpolicy.envs.episodes import Played, Player
from driftpolicy.envs.parallel import InProcess, Workers
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import environment_maker
from driftpolicy.tasks.task import Task
from driftpolicy.training.logs import Means

_TRAINING = 1  # names the stream of episode seeds; evaluation's is another
EPISODE_METRICS = ("episode_success", "episode_return", "episode_length")


class TakenBack(UserError):
    """An environment failed, and what it was doing was taken back.

    The run's state is as before, and worth a checkpoint.
    """


class Collection:
    """Environments in the middle of their episodes, each with what is left of its chunk.

    The steps of several environments count in turn: the first of each, the second of each, ...
    What a checkpoint stores is known here, so that no environment has to live to be asked.
    """

    def __init__(self, config: TrainConfig, task: Task, replay: Replay):
        """Make the environments: in processes of their own where they can run beside something."""
        count = config.num_envs
        self._config = config
        self._replay = replay
        self._action_dim = replay.rows.actions.shape[1]
        # A user's environment may hang or end its process, which must not be this one.
        own = config.overlap or count > 1 or task.custom is not None
        make = environment_maker(task)
        self._players: Workers[Player] | InProcess[Player] = (
            Workers(count, Player, make) if own else InProcess(Player(make))
        )
        self._players.patience = config.environment_timeout or None
        self._running: dict[int, np.ndarray] = {}  # the actions each is executing
        self.observations: list[np.ndarray] = [np.zeros(0)] * count
        """What each environment shows now."""
        self._pending: list[np.ndarray] = [np.zeros((0, 0), np.float32)] * count
        self._episodes = np.arange(count)  # numbers of the running episodes
        self._actions: list[list[np.ndarray]] = [[] for _ in range(count)]  # of these, so far
        self._rewards = np.zeros(count)
        self._lengths = np.zeros(count, np.int64)

    def start(self) -> None:
        """Begin the first episodes.

        Raises:
            UserError: if an environment fails.
        """
        for i, episode in enumerate(self._episodes):
            self.observations[i] = self._players.call(i, Player.begin, self._seed(int(episode)))
            self._replay.start_episode(self.observations[i], i)

    @property
    def undecided(self) -> list[int]:
        """The environments that have executed their chunk."""
        return [i for i, pending in enumerate(self._pending) if len(pending) == 0]

    def give(self, environment: int, chunk: Float32[np.ndarray, "chunk action"]) -> None:
        """Give an environment the chunk that it executes next."""
        self._pending[environment] = chunk

    def submit(self, steps: int, made: int) -> None:
        """Let the environments execute their chunks, together no more than ``steps`` steps.

        Args:
            steps: where there are fewer of them than environments, some wait.
            made: steps so far; they say whose turn it is.

        Raises:
            TakenBack: if an environment fails.
        """
        count = len(self._pending)
        with self._or_taken_back():
            for i in range(count):
                quota = steps // count + ((i - made) % count < steps % count)
                actions, self._pending[i] = self._pending[i][:quota], self._pending[i][quota:]
                if len(actions):
                    self._running[i] = actions
                    following = self._seed(int(self._episodes[i]) + count)
                    self._players.submit(i, Player.play, actions, following)

    def results(self, means: Means) -> Iterator[None]:
        """Wait for what was submitted; yields after each step, once it is in the replay.

        Raises:
            TakenBack: if an environment fails; none of the steps is in the replay then.
        """
        played: dict[int, Played] = {}
        with self._or_taken_back():
            while len(played) < len(self._running):
                played |= dict(self._players.ready())
        sent, self._running = self._running, {}
        for k in range(max(len(p.rewards) for p in played.values())):
            for i in sorted(played):
                if k < len(played[i].rewards):
                    self._record(i, k, sent[i][k], played[i], means)
                    yield

    @contextmanager
    def _or_taken_back(self) -> Iterator[None]:
        """Make what was submitted pending again if an environment fails in here."""
        try:
            yield
        except UserError as error:
            for i, actions in self._running.items():
                self._pending[i] = np.concatenate([actions, self._pending[i]])
            self._running = {}
            raise TakenBack(str(error)) from error

    def _record(self, i: int, k: int, action: np.ndarray, played: Played, means: Means) -> None:
        """Step ``k`` of environment ``i``."""
        final = k == len(played.rewards) - 1
        reward, observation = float(played.rewards[k]), played.observations[k]
        self._replay.add(action, reward, final and played.terminated, observation, i)
        self._actions[i].append(action)
        self.observations[i] = observation
        self._rewards[i] += reward
        self._lengths[i] += 1
        if final and played.ended:
            assert played.first is not None
            values = (float(played.success), float(self._rewards[i]), float(self._lengths[i]))
            for name, value in zip(EPISODE_METRICS, values, strict=True):
                means.add(name, value)
            self._follow(i)
            self.observations[i] = played.first
            self._replay.start_episode(played.first, i)

    def _follow(self, i: int) -> None:
        """Count environment ``i``'s episode as over; what is left of its chunk is dropped."""
        self._rewards[i], self._lengths[i] = 0.0, 0
        self._episodes[i] += len(self._pending)
        self._actions[i] = []
        self._pending[i] = self._pending[i][:0]

    def _seed(self, episode: int) -> int:
        return episode_seed(self._config.seed, _TRAINING, episode)

    def state(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint stores."""
        arrays: dict[str, np.ndarray] = {
            "episodes": self._episodes,
            "rewards": self._rewards,
            "lengths": self._lengths,
        }
        for i, pending in enumerate(self._pending):
            arrays[f"{i}.pending"] = pending
            state = {
                "seed": np.array(self._seed(int(self._episodes[i])), np.uint64),
                "actions": np.array(self._actions[i], np.float32).reshape(-1, self._action_dim),
                "observation": self.observations[i],
            }
            arrays |= {f"{i}.environment.{name}": array for name, array in state.items()}
        return arrays

    @staticmethod
    def layout(
        environments: int, observation_dim: int, action_dim: int
    ) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Return shape and type of every array of :meth:`state`, -1 for any length."""
        layout: dict[str, tuple[tuple[int, ...], Any]] = {
            "episodes": ((environments,), np.int64),
            "rewards": ((environments,), np.float64),
            "lengths": ((environments,), np.int64),
        }
        for i in range(environments):
            layout |= {
                f"{i}.pending": ((-1, -1), np.float32),  # 0 by 0 before the first decision
                f"{i}.environment.seed": ((), np.uint64),
                f"{i}.environment.actions": ((-1, action_dim), np.float32),
                f"{i}.environment.observation": ((observation_dim,), np.float32),
            }
        return layout

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore :meth:`state`.

        Raises:
            UserError: as :meth:`driftpolicy.envs.base.Session.load`, saying how to go on all the
                same.
        """
        self._take(arrays)
        for i in range(len(self._pending)):
            begins = f"{i}.environment."
            state = {
                name.removeprefix(begins): array
                for name, array in arrays.items()
                if name.startswith(begins)
            }
            self._actions[i] = list(state["actions"])
            try:
                self.observations[i] = self._players.call(i, Player.load, state)
            except UserError as error:
                raise UserError(
                    f"cannot go on in the middle of the checkpoint's episode: {error}; "
                    "dfp resume --resume-episode restart begins a fresh episode instead"
                ) from error

    def restart(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore the counters of :meth:`state`, and begin an episode in every environment.

        What was recorded of the episodes under way stays in the replay, as if their time had run
        out.

        Raises:
            UserError: if an environment fails.
        """
        self._take(arrays)
        for i in range(len(self._pending)):
            self._follow(i)
        self.start()

    def _take(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._episodes, self._rewards, self._lengths = (
            arrays[name].copy() for name in ("episodes", "rewards", "lengths")
        )
        self._pending = [arrays[f"{i}.pending"] for i in range(len(self._pending))]

    def close(self) -> None:
        """End the processes."""
        self._players.close()
