"""Drifting fields: the mathematics of the method, as pure functions of arrays.

A *drifting field* moves the samples of a source ``q`` towards a target ``p``: attraction to samples
of ``p`` (the positives), repulsion from samples of ``q`` (the negatives). Training regresses a
one-step generator on its own samples moved along the field, which realises a Wasserstein-2 gradient
flow of ``KL(q || p)`` in the weights of the generator.

* :func:`mean_shift_field`: the field of the theory (Drifting Field Policy, arXiv 2605.07727).
* :func:`drift_loss`: the loss policies are trained with; its default field is that of Deng et al.
  2026 (arXiv 2602.04770, Algorithm 2).

Nothing here knows of networks, states or rewards.
"""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Kernel = Literal["laplace", "gaussian"]
Form = Literal["two-sided", "mean-shift", "sinkhorn"]

_DISTANCE_FLOOR = 1e-4  # |x - y| is floored here: coinciding points stay finite
_SCALE_FLOOR = 1e-3  # floor of the mean distance and of sigma
_AFFINITY_FLOOR = 1e-6  # floor under the square root of the two-sided affinity
_FORCE_FLOOR = 1e-4  # floor of the root mean square a force is divided by
_SINKHORN_ITERATIONS = 20
_SELF_PENALTY = 100.0  # added to a sample's distance to itself: no self-repulsion


class DriftInfo(NamedTuple):
    """What to log: the loss itself is constant by construction, these are not.

    Attributes:
        scale: mean distance between samples and targets over the weighted batch.
        raw_norms: root mean square of the force of each temperature before its normalisation. Falls
            towards zero as the generator fits many positives per state; with one it ends at a level
            of noise, and starts low while the positives are out of the kernel's reach.
        nonfinite: number of states of non-zero weight that held a NaN or an infinity.
    """

    scale: Float[Array, ""]
    raw_norms: Float[Array, " temperatures"]
    nonfinite: Float[Array, ""]


def mean_shift_field(
    x: Float[Array, "points dim"],
    positives: Float[Array, "positives dim"],
    negatives: Float[Array, "negatives dim"],
    *,
    bandwidth: float | Float[Array, ""],
) -> Float[Array, "points dim"]:
    r"""Return the drifting field of the theory; Gaussian kernel ``k(x, y) = exp(-|x-y|^2 / 2h^2)``.

    .. math::
        V_{p,q}(x) = \frac{E_p[k(x,y)(y-x)]}{E_p[k(x,y)]} - \frac{E_q[k(x,y)(y-x)]}{E_q[k(x,y)]}
                   = h^2 (\nabla \log p_{kde}(x) - \nabla \log q_{kde}(x))

    Anti-symmetric in ``(positives, negatives)``, hence zero where both are the same set;
    equivariant under translations; invariant in the order of positives and of negatives. A NaN in a
    sample set makes the field NaN.

    Samples of ``q`` moved along the field in small steps follow the Wasserstein-2 gradient flow of
    ``KL(q || p)`` in the limit of many samples and a small bandwidth, in this order: their spacing
    has to stay below ``h``. Further apart they do not feel each other's repulsion, and contract.

    Args:
        x: query points.
        positives: samples of the target ``p``.
        negatives: samples of the source ``q``.
        bandwidth: ``h > 0``, in the units of ``x``.

    Returns:
        ``V_{p,q}`` at each query point.

    Source: arXiv 2605.07727, section 3 (definition of the field); the KDE identity is exact.
    """

    def shift(samples: Float[Array, "samples dim"]) -> Float[Array, "points dim"]:
        squared = jnp.sum((x[:, None] - samples[None]) ** 2, axis=-1)
        weights = jax.nn.softmax(-squared / (2.0 * bandwidth**2), axis=-1)
        return weights @ samples - x

    return shift(positives) - shift(negatives)


