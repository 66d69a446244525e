"""The contract of a format of recordings.

``docs/extending.md`` shows how to write another one; they are listed in
:mod:`driftpolicy.tasks.custom.formats`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from driftpolicy.tasks.custom.recording import Recording


class Format(ABC):
    """A format of recordings, each in a file or a folder."""

    @abstractmethod
    def matches(self, path: Path) -> bool:
        """Return whether a file or folder is of this format, at a glance."""

    @abstractmethod
    def kind(self, path: Path) -> str:
        """Say in words what a recording is stored as, for instance ``LeRobotDataset v3.0``."""

    @abstractmethod
    def files(self, path: Path) -> list[Path]:
        """List the files whose contents identify the data."""

    @abstractmethod
    def read(self, path: Path) -> Recording:
        """Read all episodes.

        Raises:
            UserError: if a package is missing, a file is damaged, or something does not fit.
        """

    def library(self) -> Path | None:
        """Return the folder in which datasets are looked for by their names, if there is one."""
        return None

    def packages(self) -> Mapping[str, str]:
        """Return the packages that reading needs, each with the extra that installs it."""
        return {}
