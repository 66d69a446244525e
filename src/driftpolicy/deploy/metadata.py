"""What an exported policy says of itself."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from driftpolicy.errors import UserError

FORMAT = 1
"""Of exported files; another number is refused."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata:
    """One entry of the model's ``metadata_props`` for each field, as JSON.

    The model takes ``observation [batch, observation_dim]`` in the units of the task and ``noise
    [batch, *noise_shape]``, standard normal, and gives ``chunk [batch, chunk_length, action_dim]``
    within the bounds of the actions; all are float32.
    """

    format: int = FORMAT
    """The version of this description."""
    task: str
    """The task's name."""
    method: str
    """The method's name."""
    observation_dim: int
    """How many numbers an observation has."""
    observation_parts: list[list[Any]] | None
    """Name and size of its parts in their order; None where the task does not name them."""
    observation_low: list[float] | None
    """The least that the run met online of each number; of a run that was only offline, the least
    in its prior data; None if those were not there any more when it was exported."""
    observation_high: list[float] | None
    """The greatest."""
    action_dim: int
    """How many numbers an action has."""
    action_low: list[float]
    """The least that each number of an action can be."""
    action_high: list[float]
    """The greatest."""
    chunk_length: int
    """H, actions per decision, one for each control step."""
    control_rate: float | None
    """Control steps per second; None where nobody said."""
    noise_shape: list[int]
    """Candidates per decision, and S, the numbers from which one candidate is made."""
    step: int
    """The training step of the checkpoint."""
    data: dict[str, Any]
    """The prior data: ``file``, if named; what their file says of itself, if the run finished."""
    config: dict[str, Any]
    """The run's whole config."""
    versions: dict[str, str]
    """Of the packages that made the file."""

    def entries(self) -> dict[str, str]:
        """Return what the file stores."""
        return {name: json.dumps(value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def read(cls, entries: Mapping[str, str], path: str) -> "Metadata":
        """Read what :meth:`entries` stored.

        Raises:
            UserError: naming ``path``, if it was not exported by this package, or out of date.
        """
        try:
            version = json.loads(entries["format"])
            if version == FORMAT:
                return cls(**{f.name: json.loads(entries[f.name]) for f in dataclasses.fields(cls)})
        except (KeyError, ValueError) as error:
            raise UserError(f"{path} was not made by dfp export, or is damaged ({error})") from None
        raise UserError(
            f"{path} has format {version}, this driftpolicy reads format {FORMAT}: "
            "export the policy again with the version that is to run it"
        )
