"""What happens at which step of a run: pure functions of its config and of the step.

``step`` counts the offline phase's gradient steps and then the online phase's environment steps.
Logs, evaluations and checkpoints are due at multiples of their intervals, counted from the start of
each phase, and at the end of each phase.
"""

from collections.abc import Iterator
from typing import NamedTuple

from driftpolicy.config import TrainConfig

OFFLINE = "offline"
ONLINE = "online"
OFFLINE_BLOCK = 25
"""Most gradient steps in one compiled block offline; the longest wait for a stop is two blocks."""


class Due(NamedTuple):
    """What is due once a step is complete."""

    log: bool
    evaluation: bool
    checkpoint: bool


def phase_at(config: TrainConfig, step: int) -> str:
    """Return the phase to which the step after ``step`` belongs."""
    return OFFLINE if step < config.offline_steps else ONLINE


def phase_of(config: TrainConfig, step: int) -> str:
    """Return the phase to which ``step``, once complete, belongs."""
    return OFFLINE if config.offline_steps and step <= config.offline_steps else ONLINE


def steps_to_boundary(config: TrainConfig, step: int) -> int:
    """Return how many steps may follow ``step`` before something is due or the phase ends."""
    offline = phase_at(config, step) == OFFLINE
    start = 0 if offline else config.offline_steps
    end = config.offline_steps if offline else config.total_steps
    intervals = (config.log_every, config.eval_every, config.checkpoint_every)
    return min(end - step, *(every - (step - start) % every for every in intervals))


def due(config: TrainConfig, step: int) -> Due:
    """Return what is due once ``step`` is complete."""
    start = 0 if step <= config.offline_steps else config.offline_steps
    phase_ends = step in (config.offline_steps, config.total_steps)

    def is_due(every: int) -> bool:
        return phase_ends or (step - start) % every == 0

    return Due(
        log=is_due(config.log_every),
        evaluation=is_due(config.eval_every),
        checkpoint=is_due(config.checkpoint_every),
    )


def learns(config: TrainConfig, step: int) -> bool:
    """Return whether a gradient step belongs to the online step after ``step``: not in warm-up."""
    return step >= config.offline_steps + config.warmup_steps


def offline_block(config: TrainConfig, step: int) -> int:
    """Return how many gradient steps the offline block after ``step`` holds."""
    return min(OFFLINE_BLOCK, steps_to_boundary(config, step))


def offline_blocks(config: TrainConfig, step: int) -> Iterator[tuple[int, int]]:
    """Yield ``(step, count)`` of every block from ``step`` to the end of the offline phase."""
    while step < config.offline_steps:
        count = offline_block(config, step)
        yield step, count
        step += count


def online_block_size(config: TrainConfig) -> int:
    """Return the most gradient steps that one online round can owe: a chunk per environment."""
    return config.num_envs * config.agent.chunk_length
