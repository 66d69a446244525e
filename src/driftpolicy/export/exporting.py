"""``dfp export``: a run's checkpoint as an ONNX file that is known to agree with it."""

import dataclasses
import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.numpy
from jaxtyping import Float32

from driftpolicy.agents import DecisionRule
from driftpolicy.data.files import write_atomically
from driftpolicy.deploy import Metadata, Policy
from driftpolicy.deploy.content import CHECKSUM, UNSEALED, seal
from driftpolicy.errors import UserError
from driftpolicy.export.agreement import Agreement, check_agreement
from driftpolicy.export.decision import LEAST_OPSET, Decision, build_model, describe
from driftpolicy.export.observed import prior_observations
from driftpolicy.runs import Run
from driftpolicy.runs.checkpoints import (
    Checkpoint,
    checkpoint_of,
    load_replay_observations,
)
from driftpolicy.runs.trees import tree_arrays
from driftpolicy.scaling import Scaling
from driftpolicy.tasks.registry import benchmark_of, find_task
from driftpolicy.training.restore import load_agent

_PACKAGES = ("driftpolicy", "jax", "numpy", "onnx", "onnxruntime")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written."""

    metadata: Metadata
    agreement: Agreement
    size: int
    """Bytes of the model's file."""


def export_policy(
    run: Path,
    path: Path,
    *,
    batch: int | None = None,
    opset: int = LEAST_OPSET,
    weights: Path | None = None,
    states: int = 10_000,
    progress: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Write the decision of a run, after comparing it with the agent's own.

    Args:
        run: the run's folder (its newest checkpoint), or a checkpoint file.
        path: of the model.
        batch: decisions per call; None leaves it open.
        opset: version of ONNX's operators.
        weights: where to write the parameters of actor and critic, in safetensors' format.
        states: how many to compare in.
        progress: told how many states are compared.

    Raises:
        UserError: if the run cannot be read, the versions of operators are not known, or the model
            does not agree with the agent; then nothing is written.
    """
    newest = onnx.defs.onnx_opset_version()
    if not LEAST_OPSET <= opset <= newest:
        raise UserError(f"--opset must be between {LEAST_OPSET} and {newest}, not {opset}")
    path_of_checkpoint = checkpoint_of(run)
    agent, checkpoint = load_agent(path_of_checkpoint)
    scaling = checkpoint.scaling
    known, where = _observations(path_of_checkpoint, checkpoint)
    if scaling is not None:
        known = scaling.raw_observations(known)
    rule = agent.decision_rule
    told = _describe(path_of_checkpoint, checkpoint, rule, known)
    decide = Decision(rule, scaling)
    model = build_model(decide, told.observation_dim, rule.noise_shape, batch=batch, opset=opset)
    describe(model, told.entries() | {CHECKSUM: UNSEALED})
    content = seal(model.SerializeToString())
    observations = _states(known, scaling, told.observation_dim, states)
    agreement = check_agreement(
        Policy(content), decide, observations, where=where, progress=progress
    )
    if weights is not None:
        _write_weights(weights, rule, told)
    write_atomically(path, lambda file: file.write(content), what="policy")
    return Exported(told, agreement, len(content))


def _describe(
    path: Path,
    checkpoint: Checkpoint,
    rule: DecisionRule,
    known: Float32[np.ndarray, "rows observation"],
) -> Metadata:
    """Return what the file says of itself."""
    config, dim = checkpoint.config, checkpoint.action_dim
    scaling = checkpoint.scaling
    task = find_task(config.task)
    return Metadata(
        task=config.task,
        method=config.method,
        observation_dim=checkpoint.observation_dim,
        observation_parts=benchmark_of(task).observation_parts(task, checkpoint.observation_dim),
        observation_low=known.min(axis=0).tolist() if len(known) else None,
        observation_high=known.max(axis=0).tolist() if len(known) else None,
        action_dim=dim,
        action_low=[-1.0] * dim if scaling is None else list(scaling.action_low),
        action_high=[1.0] * dim if scaling is None else list(scaling.action_high),
        chunk_length=config.agent.chunk_length,
        control_rate=checkpoint.control_rate or benchmark_of(task).control_rate,
        noise_shape=list(rule.noise_shape),
        step=checkpoint.step,
        data=_origin(path, checkpoint),
        config=json.loads(config.to_json()),
        versions={name: metadata.version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
    )


def _origin(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what the run's summary says of its data; before its end, what identifies them."""
    summary = Run(path.parent.parent).summary
    if summary is not None and summary.data is not None:
        return dict(summary.data)
    return {"crc32": checkpoint.data_id}


def _observations(
    path: Path, checkpoint: Checkpoint
) -> tuple[Float32[np.ndarray, "rows observation"], str]:
    """Return observations that the run met online, else those in its data; and which they are."""
    met = load_replay_observations(path)
    if met is not None and len(met):
        return met, "met online"
    prior = prior_observations(checkpoint.config, checkpoint.data_id)
    if prior is not None:
        return prior, "of the prior data"
    return np.zeros((0, checkpoint.observation_dim), np.float32), "drawn at random"


def _states(
    known: Float32[np.ndarray, "rows observation"], units: Scaling | None, dim: int, count: int
) -> Float32[np.ndarray, "states observation"]:
    """Return some of the known observations, else standard normal ones in the agent's units."""
    rng = np.random.default_rng(0)
    if len(known):
        return known[rng.integers(len(known), size=count)]
    drawn = rng.standard_normal((count, dim), np.float32)
    return drawn if units is None else units.raw_observations(drawn)


def _write_weights(path: Path, rule: DecisionRule, told: Metadata) -> None:
    """Write every parameter of actor and online critic under the path of its field."""
    parts = {"actor": rule.actor, "critic": rule.critic}
    arrays = {
        f"{part}.{name}": np.asarray(array)
        for part, module in parts.items()
        for name, array in tree_arrays(module).items()
    }
    content = safetensors.numpy.save(arrays, told.entries())
    write_atomically(path, lambda file: file.write(content), what="weights")