def _affinity(
    logits: Float[Array, "batch generated targets"],
) -> Float[Array, "batch generated targets"]:
    """Two-sided normalisation: the geometric mean of the row and the column softmax, floored."""
    both = jax.nn.softmax(logits, axis=-1) * jax.nn.softmax(logits, axis=-2)
    return jnp.sqrt(jnp.maximum(both, _AFFINITY_FLOOR))


def transport_plan(
    logits: Float[Array, "*batch generated targets"],
    target_weights: Float[Array, "*batch targets"],
    iterations: int = _SINKHORN_ITERATIONS,
) -> Float[Array, "*batch generated targets"]:
    r"""Return the plan of entropic optimal transport from generated samples to targets.

    .. math::
        \Pi_{ij} = e^{f_i + \ell_{ij} + g_j}, \qquad \sum_j \Pi_{ij} = 1, \qquad
        \sum_i \Pi_{ij} = G w_j / \textstyle\sum_k w_k

    by Sinkhorn's iterations on the logarithms, ``g`` and then ``f``: each sample gives a mass of 1,
    to rounding, and each target takes its share of all of it, the better the more iterations. A
    target of weight 0 takes nothing. With the default and a temperature of 0.05, 8 samples and one
    positive in 25 dimensions, the second holds within 1% in 95% of the states; the wider the
    kernel, the sooner.

    Args:
        logits: ``l_ij``, minus the cost of a unit of mass from i to j over the temperature.
        target_weights: ``w``, at least 0, not all of them.
        iterations: how many.

    Source: Sinkhorn 1967; for drifting, arXiv 2603.12366.
    """
    count = logits.shape[-2]
    total = jnp.sum(target_weights, axis=-1, keepdims=True)
    log_share = jnp.log(count * target_weights / total)

    def given(f: Float[Array, "*batch generated"]) -> Float[Array, "*batch targets"]:
        return log_share - jax.nn.logsumexp(logits + f[..., None], axis=-2)

    def iterate(_: Any, f: Float[Array, "*batch generated"]) -> Float[Array, "*batch generated"]:
        return -jax.nn.logsumexp(logits + given(f)[..., None, :], axis=-1)

    f = jax.lax.fori_loop(0, iterations - 1, iterate, jnp.zeros_like(logits[..., 0]))
    return jax.nn.softmax(logits + given(f)[..., None, :], axis=-1)


def _balanced(
    affinity: Float[Array, "batch generated targets"], generated: int
) -> Float[Array, "batch generated targets"]:
    """``C_pos = A_pos sum_j A_neg``, ``C_neg = -A_neg sum_j A_pos``."""
    negative, positive = affinity[..., :generated], affinity[..., generated:]
    attract = positive * jnp.sum(negative, axis=-1, keepdims=True)
    repel = -negative * jnp.sum(positive, axis=-1, keepdims=True)
    return jnp.concatenate([repel, attract], axis=-1)


def _two_sided_coefficients(
    logits: Float[Array, "batch generated targets"],
    target_weights: Float[Array, "batch targets"],
    generated: int,
) -> Float[Array, "batch generated targets"]:
    """The two-sided form, whose affinities the weights multiply."""
    return _balanced(_affinity(logits) * target_weights[:, None], generated)


def _sinkhorn_coefficients(
    logits: Float[Array, "batch generated targets"],
    target_weights: Float[Array, "batch targets"],
    generated: int,
) -> Float[Array, "batch generated targets"]:
    """The Sinkhorn form: a transport plan as affinities."""
    return _balanced(transport_plan(logits, target_weights), generated)


def _mean_shift_coefficients(
    logits: Float[Array, "batch generated targets"],
    target_weights: Float[Array, "batch targets"],
    generated: int,
) -> Float[Array, "batch generated targets"]:
    """The mean-shift form: the shift to the positives minus the shift to the negatives."""
    some = jnp.any(target_weights[:, generated:] > 0, axis=-1)[:, None]  # else: no force
    logits = logits + jnp.log(jnp.where(some, target_weights, 1))[:, None]
    attract = jax.nn.softmax(logits[..., generated:], axis=-1)
    repel = -jax.nn.softmax(logits[..., :generated], axis=-1)
    return jnp.concatenate([repel, attract], axis=-1) * some[..., None]


