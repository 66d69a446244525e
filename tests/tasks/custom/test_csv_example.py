"""The worked example of a format: a folder of CSV files is inspected and read like all others."""

import numpy as np
import pytest

from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.tasks.custom import formats
from driftpolicy.tasks.custom.columns import parse_columns
from driftpolicy.tasks.custom.stored import ReadOptions
from examples.csv_format import CsvFormat


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", [*formats.FORMATS, CsvFormat()])
    rng = np.random.default_rng(0)
    for number in range(11):
        rows = rng.uniform(-1, 1, (6, 4)).round(3)
        lines = [",".join([*map(str, row), str(int(i == 4))]) for i, row in enumerate(rows)]
        text = "\n".join(["state_x,state_y,action_x,action_y,success", *lines])
        (tmp_path / f"episode_{number}.csv").write_text(text)
    return tmp_path


def test_it_is_read_and_inspected(folder, capsys):
    recording = formats.format_of(folder).read(folder)
    assert [each.name for each in recording.trajectories] == [f"episode_{i}" for i in range(11)]
    first = recording.trajectories[0]
    assert (first.observations.shape, first.actions.shape) == ((6, 2), (5, 2))
    assert first.success is not None
    assert first.success.tolist() == [False, False, False, False, True]
    main(["data", "inspect", str(folder)])
    shown = capsys.readouterr().out
    assert "CSV, an episode a file" in shown
    assert "11, 55 steps" in shown
    assert "11 episodes" in shown


def test_damage_is_one_line(folder):
    (folder / "episode_3.csv").write_text("state_x,action_x,success\n1,zwei,0\n")
    with pytest.raises(UserError, match=r"episode_3\.csv is no table of numbers"):
        CsvFormat().read(folder)
    (folder / "episode_0.csv").write_text("")
    with pytest.raises(UserError, match=r"episode_0\.csv is no table of numbers"):
        CsvFormat().read(folder)


def test_columns_and_broken_episodes_need_nothing_of_it(folder):
    (folder / "episode_3.csv").write_text("state_x,action_x,success\n1,zwei,0\n")
    lines: list[str] = []
    options = ReadOptions(
        columns=parse_columns(("observation=state_y",)), skip_broken=True, warn=lines.append
    )
    recording = CsvFormat().read(folder, options)
    assert len(recording.trajectories) == 10
    assert recording.trajectories[0].observations.shape == (6, 1)
    assert recording.ignored == ("state_x",)
    assert "episode_3.csv is no table of numbers" in lines[0]
