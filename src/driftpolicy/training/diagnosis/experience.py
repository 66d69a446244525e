"""What the policy did in evaluation episodes, and what it could have done instead."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from driftpolicy.agents.decision import DecisionRule
from driftpolicy.agents.scoring import aggregate
from driftpolicy.envs.branching import Branching, Moment
from driftpolicy.networks import Actor


class Decisions(NamedTuple):
    """The decisions of all episodes, one row each, in the order in which they were made."""

    episode: Int[np.ndarray, " rows"]
    number: Int[np.ndarray, " rows"]
    """The number of the decision in its episode."""
    observation: Float[np.ndarray, "rows observation"]
    value: Float[np.ndarray, " rows"]
    """``Q(s, a)`` of the executed chunk."""
    target: Float[np.ndarray, " rows"]
    """What the critic's backup makes of the executed chunk: rewards, and ``Q`` where they led."""
    discounted_return: Float[np.ndarray, " rows"]
    """The discounted return from the decision to the episode's end."""
    candidate_values: Float[np.ndarray, "rows members candidates"]
    """``Q_i`` of fresh candidates in the same state."""


class Branches(NamedTuple):
    """Pairs of branches: from one state the critic's best candidate, and one drawn at random."""

    episode: Int[np.ndarray, " pairs"]
    value: Float[np.ndarray, "pairs 2"]
    """``Q`` of the best candidate and of the other."""
    discounted_return: Float[np.ndarray, "pairs 2"]
    """The discounted return when the candidate is executed and the policy goes on."""
    success: Float[np.ndarray, "pairs 2"]


class Proposed(NamedTuple):
    """Candidates in one state."""

    chunks: Float[Array, "candidates chunk action"]
    members: Float[Array, "members candidates"]
    values: Float[Array, " candidates"]


@eqx.filter_jit
def propose(
    proposer: Actor,
    rule: DecisionRule,
    observation: Float[Array, " observation"],
    count: int,
    key: PRNGKeyArray,
) -> Proposed:
    """Draw candidates from ``proposer`` and value them with the critic of ``rule``."""
    chunks = proposer.sample(observation, count, key=key)
    members = rule.critic(observation[None], chunks)
    actions = chunks.reshape(count, rule.config.chunk_length, -1)
    return Proposed(actions, members, aggregate(rule.config, members))


@eqx.filter_jit
def _decide(rule: DecisionRule, observation: Any, key: PRNGKeyArray) -> tuple[Array, Array]:
    chunk = rule(observation, rule.draw_noise(key))
    return chunk, rule.value(observation, chunk)


class Experience(NamedTuple):
    """What episodes show."""

    decisions: Decisions
    branches: Branches

    def record(self) -> dict[str, np.ndarray]:
        """Return it as arrays by name."""
        parts = {"decisions": self.decisions, "branches": self.branches}
        return {
            f"{part}.{name}": array
            for part, arrays in parts.items()
            for name, array in arrays._asdict().items()
        }

    @classmethod
    def from_record(cls, record: Mapping[str, np.ndarray]) -> "Experience":
        """Return what :meth:`record` returned as arrays."""
        return cls(
            Decisions(*(record[f"decisions.{name}"] for name in Decisions._fields)),
            Branches(*(record[f"branches.{name}"] for name in Branches._fields)),
        )