_COEFFICIENTS = {
    "two-sided": _two_sided_coefficients,
    "mean-shift": _mean_shift_coefficients,
    "sinkhorn": _sinkhorn_coefficients,
}


def _field(
    generated: Float[Array, "batch generated dim"],
    positives: Float[Array, "batch positives dim"],
    state_weights: Float[Array, " batch"],
    positive_weights: Float[Array, "batch positives"] | None,
    temperatures: tuple[float, ...],
    kernel: Kernel,
    form: Form,
) -> tuple[Float[Array, "batch generated dim"], Float[Array, ""], DriftInfo]:
    """The summed normalised force ``F``, ``sigma``, and the diagnostics."""
    batch, count, dim = generated.shape
    targets = jnp.concatenate([generated, positives], axis=1)
    target_weights = jnp.ones((batch, targets.shape[1]), generated.dtype)
    if positive_weights is not None:
        target_weights = target_weights.at[:, count:].set(positive_weights)

    # A batch with no weight at all divides by one instead of zero: every sum is then zero too.
    total = jnp.maximum(jnp.sum(state_weights), jnp.finfo(generated.dtype).tiny)
    rows = state_weights[:, None, None]
    squared = jnp.sum((generated[:, :, None] - targets[:, None]) ** 2, axis=-1)
    distances = jnp.maximum(jnp.sqrt(squared), _DISTANCE_FLOOR)
    scale = jnp.sum(rows * distances) / (total * count * targets.shape[1])
    sigma = jnp.maximum(scale / dim**0.5, _SCALE_FLOOR)

    normalised = distances / jnp.maximum(scale, _SCALE_FLOOR)
    same = jnp.eye(count, targets.shape[1], dtype=scale.dtype)[None]
    normalised = normalised + _SELF_PENALTY * same
    force = jnp.zeros_like(generated)
    raw_norms = []
    for tau in temperatures:
        logits = -normalised / tau if kernel == "laplace" else -(normalised**2) / (2 * tau**2)
        c = _COEFFICIENTS[form](logits, target_weights, count)
        raw = (c @ targets - jnp.sum(c, axis=-1, keepdims=True) * generated) / sigma
        norm = jnp.sqrt(jnp.sum(rows * raw**2) / (total * count * dim))
        force = force + raw / jnp.maximum(norm, _FORCE_FLOOR)
        raw_norms.append(norm)
    return force, sigma, DriftInfo(scale, jnp.stack(raw_norms), jnp.zeros_like(scale))


def _check(temperatures: tuple[float, ...], kernel: str, form: str) -> None:
    if not temperatures or not all(0 < tau < math.inf for tau in temperatures):  # refuses NaN too
        raise ValueError(f"temperatures must be one or more positive numbers, not {temperatures}")
    if kernel not in ("laplace", "gaussian"):
        raise ValueError(f"kernel must be 'laplace' or 'gaussian', not {kernel!r}")
    if form not in _COEFFICIENTS:
        raise ValueError(f"form must be one of {', '.join(_COEFFICIENTS)}, not {form!r}")


