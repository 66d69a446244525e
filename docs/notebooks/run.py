# %% [markdown]
# # Runs, read and plotted
#
# `driftpolicy.load_run` reads a run's folder: one that is finished, under way, or kept as evidence.
# This notebook reads the three runs of the quickstart that are kept in `results/quickstart`; put
# the folder of a run of yours in their place.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import driftpolicy

FOLDER = Path("results/quickstart/cube-single-play-singletask-task1-v0/dfp")
runs = [driftpolicy.load_run(FOLDER / f"seed{seed}") for seed in range(3)]

# %% [markdown]
# ## What the run was
#
# The config holds every setting, also those that were left at their defaults; the settings of the
# method are in `config.agent`.

# %%
config = runs[0].config
print(f"{config.method} on {config.task}")
print(f"{config.offline_steps} steps offline, {config.online_steps} online")
print(f"chunks of {config.agent.chunk_length} actions, best of {config.agent.best_of}")

# %% [markdown]
# ## How it went
#
# Each evaluation is a row of `eval.csv`.

# %%
for evaluation in runs[0].evaluations:
    print(f"{evaluation.step:6} {evaluation.phase:8} {evaluation.percent:3.0f}%")

# %% [markdown]
# ## Success over steps
#
# One line per seed, and their mean. A success rate of 50 episodes is itself uncertain: the bars are
# Wilson's 95% interval of the first seed.

# %%
from driftpolicy.training.evaluation import success_interval

steps = np.array([each.step for each in runs[0].evaluations])
success = np.array([[each.percent for each in run.evaluations] for run in runs])  # [seeds, rows]
bounds = [
    success_interval(round(each.success * each.episodes), each.episodes)
    for each in runs[0].evaluations
]
low, high = 100 * np.array(bounds).T

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
figure.suptitle("Success over steps, three seeds and their mean")
axis.axvspan(0, config.offline_steps, color="#eeeeee", label="offline")
axis.plot(steps, success.T, color="#0072B2", alpha=0.35)
axis.plot(steps, success.mean(axis=0), "o-", color="#0072B2", label="mean")
axis.vlines(steps, low, high, color="#D55E00", label="95% interval, seed 0")
axis.set(xlabel="step", ylabel="success (%)", ylim=(0, 102), xlim=(0, None))
axis.legend(frameon=False, loc="lower right")

# %% [markdown]
# ## What else there is
#
# `run.summary` is what the run said at its end, with the origin of its data; `run.training` has the
# columns of `train.csv`, by name, where the file was kept; `run.checkpoints` lists what
# `driftpolicy.load_policy` and `driftpolicy.resume` begin from.

# %%
for run in runs:
    print(f"seed {run.config.seed}: {run.summary.wall_s / 60:.0f} minutes, finished {run.finished}")
