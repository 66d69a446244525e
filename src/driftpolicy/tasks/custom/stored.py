"""What a format says of a recording, before it is read into episodes."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.columns import Columns


class StoredEpisode(NamedTuple):
    """One episode as it is stored."""

    name: str
    """As messages name it, for instance ``episode_3``."""
    columns: Mapping[str, np.ndarray] | UserError
    """Those of the columns asked for that it has; or what is wrong with it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """What a file or folder holds."""

    names: Collection[str]
    """All columns of which observations, actions and the like can be made."""
    defaults: Columns
    """The columns of each part, unless the user says otherwise."""
    episodes: Callable[[Collection[str]], Iterable[StoredEpisode]]
    """Reads the columns of these names, episode by episode.

    Raises:
        UserError: if the file is damaged.
    """
    prefix: str = ""
    """What may be left out where a user names a column."""
    frames: bool = False
    """Whether each action has one observation, and what followed the last is not stored there."""
    following: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of frames: the column in which is stored what followed those of an observation's column."""
    control_rate: float | None = None
    """Steps per second; None where the data do not say."""
    bookkeeping: Collection[str] = ()
    """Names of what nobody could want to train on."""
    others: Collection[str] = ()
    """Names of what is there too and cannot be a column."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a recording is read."""

    columns: Columns = dataclasses.field(default_factory=dict)
    """What parts are made of, where the user says so."""
    skip_broken: bool = False
    """Whether to leave out episodes that are broken."""
    ends_at_success: bool = False
    """Whether a success ends the task, also where the data have terminations that say otherwise."""
    warn: Callable[[str], object] = print
    """Called with a line for each episode that is left out."""
