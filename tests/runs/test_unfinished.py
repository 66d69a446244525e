"""Episodes of an interrupted evaluation: kept for the same evaluation, and for no other."""

import os

import numpy as np

from driftpolicy.envs.episodes import Episode
from driftpolicy.runs.unfinished import Unfinished

EPISODES = {
    number: {name: np.asarray(value) for name, value in episode._asdict().items()}
    for number, episode in {0: Episode(True, -1.5, 7), 3: Episode(False, 0.1, 12)}.items()
}


def test_they_belong_to_one_checkpoint_and_its_settings(tmp_path):
    checkpoint = tmp_path / "step-0000000012.npz"
    checkpoint.write_text("a checkpoint")
    settings = {"seed": 3, "best_of": None}
    kept = Unfinished(checkpoint, "evaluation", **settings)
    assert kept.load() == {}
    kept.save(EPISODES)
    assert Unfinished(checkpoint, "evaluation", **settings).load() == EPISODES
    assert Episode(**{name: value.item() for name, value in kept.load()[3].items()}) == (
        False,
        0.1,
        12,
    )
    other = Unfinished(checkpoint, "diagnosis", **settings)
    assert (other.path.name, other.load()) == ("unfinished-diagnosis.npz", {})
    assert Unfinished(checkpoint, "evaluation", **settings | {"seed": 4}).load() == {}
    os.utime(checkpoint, (1, 1))
    assert Unfinished(checkpoint, "evaluation", **settings).load() == {}
    assert kept.load() == EPISODES
    kept.drop()
    kept.drop()
    assert kept.load() == {}


def test_what_is_damaged_was_not_kept(tmp_path):
    checkpoint = tmp_path / "step-0000000012.npz"
    checkpoint.touch()
    kept = Unfinished(checkpoint, "evaluation")
    kept.save(EPISODES)
    whole = kept.path.read_bytes()
    for place in range(0, len(whole), 97):
        kept.path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        assert kept.load() in ({}, EPISODES)
    kept.path.write_bytes(whole[:-30])
    assert kept.load() == {}
