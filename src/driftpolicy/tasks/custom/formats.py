"""The formats of recordings that are read."""

import contextlib
from pathlib import Path

from driftpolicy.errors import UserError, in_brief
from driftpolicy.tasks.custom.arrays import list_arrays
from driftpolicy.tasks.custom.demonstrations import DemonstrationsFormat
from driftpolicy.tasks.custom.flat import FlatFormat
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.lerobot import LeRobotFormat
from driftpolicy.tasks.custom.minari import MinariFormat
from driftpolicy.tasks.custom.plain import PlainFormat
from driftpolicy.tasks.custom.replay_buffer import ReplayBufferFormat
from driftpolicy.tasks.custom.zarr_folder import is_zarr

FORMATS: list[Format] = [
    PlainFormat(),
    FlatFormat(),
    ReplayBufferFormat(),
    DemonstrationsFormat(),
    LeRobotFormat(),
    MinariFormat(),
]
"""All of them, in the order in which they are tried."""


def format_of(path: Path) -> Format:
    """Return the format of a file or folder.

    Raises:
        UserError: if it is none of those that are read.
    """
    found = next((form for form in FORMATS if form.matches(path)), None)
    if found is None:
        if path.is_file() or is_zarr(path):
            list_arrays(path)  # a damaged file, or a missing package, is said
        raise UserError(
            f"{in_brief(path)} is no data that can be read here: neither a LeRobotDataset, Minari "
            "or zarr folder, nor an .npz or .hdf5 file with episode_0/observations, with "
            "observations, actions and timeouts, or with data and meta/episode_ends (docs/robot.md "
            "says how)"
        )
    return found


def find_source(source: str, flag: str = "") -> Path:
    """Return the file or folder that ``source`` names.

    Args:
        source: a path, or the name of a dataset in the library of a format.
        flag: begins the message of the error.

    Raises:
        UserError: if there is none.
    """
    libraries = [library for form in FORMATS if (library := form.library()) is not None]
    for path in (Path(source).expanduser(), *(library / source for library in libraries)):
        with contextlib.suppress(OSError):  # a name that no file can have
            if path.exists():
                return path
    raise UserError(
        f"{flag}{in_brief(source)} does not exist, neither here nor among the datasets in "
        f"{' or '.join(map(str, libraries))}"
    )
