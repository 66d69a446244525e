"""What a run logs: means over its steps, and TensorBoard and Weights & Biases by choice."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from driftpolicy.errors import UserError


class Means:
    """Means of metrics over steps, accumulated in float64 one step at a time.

    One step at a time makes the result independent of how the steps were grouped into compiled
    blocks, so that an interrupted run logs the same numbers.
    """

    def __init__(self) -> None:
        """Nothing accumulated."""
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, value: float) -> None:
        """Count one value; NaN stands for "not measured" and is left out."""
        if not math.isnan(value):
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def mean(self, name: str) -> float:
        """Return the mean so far, NaN where nothing was measured."""
        return self.sums[name] / self.counts[name] if name in self.sums else math.nan

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint stores; exact, since JSON keeps every digit of a float."""
        return {"sums": self.sums, "counts": self.counts}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Means":
        """Read what :meth:`state` returned."""
        means = cls()
        means.sums, means.counts = dict(state["sums"]), dict(state["counts"])
        return means


@runtime_checkable
class Sink(Protocol):
    """A further place for the same numbers."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


class _TensorBoard:
    def __init__(self, folder: Path):
        try:
            from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError("TensorBoard is not installed: uv sync --extra tensorboard") from None
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError("W&B is not installed: uv sync --extra wandb") from None
        name = "-".join(folder.parts[-3:])
        self._run = wandb.init(
            project="driftpolicy", id=name, dir=str(folder), config=dict(settings), resume="allow"
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def close(self) -> None:
        self._run.finish()


def open_sinks(names: Sequence[str], folder: Path, settings: Mapping[str, Any]) -> list[Sink]:
    """Open the chosen loggers, in order.

    Raises:
        UserError: naming the extra to install.
    """
    makers = {
        "tensorboard": lambda: _TensorBoard(folder),
        "wandb": lambda: _WandB(folder, settings),
    }
    return [makers[name]() for name in names]
