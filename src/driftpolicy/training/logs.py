"""What a run logs: means over its steps, and TensorBoard and Weights & Biases by choice."""

import json
import math
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from driftpolicy.data.files import write_atomically
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

    def film(self, step: int, path: Path) -> None:
        """Record the film in an .mp4 file."""
        ...

    def flush(self) -> None:
        """Bring to the disk what a checkpoint counts as recorded."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


class _TensorBoard:
    """Event files in the run's folder, written at once; those after a checkpoint are hidden."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], step: int):
        try:
            import tensorboardX  # pyright: ignore[reportMissingImports]
            from tensorboardX.event_file_writer import (  # pyright: ignore[reportMissingImports]
                EventsWriter,
            )
            from tensorboardX.proto import (  # pyright: ignore[reportMissingImports]
                event_pb2,
                summary_pb2,
            )
        except ImportError:
            raise UserError("TensorBoard is not installed: uv sync --extra tensorboard") from None
        writer: Any = tensorboardX
        self._summaries: Any = writer.summary
        self._events: Any = event_pb2
        self._parts: Any = summary_pb2
        (folder / "tensorboard").mkdir(exist_ok=True)
        # tensorboardX's SummaryWriter writes in a thread, which nothing waits for.
        # Its files are named by the second; one of the same second would be written over.
        moment = f".{time.time_ns()}"
        self._writer = EventsWriter(str(folder / "tensorboard" / "events"), moment)
        status = self._events.SessionLog(status=self._events.SessionLog.START)
        self._write(step + 1, session_log=status)
        if step == 0:
            text = f"```json\n{json.dumps(settings, indent=2)}\n```"
            self._write(0, summary=self._summaries.text("config", text))

    def _write(self, step: int, **what: Any) -> None:
        self._writer.write_event(self._events.Event(step=step, wall_time=time.time(), **what))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._write(step, summary=self._summaries.scalar(name, value))

    def film(self, step: int, path: Path) -> None:
        """Record it as a GIF of half the size, the only moving image that TensorBoard shows."""
        import imageio.v2 as imageio

        reader: Any = imageio.get_reader(path)
        with reader:
            milliseconds: Any = 1000 / reader.get_meta_data()["fps"]
            frames = [np.asarray(frame)[::2, ::2] for frame in reader]
        gif = imageio.mimwrite("<bytes>", frames, format="GIF", duration=milliseconds, loop=0)  # type: ignore[arg-type]
        height, width, _ = frames[0].shape
        image = self._parts.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=gif
        )
        value = self._parts.Summary.Value(tag="rollout", image=image)
        self._write(step, summary=self._parts.Summary(value=[value]))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _WandB:
    """A run of W&B for each run folder, named in a file there.

    A run that goes on from a checkpoint makes some rows again, to the same values: each says its
    step, and W&B leaves out the steps that it has.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError("W&B is not installed: uv sync --extra wandb") from None
        self._video = wandb.Video
        self._run = wandb.init(
            project="driftpolicy",
            id=_wandb_id(folder / "wandb-id.txt"),
            name="-".join(folder.parts[-3:]),
            dir=str(folder),
            config=dict(settings),
            resume="allow",
        )

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        self._run.log(dict(values), step=step)

    def film(self, step: int, path: Path) -> None:
        self.log(step, {"rollout": self._video(str(path), format="mp4")})

    def flush(self) -> None:
        """Do nothing: W&B's process writes by itself."""

    def close(self) -> None:
        self._run.finish()


def _wandb_id(file: Path) -> str:
    """Return the id in a file, which is made if it is not there: two folders share none."""
    if not file.exists():
        made = secrets.token_hex(4)
        write_atomically(file, lambda opened: opened.write(made.encode()), what="file")
    found = file.read_text(encoding="utf-8", errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{8}", found):
        raise UserError(f"{file} is damaged: delete it to begin another run of W&B")
    return found


def open_sinks(
    names: Sequence[str], folder: Path, settings: Mapping[str, Any], step: int = 0
) -> list[Sink]:
    """Open the chosen loggers, in order.

    Args:
        names: of the loggers.
        folder: the run's.
        settings: the run's config.
        step: at which the run begins or goes on; what was logged after it will be logged again.

    Raises:
        UserError: naming the extra to install, or if W&B's file in the folder is damaged.
    """
    makers = {
        "tensorboard": lambda: _TensorBoard(folder, settings, step),
        "wandb": lambda: _WandB(folder, settings),
    }
    return [makers[name]() for name in names]
