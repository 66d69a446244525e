"""TensorBoard and W&B as they are: what a killed run and its continuation leave in their files."""

import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from driftpolicy.errors import UserError
from driftpolicy.training.logs import open_sinks

pytestmark = pytest.mark.slow

# A process that is killed at step 30, after a checkpoint at 20; then one that goes on from there.
PART = """
import os, sys
from pathlib import Path
from driftpolicy.training.logs import open_sinks
name, folder, first, last, killed = sys.argv[1:]
(sink,) = open_sinks([name], Path(folder), {"seed": 3}, int(first))
for step in range(int(first) + 10, int(last) + 1, 10):
    sink.log(step, {"loss": step / 100})
    sink.log(step, {"eval/success": step / 50})
    if step == 20:
        sink.flush()
if killed == "killed":
    os._exit(9)
sink.film(int(last), Path(folder) / "rollout.mp4")
sink.close()
"""


def run_parts(name: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)
    imageio.mimwrite(folder / "rollout.mp4", list(frames), fps=10)
    for first, last, ending, code in ((0, 30, "killed", 9), (20, 50, "closed", 0)):
        arguments = [name, str(folder), str(first), str(last), ending]
        done = subprocess.run(
            [sys.executable, "-c", PART, *arguments],
            env=os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX", reason="needs it: uv sync --extra tensorboard")
    from tensorboardX.proto.event_pb2 import Event

    folder = tmp_path / "task" / "dfp" / "seed3"
    run_parts("tensorboard", folder)
    shown: list[tuple[int, str]] = []  # by TensorBoard's rule: a start hides the steps from its own
    for path in sorted((folder / "tensorboard").iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            if event.WhichOneof("what") == "session_log":
                shown = [one for one in shown if one[0] < event.step]
            shown += [(event.step, value.tag) for value in event.summary.value]
    counts = Counter(shown)
    for step in range(10, 60, 10):
        assert counts[step, "loss"] == counts[step, "eval/success"] == 1
    assert counts[50, "rollout"] == 1
    assert sum("config" in tag for _, tag in shown) == 1


def wandb_records(path: Path) -> list:
    """Records of an offline run: LevelDB's log after a header of 7 bytes, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, part, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        part += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # full, or the last part
            found.append(Record.FromString(part))
            part = b""
    return found


def test_wandb(tmp_path):
    pytest.importorskip("wandb", reason="needs it: uv sync --extra wandb")
    folder, other = (tmp_path / name / "dfp" / "seed3" for name in ("one", "other"))
    rows, names = [], {}
    for place in (folder, other):
        run_parts("wandb", place)
        files = sorted((place / "wandb").glob("offline-run-*/*.wandb"))
        assert len({file.name for file in files}) == 1  # named by the id
        records = wandb_records(files[-1])
        names[place] = {one.run.run_id for one in records if one.HasField("run")}
        rows = [
            (one.history.step.num, item.key or ".".join(item.nested_key))
            for one in records
            if one.HasField("history")
            for item in one.history.item
        ]
    assert len(names[folder]) == 1
    assert not names[folder] & names[other]  # of the same task, method and seed
    counts = Counter(rows)
    for step in (30, 40, 50):  # after the checkpoint; before it, what W&B's process wrote in time
        assert counts[step, "loss"] == counts[step, "eval/success"] == 1, counts
    assert any(step == 50 and "rollout" in name for step, name in rows)


def test_a_damaged_name_of_a_run_of_wandb_is_one_line(tmp_path):
    pytest.importorskip("wandb", reason="needs it: uv sync --extra wandb")
    for text in ("", "0badf00d 0badf00d", "../else"):
        (tmp_path / "wandb-id.txt").write_text(text)
        with pytest.raises(UserError, match=r"wandb-id.txt is damaged: delete it"):
            open_sinks(["wandb"], tmp_path, {})
