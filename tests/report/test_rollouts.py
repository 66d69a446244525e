"""Which films are shown, and how they are tiled."""

import imageio.v2 as imageio
import numpy as np
import pytest

from driftpolicy.errors import UserError
from driftpolicy.report.results import read_results
from driftpolicy.report.rollouts import choose_rollouts, first_frame, grid_video
from driftpolicy.tasks.registry import find_task
from tests.films import read_film, write_film

from .conftest import CUBE, LIFT


def test_films_of_one_seed_are_preferred(suite, runs):
    for name in ("qc-fql/seed1", "dfp/seed0", "dfp/seed1", "dfp/seed2"):
        (runs / CUBE / name / "rollout.mp4").touch()
    (runs / LIFT / "dfp/seed2/rollout.mp4").touch()
    results = read_results(suite, runs)
    chosen = choose_rollouts(results, find_task(CUBE))
    assert [(film.label, film.seed) for film in chosen] == [("qc-fql", 1), ("dfp", 1)]
    assert [(film.label, film.seed) for film in choose_rollouts(results, find_task(LIFT))] == [
        ("dfp", 2)
    ]
    (runs / CUBE / "qc-fql/seed1/rollout.mp4").rename(runs / CUBE / "qc-fql/seed2/rollout.mp4")
    (runs / CUBE / "dfp/seed2/rollout.mp4").unlink()
    assert [film.seed for film in choose_rollouts(results, find_task(CUBE))] == [2, 0]


def test_a_film_that_may_be_half_written_is_left_out(suite, runs):
    folder = runs / LIFT / "qc-fql/seed2"  # under way: without a summary
    (folder / "rollout.mp4").touch()
    assert choose_rollouts(read_results(suite, runs), find_task(LIFT)) == []
    (folder / "config.json").unlink()  # kept evidence
    assert len(choose_rollouts(read_results(suite, runs), find_task(LIFT))) == 1


def test_grid(tmp_path):
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200)]
    films = [
        write_film(tmp_path / f"{i}.mp4", colour, frames=6 + 6 * (i == 1))
        for i, colour in enumerate(colours)
    ]
    grid_video(films, tmp_path / "deep" / "all.mp4")
    frames = read_film(tmp_path / "deep" / "all.mp4", height=2 * 360, width=4 * 360)
    assert len(frames) == 12  # the longest; the others wait at their last frame
    for i, colour in enumerate(colours):
        centre = frames[-1][180 + 360 * (i // 4), 180 + 360 * (i % 4)]
        assert np.abs(centre.astype(int) - colour).max() < 25, i


def test_first_frame(tmp_path):
    film = write_film(tmp_path / "film.mp4", (30, 200, 30), frames=2)
    first_frame(film, tmp_path / "film.jpg")
    assert imageio.imread(tmp_path / "film.jpg").shape == (64, 64, 3)


def test_what_is_no_film_is_named(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    good = write_film(tmp_path / "good.mp4", (0, 0, 0), frames=2)
    with pytest.raises(UserError, match=r"broken\.mp4 is no film"):
        grid_video([good, broken], tmp_path / "all.mp4")
    with pytest.raises(UserError, match=r"cannot make .*all\.jpg"):
        first_frame(broken, tmp_path / "all.jpg")
