"""What counts as agreement: rounding does, another choice of equal value does, nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")


from driftpolicy.deploy import Policy
from driftpolicy.errors import UserError
from driftpolicy.export.agreement import check_agreement
from driftpolicy.export.decision import Decision
from driftpolicy.export.exporting import export_policy
from tests.export.common import OBSERVATION, SCALING, random_agent, small_config, write_run

STATES = np.random.default_rng(0).normal(size=(40, OBSERVATION)).astype(np.float32)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agreement")
    export_policy(write_run(folder / "run", scaling=SCALING), folder / "policy.onnx", states=10)
    return Policy((folder / "policy.onnx").read_bytes())


class Second(Policy):
    """Turns the noises around, and so takes another candidate where all are worth the same."""

    batch = None

    def __init__(self, decide, policy, shift=0.0):
        self.metadata = policy.metadata
        self._decide = jax.jit(decide)
        self._shift = shift

    def act_from(self, observation, noise):
        chunk = np.array(self._decide(observation, noise[:, ::-1]))
        chunk[7] += self._shift
        return chunk


def test_two_candidates_of_equal_value_are_no_disagreement(policy):
    agent = random_agent(small_config("dfp"))
    equal = jax.tree.map(jnp.zeros_like, agent.critic)
    decide = Decision(dataclasses.replace(agent, critic=equal).decision_rule, SCALING)
    agreement = check_agreement(Second(decide, policy), decide, STATES)
    assert 20 < agreement.ties <= len(STATES)  # in the others, clipping makes the chunks the same
    assert f"but for {agreement.ties} in which they took two candidates" in agreement.words()
    with pytest.raises(UserError, match="in state 7 a chunk differs by"):
        check_agreement(Second(decide, policy, 0.1), decide, STATES)


def test_a_worse_candidate_is_a_disagreement(policy):
    agent = random_agent(small_config("dfp"))

    class First(Second):
        def act_from(self, observation, noise):
            return np.asarray(self._decide(observation, np.repeat(noise[:, :1], 4, axis=1)))

    decide = Decision(agent.decision_rule, SCALING)
    with pytest.raises(UserError, match="does not agree with JAX"):
        check_agreement(First(decide, policy), decide, STATES)


def test_nan_is_a_disagreement(policy):
    decide = Decision(random_agent(small_config("dfp")).decision_rule, SCALING)
    broken = Second(decide, policy, np.nan)
    with pytest.raises(UserError, match="does not agree with JAX"):
        check_agreement(broken, decide, STATES)


def test_progress_counts_states(policy):
    decide = Decision(random_agent(small_config("dfp")).decision_rule, SCALING)
    told = []
    agreement = check_agreement(policy, decide, np.tile(STATES, (7, 1)), progress=told.append)
    assert told == [250, 280]
    assert (agreement.states, agreement.ties) == (280, 0)
    assert agreement.words().startswith("agrees with JAX in 280 states: largest difference")
