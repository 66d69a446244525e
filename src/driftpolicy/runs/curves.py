"""The curves of one run: its success, and how its policy fits."""

from pathlib import Path

import numpy as np

from driftpolicy.runs.run import Run
from driftpolicy.runs.tables import Training

_BLUE, _RED, _GREEN, _PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_COLOURS = (_BLUE, _RED, _GREEN, _PINK)
_LINES = ("-", "--", ":", "-.")


def plot_curves(run: Run, *, title: str, out: Path) -> None:
    """Draw success over steps, the offline phase on grey; beside it what falls as the policy fits.

    What falls are the raw norms of the drifting field where the method has one, since its losses
    are constant, else the losses.

    Raises:
        UserError: if the run cannot be read.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    evaluations, training = run.evaluations, run.training
    offline_steps = run.config.offline_steps
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    success, fitting = axes
    success.plot(
        [evaluation.step for evaluation in evaluations],
        [evaluation.percent for evaluation in evaluations],
        marker="o",
        color=_BLUE,
        label="evaluation",
    )
    steps, recent = recent_success(training)
    if len(steps):
        success.plot(steps, recent, color="0.6", linewidth=1, label="training episodes, recent")
    success.set(xlabel="step", ylabel="success (%)", ylim=(-3, 103))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 2, "frameon": False}
    success.legend(fontsize="small", **below)
    norms = [name for name in training.metrics if "raw_norm" in name]
    names = norms or [name for name in training.metrics if name.endswith("_loss")]
    for index, name in enumerate(names):
        values = training.metrics[name]
        measured = ~np.isnan(values)
        fitting.plot(
            training.steps[measured],
            values[measured],
            linestyle=_LINES[index % len(_LINES)],
            color=_COLOURS[index % len(_COLOURS)],
            label=name.replace("_raw_norm_", ", temperature ").replace("_", " "),
        )
    fitting.set(xlabel="step", ylabel="root mean square of the drift" if norms else "loss")
    if names:
        if not any((training.metrics[name] < 0).any() for name in names):  # NaN is not below 0
            fitting.set_ylim(bottom=0)
        fitting.legend(fontsize="small", **below)
    for axis in axes:
        if offline_steps:
            axis.axvspan(0, offline_steps, color="0.93", zorder=0)
            axis.annotate(
                "offline",
                (offline_steps / 2, 1.0),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="top",
                fontsize="small",
                color="0.45",
            )
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(left=0)
    figure.suptitle(title, fontsize="medium")
    figure.savefig(out, dpi=150)
    plt.close(figure)


def recent_success(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps at which training episodes had ended, and how many of them succeeded lately.

    A row of the training's log has the mean of few episodes, so a line through the rows jumps
    between 0 and 100. The second array is the percentage over a tenth of the rows, up to each.
    A row counts by the number of its episodes, which is as their mean length is short.
    """
    nothing = np.full(len(training.steps), np.nan)
    rates = training.metrics.get("episode_success", nothing)
    ended = ~np.isnan(rates)
    if not ended.any():
        return training.steps[ended], rates[ended]
    lengths = training.metrics.get("episode_length", np.ones_like(rates))[ended]
    window = np.ones(max(1, ended.sum() // 10))
    counts = 1 / np.fmax(lengths, 1.0)  # of episodes, up to a factor
    successes = np.convolve(counts * rates[ended], window)[: len(counts)]
    episodes = np.convolve(counts, window)[: len(counts)]
    return training.steps[ended], 100 * successes / episodes
