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

from driftpolicy.agents.actor_critic import ActorCritic
from driftpolicy.data.files import read_npz, write_atomically
from driftpolicy.deploy import Metadata, Policy
from driftpolicy.errors import UserError
from driftpolicy.export.agreement import Agreement, check_agreement
from driftpolicy.export.decision import LEAST_OPSET, Decision, build_model, describe
from driftpolicy.export.observed import prior_observations
from driftpolicy.scaling import Scaling
from driftpolicy.tasks.registry import benchmark_of, find_task
from driftpolicy.training import checkpoints
from driftpolicy.training.config import TrainConfig
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
    checkpoint = checkpoints.checkpoint_of(run)
    agent, config, meta = load_agent(checkpoint)
    assert isinstance(agent, ActorCritic)
    scaling = meta.get("scaling")
    known, where = _observations(checkpoint, config, meta)
    units = Scaling.from_json(scaling)
    if units is not None:
        known = units.raw_observations(known)
    told = _describe(checkpoint, config, meta, agent, known)
    decide = Decision(agent, scaling)
    model = build_model(decide, told.observation_dim, agent.noise_shape, batch=batch, opset=opset)
    describe(model, told.entries())
    content = model.SerializeToString()
    observations = _states(known, units, told.observation_dim, states)
    agreement = check_agreement(
        Policy(content), decide, observations, where=where, progress=progress
    )
    if weights is not None:
        _write_weights(weights, agent, told)
    write_atomically(path, lambda file: file.write(content), what="policy")
    return Exported(told, agreement, len(content))


def _describe(
    checkpoint: Path,
    config: TrainConfig,
    meta: dict[str, Any],
    agent: ActorCritic,
    known: np.ndarray,
) -> Metadata:
    """What the file will say."""
    observation_dim, action_dim = meta["dims"]
    scaling = meta.get("scaling") or {}
    task = find_task(config.task)
    return Metadata(
        task=config.task,
        method=config.method,
        observation_dim=observation_dim,
        observation_parts=benchmark_of(task).observation_parts(task, observation_dim),
        observation_low=known.min(axis=0).tolist() if len(known) else None,
        observation_high=known.max(axis=0).tolist() if len(known) else None,
        action_dim=action_dim,
        action_low=list(scaling.get("action_low", [-1.0] * action_dim)),
        action_high=list(scaling.get("action_high", [1.0] * action_dim)),
        chunk_length=config.agent.chunk_length,
        control_rate=meta.get("control_rate") or benchmark_of(task).control_rate,
        noise_shape=list(agent.noise_shape),
        step=meta["step"],
        data=_origin(checkpoint, meta),
        config=json.loads(config.to_json()),
        versions={name: metadata.version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
    )


def _origin(checkpoint: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """What the run's summary says of its data; before it is finished, what identifies them."""
    summary = checkpoint.parent.parent / "summary.json"
    if summary.is_file():
        return json.loads(summary.read_text())["data"]
    return {"crc32": meta["data"]}


def _observations(
    checkpoint: Path, config: TrainConfig, meta: dict[str, Any]
) -> tuple[Float32[np.ndarray, "rows observation"], str]:
    """Those the run met online, else those in its data, else none; and which they are."""
    name = "replay/observations"
    met = read_npz(checkpoint, what="checkpoint", only=(name,)).get(name)
    if met is not None and len(met):
        return met, "met online"
    prior = prior_observations(config, meta["data"])
    if prior is not None:
        return prior, "of the prior data"
    return np.zeros((0, meta["dims"][0]), np.float32), "drawn at random"


def _states(
    known: Float32[np.ndarray, "rows observation"], units: Scaling | None, dim: int, count: int
) -> Float32[np.ndarray, "states observation"]:
    """Some of the observations known, else standard normal ones in the agent's units."""
    rng = np.random.default_rng(0)
    if len(known):
        return known[rng.integers(len(known), size=count)]
    drawn = rng.standard_normal((count, dim), np.float32)
    return drawn if units is None else units.raw_observations(drawn)


def _write_weights(path: Path, agent: ActorCritic, told: Metadata) -> None:
    """Every parameter of actor and online critic under the path of its field."""
    parts = {"actor": agent.actor, "critic": agent.critic.online}
    arrays = {
        f"{part}.{name}": np.asarray(array)
        for part, module in parts.items()
        for name, array in checkpoints.tree_arrays(module).items()
    }
    content = safetensors.numpy.save(arrays, told.entries())
    write_atomically(path, lambda file: file.write(content), what="weights")
