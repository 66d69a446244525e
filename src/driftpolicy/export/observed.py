"""The observations that a run has been trained on."""

import numpy as np
from jaxtyping import Float32

from driftpolicy.config import TrainConfig
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.registry import benchmark_of


def prior_observations(
    config: TrainConfig, identity: str
) -> Float32[np.ndarray, "rows observation"] | None:
    """Return the observations in a run's prior data, as the agent sees them.

    Args:
        config: the run's.
        identity: the data's ``crc32``.

    Returns:
        None if the data are no longer where they were, are others by now, or are shards, which are
        not read as a whole.
    """
    task = config.configured_task()
    benchmark = benchmark_of(task)
    try:
        path = benchmark.find_data(task, config.data)
        # A folder of shards is not described, which is an error.
        if path is None or benchmark.describe_data(path)["crc32"] != identity:
            return None
        options = LoadOptions(
            mask=config.data_mask, skip_broken=config.skip_broken, warn=lambda line: None
        )
        prior = benchmark.load_data(task, path, options).prior
    except (UserError, OSError):
        return None
    return prior.rows.observations if isinstance(prior, Dataset) else None
