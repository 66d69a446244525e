"""Policies and data on a hub of this machine: what is published, loaded, refused."""

import dataclasses
import json
import socket
import sys

import numpy as np
import pytest

pytest.importorskip("huggingface_hub", reason="needs the extra hub")

import driftpolicy
from driftpolicy.cli import main
from driftpolicy.data.files import write_npz
from driftpolicy.deploy import Policy
from driftpolicy.errors import UserError
from driftpolicy.hub.card import policy_card, published
from driftpolicy.hub.client import Place
from driftpolicy.hub.policies import pull_policy
from driftpolicy.runs import load_run
from driftpolicy.runs.checkpoints import Checkpoint, latest
from driftpolicy.runs.folder import RunFolder
from tests.export.common import OBSERVATION, write_run
from tests.hub.server import Hub, hub_of_a_test

NAME = "me/drift"


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with hub_of_a_test(tmp_path / "home", monkeypatch) as hub:
        yield hub


@pytest.fixture
def run(tmp_path):
    """With a replay, which is nobody else's business, and data in a folder of this machine."""
    path = tmp_path / "runs" / "seed0"
    met = np.ones((3, OBSERVATION), np.float32)
    write_run(path, met=met, data="/somebody/data/cube.npz")
    folder = RunFolder(path)
    folder.create(Checkpoint.load(latest(folder.checkpoints)).config)
    folder.eval_csv.write_text(
        "step,phase,success,return,length,episodes,wall_s\r\n12,offline,0.25,-9.5,9,4,3\r\n"
    )
    data = {"origin": "collected", "path": "/somebody/data/cube.npz", "crc32": "ab"}
    folder.write_summary({"version": "0.1.0", "versions": {"jax": "0.10.2"}, "data": data})
    return path


