"""A task whose value is known: each step costs the squared distance of the action from 0.5."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from driftpolicy.agents import DFP, DFPConfig
from driftpolicy.envs.base import Step
from driftpolicy.networks import CriticEnsemble

BEST = 0.5


class Toy:
    """Ends after eight steps, by success if the actions lay in the middle at 0.4 or above."""

    observation_dim = 2
    action_dim = 1
    control_rate = None

    def reset(self, seed):
        self._rng = np.random.default_rng(seed)
        self._steps, self._sum = 0, 0.0
        return self._observation()

    def step(self, action):
        self._steps += 1
        self._sum += float(action[0])
        done = self._steps == 8
        success = done and self._sum / 8 >= 0.4
        reward = -float((action[0] - BEST) ** 2)
        return Step(self._observation(), reward, success, done and not success, success)

    def _observation(self):
        return self._rng.normal(size=2).astype(np.float32)

    def goal(self):
        return ""

    def render(self):
        raise NotImplementedError


class KnownCritic(CriticEnsemble):
    """Knows the reward of a chunk, times ``sign``; ``doubt`` is by how much two members differ."""

    sign: float = eqx.field(static=True)
    doubt: float = eqx.field(static=True)

    def __init__(self, sign, doubt=0.0):
        super().__init__(2, 2, (2,), members=2, key=jax.random.key(0))
        self.sign, self.doubt = sign, doubt

    def __call__(self, observation, chunk):
        value = -self.sign * jnp.sum((chunk - BEST) ** 2, axis=-1) + 0 * observation[..., 0]
        apart = self.doubt * chunk[..., 0]
        return jnp.stack([value + apart, value - apart])


def agent_with(critic, **settings):
    settings = {"chunk_length": 2, "candidates": 8, "positives": 2, "best_of": 4} | settings
    config = DFPConfig(actor_hidden=(8,), critic_hidden=(2,), **settings)
    agent = DFP.create(config, 2, 1, jax.random.key(1))
    return eqx.tree_at(lambda a: a.critic.online, agent, critic)
