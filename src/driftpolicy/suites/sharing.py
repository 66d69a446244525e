"""Runs of a suite that share an offline phase: one makes it, the others go on from its end."""

import contextlib
from collections.abc import Hashable, Sequence

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder
from driftpolicy.training.offline_from import offline_settings


def offline_key(config: TrainConfig) -> Hashable | None:
    """Return what runs with the same offline phase have in common; None where there is none."""
    if not config.offline_steps or not config.online_steps or config.offline_from is not None:
        return None
    return (config.data, *sorted(offline_settings(config).items()))


def first_of_each(configs: Sequence[TrainConfig]) -> list[int]:
    """Return for each run the place of the first one with the same offline phase, or its own."""
    first: dict[Hashable, int] = {}
    places = []
    for place, config in enumerate(configs):
        key = offline_key(config)
        places.append(place if key is None else first.setdefault(key, place))
    return places


def find_offline_end(folder: RunFolder, config: TrainConfig) -> RunFolder | None:
    """Return another run beside a folder that has made the offline phase of a config, if any.

    That is a run of the same task and seed under the suite's folder, of whatever suite.
    """
    key = offline_key(config)
    if key is None:
        return None
    for path in sorted(folder.path.parent.parent.glob(f"*/{folder.path.name}")):
        other = RunFolder(path)
        with contextlib.suppress(UserError):
            if other.offline_end.exists() and offline_key(other.config()) == key:
                return other
    return None


def offline_steps_made(configs: Sequence[TrainConfig]) -> tuple[int, int]:
    """Return how many offline steps the runs make, each for itself and with what they share."""
    places = first_of_each(configs)
    alone = sum(config.offline_steps for config in configs)
    shared = sum(
        config.offline_steps for place, config in enumerate(configs) if places[place] == place
    )
    return alone, shared
