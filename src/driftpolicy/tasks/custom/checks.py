"""What is usually wrong with recordings, held against the environment that they were made for."""

from collections.abc import Iterator

from driftpolicy.data.checks import Demands, check_episodes
from driftpolicy.data.findings import Finding
from driftpolicy.tasks.custom.probe import Facts
from driftpolicy.tasks.custom.recording import Recording
from driftpolicy.tasks.task import CustomSettings

_RATES = 0.01  # relative difference of two control rates that are the same


def check_recording(
    recording: Recording, settings: CustomSettings | None, facts: Facts | None
) -> list[Finding]:
    """Report what is wrong with data, as far as they and their environment show it.

    Args:
        recording: the data.
        settings: how they are to be used; None where that is not known.
        facts: of the environment; None where there is none to compare with.
    """
    settings = settings or CustomSettings()
    # Without rewards there is but one way to train on them.
    unrewarded = recording.trajectories[0].rewards is None
    demands = Demands(
        outside="kept" if settings.action_bounds == "data" else "refused",
        rewards="success" if settings.reward == "success" or unrewarded else "stored",
    )
    if facts is None:
        return check_episodes(recording.trajectories, demands)
    demands = demands._replace(
        observation_dim=facts.observation_dim,
        observation_low=facts.observation_low,
        observation_high=facts.observation_high,
        action_low=facts.action_low,
        action_high=facts.action_high,
    )
    found = check_episodes(recording.trajectories, demands)
    return [*found, *_environment(recording, facts)]


def _environment(recording: Recording, facts: Facts) -> Iterator[Finding]:
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