def one_line(capsys, *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("dfp: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


def test_a_published_policy_decides_as_the_run(hub: Hub, run, capsys):
    assert main(["hub", "push", str(run), NAME]) == 0
    commit = hub.shas(f"models/{NAME}")[-1]
    assert f'load_policy("hf://{NAME}@{commit}")' in capsys.readouterr().out
    observation = np.linspace(-1, 1, OBSERVATION, dtype=np.float32)
    ours = driftpolicy.load_policy(run)
    for place in (f"hf://{NAME}", f"hf://{NAME}@{commit}", f"hf://{NAME}@main"):
        chunk = driftpolicy.load_policy(place).act(observation, seed=3)
        np.testing.assert_array_equal(chunk, ours.act(observation, seed=3))
    files = hub.commits[f"models/{NAME}"][-1]
    assert sorted(files) == [
        "README.md", "checkpoints/step-0000000012.npz", "config.json", "eval.csv", "summary.json",
    ]  # fmt: skip
    assert not any(b"/somebody" in content for content in files.values())
    assert b"replay/observations" not in files["checkpoints/step-0000000012.npz"]
    card = files["README.md"].decode()
    for words in (f'"hf://{NAME}"', "| offline | 12 | 25.0 | 5 to 70 | 4 | -9.5 |", "jax 0.10.2"):
        assert words in card
    assert "| origin | collected |" in card


def test_commands_take_a_policy_of_the_hub(hub: Hub, run, capsys):
    assert main(["hub", "push", str(run), NAME]) == 0
    pytest.importorskip("onnx", reason="needs the extra export")
    assert main(["export", f"hf://{NAME}", "policy.onnx", "--states", "4"]) == 0
    assert "checkpoint of step 12" in capsys.readouterr().out
    assert Policy("policy.onnx").metadata.data["origin"] == "collected"
    assert "no repository me/nothing" in one_line(capsys, "eval", "hf://me/nothing")


def test_no_environment_from_the_hub_is_run(hub: Hub, run, capsys):
    path = latest(run / "checkpoints")
    checkpoint = Checkpoint.load(path)
    config = dataclasses.replace(checkpoint.config, task="gymnasium:trap:make")
    dataclasses.replace(checkpoint, config=config).write(path)
    assert main(["hub", "push", str(run), NAME]) == 0
    capsys.readouterr()
    assert "nothing from the Hub chooses code" in one_line(capsys, "eval", f"hf://{NAME}")
    driftpolicy.load_policy(f"hf://{NAME}")


def test_a_commit_stays_what_it_is(hub: Hub, run):
    assert main(["hub", "push", str(run), NAME]) == 0
    first = hub.shas(f"models/{NAME}")[-1]
    write_run(run, data="/somebody/data/cube.npz", best_of=2)
    assert main(["hub", "push", str(run), NAME]) == 0
    assert driftpolicy.load_policy(f"hf://{NAME}@{first}").config.agent.best_of == 4
    assert driftpolicy.load_policy(f"hf://{NAME}").config.agent.best_of == 2
    hub.asked.clear()
    driftpolicy.load_policy(f"hf://{NAME}@{first}")
    assert hub.asked == []  # a commit that is here needs no network


def test_a_push_replaces_the_run_before(hub: Hub, run, tmp_path):
    """Also one that got further, of which nothing is left in the newest commit."""
    assert main(["hub", "push", str(run), NAME]) == 0
    first = hub.shas(f"models/{NAME}")[-1]
    hub.commits[f"models/{NAME}"][-1]["notes.txt"] = b"somebody's own"
    other = tmp_path / "runs" / "seed7"
    write_run(other, step=7, best_of=2)
    RunFolder(other).create(Checkpoint.load(latest(RunFolder(other).checkpoints)).config)
    assert main(["hub", "push", str(other), NAME]) == 0
    assert sorted(hub.commits[f"models/{NAME}"][-1]) == [
        "README.md", "checkpoints/step-0000000007.npz", "config.json", "notes.txt",
    ]  # fmt: skip
    assert driftpolicy.load_policy(f"hf://{NAME}").config.agent.best_of == 2
    assert driftpolicy.load_policy(f"hf://{NAME}@{first}").config.agent.best_of == 4


def test_a_new_repository_can_be_private(hub: Hub, run, capsys, monkeypatch):
    assert main(["hub", "push", str(run), NAME, "--private"]) == 0
    assert hub.private == {f"models/{NAME}"}
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(UserError, match="no repository me/drift"):
        pull_policy(f"hf://{NAME}")


def test_what_cannot_be_published(run, capsys, monkeypatch, tmp_path):
    assert "holds no run" in one_line(capsys, "hub", "push", tmp_path / "none", NAME)
    for name in ("drift", "a/b/c", "me/dr ift", "me/drift@"):
        assert "owner/name" in one_line(capsys, "hub", "push", run, name)
    assert "without a revision" in one_line(capsys, "hub", "push", run, f"{NAME}@main")
    assert "is no repository" in one_line(capsys, "hub", "push", run, "me/-drift-")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "the token may not do this" in one_line(capsys, "hub", "push", run, NAME)
    monkeypatch.setenv("HF_TOKEN", "")
    assert "needs a token" in one_line(capsys, "hub", "push", run, NAME)


def test_without_a_network(run, capsys, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert f"cannot reach {address}" in one_line(capsys, "hub", "push", run, NAME)
        for place in (NAME, f"{NAME}@{'0' * 40}"):
            with pytest.raises(UserError, match=f"cannot reach {address}"):
                pull_policy(f"hf://{place}")


def test_what_cannot_be_loaded(hub: Hub, run):
    with pytest.raises(UserError, match="no repository me/nothing"):
        pull_policy("hf://me/nothing")
    hub.commits[f"models/{NAME}"] = [{"pytorch_model.bin": b"a pickle"}]
    with pytest.raises(UserError, match="holds no policy of driftpolicy"):
        pull_policy(f"hf://{NAME}")
    with pytest.raises(UserError, match="has no revision v1"):
        pull_policy(f"hf://{NAME}@v1")
    hub.commits[f"models/{NAME}"].append({"checkpoints/step-0000000012.npz": b"PK, but damaged"})
    with pytest.raises(UserError, match="step-0000000012"):
        pull_policy(f"hf://{NAME}")


def test_nothing_from_the_hub_names_code_to_run(hub: Hub, run, tmp_path):
    """A checkpoint may say that its method is a file here; loading it would execute that."""
    path = latest(run / "checkpoints")
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    config = json.loads(meta["config"])
    (tmp_path / "trap.py").write_text("raise SystemExit('executed')\n")
    meta["config"] = json.dumps(config | {"method": "trap:Method"})
    write_npz(path, arrays | {"meta": np.array(json.dumps(meta))})
    hub.commits[f"models/{NAME}"] = [{f"checkpoints/{path.name}": path.read_bytes()}]
    with pytest.raises(UserError, match="trap:Method is a file of code"):
        driftpolicy.load_policy(f"hf://{NAME}")


def data_file(path, rows=6):
    """A file as OGBench has it."""
    arrays = {
        "observations": np.zeros((rows, 28), np.float32),
        "actions": np.zeros((rows, 5), np.float32),
        "terminals": np.arange(rows) == rows - 1,
        "qpos": np.zeros((rows, 21), np.float32),
        "qvel": np.zeros((rows, 20), np.float32),
        "metadata": np.array(json.dumps({"origin": "collected", "scene": "cube-single"})),
    }
    write_npz(path, arrays)
    return path


def test_data_come_back_as_they_were(hub: Hub, tmp_path, capsys):
    file = data_file(tmp_path / "cube.npz")
    assert main(["data", "push", str(file), NAME]) == 0
    commit = hub.shas(f"datasets/{NAME}")[-1]
    card = hub.commits[f"datasets/{NAME}"][-1]["README.md"].decode()
    assert "| origin | collected" in card
    assert str(tmp_path) not in card
    assert f"dfp data pull {NAME}@{commit}" in capsys.readouterr().out
    for place in (NAME, f"{NAME}@{commit}"):
        assert main(["data", "pull", place]) == 0
        assert capsys.readouterr().out.startswith(f"data/drift/cube.npz\ncommit {commit}")
    assert (tmp_path / "data/drift/cube.npz").read_bytes() == file.read_bytes()


def test_shards_are_a_folder(hub: Hub, tmp_path, capsys):
    shards = tmp_path / "shards"
    shards.mkdir()
    for number in range(2):
        data_file(shards / f"part-00{number}.npz")
    assert main(["data", "push", str(shards), NAME]) == 0
    assert main(["data", "pull", NAME, "--to", "there"]) == 0
    assert capsys.readouterr().out.endswith("--data there\n")
    assert [path.name for path in sorted((tmp_path / "there").glob("*.npz"))] == [
        "part-000.npz", "part-001.npz",
    ]  # fmt: skip


def test_data_of_several_places_are_not_mixed(hub: Hub, tmp_path, capsys):
    for name, file in (("alice/cube", "a.npz"), ("bob/cube", "b.npz"), ("carl/cube", "a.npz")):
        assert main(["data", "push", str(data_file(tmp_path / file)), name]) == 0
    assert main(["data", "pull", "alice/cube"]) == 0
    capsys.readouterr()
    for name in ("bob/cube", "carl/cube"):
        assert "holds files already" in one_line(capsys, "data", "pull", name)
    said = one_line(capsys, "data", "pull", "bob/cube", "--overwrite")
    assert "holds other data than bob/cube@" in said
    assert "(a.npz): move them away" in said
    assert main(["data", "push", str(tmp_path / "b.npz"), "alice/cube"]) == 0  # by another name
    assert list(hub.commits["datasets/alice/cube"][-1]) == ["README.md", "b.npz"]
    capsys.readouterr()
    assert "holds other data than alice/cube@" in one_line(capsys, "data", "pull", "alice/cube")
    (tmp_path / "data/cube/a.npz").unlink()
    assert main(["data", "pull", "alice/cube"]) == 0
    assert sorted(path.name for path in (tmp_path / "data/cube").glob("*.npz")) == ["b.npz"]


def test_data_that_are_refused(hub: Hub, tmp_path, capsys):
    assert "no such file" in one_line(capsys, "data", "push", tmp_path / "none.npz", NAME)
    (tmp_path / "model.pkl").write_bytes(b"a pickle")
    assert "neither a file (.npz" in one_line(capsys, "data", "push", tmp_path / "model.pkl", NAME)
    file = data_file(tmp_path / "cube.npz")
    file.write_bytes(file.read_bytes()[:-40])
    assert "damaged" in one_line(capsys, "data", "push", file, NAME)
    hub.commits[f"datasets/{NAME}"] = [{"README.md": b"", "data.pkl": b"a pickle"}]
    assert "holds no data that" in one_line(capsys, "data", "pull", NAME, "--to", "empty")
    there = tmp_path / "data" / "drift"
    there.mkdir(parents=True)
    (there / "mine.npz").touch()
    assert "holds files already" in one_line(capsys, "data", "pull", NAME)
    hub.commits[f"datasets/{NAME}"].append({"cube.npz": file.read_bytes()})
    assert "damaged" in one_line(capsys, "data", "pull", NAME, "--to", "other")


def test_a_card_says_what_is_not_known(run, tmp_path):
    folder = RunFolder(run)
    folder.summary.unlink()
    folder.eval_csv.unlink()
    loaded = load_run(run)
    card = policy_card(NAME, loaded, loaded.config, 12)
    for words in ("unfinished, step 12 of 2,000,000", "kept no evaluation", "not recorded"):
        assert words in card


def test_no_folder_of_this_machine_is_published(run):
    config = dataclasses.replace(
        load_run(run).config,
        task="gymnasium:/home/me/robot/arm.py:make",
        offline_from="/home/me/runs/seed0",
        data_cache="/home/me/cache",
    )
    assert "/home/me" not in published(config).to_json()
    assert published(config).task == "gymnasium:arm.py:make"
    assert published(load_run(run).config).task == load_run(run).config.task


def test_without_the_extra(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (("hub", "push", run, NAME), ("data", "pull", NAME)):
        assert "uv sync --extra hub" in one_line(capsys, *words)


def test_places():
    assert Place.parse("hf://a/b@v1") == Place("a/b", "v1")
    assert Place.parse("a/b") == Place("a/b")
