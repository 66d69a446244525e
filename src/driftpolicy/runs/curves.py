"""Curves of one run."""

from pathlib import Path

from driftpolicy.config import TrainConfig
from driftpolicy.runs.folder import RunFolder
from driftpolicy.runs.tables import read_csv

_BLUE = "#0072B2"


def plot_curves(folder: RunFolder, config: TrainConfig, title: str, out: Path) -> None:
    """Success over steps, the offline phase on grey; beside it what falls while the policy fits.

    That is the raw norms of the drifting field where the method has one (its losses are constant),
    else the losses.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    evaluations = read_csv(folder.eval_csv)
    offline_steps = config.offline_steps
    training = read_csv(folder.train_csv)
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    success, fitting = axes
    steps = [int(row["step"]) for row in evaluations]
    values = [100 * float(row["success"]) for row in evaluations]
    success.plot(steps, values, marker="o", color=_BLUE, label="evaluation")
    episodes = [row for row in training if row.get("episode_success")]
    if episodes:
        success.plot(
            [int(row["step"]) for row in episodes],
            [100 * float(row["episode_success"]) for row in episodes],
            color="0.6",
            linewidth=1,
            label="training episodes",
        )
    success.set(xlabel="step", ylabel="success (%)", ylim=(-3, 103))
    success.legend(loc="lower right", frameon=False)
    styles = ("-", "--", ":", "-.")
    columns = list(training[0]) if training else []
    norms = [name for name in columns if "raw_norm" in name]
    names = norms or [name for name in columns if name.endswith("_loss")]
    for index, name in enumerate(names):
        rows = [row for row in training if row[name]]
        fitting.plot(
            [int(row["step"]) for row in rows],
            [float(row[name]) for row in rows],
            linestyle=styles[index % len(styles)],
            color=("#0072B2", "#D55E00", "#009E73", "#CC79A7")[index % 4],
            label=name.replace("_raw_norm_", ", temperature ").replace("_", " "),
        )
    fitting.set(xlabel="step", ylabel="root mean square of the drift" if norms else "loss")
    if names:
        if all(float(row[name]) >= 0 for name in names for row in training if row[name]):
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
