# %% [markdown]
# # A robot of your own
#
# From recordings to an exported policy, all in Python: an environment, demonstrations, training,
# a look at what was learned, and the file for the robot's computer. [From demonstrations to a
# robot](../robot.md) explains each step, and has the same on the command line.
#
# ## The environment
#
# A puck on a table is to be pushed to a target. It has a Gymnasium environment, in a file, because
# training starts processes that import it. `reset(seed=...)` decides everything, and
# `info["success"]` says when the task is done.

# %%
from pathlib import Path

PUCK = '''
import gymnasium
import numpy as np


class Puck(gymnasium.Env):
    """A puck that glides: the action is its acceleration, in [-1, 1]."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (6,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.target = self.np_random.uniform(-1, 1, (2, 2))
        self.speed, self.steps = np.zeros(2), 0
        return self.observe(), {}

    def observe(self):
        way = self.target - self.place
        return np.concatenate([self.place, self.speed, way]).astype(np.float32)

    def step(self, action):
        self.speed = 0.9 * self.speed + 0.03 * np.clip(action, -1, 1)
        self.place = self.place + self.speed
        self.steps += 1
        near = np.linalg.norm(self.target - self.place) < 0.08
        success = bool(near and np.linalg.norm(self.speed) < 0.06)
        return self.observe(), -1.0, success, self.steps >= 80, {"success": success}


def make():
    return Puck()
'''
Path("puck.py").write_text(PUCK)

# %% [markdown]
# ## Demonstrations
#
# Somebody who can do it steers the puck, not very steadily. What is recorded goes into a file of
# [the plain layout](../robot.md#plain).

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

import driftpolicy
from driftpolicy.tasks.custom import plain

namespace = {}
exec(PUCK, namespace)
environment = namespace["make"]()


def steer(observation, rng):
    """Push towards the target and brake before it, with a hand that is not steady."""
    speed, way = observation[2:4], observation[4:6]
    return np.clip(2 * way - 6 * speed + rng.normal(scale=0.6, size=2), -1, 1)


def episode(decide, seed):
    """Play an episode; `decide` takes an observation and returns a chunk of actions."""
    observation, _ = environment.reset(seed=seed)
    parts = {"observations": [observation], "actions": [], "success": []}
    while True:
        for action in decide(observation):
            observation, _, done, late, info = environment.step(action)
            parts["observations"].append(observation)
            parts["actions"].append(np.asarray(action))
            parts["success"].append(info["success"])
            if done or late:
                return parts


rng = np.random.default_rng(0)
recorded = [episode(lambda seen: [steer(seen, rng)], seed) for seed in range(100)]
plain.write(Path("puck.npz"), recorded, control_rate=20.0)
lengths = [len(each["actions"]) for each in recorded]
print(f"{len(recorded)} demonstrations, {np.mean(lengths):.0f} steps each on average")

# %% [markdown]
# ## Training
#
# The data are looked at first; what is wrong with them would be said here. The networks are small,
# and so is the number of steps: enough for a puck.

# %%
from rich.console import Console

run = driftpolicy.train(
    "gymnasium:puck.py:make",
    data="puck.npz",
    preset="small",
    run="puck",
    reward="success",
    normalise_observations=True,
    offline_steps=1500,
    online_steps=1500,
    eval_every=500,
    eval_episodes=50,
    actor_hidden=(64, 64),
    critic_hidden=(64, 64),
    best_of=4,
    video=False,
    processes=1,
    console=Console(quiet=True),
)
for evaluation in run.evaluations:
    print(
        f"{evaluation.step:5} {evaluation.phase:8} success {evaluation.percent:3.0f}%, "
        f"{evaluation.length:.0f} steps"
    )

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
figure.suptitle("The length of an episode over steps")
axis.axvspan(0, run.config.offline_steps, color="#eeeeee", label="offline")
axis.axhline(np.mean(lengths), color="#999999", ls="--", label="demonstrations")
axis.plot([each.step for each in run.evaluations], [each.length for each in run.evaluations], "o-")
axis.set(xlabel="step", ylabel="steps to the target", xlim=(0, None), ylim=(0, None))
axis.legend(frameon=False)

# %% [markdown]
# ## What it learned
#
# The same twelve episodes, steered by the demonstrator and by the policy.

# %%
policy, seeds = driftpolicy.load_policy(run.path), itertools.count()
learned = [episode(lambda seen: policy.act(seen, seed=next(seeds)), 1000 + i) for i in range(12)]
shown = [episode(lambda seen: [steer(seen, rng)], 1000 + i) for i in range(12)]

figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
figure.suptitle("Twelve ways to the target, by demonstrator and policy")
for axis, title, played in zip(axes, ("demonstrator", "policy"), (shown, learned), strict=True):
    for each in played:
        seen = np.array(each["observations"])
        axis.plot(*-seen[:, 4:6].T, ".-", ms=3, lw=1)
    axis.add_patch(plt.Circle((0, 0), 0.08, color="#F0C000"))
    steps = np.mean([len(each["actions"]) for each in played])
    axis.set(title=f"{title}: {steps:.0f} steps", aspect="equal", xlim=(-2, 2), ylim=(-2, 2))

# %% [markdown]
# ## The file for the robot
#
# The export compares its decisions with the policy's before it writes the file, which needs
# NumPy and onnxruntime. [Export and run-time](../deploy.md) has the control loop.

# %%
from driftpolicy.deploy import Policy
from driftpolicy.export.exporting import export_policy

exported = export_policy(run.path, Path("puck.onnx"), states=1000)
print(exported.agreement.words())

robot = Policy("puck.onnx")
noise = np.random.default_rng(0)
driven = [episode(lambda seen: robot.act(seen, noise), 1000 + i) for i in range(50)]
print(f"{sum(each['success'][-1] for each in driven)} of 50 episodes successful")
