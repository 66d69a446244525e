"""Draw the drifting field of one policy improvement step: ``uv run python examples/field.py``.

One state, an action of two numbers, a critic ``Q`` known in closed form. The policy proposes
candidates, the best of them become positives, and every sample of the policy feels two forces:
attraction to the positives and repulsion from the other samples. Their sum is the drift, along
which the policy is trained. No gradient of ``Q`` is taken anywhere.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from PIL import Image

from driftpolicy.drifting import mean_shift_field

BANDWIDTH = 0.3  # of the kernel: how far a sample sees, in units of the action
ARROW = 0.7  # arrows are drawn at this part of their length, for the eye


def q_value(action):
    """Return the critic's value, a hill in the upper right corner."""
    return jnp.exp(-jnp.sum((action - jnp.array([0.5, 0.42])) ** 2, axis=-1) / 0.5)


def policy(noise):
    """Push normal noise to the present policy's actions, a cloud below the hill."""
    return jnp.array([-0.14, -0.1]) + 0.3 * noise


def even_noise(count):
    """Return normal noise laid out like a sunflower, so that the arrows do not overlap."""
    i = jnp.arange(count)
    radius = jnp.sqrt(-2 * jnp.log(1 - (i + 0.5) / (count + 0.5)))
    angle = i * jnp.pi * (3 - 5**0.5)
    return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=-1)


# 1. Samples of the policy, and the K best of N candidates.
samples = policy(even_noise(26))
candidates = policy(jax.random.normal(jax.random.key(1), (64, 2)))
_, order = jax.lax.top_k(q_value(candidates), len(candidates))
positives, others = candidates[order[:16]], candidates[order[16:]]


# 2. The field at the samples. A set that holds nothing but the point itself exerts no force on it:
#    what is left is attraction, or repulsion.
@jax.vmap
def forces(x):
    """Return attraction and repulsion at one point."""
    here = x[None]
    attraction = mean_shift_field(here, positives, here, bandwidth=BANDWIDTH)
    repulsion = mean_shift_field(here, here, samples, bandwidth=BANDWIDTH)
    return attraction[0], repulsion[0]


attraction, repulsion = forces(samples)
drift = mean_shift_field(samples, positives, samples, bandwidth=BANDWIDTH)
assert jnp.allclose(drift, attraction + repulsion, atol=1e-5)

# 3. The picture, in colours that the colour-blind can tell apart.
BLUE, RED, BLACK, YELLOW = "#0072B2", "#D55E00", "#111111", "#F0C000"
plt.switch_backend("agg")
plt.rcParams.update({"font.size": 14, "figure.constrained_layout.h_pad": 0.12})
figure, axes = plt.subplots(1, 3, figsize=(16, 5.6), dpi=100, layout="constrained")
line = jnp.linspace(-1.12, 1.12, 161)
landscape = q_value(jnp.stack(jnp.meshgrid(line, line), axis=-1))


def draw(axis, title, colour, *arrows):
    """Draw one panel; each of ``arrows`` is a field at the samples and its style."""
    axis.contourf(line, line, landscape, levels=10, cmap="Greys", vmin=0, vmax=2.2)
    axis.contour(line, line, landscape, levels=10, colors="white", linewidths=0.8)
    axis.plot(*others.T, "o", ms=4, mfc="none", mec="#999999", label="other candidates")
    axis.plot(*samples.T, "o", ms=6.5, color="#333333", mec="white", label="samples of the policy")
    axis.plot(*positives.T, "*", ms=14, color=YELLOW, mec="black", mew=0.8, label="best candidates")
    for field, style in arrows:
        axis.quiver(*samples.T, *(ARROW * field.T), angles="xy", scale_units="xy", scale=1, **style)
    axis.set_title(title, color=colour, weight="bold", pad=8, fontsize=16)
    axis.set(xlim=(-1.12, 0.98), ylim=(-0.95, 0.87), xticks=(), yticks=(), aspect="equal")
    axis.text(0.55, 0.5, "high Q", ha="center", va="center", color="#222222", style="italic")


bold = {"width": 0.0075, "zorder": 4}
faint = {"width": 0.004, "zorder": 3.5, "alpha": 0.45}
draw(axes[0], "Attraction: towards the best candidates", BLUE, (attraction, bold | {"color": BLUE}))
draw(axes[1], "Repulsion: away from one another", RED, (repulsion, bold | {"color": RED}))
draw(
    axes[2],
    "Drift: the sum of both",
    BLACK,
    (attraction, faint | {"color": BLUE}),
    (repulsion, faint | {"color": RED}),
    (drift, bold | {"color": BLACK}),
)
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
)
path = Path(__file__).resolve().parents[1] / "docs" / "field.png"
path.parent.mkdir(exist_ok=True)
figure.savefig(path)
flat = Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE)
flat.save(path, optimize=True)  # a third of the size, the same to the eye
print(f"wrote {path}")
