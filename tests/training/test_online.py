"""The online loop against one written out by hand, with and without overlap; several at once."""

import jax
import numpy as np
import pytest

from driftpolicy.data.replay import Replay
from driftpolicy.data.transitions import WindowSpec
from driftpolicy.envs.base import Session, episode_seed
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task, make_environment
from driftpolicy.training import updates
from driftpolicy.training.evaluation import Decider
from driftpolicy.training.loop import train
from driftpolicy.training.restore import RunKeys, new_agent
from driftpolicy.training.run import RunFolder
from driftpolicy.training.trainer import _BLOCK
from driftpolicy.training.updates import Request, update

from .conftest import TASK, assert_same_run, run_to_end, tiny, trainer_of

pytestmark = [pytest.mark.slow, pytest.mark.simulator]


def by_hand(config, dataset):
    """Both phases (``docs/methods/dfp.md``), step by step; the replay is copied anew for each."""
    keys = RunKeys(config.seed)
    length = config.agent.chunk_length
    spec = WindowSpec(length, config.agent.discount)
    replay = Replay(config.replay_capacity, 28, 5, slack=0)
    session = Session(make_environment(find_task(TASK)))
    agent = new_agent(config, 28, 5, keys.init)

    def learn(step, mirror=None, marks=None):
        steps = _BLOCK if marks is None else length
        marks = None if marks is None else np.stack([marks] * steps)
        request = Request(
            agent, dataset.resident(), mirror, marks, keys.update, step, 1, spec, 16, steps
        )
        ((agent_after, _),) = update([request])
        return agent_after

    for step in range(config.offline_steps):
        agent = learn(step)
    agent = agent.start_online()
    episode, step, owed = 0, config.offline_steps, []
    observation = session.reset(episode_seed(config.seed, 1, episode))
    replay.start_episode(observation)
    while step < config.total_steps:
        decide = Decider(agent)
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


def test_several_environments(data_file, dataset, workers, tmp_path, monkeypatch):
    config = tiny(
        data_file, num_envs=3, overlap=True, online_steps=70, replay_capacity=150, eval_episodes=1
    )
    made = []

    def count(requests):
        made.extend(request.count for request in requests if request.replay is not None)
        return update(requests)

    monkeypatch.setattr("driftpolicy.training.loop.update", count)
    whole = run_to_end(config, tmp_path / "whole", dataset, workers)
    assert sum(made) == config.online_steps - config.warmup_steps
    assert len(whole[1]._replay) == config.online_steps
    stops = iter([False] * 6 + [True] + [False] * 2 + [True])
    again = run_to_end(
        config, tmp_path / "again", dataset, workers, stop=lambda: next(stops, False)
    )
    assert again[2] == 3
    assert_same_run(again[:2], whole[:2])


def configs_of_seeds(data_file, **settings):
    settings = {"offline_steps": 30, "online_steps": 40, "eval_episodes": 1, **settings}
    return [tiny(data_file, seed=seed, **settings) for seed in (0, 1)]


def test_seeds_side_by_side_are_the_single_runs(data_file, dataset, workers, tmp_path):
    trainers = [
        trainer_of(config, RunFolder(tmp_path / f"both{i}"), dataset, workers)
        for i, config in enumerate(configs_of_seeds(data_file))
    ]
    for trainer in trainers:
        trainer.folder.path.mkdir(exist_ok=True)
    assert train(trainers, lambda: False, lambda _: None)
    for i, trainer in enumerate(trainers):
        trainer.close()
        alone, single, _ = run_to_end(trainer.config, tmp_path / f"alone{i}", dataset, workers)
        assert_same_run((trainer.folder, trainer), (alone, single))


def test_one_program_for_all_seeds_gives_the_same_numbers(
    data_file, dataset, workers, tmp_path, monkeypatch
):
    """What an accelerator runs, on a CPU: also where the counts of steps differ."""
    requests = []
    for i, config in enumerate(configs_of_seeds(data_file)):
        trainer = trainer_of(config, RunFolder(tmp_path / f"run{i}"), dataset, workers)
        requests.append(trainer._request(3 * i, 4, []))
        trainer.close()
    monkeypatch.setattr(jax, "default_backend", lambda: "accelerator")
    for counts in ((4, 4), (4, 2)):
        own = [
            Request(**(vars(r) | {"count": count}))
            for r, count in zip(requests, counts, strict=True)
        ]
        together = update(own)
        for request, (agent, logs) in zip(own, together, strict=True):
            expected, expected_logs = updates._alone(request)
            for x, y in zip(jax.tree.leaves(agent), jax.tree.leaves(expected), strict=True):
                if jax.numpy.issubdtype(x.dtype, jax.numpy.floating):
                    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
            for name, values in expected_logs.items():
                np.testing.assert_allclose(logs[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_run_that_fails_lets_the_others_finish(data_file, dataset, workers, tmp_path):
    good, _ = configs_of_seeds(data_file, online_steps=0)
    bad = tiny(data_file, seed=1, learning_rate=1e30)
    trainers = [
        trainer_of(config, RunFolder(tmp_path / f"run{i}"), dataset, workers)
        for i, config in enumerate([bad, good])
    ]
    with pytest.raises(UserError, match="not finite at step"):
        train(trainers, lambda: False, lambda _: None)
    for trainer in trainers:
        trainer.close()
    assert trainers[1].finished
    assert trainers[1].folder.checkpoints.exists()
    assert not trainers[0].folder.checkpoints.exists()
