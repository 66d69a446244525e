"""Collected data: a function of seed and episode alone, in the published layout, labelled."""

import functools
import json
import re
import shutil
from importlib import metadata

import numpy as np
import pytest

from driftpolicy.data.files import read_npz
from driftpolicy.errors import UserError
from driftpolicy.tasks.ogbench import collect as collecting
from driftpolicy.tasks.ogbench.collect import Collector, collect, cube_in_sight
from driftpolicy.tasks.ogbench.dataset import describe
from tests import statistical

STEPS = 30


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name]) and left[name].dtype == right[name].dtype
        for name in left
    )


@functools.cache
def used(family: str, kind: str, seed: int = 3) -> Collector:
    """A collector that many tests use, since episodes do not depend on what came before."""
    return Collector(family, kind, seed)


SLOW = [pytest.mark.slow, pytest.mark.simulator]
SCENES = [
    ("cube-single", "play", 28),
    pytest.param("cube-double", "play", 37, marks=SLOW),
    pytest.param("scene", "play", 40, marks=SLOW),
    pytest.param("puzzle-3x3", "noisy", 55, marks=SLOW),
]


@pytest.mark.parametrize(("family", "kind", "observation_dim"), SCENES)
def test_episodes_do_not_depend_on_what_came_before(family, kind, observation_dim):
    """And have the published layout."""
    collector = used(family, kind)
    other = collector.collect(1, STEPS)
    after_another = collector.collect(0, STEPS)
    episode = Collector(family, kind, 3).collect(0, STEPS)
    assert same(episode, after_another)
    assert not np.array_equal(episode["actions"], other["actions"])
    assert episode["observations"].shape == (STEPS, observation_dim)
    assert episode["actions"].shape == (STEPS, 5)
    assert episode["terminals"].tolist() == [False] * (STEPS - 1) + [True]
    types = {name: str(array.dtype) for name, array in episode.items()}
    numbers = ("observations", "actions", "qpos", "qvel")
    expected = {**dict.fromkeys(numbers, "float32"), "terminals": "bool"}
    if "cube" not in family:
        expected["button_states"] = "int64"
    assert types == expected
    assert np.abs(episode["actions"]).max() <= 1
    assert all(np.isfinite(array).all() for array in episode.values())


def test_other_seeds_give_other_episodes():
    one = used("cube-single", "play").collect(0, 5)
    two = Collector("cube-single", "play", 4).collect(0, 5)
    assert not np.array_equal(one["observations"][0], two["observations"][0])


@pytest.mark.parametrize(
    ("family", "steps"), [("cube-double", 250), pytest.param("scene", 120, marks=SLOW)]
)
def test_rows_hold_what_the_simulator_said(family, steps, monkeypatch):
    """Row t: the observation and state before action t, also where the oracle changes target."""
    collector = used(family, "play")
    step = collector._simulator.step
    set_new_target = collector._simulator.set_new_target
    seen, sent, states, targets = [], [], [], []

    def spy(action):
        sent.append(action)
        outcome = step(action)
        seen.append(outcome[0])
        states.append(outcome[4]["prev_qpos"])
        return outcome

    monkeypatch.setattr(collector._simulator, "step", spy)
    monkeypatch.setattr(
        collector._simulator,
        "set_new_target",
        lambda **options: targets.append(len(sent)) or set_new_target(**options),
    )
    episode = collector.collect(0, steps)
    seen, sent, states = seen[-steps:], sent[-steps:], states[-steps:]  # not those of the reset
    assert len(targets) > 1
    np.testing.assert_array_equal(episode["observations"][1:], np.float32(seen[:-1]))
    np.testing.assert_array_equal(episode["actions"], np.float32(sent))
    np.testing.assert_array_equal(episode["qpos"], np.float32(states))


@pytest.mark.statistical
def test_the_oracle_moves_the_cube():
    episode = used("cube-single", "play", statistical.seed(3)).collect(0, 400)
    cube = episode["qpos"][:, 14:17]
    statistical.assert_within("lifted by", np.ptp(cube[:, 2]), low=0.03)
    statistical.assert_within("carried by", np.ptp(cube[:, :2], axis=0).max(), low=0.03)


def test_scene_episodes_that_lose_the_cube_are_tried_again(monkeypatch):
    verdicts = iter([False, False, True])
    seen = []

    def judge(qpos):
        seen.append(qpos[0])
        return next(verdicts)

    first = used("scene", "play").collect(0, 5)
    monkeypatch.setattr(collecting, "cube_in_sight", judge)
    third = used("scene", "play").collect(0, 5)
    assert len(seen) == 3
    assert len(np.unique(seen, axis=0)) == 3
    np.testing.assert_array_equal(seen[0], first["qpos"][0])
    np.testing.assert_array_equal(seen[2], third["qpos"][0])