class _Trace(NamedTuple):
    """One episode, or the rest of one."""

    observations: list[np.ndarray]
    values: list[float]
    rewards: list[np.ndarray]
    moments: list[Moment]
    terminated: bool
    success: bool

    def returns(self, discount: float) -> Float[np.ndarray, " decisions"]:
        """The discounted return from each decision to the end."""
        result, following = [], 0.0
        for rewards in reversed(self.rewards):
            factors = discount ** np.arange(len(rewards))
            following = float(factors @ rewards + discount ** len(rewards) * following)
            result.append(following)
        return np.array(result[::-1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explorer:
    """Runs episodes with a policy and goes back into them."""

    environment: Branching
    rule: DecisionRule
    proposer: Actor
    """Makes the candidates that are compared: the anchor, or the policy itself."""
    candidates: int
    """How many candidates are compared in a state, at least 2."""
    key: PRNGKeyArray

    def explore(
        self,
        seeds: list[int],
        branches: int,
        progress: Any = lambda done: None,
        over: dict[int, Experience] | None = None,
    ) -> Experience:
        """Run an episode for each seed, and branch off it at random decisions.

        Args:
            seeds: of the episodes.
            branches: states of each episode in which two candidates are executed.
            progress: called with the number of episodes done.
            over: episodes by number that were made before; those made now are added.
        """
        over = {} if over is None else over
        if over:
            progress(len(over))
        for number, seed in enumerate(seeds):
            if number not in over:
                over[number] = self._episode(number, seed, branches)
                progress(len(over))
        episodes = [over[number] for number in range(len(seeds))]
        return Experience(
            Decisions(*map(np.concatenate, zip(*(one.decisions for one in episodes), strict=True))),
            Branches(*map(np.concatenate, zip(*(one.branches for one in episodes), strict=True))),
        )

    def _episode(self, number: int, seed: int, branches: int) -> Experience:
        key = jax.random.fold_in(self.key, number)
        trace = self._play(self.environment.reset(seed), key, first=0)
        chosen = np.random.default_rng(seed).permutation(len(trace.moments))[:branches]
        pairs = [self._branch(number, trace.moments[i], int(i), key) for i in chosen]
        together = Branches(*map(np.concatenate, zip(*pairs, strict=True)))
        return Experience(self._rows(number, trace, key), together)

    def _play(self, observation: np.ndarray, key: PRNGKeyArray, *, first: int) -> _Trace:
        """Let the policy go on to the end of the episode; decision ``first`` is the next."""
        trace = _Trace([], [], [], [], False, False)
        decision, ended = first, False
        while not ended:
            chunk, value = _decide(self.rule, observation, jax.random.fold_in(key, decision))
            trace.observations.append(observation)
            trace.values.append(float(value))
            trace.moments.append(self.environment.moment())
            done = self.environment.execute(np.asarray(chunk))
            trace.rewards.append(done.rewards)
            trace = trace._replace(terminated=done.terminated, success=done.success)
            observation, ended = done.observation, done.ended
            decision += 1
        return trace

    def _candidates(self, observation: np.ndarray, key: PRNGKeyArray, decision: int) -> Proposed:
        at_decision = jax.random.fold_in(jax.random.fold_in(key, decision), 1)
        return propose(
            self.proposer, self.rule, jnp.asarray(observation), self.candidates, at_decision
        )

    def _rows(self, episode: int, trace: _Trace, key: PRNGKeyArray) -> Decisions:
        discount, count = self.rule.config.discount, len(trace.values)
        following = np.array([*trace.values[1:], 0.0])
        if not trace.terminated:  # nobody knows the value behind the time limit
            following[-1] = np.nan
        gained = [float(discount ** np.arange(len(rewards)) @ rewards) for rewards in trace.rewards]
        factors = np.array([discount ** len(rewards) for rewards in trace.rewards])
        members = [
            np.asarray(self._candidates(observation, key, i).members)
            for i, observation in enumerate(trace.observations)
        ]
        return Decisions(
            episode=np.full(count, episode),
            number=np.arange(count),
            observation=np.stack(trace.observations),
            value=np.array(trace.values),
            target=np.array(gained) + factors * following,
            discounted_return=trace.returns(discount),
            candidate_values=np.stack(members),
        )

    def _branch(self, episode: int, moment: Moment, decision: int, key: PRNGKeyArray) -> Branches:
        """Execute the best candidate, and another one, and go on with the same noise."""
        proposed = self._candidates(moment.observation, key, decision)
        values = np.asarray(proposed.values)
        best = int(np.argmax(values))
        other = np.random.default_rng([episode, decision]).integers(self.candidates - 1)
        pair = [best, int(other + (other >= best))]
        returns, successes = [], []
        for candidate in pair:
            self.environment.return_to(moment)
            done = self.environment.execute(np.asarray(proposed.chunks[candidate]))
            trace = _Trace([], [], [], [], done.terminated, done.success)
            if not done.ended:
                trace = self._play(done.observation, key, first=decision + 1)
            trace.rewards.insert(0, done.rewards)
            returns.append(trace.returns(self.rule.config.discount)[0])
            successes.append(float(trace.success))
        return Branches(
            episode=np.array([episode]),
            value=values[None, pair],
            discounted_return=np.array([returns]),
            success=np.array([successes]),
        )
