"""From episodes and forces to numbers with intervals."""

import numpy as np
from jaxtyping import Int

from driftpolicy.training.diagnosis.experience import Branches, Decisions
from driftpolicy.training.diagnosis.field import Forces
from driftpolicy.training.diagnosis.statistics import (
    Measurement,
    measure,
    stratified_rank_correlation,
)


def of_decisions(d: Decisions) -> list[Measurement]:
    """Measure the critic on what the policy did."""
    within = d.candidate_values - d.candidate_values.mean(axis=-1, keepdims=True)
    spread = np.std(d.candidate_values.mean(axis=1), axis=-1, ddof=1)
    # Members agree on nothing but chance if the differences between them are as large.
    several = d.candidate_values.shape[1] > 1
    doubt = np.sqrt(np.mean(np.var(within, axis=1, ddof=int(several)), axis=-1))
    error, td = d.value - d.discounted_return, d.value - d.target

    def mean(values: np.ndarray):
        return lambda rows: float(np.nanmean(values[rows]))

    def rms(values: np.ndarray):
        return lambda rows: float(np.sqrt(np.nanmean(values[rows] ** 2)))

    found = [
        measure(
            "q_return_rank",
            "rank correlation of Q and discounted return, among decisions of one time",
            # An episode cut by its time limit returns the less the longer it had to go, which no
            # critic can see: only decisions of the same number are compared.
            lambda rows: stratified_rank_correlation(
                d.value[rows], d.discounted_return[rows], d.number[rows]
            ),
            d.episode,
        ),
        measure("q_bias", "mean of Q minus discounted return", mean(error), d.episode),
        measure("q_error", "root mean square of Q minus discounted return", rms(error), d.episode),
        measure("td_error", "root mean square of Q minus its backup", rms(td), d.episode),
        measure("q_spread", "deviation of Q over a state's candidates", mean(spread), d.episode),
    ]
    if several:
        found += [
            measure(
                "q_doubt", "deviation between members, state's mean out", mean(doubt), d.episode
            ),
            measure(
                "q_spread_to_doubt",
                "spread of Q over its doubt (below 1: noise)",
                lambda rows: float(spread[rows].mean() / doubt[rows].mean()),
                d.episode,
            ),
        ]
    return found


def of_branches(b: Branches) -> list[Measurement]:
    """Measure what the critic's choice of a candidate is worth."""
    gain = b.discounted_return[:, 0] - b.discounted_return[:, 1]
    promised = b.value[:, 0] - b.value[:, 1]
    wins = np.where(gain > 0, 1.0, np.where(gain < 0, 0.0, 0.5))
    success = b.success[:, 0] - b.success[:, 1]

    def mean(values: np.ndarray):
        return lambda rows: float(np.mean(values[rows]))

    return [
        measure(
            "choice_wins",
            "share of states where the critic's best beats a random one (ties half)",
            mean(wins),
            b.episode,
        ),
        measure("choice_gain", "what that gains in discounted return", mean(gain), b.episode),
        measure("choice_promise", "what the critic promises for it", mean(promised), b.episode),
        measure("choice_success", "what it gains in success", mean(success), b.episode),
    ]


def of_forces(blocks: list[Forces]) -> list[Measurement]:
    """Measure the improvement force; a block of states is one unit of the norms' intervals."""
    norms = np.arange(len(blocks))
    chosen = np.array([float(block.chosen_norm.mean()) for block in blocks])
    random = np.array([float(block.random_norm.mean()) for block in blocks])
    joined = {
        name: np.concatenate([np.asarray(getattr(block, name)) for block in blocks])
        for name in ("chosen_cosine", "random_cosine", "across_cosine", "anchor_distance", "spread")
    }
    states: Int[np.ndarray, " states"] = np.arange(len(joined["spread"]))

    def mean(name: str, meaning: str) -> Measurement:
        return measure(name, meaning, lambda rows: float(joined[name][rows].mean()), states)

    return [
        measure(
            "force_chosen",
            "raw norm of the force towards the K best",
            lambda rows: float(chosen[rows].mean()),
            norms,
        ),
        measure(
            "force_random",
            "raw norm of the force towards K at random",
            lambda rows: float(random[rows].mean()),
            norms,
        ),
        mean("chosen_cosine", "cosine of the forces of two halves, best of each"),
        mean("random_cosine", "the same, random ones of each"),
        mean("across_cosine", "the same, best of one and random ones of the other"),
        mean("anchor_distance", "distance of policy and anchor at the same noise"),
        mean("spread", "deviation of the policy's samples"),
    ]
