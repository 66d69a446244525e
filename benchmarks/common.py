"""What the benchmarks share: sizes, data, the floor's products, and measuring in turn."""

import argparse
import contextlib
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from driftpolicy.agents import DFPConfig
from driftpolicy.agents.config import AgentConfig
from driftpolicy.batch import Batch
from driftpolicy.config import TrainConfig, resolve
from driftpolicy.data.transitions import Dataset
from driftpolicy.runs.folder import RunFolder
from driftpolicy.tasks.registry import find_task
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.loop import offline_to_online, side_by_side
from driftpolicy.training.records import Records
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys
from driftpolicy.training.state import RunState

TASK = "cube-double-play-singletask-task2-v0"
OBSERVATION, ACTION, BATCH = 37, 5, 256
SMALL = {"actor_hidden": (64, 64), "critic_hidden": (64, 64), "batch_size": 32}
NEVER = 10**9


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number beside the one it is held against."""

    point: int
    what: str
    measured: float
    against: str
    reference: float
    ratio: float
    goal: str
    met: bool | None = None
    """None: there is no goal on this machine."""


def arguments(text: str | None, **extra: int) -> argparse.Namespace:
    """``--small``, ``--json`` and what a benchmark adds: integers with their defaults."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="small networks: is it in order?")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    for name, default in extra.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"[{default}]")
    return parser.parse_args()


def report(options: argparse.Namespace, figures: Sequence[Figure]) -> None:
    """A table of them, and what ``--json`` asks for."""
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
    show(figures)
    if options.json:
        Path(options.json).write_text(json.dumps([dataclasses.asdict(f) for f in figures]))


