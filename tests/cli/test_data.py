"""``dfp data`` as a user types it: what is printed, what is written, how it ends."""

import contextlib
import functools
import http.server
import io
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from driftpolicy.cli import data as command
from driftpolicy.cli import main
from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.tasks.ogbench import collect as collecting
from tests.waiting import PATIENCE

DATASET = "cube-single-play-v0"
TASK = "cube-single-play-singletask-task1-v0"
QUICK = ("--episodes", "2", "--episode-steps", "12", "--processes", "1")


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A folder in which ``dfp data collect`` has run for real, and what it printed."""
    folder = tmp_path_factory.mktemp("collected")
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = main(["data", "collect", TASK, *QUICK, "--seed", "5"])
    return folder, status, out.getvalue(), err.getvalue()


@pytest.fixture
def file(collected):
    return collected[0] / "data" / f"{DATASET}-collected.npz"


def fails(capsys, *arguments: str) -> str:
    """The one line with which a command refuses."""
    assert main(["data", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dfp: ")
    assert err.count("\n") == 1
    return err


def test_collect(collected, file):
    _, status, out, err = collected
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == f"data/{DATASET}-collected.npz"
    assert lines[1].startswith("2 episodes, ")
    assert lines[2] == "labelled as collected: it is not the published dataset"
    assert err.splitlines()[-1].startswith(f"collecting {DATASET}: 2/2 episodes")
    assert os.listdir(file.parent) == [file.name]
    told = json.loads(str(read_npz(file)["metadata"]))
    assert (told["scene"], told["kind"], told["seed"]) == ("cube-single", "play", 5)
    assert (told["episodes"], told["episode_steps"]) == (2, 12)


def test_collect_passes_on_what_it_is_told(monkeypatch, tmp_path, capsys):
    calls = []

    def collect(family, kind, path, **options):
        calls.append((family, kind, path, options))
        path.write_bytes(b"new")
        yield options["episodes"]

    monkeypatch.setattr(collecting, "collect", collect)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.npz").write_bytes(b"old")
    names = ("collect", "scene-noisy-v0", "--out", "~/mine.npz")
    assert "mine.npz is already there; --overwrite replaces it" in fails(capsys, *names)
    assert (tmp_path / "mine.npz").read_bytes() == b"old"
    assert not calls
    assert main(["data", *names, "--overwrite", "--processes", "3"]) == 0
    told = {"episodes": 100, "seed": 0, "processes": 3}
    assert calls == [("scene", "noisy", tmp_path / "mine.npz", told)]


def test_collect_uses_every_processor(monkeypatch, tmp_path):
    counts = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(7))

    def collect(family, kind, path, *, processes, **options):
        counts.append(processes)
        path.write_bytes(b"")
        yield 1

    monkeypatch.setattr(collecting, "collect", collect)
    assert main(["data", "collect", DATASET, "--out", str(tmp_path / "a.npz")]) == 0
    assert counts == [7]


def test_an_interrupt_ends_in_one_line(monkeypatch, tmp_path, capsys):
    closed = []

    def collect(*arguments, **options):
        try:
            yield 1
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    monkeypatch.setattr(collecting, "collect", collect)
    assert main(["data", "collect", DATASET, "--out", str(tmp_path / "a.npz")]) == 130
    assert capsys.readouterr().err == (
        "dfp: interrupted; the same command continues where this one ended\n"
    )
    assert closed

    def download(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "download_data", download)
    assert main(["data", "download", DATASET]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def table(text: str) -> dict[str, str]:
    """The rows of a table, continued lines joined; it must fit into 80 columns."""
    rows: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        assert len(line) <= 80
        name = line[:17].strip() or name
        rows[name] = f"{rows.get(name, '')} {line[17:].strip()}".strip()
    return rows


def test_inspect_a_collected_file(file, capsys):
    assert main(["data", "inspect", str(file)]) == 0
    rows = table(capsys.readouterr().out)
    assert file.name in rows["file"].replace(" ", "")
    assert rows["origin"].startswith("collected by driftpolicy")
    assert rows["origin"].endswith("not the published dataset")
    assert "ogbench" in rows["versions"]
    assert "scene cube-single, kind play" in rows["settings"]
    assert rows["seed"] == "5"
    assert (rows["rows"], rows["transitions"], rows["episodes"]) == ("24", "22", "2")
    assert rows["episode length"] == "11 transitions"
    assert "observations float32 [24, 28]" in rows["arrays"]
    assert rows["actions"].startswith("from -")
    assert rows["NaN or infinite"] == "none"
    assert "task" not in rows


def test_inspect_for_a_task(file, capsys):
    assert main(["data", "inspect", str(file), "--task", TASK]) == 0
    rows = table(capsys.readouterr().out)
    assert rows["task"] == TASK
    assert rows["rewards"] == "from -1 to -1"
    assert rows["mean return"] == "-11.0 per episode"
    assert rows["at the goal"] == "0 transitions, in 0 of 2 episodes"


def test_inspect_a_published_file(file, tmp_path, capsys):
    """Episodes of several lengths, the last one cut, a NaN."""
    arrays = read_npz(file)
    del arrays["metadata"]
    arrays["terminals"] = np.isin(np.arange(24), [2, 12])
    arrays["qvel"][0, 0] = np.nan
    write_npz(tmp_path / "published.npz", arrays)
    assert main(["data", "inspect", str(tmp_path / "published.npz")]) == 1
    rows = table(capsys.readouterr().out)
    assert rows["origin"] == "the file does not say who made it"
    assert "seed" not in rows
    assert rows["episodes"] == "3, the last without its end"
    assert rows["episode length"] == "2 to 10 (median 9) transitions"
    assert rows["NaN or infinite"] == "1 in qvel"
    assert "refused: episode 2: the data does not end at an episode's end" in rows["checks"]


def test_inspect_refuses_in_one_line(file, tmp_path, capsys):
    assert "gone.npz does not exist" in fails(capsys, "inspect", "gone.npz")
    (tmp_path / "cut.npz").write_bytes(file.read_bytes()[:3000])
    assert "truncated" in fails(capsys, "inspect", str(tmp_path / "cut.npz"))
    write_npz(tmp_path / "foreign.npz", {"x": np.zeros(3)})
    assert "not an OGBench dataset" in fails(capsys, "inspect", str(tmp_path / "foreign.npz"))
    other = TASK.replace("single", "double", 1)
    assert main(["data", "inspect", str(file), "--task", other]) == 1
    rows = table(capsys.readouterr().out)
    assert rows["checks"] == "refused: it was collected in cube-single, not in cube-double"
    assert "at the goal" not in rows
    assert "unknown task" in fails(capsys, "inspect", str(file), "--task", "cube")


@pytest.mark.slow
def test_a_full_disk_and_a_reader_that_left(file):
    """Each in one process, since it is at the end that Python writes what is left."""
    words = [sys.executable, "-m", "driftpolicy.cli", "data", "inspect", str(file)]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (
        2,
        "dfp: cannot write: No space left on device\n",
    )
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as broken:
        ended = subprocess.run(words, stdout=broken, stderr=subprocess.PIPE, text=True)
    assert ended.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("collect",),
        ("collect", "nothing-like-it"),
        ("collect", DATASET, "--episodes", "0", "--out", "new.npz"),
        ("collect", DATASET, "--episodes", "many"),
        ("collect", DATASET, "--seed", "-1", "--out", "new.npz"),
        ("collect", "cube-quadruple-play-100m-v0", "--out", "new.npz"),
        ("download", "nothing-like-it"),
        ("download", DATASET, "--sha256", "abc"),
        ("remove", DATASET),
    ],
)
def test_mistakes(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails(capsys, *arguments)
    assert os.listdir(tmp_path) == []


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_download(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("driftpolicy.data.download._TIMEOUT_S", PATIENCE)
    served = tmp_path / "served"
    served.mkdir()
    (served / f"{DATASET}.npz").write_bytes(file.read_bytes())
    handler = functools.partial(_Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        asked = ("download", DATASET, "--from", address, "--to", str(tmp_path / "here"))
        try:
            assert main(["data", *asked]) == 0
            out, _ = capsys.readouterr()
            target = tmp_path / "here" / f"{DATASET}.npz"
            assert out.splitlines()[0] == str(target)
            assert "checksums verified" in out
            assert target.read_bytes() == file.read_bytes()
            assert "already there" in fails(capsys, *asked)
            wrong = ("--overwrite", "--sha256", "0" * 64)
            assert main(["data", *asked, *wrong]) == 2
            assert "SHA-256" in capsys.readouterr().err.splitlines()[-1]
            assert target.exists()
            missing = ("download", "scene-play-v0", *asked[2:])
            assert "404" in fails(capsys, *missing)
        finally:
            server.shutdown()
            thread.join()
    assert "Connection refused" in fails(capsys, *asked, "--overwrite")
