"""Films: what is written above the scene, and that a real one holds it."""

import math
from dataclasses import replace

import jax
import numpy as np
import pytest

from driftpolicy.agents import DFP, DFPConfig
from driftpolicy.tasks.registry import find_task
from driftpolicy.training import captions, video
from driftpolicy.training.captions import HEIGHT, Caption, add_caption
from tests.films import read_film

from .conftest import TASK

FRAME = np.zeros((160, 480, 3), np.uint8)
CAPTION = Caption(
    "dfp  cube-single-play-task1", "red cube to (42, -10)", "episode 1 of 2", 7, -12.3
)


def inked(caption: Caption, rows: slice, columns: slice) -> int:
    """How many pixels of a part of the caption are not background."""
    image = add_caption(FRAME, caption)[:HEIGHT]
    return int(np.sum(np.any(image[rows, columns] < 200, axis=-1)))


def test_the_caption_is_above_the_frame_and_covers_nothing():
    image = add_caption(FRAME, CAPTION)
    assert image.shape == (160 + HEIGHT, 480, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[HEIGHT:], FRAME)
    assert HEIGHT % 16 == 0


def test_each_word_has_its_place():
    everything = (slice(None), slice(None))
    assert inked(Caption(episode=""), *everything) < inked(CAPTION, *everything)
    last = slice(70, HEIGHT)
    for change, columns in (
        ({"step": 8}, slice(0, 100)),
        ({"value": 5.0}, slice(100, 200)),
        ({"success": True}, slice(200, 330)),
        ({"episode": "episode 2 of 2"}, slice(330, 480)),
    ):
        one = add_caption(FRAME, CAPTION)[last]
        other = add_caption(FRAME, replace(CAPTION, **change))[last]
        different = np.flatnonzero(np.any(one != other, axis=(0, 2)))
        assert len(different) > 0, change
        assert columns.start <= different.min(), change
        assert different.max() < columns.stop, change


def test_long_goals_take_two_lines_and_end_in_an_ellipsis():
    font = captions._font("DejaVuSans")
    goal = ", ".join(f"{colour} cube to (35, -10), level 2" for colour in ("red", "blue"))
    lines = captions._wrap(goal, font, 460)
    assert len(lines) == 2
    assert " ".join(lines) == goal
    lines = captions._wrap(" ".join([goal] * 3), font, 460)
    assert len(lines) == 2
    assert lines[1].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert all(font.getlength(line) <= 460 for line in lines)


@pytest.mark.slow
@pytest.mark.simulator
def test_a_film_of_two_chunks(tmp_path, monkeypatch):
    """Frames are the scene before the first step and after every second one, of 20 a second."""
    out = tmp_path / "film.mp4"
    agent = DFP.create(DFPConfig(actor_hidden=(8,), critic_hidden=(8,)), 28, 5, jax.random.key(0))
    told = []

    def shortened(workers, worker, method, *arguments):
        """An episode that ends after two chunks."""
        if method is video.FilmRunner.announce:
            told.append(arguments)
        reply = call(workers, worker, method, *arguments)
        if method is video.FilmRunner.execute and len(told) == 2:
            return video.Episode(False, -10.0, 10)
        return reply

    call = video.Workers.call
    monkeypatch.setattr(video.Workers, "call", shortened)
    key = jax.random.key(1)
    results = video.film(
        agent.decision_rule, find_task(TASK), out, seed=0, episodes=1, key=key, label="dfp"
    )
    assert len(results) == 1
    frames = read_film(out, height=480 + HEIGHT, width=480)
    assert len(frames) == 1 + 2 * 5 // 2
    value, episode = told[0]
    assert episode == "episode 1 of 1"
    assert math.isfinite(value)
    # The numbers change from frame to frame, the title does not.
    captioned = frames[:, :HEIGHT].astype(int)
    assert np.abs(captioned[1, 70:] - captioned[2, 70:]).max() > 50
    assert np.abs(captioned[1, :25] - captioned[2, :25]).max() < 40
