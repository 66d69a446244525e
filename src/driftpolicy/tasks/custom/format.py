"""The contract of a format of recordings.

``docs/extending.md`` shows how to write another one; they are listed in
:mod:`driftpolicy.tasks.custom.formats`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import final

from driftpolicy.tasks.custom.assembly import assemble
from driftpolicy.tasks.custom.recording import Recording
from driftpolicy.tasks.custom.stored import ReadOptions, Stored


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
    def open(self, path: Path) -> Stored:
        """Say what a recording holds, and how to read it.

        Raises:
            UserError: if a package is missing, a file is damaged, or something does not fit.
        """

    @final
    def read(self, path: Path, options: ReadOptions | None = None) -> Recording:
        """Read all episodes.

        Raises:
            UserError: if a package is missing, a file is damaged, or something does not fit.
        """
        return assemble(str(path), self.kind(path), self.open(path), options or ReadOptions())

    def claims(self, path: Path) -> bool:
        """Return whether such a file or folder is of no benchmark, without an environment named."""
        return self.matches(path)

    def library(self) -> Path | None:
        """Return the folder in which datasets are looked for by their names, if there is one."""
        return None

    def packages(self) -> Mapping[str, str]:
        """Return the packages that reading needs, each with the extra that installs it."""
        return {}
