"""A tiny run: real simulator, real data, networks that compile fast."""

import json
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.data.collect import Collector
from driftpolicy.data.files import write_npz
from driftpolicy.training.config import TrainConfig, resolve

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


def tiny(data_file: Path, **overrides) -> TrainConfig:
    """Boundaries of logs, evaluations and checkpoints that fall in mid-chunk and mid-block."""
    settings = {
        "data": str(data_file),
        "offline_steps": 60,
        "online_steps": 90,
        "warmup_steps": 20,
        "batch_size": 16,
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
    return resolve(TASK, "dfp", "paper", settings | overrides)
