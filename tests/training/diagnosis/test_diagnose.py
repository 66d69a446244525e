"""On a task whose value is known, a critic that knows it and one that has it upside down."""

import jax
import numpy as np
import pytest

from driftpolicy.agents import find_method
from driftpolicy.envs.branching import Branching
from driftpolicy.training.diagnosis.diagnose import diagnose
from driftpolicy.training.diagnosis.experience import Explorer
from driftpolicy.training.diagnosis.field import forces

from .toy import KnownCritic, Toy, agent_with


class Upright(Toy):
    """Who falls ends the episode, and it is no success; who stands until the limit succeeds."""

    def step(self, action):
        step = super().step(action)
        return step._replace(terminated=step.truncated, truncated=step.terminated)


def explored(sign, episodes=12, environment=Toy):
    agent = agent_with(KnownCritic(sign))
    explorer = Explorer(
        environment=Branching(environment()),
        rule=agent.decision_rule,
        proposer=agent.actor,
        candidates=8,
        key=jax.random.key(3),
    )
    return explorer.explore(list(range(episodes)), branches=2)


def test_returns_are_discounted_sums_of_what_followed():
    decisions, _ = explored(1.0, episodes=1)
    assert len(decisions.episode) == 4  # eight steps in chunks of two
    following = np.append(decisions.discounted_return[1:], 0.0)
    gained = decisions.discounted_return - 0.99**2 * following
    # The critic of this task knows the reward of a chunk, but without the discount.
    np.testing.assert_allclose(gained, decisions.value, rtol=0.011)


def test_a_branch_is_the_episode_up_to_there_and_then_the_candidate():
    environment = Branching(Toy())
    environment.reset(5)
    environment.execute(np.full((2, 1), 0.3))
    moment = environment.moment()
    one = environment.execute(np.full((2, 1), 0.1))
    environment.return_to(moment)
    other = environment.execute(np.full((9, 1), 0.5))
    assert (len(one.rewards), one.ended) == (2, False)
    assert (len(other.rewards), other.ended, other.terminated) == (6, True, True)
    np.testing.assert_allclose(other.rewards, 0, atol=1e-12)


@pytest.mark.parametrize(("sign", "wins"), [(1.0, 1.0), (-1.0, 0.0)])
def test_the_choice_of_a_critic_that_knows_wins(sign, wins):
    _, pairs = explored(sign)
    assert len(pairs.episode) == 24
    assert (pairs.value[:, 0] >= pairs.value[:, 1]).all()
    # What follows a branch is the same whatever the candidate, in this task.
    better = pairs.discounted_return[:, 0] > pairs.discounted_return[:, 1]
    assert better.mean() == wins


def test_a_branch_succeeds_where_its_environment_says_so():
    branches = [explored(1.0, environment=environment)[1] for environment in (Toy, Upright)]
    np.testing.assert_array_equal(branches[0].success, branches[1].success)
    assert 0 < branches[0].success.mean() < 1


def test_forces_without_a_signal_are_those_of_any_choice():
    observation = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    known = forces(agent_with(KnownCritic(1.0)), observation, jax.random.key(0))
    blind = forces(agent_with(KnownCritic(0.0)), observation, jax.random.key(0))
    np.testing.assert_allclose(blind.chosen_norm, blind.random_norm)
    np.testing.assert_allclose(blind.chosen_cosine, blind.random_cosine, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(blind.anchor_distance, 0)
    assert known.chosen_cosine.mean() > known.random_cosine.mean() + 0.1
    np.testing.assert_allclose(known.random_cosine, blind.random_cosine, rtol=1e-3, atol=1e-5)


def test_every_number_has_an_interval_and_all_is_repeatable():
    agent = agent_with(KnownCritic(1.0, doubt=0.5)).start_online()
    seeds, done = list(range(6)), []
    found = diagnose(agent, Toy(), seeds, key=jax.random.key(2), progress=done.append)
    again = diagnose(agent, Toy(), seeds, key=jax.random.key(2))
    assert found == again
    assert done == [1, 2, 3, 4, 5, 6]
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert one.low <= one.value <= one.high, one
        assert one.units >= 1


def test_a_single_candidate_has_no_force_to_measure():
    critic = KnownCritic(1.0, doubt=0.5)
    agent = agent_with(critic, candidates=1, positives=1).start_online()
    names = {one.name for one in diagnose(agent, Toy(), [0, 1], key=jax.random.key(0))}
    assert "choice_wins" in names
    assert "force_chosen" not in names


def test_forces_are_measured_for_drifting_policies_alone():
    method = find_method("qc-fql")
    config = method.config(actor_hidden=(4,), critic_hidden=(4,), chunk_length=2, best_of=1)
    agent = method.agent.create(config, 2, 1, jax.random.key(0))
    names = {one.name for one in diagnose(agent, Toy(), [0, 1], key=jax.random.key(0))}
    assert "choice_wins" in names
    assert "force_chosen" not in names
