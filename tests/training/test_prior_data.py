"""Prior data are held against the environment before a step is made, and read once for all runs."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from driftpolicy.data.files import write_npz
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import benchmark_of
from driftpolicy.training.prior_data import load_data_of_each, require_fit

from .conftest import TASK, tiny


def test_data_of_another_width_are_refused(dataset, workers):
    require_fit(dataset, workers)
    rows = dataset.rows
    narrow = [
        Dataset(rows.observations[:, :3], rows.actions, *rows[2:5]),
        Dataset(rows.observations, rows.actions[:, :3], *rows[2:5]),
    ]
    for other, what in zip(narrow, ("observations", "actions"), strict=True):
        with pytest.raises(UserError, match=f"{what} of 3 numbers, the environment of"):
            require_fit(other, workers)


def test_runs_of_one_dataset_read_it_once(data_file):
    other = TASK.replace("task1", "task2")
    configs = [tiny(data_file), tiny(data_file, seed=1), replace(tiny(data_file), task=other)]
    output = io.StringIO()
    first, same, second = load_data_of_each(configs, Console(file=output, width=200))
    assert same is first
    assert output.getvalue().count("Data: ") == 2  # once for each task's rewards
    assert second.prior.rows.observations is first.prior.rows.observations


def test_a_collection_of_another_size_is_not_taken_in_silence(data_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(tiny(data_file), data=None, collect_episodes=80)
    task = config.configured_task()
    place = benchmark_of(task).collected_path(task)
    place.parent.mkdir()
    label = {"origin": "collected", "episodes": 2}
    write_npz(place, dict(np.load(data_file)) | {"metadata": np.array(json.dumps(label))})
    output = io.StringIO()
    load_data_of_each([config], Console(file=output, width=200))
    expected = "with 2 episodes; this run would have collected 80: dfp data collect"
    assert expected in output.getvalue()
    output.truncate(0)
    load_data_of_each([replace(config, collect_episodes=2)], Console(file=output))
    assert "would have" not in output.getvalue()
