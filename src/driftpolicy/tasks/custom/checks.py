"""What is usually wrong with recordings, each in one line: refused, or only reported."""

from collections.abc import Iterator

import numpy as np

from driftpolicy.data.checks import Finding
from driftpolicy.tasks.custom.probe import Facts
from driftpolicy.tasks.custom.recording import Recording, Trajectory
from driftpolicy.tasks.task import CustomSettings

_FEW = 0.01  # share of steps whose actions may lie outside the bounds: they are clipped
_ROUNDING = 1e-5  # of a range: not outside
_RATES = 0.01  # relative difference of two control rates that are the same
_NAMED = 5  # so many of a kind are listed


def check_recording(
    recording: Recording, settings: CustomSettings | None, facts: Facts | None
) -> list[Finding]:
    """Report what is wrong with data, as far as they and their environment show it.

    Args:
        recording: the data.
        settings: how they are to be used; None where that is not known.
        facts: of the environment; None where there is none to compare with.
    """
    found = list(
        _against_environment(recording, settings or CustomSettings(), facts) if facts else ()
    )
    found += _numbers(recording.trajectories)
    if not any(finding.refused for finding in found):
        found += _worth(recording.trajectories, settings or CustomSettings())
        found += _constant(recording.trajectories)
        found += _duplicates(recording.trajectories)
    return found


def _against_environment(
    recording: Recording, settings: CustomSettings, facts: Facts
) -> Iterator[Finding]:
    first = recording.trajectories[0]
    wide = {
        "observations": (first.observations.shape[1], facts.observation_dim),
        "actions": (first.actions.shape[1], len(facts.action_low)),
    }
    for what, (here, there) in wide.items():
        if here != there:
            text = f"the data have {what} of {here} numbers, the environment of {there}"
            yield Finding(text + ": are they of another environment, or in another order?", True)
            return
    yield from _bounds(recording.trajectories, settings, facts)
    rates = recording.control_rate, facts.control_rate
    if rates[0] and rates[1] and abs(rates[0] / rates[1] - 1) > _RATES:
        yield Finding(
            f"recorded at {rates[0]:g} Hz, but the environment runs at {rates[1]:g} Hz: the same "
            "actions are another motion there"
        )
    if not facts.deterministic:
        yield Finding(
            "the environment is not deterministic: the same seed and actions gave another episode; "
            "such a run cannot be repeated, nor resumed in mid-episode"
        )
    if not facts.seeded:
        yield Finding(
            "the environment's first observation is the same for every seed: if episodes are to "
            "differ, its reset must use the seed, or all evaluation episodes may be one"
        )


def _bounds(
    trajectories: list[Trajectory], settings: CustomSettings, facts: Facts
) -> Iterator[Finding]:
    """Report actions that the environment does not take."""
    actions = np.concatenate([trajectory.actions for trajectory in trajectories])
    slack = _ROUNDING * (facts.action_high - facts.action_low)
    outside = (actions < facts.action_low - slack) | (actions > facts.action_high + slack)
    if not outside.any():
        return
    share, worst = outside.any(axis=1).mean(), int(outside.sum(axis=0).argmax())
    low, high = actions[:, worst].min(), actions[:, worst].max()
    what = (
        f"{100 * share:.2g}% of the steps have actions outside the environment's bounds: number "
        f"{worst} goes from {low:g} to {high:g}, allowed are {facts.action_low[worst]:g} to "
        f"{facts.action_high[worst]:g}"
    )
    if settings.action_bounds == "data":
        yield Finding(f"{what}; the policy will ask for such actions too")
    elif share <= _FEW:
        yield Finding(f"{what}; they are clipped")
    else:
        yield Finding(
            f"{what}: convert their units, record what was executed, or train on them as they are "
            "(--action-bounds data)",
            refused=True,
        )


def _numbers(trajectories: list[Trajectory]) -> Iterator[Finding]:
    """Report NaN and infinity."""
    for trajectory in trajectories:
        for what in ("observations", "actions", "rewards"):
            values = getattr(trajectory, what)
            if values is not None and not np.isfinite(values).all():
                bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
                text = f"{trajectory.name}: {what} hold NaN or infinity, first in row"
                yield Finding(f"{text} {int(bad.argmax())}", refused=True)
                return


def _worth(trajectories: list[Trajectory], settings: CustomSettings) -> Iterator[Finding]:
    """Report rewards that say nothing, and terminations that may mean something else."""
    ended = [trajectory for trajectory in trajectories if trajectory.terminated]
    rewards = [trajectory.rewards for trajectory in trajectories if trajectory.rewards is not None]
    if settings.reward == "success":
        if trajectories[0].success is None:
            yield Finding(
                "the data do not say which steps succeed: the end of every episode counts as a "
                "success"
            )
        elif not any(t.success is not None and t.success.any() for t in trajectories):
            yield Finding("no step of the data is a success: all rewards are -1")
    elif rewards:
        values = np.concatenate(rewards)
        if values.min() == values.max() and (values[0] == 0 or not ended):
            yield Finding(
                f"all rewards are {values[0] + 0:g}: there is nothing to tell good actions by "
                "until the online phase (are they recorded? --reward success makes its own)"
            )
    lengths = {len(trajectory.actions) for trajectory in ended}
    longest = max(len(trajectory.actions) for trajectory in trajectories)
    reported = any(t.success is not None and t.success[-1] for t in ended)
    if settings.reward == "own" and len(ended) > 1 and lengths == {longest} and not reported:
        yield Finding(
            f"all {len(ended):,} terminations come in step {longest}, none as a success: if that "
            "is a time limit, store false for them, since no value follows a termination"
        )


def _constant(trajectories: list[Trajectory]) -> Iterator[Finding]:
    """Report numbers of observations that never change."""
    low = np.min([trajectory.observations.min(axis=0) for trajectory in trajectories], axis=0)
    high = np.max([trajectory.observations.max(axis=0) for trajectory in trajectories], axis=0)
    constant = np.flatnonzero(low == high)
    if len(constant):
        yield Finding(
            f"observations never change in these of their {len(low)} numbers, counted from 0: "
            f"{_list(constant)}; a sensor that was off misleads the policy once it is on"
        )


def _duplicates(trajectories: list[Trajectory]) -> Iterator[Finding]:
    """Report episodes that are there twice."""
    seen: dict[int, list[Trajectory]] = {}
    twins = []
    for trajectory in trajectories:
        key = hash((trajectory.observations.tobytes(), trajectory.actions.tobytes()))
        twin = next((t for t in seen.get(key, ()) if _same(t, trajectory)), None)
        if twin:
            twins.append(f"{trajectory.name} of {twin.name}")
        else:
            seen.setdefault(key, []).append(trajectory)
    if twins:
        yield Finding(
            f"copies among {len(trajectories):,} episodes: {len(twins):,} ({_list(twins)}); they "
            "count twice in training"
        )


def _same(one: Trajectory, other: Trajectory) -> bool:
    return np.array_equal(one.observations, other.observations) and np.array_equal(
        one.actions, other.actions
    )


def _list(items: list[str] | np.ndarray) -> str:
    shown = ", ".join(map(str, items[:_NAMED]))
    return shown + (f" and {len(items) - _NAMED} more" if len(items) > _NAMED else "")
