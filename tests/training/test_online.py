"""The online loop against one written out by hand, with and without overlap; several at once."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from driftpolicy.data.replay import Replay
from driftpolicy.data.transitions import Dataset
from driftpolicy.data.windows import WindowSpec
from driftpolicy.envs.base import Session, episode_seed
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder
from driftpolicy.tasks.ogbench.dataset import load_dataset
from driftpolicy.tasks.registry import find_task, make_environment
from driftpolicy.training import schedule
from driftpolicy.training.blocks import BlockInput, BlockSpec, block
from driftpolicy.training.deciding import Decider
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.launch import launch
from driftpolicy.training.learner import Learner
from driftpolicy.training.loop import side_by_side, train
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys

from .conftest import TASK, assert_same_run, rows_without_time, run_to_end, tiny, trainer_of

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.simulator]


def by_hand(config, dataset):
    """Both phases (``docs/methods/dfp.md``), step by step; the replay is copied anew for each."""
    keys = RunKeys(config.seed)
    length = config.agent.chunk_length
    spec = WindowSpec(length, config.agent.discount)
    replay = Replay(config.replay_capacity, 28, 5, slack=0)
    session = Session(make_environment(find_task(TASK)))
    agent = new_agent(config, 28, 5, keys.init)

    def learn(step, mirror=None, marks=None):
        steps = schedule.OFFLINE_BLOCK if marks is None else length
        marks = None if marks is None else np.stack([marks] * steps)
        given = BlockInput(replay=mirror, marks=marks, key=keys.update, first=np.int32(step))
        rows = dataset.resident()
        return block(agent, rows, given, np.int32(1), spec=BlockSpec(spec, 16, steps))[0]

    for step in range(config.offline_steps):
        agent = learn(step)
    agent = agent.start_online()
    episode, step, owed = 0, config.offline_steps, []
    observation = session.reset(episode_seed(config.seed, 1, episode))
    replay.start_episode(observation)
    while step < config.total_steps:
        decide = Decider(agent.decision_rule)
        noise = decide.noise(jax.random.fold_in(keys.act, step), ahead=1)
        chunk = decide(observation, next(noise))
        for one in owed:
            agent = learn(*one)
        owed = []
        for action in chunk[: config.total_steps - step]:
            outcome = session.step(action)
            observation = outcome.observation
            replay.add(action, outcome.reward, outcome.terminated, observation)
            if ended := outcome.terminated or outcome.truncated:
                episode += 1
                observation = session.reset(episode_seed(config.seed, 1, episode))
                replay.start_episode(observation)
            if step >= config.offline_steps + config.warmup_steps:
                owed.append((step, replay.mirror(), replay.marks()))
            step += 1
            if ended:
                break
        if not config.overlap or step == config.total_steps:
            for one in owed:
                agent = learn(*one)
            owed = []
    return agent


@pytest.fixture(scope="module")
def overlapped(data_file, dataset, workers, tmp_path_factory):
    config = tiny(data_file, overlap=True, eval_episodes=1)
    path = tmp_path_factory.mktemp("overlapped") / "run"
    folder, trainer, _ = run_to_end(config, path, dataset, workers)
    return folder, trainer


@pytest.mark.parametrize("overlap", [False, True])
def test_the_loop_is_the_plain_one(data_file, dataset, workers, tmp_path, overlapped, overlap):
    """The ring is smaller than an episode and overwritten; warm-up ends in mid-chunk."""
    if overlap:
        _, trainer = overlapped
    else:
        config = tiny(data_file, eval_episodes=1)
        _, trainer, _ = run_to_end(config, tmp_path / "run", dataset, workers)
    expected = by_hand(trainer.config, dataset)
    for x, y in zip(jax.tree.leaves(trainer.agent), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_an_overlapped_run_resumes_exactly(data_file, dataset, workers, overlapped, tmp_path):
    """Checkpoints in mid-chunk and between chunks, with gradient steps owed."""
    config = tiny(data_file, overlap=True, eval_episodes=1)
    stops = iter([False] * 6 + [True] + [False] * 5 + [True] + [False] * 4 + [True])
    folder, trainer, starts = run_to_end(
        config, tmp_path / "run", dataset, workers, stop=lambda: next(stops, False)
    )
    assert starts == 4
    assert_same_run((folder, trainer), overlapped)


def test_environments_take_turns_where_there_are_fewer_steps_than_them(
    data_file, dataset, workers, tmp_path
):
    settings = {"offline_steps": 0, "online_steps": 12, "warmup_steps": 12, "eval_episodes": 1}
    config = tiny(data_file, num_envs=3, log_every=2, **settings)
    _, trainer, _ = run_to_end(config, tmp_path, dataset, workers)
    *_, transitions = trainer.replay.state()["counts"]
    assert transitions.tolist() == [4, 4, 4]


def test_several_environments(data_file, dataset, workers, tmp_path, monkeypatch):
    config = tiny(
        data_file, num_envs=3, overlap=True, online_steps=70, replay_capacity=150, eval_episodes=1
    )
    made, update = [], Learner.update

    def count(learner, steps, prior, spec):
        made.extend(one.count for one in steps if one.marks is not None)
        return update(learner, steps, prior, spec)

    monkeypatch.setattr(Learner, "update", count)
    whole = run_to_end(config, tmp_path / "whole", dataset, workers)
    assert sum(made) == config.online_steps - config.warmup_steps
    assert len(whole[1].replay) == config.online_steps
    stops = iter([False] * 6 + [True] + [False] * 2 + [True])
    again = run_to_end(
        config, tmp_path / "again", dataset, workers, stop=lambda: next(stops, False)
    )
    assert again[2] == 3
    assert_same_run(again[:2], whole[:2])


def configs_of_seeds(data_file, **settings):
    settings = {"offline_steps": 30, "online_steps": 40, "eval_episodes": 1, **settings}
    method = settings.pop("method", "dfp")
    return [tiny(data_file, method, seed=seed, **settings) for seed in (0, 1)]


def test_seeds_side_by_side_are_the_single_runs(data_file, dataset, workers, tmp_path):
    trainers = [
        trainer_of(config, RunFolder(tmp_path / f"both{i}"), dataset, workers)
        for i, config in enumerate(configs_of_seeds(data_file))
    ]
    for trainer in trainers:
        trainer.folder.path.mkdir(exist_ok=True)
    assert train(trainers, stop=lambda: False, report=lambda: None)
    for i, trainer in enumerate(trainers):
        trainer.close()
        alone, single, _ = run_to_end(trainer.config, tmp_path / f"alone{i}", dataset, workers)
        assert_same_run((trainer.folder, trainer), (alone, single))


def assert_close_runs(one, other, but="nothing"):
    """The same steps and the same numbers, but for the rounding of other programs.

    Metrics whose names begin with ``but`` may be measured in one and not in the other.

    Adam makes of a gradient near zero a step of either sign, so single parameters may part by a few
    step sizes of 3e-4. Another batch or key at any step moves all of them by as much.
    """
    (folder_a, a), (folder_b, b) = one, other
    assert a.step == b.step
    for x, y in zip(jax.tree.leaves(a.agent), jax.tree.leaves(b.agent), strict=True):
        if jnp.issubdtype(x.dtype, jnp.floating):
            size, apart = (np.sqrt(np.mean(np.square(a))) for a in (np.asarray(y), x - y))
            assert apart <= 1e-4 + 1e-3 * size
        else:
            np.testing.assert_array_equal(x, y)
    rows, others = rows_without_time(folder_a.train_csv), rows_without_time(folder_b.train_csv)
    for row, expected in zip(rows, others, strict=True):
        known = {name for name in row if row[name] and not name.startswith(but)}
        assert known == {name for name in row if expected[name] and not name.startswith(but)}
        for name, value in row.items():
            if name != "phase" and name in known:
                np.testing.assert_allclose(
                    float(value), float(expected[name]), rtol=2e-2, atol=1e-3, err_msg=name
                )


@pytest.mark.parametrize("method", ["dfp", "mvp-topk"])
def test_runs_as_one_program_are_the_single_runs(data_file, dataset, workers, tmp_path, method):
    """What an accelerator runs, on a CPU; in mid-run one is stopped and resumed alone."""
    configs = configs_of_seeds(
        data_file, method=method, online_steps=22, warmup_steps=5, num_envs=2, overlap=True
    )
    both = [
        trainer_of(config, RunFolder(tmp_path / f"both{i}"), dataset, workers)
        for i, config in enumerate(configs)
    ]
    assert train(both, stop=lambda: False, report=lambda: None, accelerate=True)
    for i, (together, config) in enumerate(zip(both, configs, strict=True)):
        together.close()
        folder, alone, _ = run_to_end(config, tmp_path / f"alone{i}", dataset, workers)
        assert_close_runs((together.folder, together), (folder, alone))


def test_tasks_and_numbers_as_one_program_are_the_single_runs(
    data_file, dataset, workers, tmp_path
):
    """Two tasks of a scene and three lambdas, the data in memory once but for their rewards."""
    other = TASK.replace("task1", "task2")
    rows = load_dataset(find_task(other), data_file).rows
    rewards = rows.rewards.copy()
    rewards[::50] = 0.0  # the play is too short to reach a goal
    second = Dataset(rows.observations, rows.actions, rewards, rows.masks, rows.last)
    second.share(dataset)
    assert second.rows.observations is dataset.rows.observations
    assert second.resident().actions is dataset.resident().actions
    assert second.rows.rewards is not dataset.rows.rewards
    settings = {"offline_steps": 30, "online_steps": 22, "warmup_steps": 5, "eval_episodes": 1}
    cells = [(TASK, 0.5, dataset), (other, 2.0, second), (other, 0.0, second)]
    with evaluation_workers(find_task(other), 1) as others:
        at = {TASK: workers, other: others}
        configs = [
            replace(tiny(data_file, improvement_weight=weight, **settings), task=task)
            for task, weight, _ in cells
        ]
        together = [
            trainer_of(config, RunFolder(tmp_path / f"run{i}"), prior, at[config.task])
            for i, (config, (_, _, prior)) in enumerate(zip(configs, cells, strict=True))
        ]
        (group,) = side_by_side(together, accelerate=True)
        assert len(group.runs) == 3
        assert train(together, stop=lambda: False, report=lambda: None, accelerate=True)
        for i, (run, config, cell) in enumerate(zip(together, configs, cells, strict=True)):
            run.close()
            assert run.agent.config == config.agent
            folder = tmp_path / f"alone{i}"
            folder, alone, _ = run_to_end(config, folder, cell[2], at[config.task])
            assert_close_runs((run.folder, run), (folder, alone), but="improvement")


def test_what_is_not_alike_is_another_program(data_file, dataset, workers, tmp_path):
    configs = [tiny(data_file), tiny(data_file, seed=1), tiny(data_file, batch_size=8)]
    runs = [
        trainer_of(config, RunFolder(tmp_path / f"run{i}"), dataset, workers)
        for i, config in enumerate(configs)
    ]
    assert [len(group.runs) for group in side_by_side(runs, accelerate=True)] == [2, 1]
    assert [len(group.runs) for group in side_by_side(runs, accelerate=False)] == [1, 1, 1]
    for run in runs:
        run.close()


@pytest.mark.parametrize("points", [3, 8])
def test_one_program_resumes_where_its_runs_are(data_file, dataset, workers, tmp_path, points):
    """Runs at different steps and in different phases go on side by side."""
    configs = configs_of_seeds(data_file, online_steps=22, warmup_steps=5)
    folders = [RunFolder(tmp_path / f"run{i}") for i in range(2)]
    ahead = trainer_of(configs[0], folders[0], dataset, workers)
    stops = iter([False] * points)
    train([ahead], stop=lambda: next(stops, True), report=lambda: None, accelerate=True)
    ahead.close()
    runs = [
        trainer_of(config, folder, dataset, workers)
        for config, folder in zip(configs, folders, strict=True)
    ]
    assert runs[0].step > runs[1].step == 0
    assert runs[0].phase == ("offline" if points == 3 else "online")
    assert train(runs, stop=lambda: False, report=lambda: None, accelerate=True)
    for i, run in enumerate(runs):
        run.close()
        folder, alone, _ = run_to_end(configs[i], tmp_path / f"alone{i}", dataset, workers)
        assert_close_runs((run.folder, run), (folder, alone))


def test_a_run_that_fails_lets_the_others_finish(data_file, dataset, workers, tmp_path):
    good, _ = configs_of_seeds(data_file, online_steps=0)
    bad = tiny(data_file, seed=1, learning_rate=1e30)
    trainers = [
        trainer_of(config, RunFolder(tmp_path / f"run{i}"), dataset, workers)
        for i, config in enumerate([bad, good])
    ]
    with pytest.raises(UserError, match="not finite at step"):
        train(trainers, stop=lambda: False, report=lambda: None)
    for trainer in trainers:
        trainer.close()
    assert trainers[1].finished
    assert trainers[1].folder.checkpoints.exists()
    assert not trainers[0].folder.checkpoints.exists()


def test_what_finishes_beside_a_run_that_fails_gets_its_summary(data_file, tmp_path):
    good, _ = configs_of_seeds(data_file, online_steps=0)
    bad = tiny(data_file, seed=1, online_steps=0, learning_rate=1e30)
    folders = [RunFolder(tmp_path / name) for name in ("bad", "good")]
    for folder, config in zip(folders, (bad, good), strict=True):
        folder.create(config)
    with pytest.raises(UserError, match="not finite at step"):
        launch(folders, Console(quiet=True))
    assert [folder.finished() for folder in folders] == [False, True]
    assert folders[1].curves.exists()
