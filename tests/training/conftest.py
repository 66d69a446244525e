"""A tiny run: real simulator, real data, networks that compile fast."""

import csv
import itertools
import json
from dataclasses import fields
from pathlib import Path

import jax
import numpy as np
import pytest

from driftpolicy.agents import METHODS
from driftpolicy.config import TrainConfig, resolve
from driftpolicy.data.files import write_npz
from driftpolicy.runs.folder import RunFolder
from driftpolicy.tasks.ogbench.collect import Collector
from driftpolicy.tasks.ogbench.dataset import load_dataset
from driftpolicy.tasks.registry import find_task
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.loop import train
from driftpolicy.training.records import Records
from driftpolicy.training.state import RunState

TASK = "cube-single-play-singletask-task1-v0"


@pytest.fixture(scope="session")
def data_file(tmp_path_factory) -> Path:
    """Two short collected episodes."""
    collector = Collector("cube-single", "play", seed=0)
    parts = [collector.collect(episode, steps=150) for episode in range(2)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    write_npz(path, {"metadata": np.array(json.dumps({"origin": "collected"})), **arrays})
    return path


def tiny(data_file: Path, method: str = "dfp", **overrides) -> TrainConfig:
    """Boundaries of logs, evaluations and checkpoints that fall in mid-chunk and mid-block."""
    settings = {
        "data": str(data_file),
        "offline_steps": 60,
        "online_steps": 90,
        "warmup_steps": 20,
        "batch_size": 16,
        "overlap": False,  # in this process, which is quicker to start
        "replay_capacity": 64,
        "eval_every": 47,
        "eval_episodes": 2,
        "log_every": 7,
        "checkpoint_every": 23,
        "video": False,
        "processes": 1,
        "actor_hidden": (16,),
        "critic_hidden": (16,),
        "generated": 2,
        "candidates": 4,
        "positives": 2,
        "best_of": 2,
    }
    known = {field.name for kind in (TrainConfig, METHODS[method][1]) for field in fields(kind)}
    settings = {name: value for name, value in settings.items() if name in known}
    return resolve(TASK, method, "paper", settings | overrides)


@pytest.fixture(scope="session")
def workers():
    with evaluation_workers(find_task(TASK), 1) as workers:
        yield workers


@pytest.fixture(scope="session")
def dataset(data_file):
    return load_dataset(find_task(TASK), data_file)


class Training(Records):
    """The records of a run, which close the run too and know what it knows."""

    def __getattr__(self, name):
        return getattr(self.__dict__["run"], name)

    def close(self):
        super().close()
        self.run.close()


def trainer_of(config, folder, dataset, workers, data_id="data"):
    if not folder.config_file.exists():
        folder.create(config)
    return Training(RunState(config, folder, dataset, data_id), workers)


def run_to_end(config, path, dataset, workers, stop=lambda: False):
    """Run, starting over from the last checkpoint whenever ``stop`` interrupts."""
    folder = RunFolder(path)
    for starts in itertools.count(1):
        trainer = trainer_of(config, folder, dataset, workers)
        finished = train([trainer], stop=stop, report=lambda: None)
        trainer.close()
        if finished:
            return folder, trainer, starts


def rows_without_time(path: Path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in rows]


def assert_same_run(one, other):
    (folder_a, a), (folder_b, b) = one, other
    assert folder_a.train_csv.read_bytes() == folder_b.train_csv.read_bytes()
    assert rows_without_time(folder_a.eval_csv) == rows_without_time(folder_b.eval_csv)
    for x, y in zip(jax.tree.leaves(a.agent), jax.tree.leaves(b.agent), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))
