"""Whether what is in a folder is the run that a suite asks for, wherever it was made."""

from driftpolicy.config import FREE_FIELDS, TrainConfig, first_difference, setting_text
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder

_FREE = (FREE_FIELDS - {"collect_episodes", "skip_broken"}) | {"log_every", "checkpoint_every"}
"""Settings in which a run made elsewhere may differ: a run that took over its offline phase is the
run that made its own. That a run's data are the right ones shows in its summary, not in a path, but
how much was to be collected is the suite's word."""


def difference(found: TrainConfig, wanted: TrainConfig) -> str:
    """Return in words the first setting that makes ``found`` another run, or nothing."""
    differs = first_difference(found, wanted, _FREE)
    if differs is None:
        return ""
    name, ours, theirs = differs
    return f"has {name} {setting_text(ours)}, the suite says {setting_text(theirs)}"


def objection(folder: RunFolder, wanted: TrainConfig) -> str:
    """Return in one line why a folder does not hold the run of this config; nothing if it does.

    A folder in which nothing has begun holds no other run either.
    """
    if not folder.begun():
        return ""
    try:
        differs = difference(folder.config(), wanted)
    except UserError as error:
        return str(error)
    return f"{folder.path} {differs}" if differs else ""
