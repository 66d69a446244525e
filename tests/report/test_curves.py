"""What the figure draws, not only that it is there."""

import dataclasses
import math

import numpy as np
import pytest

from driftpolicy.agents import METHODS
from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.report import style
from driftpolicy.report.curves import WIDTH, draw, make_figure, make_panels
from driftpolicy.report.suite_report import make_report

from .conftest import CUBE, to, write_run

LABELS = ("qc-fql", "dfp")


@pytest.fixture
def panels(suite, runs):
    return make_panels(make_report(suite, runs))


def test_panels(panels):
    cube, lift = panels
    assert (cube.task.name, cube.offline_steps, cube.total_steps) == (CUBE, 1_000_000, 2_000_000)
    assert [curve.label for curve in cube.curves] == list(LABELS)
    dfp = cube.curves[1]
    assert dfp.steps == tuple(range(100_000, 2_000_001, 100_000))
    assert dfp.mean[-1] == 99.0
    # t(0.975, 2) s / sqrt(3) with s = 1, cut at 100.
    np.testing.assert_allclose(dfp.low[-1], 99.0 - 4.3027 / math.sqrt(3), rtol=1e-4)
    assert dfp.high[-1] == 100.0
    fql = lift.curves[0]
    assert (fql.seeds[14], fql.seeds[15]) == (3, 2)  # the third seed is at 1.5M
    assert dict(cube.published["dfp"]) == {"offline": (53.2, 5.8), "online": (100.0, 0.0)}


def test_figure(panels):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = make_figure(panels, style.styles(LABELS))
    figure.canvas.draw()
    assert figure.get_figwidth() == WIDTH
    cube, lift = (axis for axis in figure.axes if axis.get_visible())
    lines = {line.get_label(): line for line in cube.lines if len(line.get_xdata()) > 1}
    assert set(lines) == set(LABELS)
    assert lines["dfp"].get_ydata()[-1] == 99.0
    assert lines["dfp"].get_xdata()[0] == 100_000
    crosses = [line for line in cube.lines if line.get_label() == "published dfp"]
    assert {(line.get_xdata()[0], line.get_ydata()[0]) for line in crosses} == {
        (1_000_000, 53.2),
        (2_000_000, 100.0),
    }
    grey = cube.patches[0]
    assert (grey.get_x(), grey.get_width()) == (0, 1_000_000)
    bands = cube.collections
    assert len(bands) == 2
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {*LABELS, "published"}
    assert lift.get_title() == "lift mh"
    # Legible at one column's width: no text below 5 points, none beyond the figure's edge.
    texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts if text.get_visible()) >= 5
    edges = figure.get_window_extent().padded(1)
    for axis in (cube, lift):
        box = axis.title.get_window_extent()
        assert edges.x0 <= box.x0
        assert box.x1 <= edges.x1
    assert cube.title.get_window_extent().x1 < lift.title.get_window_extent().x0
    plt.close(figure)


def test_one_seed_has_no_interval(suite, tmp_path):
    """Not one from 0 to 100: where a second seed has been, there is a band, elsewhere none."""
    root = tmp_path / "runs"
    for cell in suite.cells:
        if cell.task.name == CUBE and cell.method == "dfp" and cell.seed < 2:
            write_run(root, cell, to(50 + 5 * cell.seed), to(90)[: 10 - 5 * cell.seed])
        elif cell.task.name == CUBE and cell.seed == 0:
            write_run(root, cell, to(50), to(90))
    (panel,) = make_panels(make_report(suite, root))
    fql, dfp = panel.curves
    assert all(map(math.isnan, [*fql.low, *fql.high]))
    assert [math.isnan(low) for low in dfp.low] == [False] * 15 + [True] * 5
    assert [math.isnan(high) for high in dfp.high] == [False] * 15 + [True] * 5
    from matplotlib import pyplot as plt

    figure = make_figure([panel], style.styles(LABELS))
    plt.close(figure)
    (axis,) = (axis for axis in figure.axes if axis.get_visible())
    (band,) = axis.collections
    assert band.get_paths()[0].get_extents().x1 == 1_500_000


def test_files_in_three_formats_the_same_each_time(panels, tmp_path):
    outs = [tmp_path / f"curves.{ending}" for ending in ("png", "svg", "pdf")]
    draw(panels, style.styles(LABELS), outs)
    starts = (b"\x89PNG", b"<?xml", b"%PDF")
    first = [out.read_bytes() for out in outs]
    assert [text.startswith(start) for text, start in zip(first, starts, strict=True)] == [True] * 3
    assert b">cube-double task2</text>" in first[1]  # text stays text
    draw(panels, style.styles(LABELS), outs)
    assert [out.read_bytes() for out in outs] == first
    with pytest.raises(UserError, match=r"drawn as \.png, \.svg, \.pdf"):
        draw(panels, style.styles(LABELS), [tmp_path / "curves.bmp"])


def test_command(runs, tmp_path, capsys):
    suite, out = str(tmp_path / "two.toml"), tmp_path / "figures" / "a.svg"
    assert main(["benchmark", "curves", suite, "--runs", str(runs), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.exists()


def test_no_two_methods_look_alike():
    variants = [f"dfp@K={k}" for k in range(6)]
    looks = style.styles([*METHODS, *variants])
    assert list(looks) == [*METHODS, *variants]
    assert len({(look.colour, look.dashes) for look in looks.values()}) == len(looks)
    for group in (METHODS, variants):  # told apart in grey as well
        ways = [(looks[label].dashes, looks[label].marker) for label in group]
        assert len(set(ways)) == len(ways)


def test_a_legend_of_long_names_stays_inside(panels):
    from matplotlib import pyplot as plt

    names = {label: f"{label}@a variant with a long name" for label in LABELS}
    curves = [dataclasses.replace(c, label=names[c.label]) for c in panels[0].curves]
    panel = dataclasses.replace(panels[0], curves=tuple(curves), published={})
    figure = make_figure([panel], style.styles(list(names.values())))
    figure.draw_without_rendering()
    extent = figure.legends[-1].get_window_extent()
    plt.close(figure)
    assert len(figure.legends) == 1
    assert extent.x0 >= 0
    assert extent.x1 <= figure.bbox.width


def test_a_variant_looks_like_its_method_where_nothing_else_does():
    looks = style.styles(["dfp@published", "fql@a", "fql@b"])
    assert looks["dfp@published"] == style.METHOD_STYLES["dfp"]
    assert style.METHOD_STYLES["fql"] not in (looks["fql@a"], looks["fql@b"])


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_colours_stand_out_from_white():
    for label in METHODS:
        assert 1.05 / (luminance(style.METHOD_STYLES[label].colour) + 0.05) > 2, label
