"""An exported policy, run by onnxruntime: no JAX, no training code."""

from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.deploy.content import require_intact
from driftpolicy.deploy.metadata import Metadata
from driftpolicy.errors import UserError


class Policy:
    """A decision rule in a file. ``metadata`` says what it was trained on and what it takes.

    Not for two threads at once: the buffers are its own.
    """

    def __init__(self, model: str | Path | bytes, *, threads: int = 1):
        """Load it.

        Args:
            model: what ``dfp export`` wrote: the file's path, or its bytes.
            threads: of one decision; more than one rarely pays at a policy's size.

        Raises:
            UserError: if there is no such file, it is no exported policy, it is damaged or out of
                date, its weights are not finite, or onnxruntime is not installed.
        """
        name = "the model" if isinstance(model, bytes) else str(model)
        content = model if isinstance(model, bytes) else _read(Path(model))
        require_intact(content, name)
        self._session = _session(content, name, threads)
        entries = self._session.get_modelmeta().custom_metadata_map
        self.metadata = Metadata.read(entries, name)
        batch = self._session.get_inputs()[0].shape[0]
        self.batch: int | None = batch if isinstance(batch, int) else None
        """How many observations a decision must have; None: any number."""
        self._require_shapes(name)
        self._buffers = _Buffers(self._session, self.metadata, self.batch or 1)

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Decide at one observation, or at a batch of them.

        Nothing is allocated but the result, as long as the batch stays of one size.

        Args:
            observation: ``[D]`` or ``[B, D]``, in the units of the task.
            rng: where the decision's noise comes from; the same state of it, the same decision.

        Returns:
            ``[H, A]`` or ``[B, H, A]``: H actions, in float32.

        Raises:
            UserError: if the observation has the wrong shape or is not finite.
            TypeError: if ``rng`` is no generator.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be numpy.random.default_rng(seed), not {rng!r}")
        buffers = self._take(observation)
        rng.standard_normal(out=buffers.noise, dtype=np.float32)
        return self._decide(observation)

    def act_from(self, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Decide by this noise, ``[N, S]`` or ``[B, N, S]``; else as :meth:`act`."""
        buffers = self._take(observation)
        shape = buffers.noise.shape[-2 if np.ndim(observation) == 1 else -3 :]
        if np.shape(noise) != shape:
            raise UserError(f"the policy takes noise of shape {shape}, not {np.shape(noise)}")
        buffers.noise[...] = noise
        return self._decide(observation)

    def _take(self, observation: np.ndarray) -> "_Buffers":
        """Copy the observation to where the session reads it."""
        dim, shape = self.metadata.observation_dim, np.shape(observation)
        if shape[-1:] != (dim,) or len(shape) > 2 or 0 in shape:
            raise UserError(
                f"the policy takes observations of {dim} numbers, or batches [B, {dim}], "
                f"not an array of shape {shape}"
            )
        size = shape[0] if len(shape) == 2 else 1
        if self.batch not in (None, size):
            raise UserError(
                f"the policy was exported for batches of {self.batch}, not of {size}: export it "
                "with --batch dynamic"
            )
        if size != len(self._buffers.noise):
            self._buffers = _Buffers(self._session, self.metadata, size)
        if not self._buffers.fill(observation):
            raise UserError("the observation holds NaN, infinity, or what is not a number")
        return self._buffers

    def _decide(self, observation: np.ndarray) -> np.ndarray:
        self._session.run_with_iobinding(self._buffers.binding)
        chunk = self._buffers.chunk
        return (chunk[0] if np.ndim(observation) == 1 else chunk).copy()

    def _require_shapes(self, name: str) -> None:
        m = self.metadata
        expected = {
            "observation": [m.observation_dim],
            "noise": m.noise_shape,
            "chunk": [m.chunk_length, m.action_dim],
        }
        described = [*self._session.get_inputs(), *self._session.get_outputs()]
        if {value.name: list(value.shape[1:]) for value in described} != expected:
            raise UserError(f"{name} is damaged: its metadata describe another model")


class _Buffers:
    """What a decision reads and writes, bound to the session once."""

    def __init__(self, session: Any, metadata: Metadata, batch: int):
        self.observation = np.zeros((batch, metadata.observation_dim), np.float32)
        self.noise = np.zeros((batch, *metadata.noise_shape), np.float32)
        self.chunk = np.zeros((batch, metadata.chunk_length, metadata.action_dim), np.float32)
        self._finite = np.zeros(self.observation.shape, bool)
        self.binding = session.io_binding()
        for name in ("observation", "noise"):
            self.binding.bind_input(name, *_place(getattr(self, name)))
        self.binding.bind_output("chunk", *_place(self.chunk))

    def fill(self, observation: np.ndarray) -> bool:
        """Take an observation over; whether all of it is finite."""
        try:
            with np.errstate(over="ignore"):  # beyond float32 is infinite, and said to be
                np.copyto(self.observation, observation, casting="same_kind")
        except (TypeError, ValueError):
            return False
        return bool(np.isfinite(self.observation, out=self._finite).all())


def _place(array: np.ndarray) -> tuple[Any, ...]:
    """Where onnxruntime finds an array: device, number, type, shape, address."""
    return "cpu", 0, np.float32, array.shape, array.ctypes.data


def _read(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        UserError: if there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _session(content: bytes, name: str, threads: int) -> Any:
    """An onnxruntime session on the CPU."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            "running an exported policy needs onnxruntime: pip install onnxruntime"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they are raised as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes, which share no base
        reason = " ".join(str(error).split())
        raise UserError(f"onnxruntime cannot read {name}: {reason}") from None
