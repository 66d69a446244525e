"""The curves of one run: its success, and how its policy fits."""

from pathlib import Path

import numpy as np

from driftpolicy.runs.run import Run

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
    episodes = training.metrics.get("episode_success", np.full(len(training.steps), np.nan))
    measured = ~np.isnan(episodes)
    if measured.any():
        success.plot(
            training.steps[measured],
            100 * episodes[measured],
            color="0.6",
            linewidth=1,
            label="training episodes",
        )
    success.set(xlabel="step", ylabel="success (%)", ylim=(-3, 103))
    success.legend(loc="lower right", frameon=False)
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
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
        fitting.legend(frameon=False, fontsize="small", ncols=2, **below)
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
