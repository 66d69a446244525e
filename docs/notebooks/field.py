# %% [markdown]
# # The drifting field in two dimensions
#
# An action of two numbers, and a critic `Q` with two hills, known in closed form. This notebook
# moves particles along the drifting field, watches the divergence to their target fall, and then
# trains a one-step policy with the loss that DFP is trained with. No gradient of `Q` is taken
# anywhere.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

from driftpolicy.drifting import drift_loss, mean_shift_field


def q_value(action):
    """Return the critic's value of actions [..., 2]: a hill on the right, a lower one above."""
    high = jnp.exp(-jnp.sum((action - jnp.array([0.6, 0.2])) ** 2, axis=-1) / 0.08)
    low = 0.6 * jnp.exp(-jnp.sum((action - jnp.array([-0.4, 0.6])) ** 2, axis=-1) / 0.08)
    return high + low


line = jnp.linspace(-1.2, 1.2, 97)
grid = jnp.stack(jnp.meshgrid(line, line), axis=-1)


def landscape(axis, points, title):
    """Draw the critic's hills, and points on them."""
    axis.contourf(line, line, q_value(grid), levels=12, cmap="Greys", vmax=1.6)
    axis.plot(*points.T, "o", ms=3.5, color="#0072B2", mec="white", mew=0.4)
    axis.set(title=title, xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", xticks=(), yticks=())


# %% [markdown]
# ## The target
#
# The old policy is a wide normal distribution. Improvement means to prefer its better actions:
# the target is `pi_old(a) exp(Q(a) / alpha)`, normalised. Here one can draw from it, by weighing
# many samples of the old policy.

# %%
ALPHA, SPREAD, BANDWIDTH = 0.25, 0.5, 0.12

key_old, key_pick, key_start = jax.random.split(jax.random.key(0), 3)
old = SPREAD * jax.random.normal(key_old, (20_000, 2))
weights = jax.nn.softmax(q_value(old) / ALPHA)
positives = old[jax.random.choice(key_pick, len(old), (1000,), p=weights)]
start = SPREAD * jax.random.normal(key_start, (400, 2))

figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
figure.suptitle("The old policy and the target")
landscape(axes[0], start, "samples of the old policy")
landscape(axes[1], positives[:400], "samples of the target")

# %% [markdown]
# ## Attraction and repulsion
#
# The field attracts each particle to the positives near it and repels it from the other particles.
# Attraction alone would let the particles collapse onto the densest places. With both, they come
# to rest where they are distributed as the positives are.

# %%
STEP, STEPS = 0.1, 200


@jax.jit
def drift(x):
    """Move all particles a small step along the whole field."""
    return x + STEP * mean_shift_field(x, positives, x, bandwidth=BANDWIDTH)


@jax.jit
def attract(x):
    """Move all particles a small step along the attraction alone."""
    alone = jax.vmap(
        lambda point: mean_shift_field(point[None], positives, point[None], bandwidth=BANDWIDTH)[0]
    )
    return x + STEP * alone(x)


def flow(move):
    """Return the particles after every step, [steps + 1, particles, 2]."""
    path = [start]
    for _ in range(STEPS):
        path.append(move(path[-1]))
    return jnp.stack(path)


both, attracted = flow(drift), flow(attract)
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
figure.suptitle("400 particles after 200 steps")
landscape(axes[0], attracted[-1], "attraction alone")
landscape(axes[1], both[-1], "attraction and repulsion")

# %% [markdown]
# ## The divergence falls
#
# In the limit of many particles and a small kernel these steps are a Wasserstein-2 gradient flow of
# `KL(particles || target)`. Here both densities are smoothed by the kernel of the field, and the
# divergence between them is summed over a grid.


# %%
@jax.jit
def log_density(points):
    """Return the log of the points' density on the grid, smoothed by the field's kernel."""
    squared = jnp.sum((grid.reshape(-1, 1, 2) - points) ** 2, axis=-1)
    logits = jax.nn.logsumexp(-squared / (2 * BANDWIDTH**2), axis=-1)
    return logits - jax.nn.logsumexp(logits)


def divergence(points):
    """Return KL(points || positives) of the smoothed densities."""
    log_p, log_q = log_density(points), log_density(positives)
    return float(jnp.sum(jnp.exp(log_p) * (log_p - log_q)))


every = range(0, STEPS + 1, 10)
falls = [divergence(both[step]) for step in every]
collapses = [divergence(attracted[step]) for step in every]
print(f"KL at the start: {falls[0]:.2f}")
print(f"KL at the end, attraction and repulsion: {falls[-1]:.3f}")
print(f"KL at the end, attraction alone: {collapses[-1]:.2f}")

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
figure.suptitle("The divergence to the target")
axis.plot(every, collapses, "--", color="#D55E00", label="attraction alone")
axis.plot(every, falls, color="#0072B2", label="attraction and repulsion")
axis.set(xlabel="step", ylabel="KL", yscale="log")
axis.legend(frameon=False)

# %% [markdown]
# ## A policy that learns to do it in one step
#
# Particles are not a policy. DFP trains a network that pushes noise to actions: its samples are
# moved along the field, and it learns to put them there (`drift_loss`). The positives are what a
# robot has: the K best of N samples of the *anchor*, a copy that follows the policy slowly, under
# the critic. A bandit has no state, so the batch has a single one. The anchor here jumps to the
# policy every 50 steps.
#
# With every jump the target moves on to better actions, so that the policy climbs, and keeps the
# better hill. How far it goes depends on how long it is trained.

# %%
CANDIDATES, BEST, ROUNDS, PER_ROUND = 64, 16, 8, 50

policy = eqx.nn.MLP(2, 2, width_size=64, depth=2, key=jax.random.key(1))
policy = eqx.tree_at(lambda net: net.layers[-1].weight, policy, replace_fn=lambda w: 3 * w)
optimiser = optax.adam(1e-3)
state = optimiser.init(eqx.filter(policy, eqx.is_array))


def act(net, key, count):
    """Push noise to actions [count, 2], one forward pass."""
    return jax.vmap(net)(jax.random.normal(key, (count, 2)))


@eqx.filter_jit
def update(policy, anchor, state, key):
    """Make one gradient step towards the best of the anchor's candidates."""
    key_anchor, key_policy = jax.random.split(key)
    candidates = act(anchor, key_anchor, CANDIDATES)
    best = candidates[jax.lax.top_k(q_value(candidates), BEST)[1]]

    def loss(net):
        value, _ = drift_loss(act(net, key_policy, 32)[None], best[None], temperatures=(0.05, 0.2))
        return value.mean()

    gradient = eqx.filter_grad(loss)(policy)
    updates, state = optimiser.update(gradient, state)
    return eqx.apply_updates(policy, updates), state


shown, values = [policy], []
key = jax.random.key(2)
for _ in range(ROUNDS):
    anchor = policy
    for _ in range(PER_ROUND):
        key, one = jax.random.split(key)
        policy, state = update(policy, anchor, state, one)
    shown.append(policy)

samples = [act(net, jax.random.key(3), 400) for net in shown]
values = [float(q_value(each).mean()) for each in samples]
print("mean Q, before and after each round:", " ".join(f"{value:.2f}" for value in values))

figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
figure.suptitle("A one-step policy before, during and after training")
for axis, at in zip(axes, (0, 2, ROUNDS), strict=True):
    landscape(axis, samples[at], f"after {at * PER_ROUND} steps, mean Q {values[at]:.2f}")
