"""Episodes of an interrupted evaluation: kept for the same evaluation, and for no other."""

import os

from driftpolicy.envs.episodes import Episode
from driftpolicy.runs.unfinished import UnfinishedEvaluation

EPISODES = {0: Episode(True, -1.5, 7), 3: Episode(False, 0.1, 12)}


def test_they_belong_to_one_checkpoint_and_its_settings(tmp_path):
    checkpoint = tmp_path / "step-0000000012.npz"
    checkpoint.write_text("a checkpoint")
    settings = {"seed": 3, "best_of": None}
    kept = UnfinishedEvaluation(checkpoint, **settings)
    assert kept.load() == {}
    kept.save(EPISODES)
    assert UnfinishedEvaluation(checkpoint, **settings).load() == EPISODES
    assert all(
        isinstance(e.success, bool) and isinstance(e.length, int) for e in kept.load().values()
    )
    assert UnfinishedEvaluation(checkpoint, **settings | {"seed": 4}).load() == {}
    os.utime(checkpoint, (1, 1))
    assert UnfinishedEvaluation(checkpoint, **settings).load() == {}
    assert kept.load() == EPISODES
    kept.drop()
    kept.drop()
    assert kept.load() == {}


def test_what_is_damaged_was_not_kept(tmp_path):
    checkpoint = tmp_path / "step-0000000012.npz"
    checkpoint.touch()
    kept = UnfinishedEvaluation(checkpoint)
    kept.save(EPISODES)
    whole = kept.path.read_bytes()
    for place in range(0, len(whole), 97):
        kept.path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        assert kept.load() in ({}, EPISODES)
    kept.path.write_bytes(whole[:-30])
    assert kept.load() == {}