@pytest.mark.parametrize(
    ("y", "z", "in_sight"),
    [
        (0.0, 0.02, True),
        (0.28, 0.02, True),
        (0.29, 0.02, False),
        (-0.29, 0.02, True),
        (-0.31, 0.02, False),
        (-0.31, 0.07, True),
        (-0.31, 0.09, False),
    ],
)
def test_where_the_cube_may_be(y, z, in_sight):
    qpos = np.zeros((3, 25), np.float32)
    qpos[1, 15:17] = y, z
    assert cube_in_sight(qpos) is in_sight


class Here:
    """In place of processes of their own: one object in this one."""

    calls = 0

    def __init__(self, count, factory, *arguments):
        self._target = factory(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def map(self, method, items):
        for item in items:
            Here.calls += 1
            yield getattr(self._target, method.__name__)(*item)


def run(path, processes=1, **changes):
    options = {"episodes": 3, "seed": 3, "processes": processes, "episode_steps": 25, **changes}
    return list(collect("cube-single", "play", path, **options))


@pytest.mark.simulator
def test_data_do_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    assert run(tmp_path / "two.npz", 2) == [1, 2, 3]
    monkeypatch.setattr(collecting, "Workers", Here)
    assert run(tmp_path / "one.npz", 1) == [1, 2, 3]
    one, two = (tmp_path / f"{name}.npz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    arrays = read_npz(one)
    assert arrays["observations"].shape == (75, 28)
    second = used("cube-single", "play").collect(1, 25)
    assert same(second, {name: arrays[name][25:50] for name in second})

    told = json.loads(str(arrays["metadata"]))
    assert told["origin"] == "collected"
    assert told["note"] == "not the published dataset"
    assert told["collected_by"] == f"driftpolicy {metadata.version('driftpolicy')}"
    assert (told["scene"], told["kind"], told["seed"]) == ("cube-single", "play", 3)
    assert (told["episodes"], told["episode_steps"]) == (3, 25)
    assert (told["noise"], told["noise_smoothing"]) == (0.1, 0.5)
    assert told["versions"]["mujoco"] == metadata.version("mujoco")
    assert describe(one)["origin"] == "collected"
    assert describe(one)["crc32"] == describe(two)["crc32"]


def refused(match: str, *arguments, **changes) -> None:
    with pytest.raises(UserError, match=match) as error:
        run(*arguments, **changes)
    assert "\n" not in str(error.value)


def test_mistakes_are_said_before_anything_is_collected(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "Workers", None)  # none may start
    for flag in ("episodes", "processes"):
        refused(f"--{flag} must be at least 1, not 0", tmp_path / "a.npz", **{flag: 0})
    refused("--seed must be at least 0", tmp_path / "a.npz", seed=-1)
    refused("--episode-steps must be at least 2", tmp_path / "a.npz", episode_steps=1)
    refused(re.escape(f"cannot write {tmp_path}: Is a directory"), tmp_path)
    (tmp_path / "file").write_text("")
    refused("cannot write", tmp_path / "file" / "a.npz")
    with pytest.raises(UserError, match="only play and noisy"):
        next(collect("cube-quadruple", "play-100m", tmp_path, episodes=1, seed=0, processes=1))


def test_a_disk_too_small_is_noticed_after_one_episode(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=20_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(collecting, "Workers", Here)
    refused("the disk has room for 20 kB", tmp_path / "a.npz", episodes=10)
    assert not (tmp_path / "a.npz").exists()


def test_an_interrupted_collection_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "Workers", Here)
    settings = {"episodes": 3, "seed": 3, "processes": 1, "episode_steps": STEPS}
    whole, cut = tmp_path / "whole.npz", tmp_path / "cut.npz"
    assert list(collect("cube-single", "play", whole, **settings)) == [1, 2, 3]
    for count in collect("cube-single", "play", cut, **settings):
        if count == 2:
            break
    assert not cut.exists()
    calls = Here.calls
    # Room for the last episode and the file: what is kept is on the disk already.
    usage = shutil.disk_usage(tmp_path)._replace(free=int(1.5 * whole.stat().st_size))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert list(collect("cube-single", "play", cut, **settings)) == [1, 2, 3]
    assert Here.calls == calls + 1
    assert cut.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.npz", "whole.npz"]
