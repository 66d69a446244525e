"""One offline phase for several online ones: a run begins where another's offline phase ended."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from driftpolicy.agents import find_method
from driftpolicy.config import FREE_FIELDS, TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs.checkpoints import Checkpoint
from driftpolicy.runs.folder import RunFolder

_FREE = FREE_FIELDS | {
    *("agent", "method", "online_steps", "warmup_steps", "num_envs", "overlap"),
    *("replay_capacity", "online_prior", "online_share", "checkpoint_every", "data_on"),
}
"""Fields of a run that change nothing in its offline phase, or are compared in another way: the
prior data by what identifies them, the method by its class and its settings."""


def offline_settings(config: TrainConfig) -> dict[str, Any]:
    """Return everything in a config that decides the run's offline phase, but for the data."""
    agent = config.agent
    return {
        "method": _full_name(find_method(config.method).agent),
        **_without(config, _FREE),
        **_without(agent, agent.ONLINE_ONLY),
    }


def _full_name(agent: type) -> str:
    """Return the name of a method's class; of a user's with its file, since names are copied."""
    if agent.__module__.startswith("driftpolicy."):
        return agent.__qualname__
    file = getattr(sys.modules[agent.__module__], "__file__", agent.__module__)
    return f"{file}:{agent.__qualname__}"


def _without(settings: Any, left_out: frozenset[str]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(settings)]
    return {name: getattr(settings, name) for name in names if name not in left_out}


def source_of(config: TrainConfig) -> RunFolder | None:
    """Return the folder of the run whose offline phase is taken over, if any."""
    if config.offline_from is None:
        return None
    return RunFolder(Path(config.offline_from.replace("{seed}", str(config.seed))).expanduser())


def load_offline_end(config: TrainConfig, source: RunFolder) -> Checkpoint:
    """Return the state of another run at the end of its offline phase.

    Args:
        config: of the run that takes it over.
        source: the other run's folder.

    Raises:
        UserError: if that run has not got there, or its offline phase is another.
    """
    if not source.offline_end.is_file():
        raise UserError(
            f"{source.path} holds no state from the end of an offline phase: train that run up to "
            "there first"
        )
    checkpoint = Checkpoint.load(source.offline_end)
    checkpoint.require_current(source.offline_end)
    ours, theirs = offline_settings(config), offline_settings(checkpoint.config)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            whole = f" (--decay-steps {theirs[name]} keeps it)" if name == "decay_steps" else ""
            raise UserError(
                f"the offline phase of {source.path} is another: its {name} is "
                f"{theirs.get(name)}, this run's {ours.get(name)}{whole}"
            )
    return checkpoint