def show(figures: Sequence[Figure]) -> None:
    """A table of them."""
    head = ("point", "what", "measured", "against", "reference", "ratio", "goal", "")
    marks = {True: "met", False: "MISSED", None: "-"}
    rows = [
        (
            *(f.point, f.what, f"{f.measured:.4g}", f.against, f"{f.reference:.4g}"),
            *(f"{f.ratio:.2f}", f.goal, marks[f.met]),
        )
        for f in figures
    ]
    print("| " + " | ".join(head) + " |\n" + "|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


# Measuring.

_Measured = TypeVar("_Measured")


def milliseconds(function: Callable[[], object], repeats: int = 1) -> float:
    """Per call, with what it returns waited for."""
    start = time.perf_counter()
    result: object = None
    for _ in range(repeats):
        result = function()
    jax.block_until_ready(result)
    return 1e3 * (time.perf_counter() - start) / repeats


def in_turn(rounds: int, *measurements: Callable[[], _Measured]) -> list[list[_Measured]]:
    """Each measurement once a round; the rounds of each. What drifts, drifts for all of them."""
    for measure in measurements:
        measure()  # compiles
    found = [[measure() for measure in measurements] for _ in range(rounds)]
    return [list(column) for column in zip(*found, strict=True)]


def median_ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """The median over the rounds."""
    return statistics.median(a / b for a, b in zip(ours, others, strict=True))


# A run.


def synthetic(transitions: int, observation: int = OBSERVATION) -> Dataset:
    """Random prior data in episodes of 1000 transitions."""
    draw = np.random.default_rng(0)
    rows = transitions + transitions // 1000
    last = np.arange(rows) % 1001 == 1000
    return Dataset(
        draw.standard_normal((rows, observation), np.float32),
        np.tanh(draw.standard_normal((rows, ACTION), np.float32)),
        -draw.integers(0, 3, rows).astype(np.float32),
        np.ones(rows, np.float32),
        last,
    )


class Loop:
    """The training loop of runs side by side, a safe point at a time."""

    def __init__(self, records: Sequence[Records]):
        """Take the runs from where they are."""
        self.records = list(records)
        self.runs = [one.run for one in records]
        self.config = self.runs[0].config
        accelerate = jax.default_backend() != "cpu"
        self._groups = side_by_side(records, accelerate=accelerate)
        self._algorithms = [offline_to_online(group) for group in self._groups]

    def advance(self) -> None:
        """Go to the next safe point."""
        for algorithm in self._algorithms:
            next(algorithm)
        assert all(run.error is None for run in self.runs), [run.error for run in self.runs]

    def wait(self) -> None:
        """Wait for the gradient steps under way."""
        for group in self._groups:
            group.settle()


@contextmanager
def training_loop(
    small: bool, dataset: Any, seeds: Sequence[int] = (0,), task: str = TASK, **settings: Any
) -> Iterator[Loop]:
    """Runs at their beginning, at the paper's sizes, that are never due for an evaluation."""
    defaults = {"offline_steps": NEVER, "eval_every": NEVER, "checkpoint_every": NEVER}
    defaults |= {"log_every": NEVER, "video": False} | (SMALL if small else {})
    config = resolve(task, "dfp", "paper", defaults | settings)
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = stack.enter_context(evaluation_workers(find_task(task), 1))
        records = []
        for seed in seeds:
            config = dataclasses.replace(config, seed=seed)
            folder = RunFolder(root / str(seed))
            folder.create(config)
            run = RunState(config, folder, dataset, "synthetic")
            stack.callback(run.close)
            records.append(Records(run, workers))
            stack.callback(records[-1].close)
        yield Loop(records)


def milliseconds_per_step(loop: Loop, rounds: int = 1) -> float:
    """Of the training loop itself, between safe points, until all is done."""
    start, before = time.perf_counter(), loop.runs[0].step
    for _ in range(rounds):
        loop.advance()
    loop.wait()
    return 1e3 * (time.perf_counter() - start) / (loop.runs[0].step - before)


def bare_update(config: TrainConfig, online: bool) -> Callable[[int], float]:
    """Milliseconds per update of an agent on one batch, over so many in a row."""
    agent = new_agent(config, OBSERVATION, ACTION, RunKeys(0).init)
    agent = agent.start_online() if online else agent
    batch, key = random_batch(config.agent, config.batch_size), jax.random.key(0)
    update = jax.jit(lambda agent, batch, key: agent.update(batch, key)[0])

    def measure(steps: int) -> float:
        start, current = time.perf_counter(), agent
        for _ in range(steps):
            current = update(current, batch, key)
        jax.block_until_ready(current)
        return 1e3 * (time.perf_counter() - start) / steps

    return measure


def random_batch(config: Any, size: int = BATCH) -> Batch:
    """Of cube-double's dimensions."""
    draw = np.random.default_rng(0).standard_normal
    length = config.chunk_length
    return Batch(
        jnp.asarray(draw((size, OBSERVATION)), jnp.float32),
        jnp.asarray(np.tanh(draw((size, length, ACTION))), jnp.float32),
        jnp.asarray(draw(size), jnp.float32),
        jnp.ones(size),
        jnp.asarray(draw((size, OBSERVATION)), jnp.float32),
        jnp.ones((size, length)),
    )


# The floor: the matrix products of an update or a decision, each alone.


def forward(states: int, rows: int, hidden: tuple[int, ...], chunk: int, outputs: int) -> list:
    """Shapes (m, k, n) of a pass over ``rows`` noises or chunks at so many observations."""
    layers = [(rows, a, b) for a, b in zip(hidden, (*hidden[1:], outputs), strict=True)]
    return [(states, OBSERVATION, hidden[0]), (rows, chunk, hidden[0]), *layers]


def backward(states: int, rows: int, hidden: tuple[int, ...], chunk: int, outputs: int) -> list:
    """Weight gradients of every layer, input gradients of all but the first."""
    shapes = forward(states, rows, hidden, chunk, outputs)
    return [(k, m, n) for m, k, n in shapes] + [(m, n, k) for m, k, n in shapes[2:]]


def decision_products(config: AgentConfig, states: int) -> list:
    """Best of N', or one sample."""
    chunk = config.chunk_length * ACTION
    rows = states * config.best_of
    shapes = forward(states, rows, config.actor_hidden, chunk, chunk)
    if config.best_of > 1:
        shapes += config.critics * forward(states, rows, config.critic_hidden, chunk, 1)
    return shapes


def update_products(config: AgentConfig, online: bool, batch: int = BATCH) -> list:
    """One gradient step."""
    assert isinstance(config, DFPConfig)
    chunk = config.chunk_length * ACTION
    actor = (config.actor_hidden, chunk, chunk)
    critic = (config.critic_hidden, chunk, 1)
    members = config.critics
    backed_up = members * forward(batch, batch, *critic)
    critic_loss = members * (forward(batch, batch, *critic) + backward(batch, batch, *critic))
    rows = batch * config.generated
    actor_loss = forward(batch, rows, *actor) + backward(batch, rows, *actor)
    total = decision_products(config, batch) + backed_up + critic_loss + actor_loss
    if online:
        rows = batch * config.candidates
        total += forward(batch, rows, *actor) + members * forward(batch, rows, *critic)
    return total


def floor(shapes: list) -> Callable[[], object]:
    """A function that makes the products."""
    draw = np.random.default_rng(0).standard_normal
    pairs = [
        (jnp.asarray(draw((m, k)), jnp.float32), jnp.asarray(draw((k, n)), jnp.float32))
        for m, k, n in shapes
    ]
    multiply = jax.jit(lambda pairs: [a @ b for a, b in pairs])
    return lambda: multiply(pairs)