def drift_loss(
    generated: Float[Array, "batch generated dim"],
    positives: Float[Array, "batch positives dim"],
    *,
    temperatures: tuple[float, ...] = (0.05,),
    state_weights: Float[Array, " batch"] | None = None,
    positive_weights: Float[Array, "batch positives"] | None = None,
    kernel: Kernel = "laplace",
    form: Form = "two-sided",
) -> tuple[Float[Array, " batch"], DriftInfo]:
    r"""Return each state's drifting loss: the generator's samples regressed on themselves, drifted.

    .. math::
        L = \frac{1}{GS} \sum_{g} \left\| \frac{X_g}{\sigma}
            - \mathrm{stopgrad}\left(\frac{X_g}{\sigma} + F_g\right) \right\|^2,
        \qquad F = \sum_\tau \frac{F_\tau}{\mathrm{rms}(F_\tau)}

    For a state with generated samples ``X`` and targets ``Y = [stopgrad(X); P]``: distances
    ``D_ij = |X_i - Y_j|``, ``scale = mean(D)`` over the whole batch, ``sigma = scale / sqrt(S)``.
    Each temperature ``tau`` gives affinities ``A`` from ``D / scale``, coefficients
    ``C_pos = A_pos sum(A_neg)``, ``C_neg = -A_neg sum(A_pos)`` and the force
    ``F_tau = sum_j C_j (Y_j - X) / sigma``. A sample does not repel itself.

    The states of a batch share ``scale`` and the normalisation of the force. Gradients reach
    ``generated`` through the first ``X`` only, and are ``-2 F / (sigma G S)``. Because each force
    is divided by its root mean square, the VALUE of the loss, averaged over the states of weight 1,
    is constant (1 for one temperature): watch ``info.raw_norms``.

    Args:
        generated: ``X``, G samples of the policy in each state.
        positives: ``P``, samples of the target in each state.
        temperatures: kernel widths in units of ``scale``, each > 0.
        state_weights: 0 or 1 per state; a state of weight 0 contributes to nothing, whatever it
            holds, and its loss is 0. Default: all 1.
        positive_weights: factors >= 0 on the affinities of the positives; where all are 0, there
            is no force. Default: all 1.
        kernel: ``exp(-d / tau)`` ("laplace") or ``exp(-d^2 / 2 tau^2)`` ("gaussian").
        form: "two-sided" as above; the plain "mean-shift" difference, as in
            :func:`mean_shift_field`, where the weights of the positives weigh the kernel average;
            or "sinkhorn", with a :func:`transport_plan` for ``A``, whose targets take mass in
            proportion to their weights.

    Returns:
        The loss per state, and the diagnostics. Computed in float32 or wider whatever the inputs. A
        state that holds a NaN or an infinity has loss NaN, is left out of all that states share,
        and is counted in ``info.nonfinite``.

    Raises:
        ValueError: on no temperatures, one that is not positive and finite, an unknown kernel or
            form.

    Source: Deng et al. 2026, arXiv 2602.04770, Algorithm 2; arXiv 2605.07727, section 4.
    """
    temperatures = tuple(temperatures)
    _check(temperatures, kernel, form)
    dtype = jnp.promote_types(jnp.promote_types(generated.dtype, positives.dtype), jnp.float32)
    generated, positives = generated.astype(dtype), positives.astype(dtype)
    if state_weights is None:
        state_weights = jnp.ones(generated.shape[0], dtype)
    # Without the barrier they would get a gradient too, by ``scale`` and ``sigma``.
    weights = jax.lax.stop_gradient(state_weights.astype(dtype))

    finite = jnp.all(jnp.isfinite(generated), axis=(1, 2))
    finite &= jnp.all(jnp.isfinite(positives), axis=(1, 2))
    if positive_weights is not None:
        positive_weights = positive_weights.astype(dtype)
        finite &= jnp.all(jnp.isfinite(positive_weights), axis=1)
        positive_weights = jnp.where(finite[:, None], positive_weights, 1)
    used = finite & (weights != 0)
    generated = jnp.where(used[:, None, None], generated, 0)
    positives = jnp.where(used[:, None, None], positives, 0)

    force, sigma, info = _field(
        jax.lax.stop_gradient(generated),
        jax.lax.stop_gradient(positives),
        jnp.where(used, weights, 0),
        None if positive_weights is None else jax.lax.stop_gradient(positive_weights),
        temperatures,
        kernel,
        form,
    )
    position = generated / sigma
    target = jax.lax.stop_gradient(position + force)
    loss = weights * jnp.mean((position - target) ** 2, axis=(1, 2))
    loss = jnp.where(used, loss, jnp.where(weights != 0, jnp.nan, 0.0))
    nonfinite = jnp.sum(jnp.where(finite, 0, weights != 0)).astype(dtype)
    return loss, info._replace(nonfinite=nonfinite)
