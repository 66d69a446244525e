"""The field against plain loops, and against the theorems of the method.

Two references carry the file: a double loop in NumPy, written from the formulas and sharing no code
with the package, and closed forms on Gaussians. What is exact is tested in float64 to rounding.
"""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

from driftpolicy.drifting import drift_loss, mean_shift_field, transport_plan
from tests import statistical
from tests.compiling import ONCE

FORMS = [
    (kernel, form)
    for kernel in ("laplace", "gaussian")
    for form in ("two-sided", "mean-shift", "sinkhorn")
]


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


# --- references: loops over single numbers, no broadcasting ------------------------------------


def softmax(values):
    top = max(values)
    total = sum(np.exp(v - top) for v in values)
    return [np.exp(v - top) / total for v in values]


def reference_shift(x, positives, negatives, bandwidth):
    """The formula of ``mean_shift_field``, one expectation after the other."""
    field = np.zeros_like(x)
    for i in range(len(x)):
        for sign, samples in ((1, positives), (-1, negatives)):
            weighted, total = np.zeros(x.shape[1]), 0.0
            for y in samples:
                k = np.exp(-np.sum((x[i] - y) ** 2) / (2 * bandwidth**2))
                weighted += k * (y - x[i])
                total += k
            field[i] += sign * weighted / total
    return field


def reference_plan(logits, weights):
    """Twenty times: every column to its share of the mass, every row to 1. No logarithms."""
    K = np.exp(logits)
    G, J = K.shape
    u = [1.0] * G
    for _ in range(20):
        v = [
            G * weights[j] / sum(weights) / sum(K[i, j] * u[i] for i in range(G)) for j in range(J)
        ]
        u = [1 / sum(K[i, j] * v[j] for j in range(J)) for i in range(G)]
    return np.array([[u[i] * K[i, j] * v[j] for j in range(J)] for i in range(G)])


def reference_drift(generated, positives, temperatures, kernel, form, state_weights, weights):
    """``drift_loss`` by its formulas. States of weight 0 are skipped: that is what it means."""
    states = [b for b in range(len(generated)) if state_weights[b] != 0]
    G, S = generated.shape[1:]
    J = G + positives.shape[1]
    targets = [list(generated[b]) + list(positives[b]) for b in range(len(generated))]
    D = np.zeros((len(generated), G, J))
    for b in states:
        for i in range(G):
            for j in range(J):
                D[b, i, j] = max(np.sqrt(np.sum((generated[b, i] - targets[b][j]) ** 2)), 1e-4)
    scale = sum(D[b].sum() for b in states) / (len(states) * G * J)
    sigma = max(scale / np.sqrt(S), 1e-3)

    F = np.zeros_like(generated)
    raw_norms = []
    for tau in temperatures:
        raw = np.zeros_like(generated)
        for b in states:
            Dn = D[b] / max(scale, 1e-3)
            for i in range(G):
                Dn[i, i] += 100
            logits = -Dn / tau if kernel == "laplace" else -(Dn**2) / (2 * tau**2)
            w = [1.0] * G + list(weights[b])
            if form == "two-sided":
                rows = np.array([softmax(logits[i, :]) for i in range(G)])
                columns = np.array([softmax(logits[:, j]) for j in range(J)]).T
                A = np.zeros((G, J))
                for i in range(G):
                    for j in range(J):
                        A[i, j] = w[j] * np.sqrt(max(rows[i, j] * columns[i, j], 1e-6))
            if form == "sinkhorn":
                A = reference_plan(logits, w)
            for i in range(G):
                if form != "mean-shift":
                    negative, positive = A[i, :G], A[i, G:]
                    C = [-a * positive.sum() for a in negative]
                    C += [a * negative.sum() for a in positive]
                else:
                    attract = [
                        w[j] * np.exp(logits[i, j] - logits[i, G:].max()) for j in range(G, J)
                    ]
                    C = [-a for a in softmax(logits[i, :G])]
                    C += [a / sum(attract) for a in attract]
                for j in range(J):
                    raw[b, i] += C[j] * targets[b][j] / sigma
                raw[b, i] -= sum(C) * generated[b, i] / sigma
        rms = np.sqrt(sum(np.sum(raw[b] ** 2) for b in states) / (len(states) * G * S))
        raw_norms.append(rms)
        F += raw / max(rms, 1e-4)
    loss = np.zeros(len(generated))
    for b in states:
        loss[b] = np.mean(F[b] ** 2)
    return loss, F, sigma, scale, raw_norms


def problem(seed, batch=3, generated=4, positives=3, dim=2):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(batch, generated, dim)),
        rng.normal(0.5, 1.5, size=(batch, positives, dim)),
    )


@partial(jax.jit, static_argnames=("temperatures", "kernel", "form"), compiler_options=ONCE)
def value_and_gradient(x, p, states=None, weights=None, **options):
    """The loss per state, the diagnostics and the gradient of the summed loss, in one program."""

    def total(x):
        loss, info = drift_loss(x, p, state_weights=states, positive_weights=weights, **options)
        return jnp.sum(loss), (loss, info)

    gradient, (loss, info) = jax.grad(total, has_aux=True)(x)
    return loss, info, gradient


# --- the trained field -------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "form"), FORMS)
def test_drift_loss_equals_the_double_loop(x64, kernel, form):
    """Values, diagnostics and the gradient, which is ``-2 F / (sigma G S)`` and nothing more.

    A gradient through the target, through ``sigma`` or through ``scale`` would change it.
    """
    x, p = problem(0)
    for states, weights in (
        (np.ones(3), np.ones((3, 3))),
        (
            np.array([1.0, 0.0, 1.0]),
            np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0], [0.3, 0.3, 2.4]]),
        ),
    ):
        loss, info, gradient = value_and_gradient(
            x, p, states, weights, temperatures=(0.1, 0.7), kernel=kernel, form=form
        )
        expected, F, sigma, scale, raw_norms = reference_drift(
            x, p, (0.1, 0.7), kernel, form, states, weights
        )
        np.testing.assert_allclose(loss, expected, rtol=1e-10)
        np.testing.assert_allclose(info.scale, scale, rtol=1e-12)
        np.testing.assert_allclose(info.raw_norms, raw_norms, rtol=1e-10)
        np.testing.assert_allclose(gradient, -2 * F / (sigma * 4 * 2), rtol=1e-9, atol=1e-12)
        assert info.nonfinite == 0


def test_the_default_is_the_papers_field(x64):
    x, p = problem(1)
    loss, info, _ = value_and_gradient(x, p)
    expected, *_, raw_norms = reference_drift(
        x, p, (0.05,), "laplace", "two-sided", np.ones(3), np.ones((3, 3))
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-10)
    np.testing.assert_allclose(info.raw_norms, raw_norms, rtol=1e-10)
    # Normalised by construction: the mean over the states is 1 wherever the policy stands.
    np.testing.assert_allclose(np.mean(loss), 1.0, rtol=1e-12)


@pytest.mark.parametrize(("kernel", "form"), FORMS)
def test_only_the_generated_samples_are_trained(kernel, form):
    x, p = (jnp.asarray(a, jnp.float32) for a in problem(2))

    @partial(jax.jit, compiler_options=ONCE)
    def gradients(x, p, states, weights):
        def total(*arguments):
            x, p, states, weights = arguments
            loss, _ = drift_loss(
                x, p, state_weights=states, positive_weights=weights, kernel=kernel, form=form
            )
            return jnp.sum(loss)

        return jax.grad(total, argnums=(0, 1, 2, 3))(x, p, states, weights)

    trained, *others = gradients(x, p, jnp.ones(3), jnp.full((3, 3), 0.7))
    assert np.abs(trained).max() > 1e-2
    for gradient in others:
        np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize(("kernel", "form"), FORMS)
@pytest.mark.parametrize("state_weight", [0.0, 1.0])
def test_without_positives_there_is_no_force_and_nobody_else_notices(kernel, form, state_weight):
    x, p = (jnp.asarray(a, jnp.float32) for a in problem(4, batch=2))
    states, weights = jnp.array([1.0, state_weight]), jnp.array([[1.0, 0.5, 2.0], [0.0] * 3])
    loss, info, gradient = value_and_gradient(x, p, states, weights, kernel=kernel, form=form)
    assert float(loss[0]) > 0.1
    assert float(loss[1]) == 0
    np.testing.assert_array_equal(gradient[1], 0)
    assert np.isfinite(gradient[0]).all()
    assert float(info.nonfinite) == 0


@pytest.mark.parametrize(("kernel", "form"), FORMS)
def test_symmetries_of_the_trained_field(x64, kernel, form):
    """Order, place and unit of length: only the samples' arrangement matters."""
    x, p = problem(3)
    w = np.random.default_rng(0).uniform(0.2, 2.0, size=p.shape[:2])

    def both(x, p, w):
        loss, _, gradient = value_and_gradient(
            x, p, np.ones(3), w, temperatures=(0.1, 0.7), kernel=kernel, form=form
        )
        return loss, gradient

    loss, gradient = both(x, p, w)
    assert np.abs(gradient).max() > 1e-2
    close = {"rtol": 1e-8, "atol": 1e-11}

    order = np.array([2, 0, 3, 1])
    same, moved = both(x[:, order], p, w)
    np.testing.assert_allclose(moved, gradient[:, order], **close)
    np.testing.assert_allclose(same, loss, **close)

    order = np.array([2, 0, 1])
    same, moved = both(x, p[:, order], w[:, order])
    np.testing.assert_allclose(moved, gradient, **close)
    same, moved = both(x[order], p[order], w[order])
    np.testing.assert_allclose(moved, gradient[order], **close)
    np.testing.assert_allclose(same, loss[order], **close)

    shift = np.array([[[3.0, -7.0]], [[0.5, 0.0]], [[-2.0, 1.0]]])  # one translation per state
    same, moved = both(x + shift, p + shift, w)
    np.testing.assert_allclose(moved, gradient, **close)

    # Not to rounding: a sample's distance to itself, 1e-4 in any unit, enters ``scale``.
    same, moved = both(10 * x, 10 * p, w)
    np.testing.assert_allclose(10 * moved, gradient, atol=1e-3 * np.abs(gradient).max())
    np.testing.assert_allclose(same, loss, rtol=1e-3)


@pytest.mark.parametrize(("kernel", "form"), FORMS)
def test_states_of_weight_zero_change_nothing(kernel, form):
    """Neither values nor gradients, whatever they hold."""
    x, p = (a.astype(np.float32) for a in problem(4))
    w = np.full(p.shape[:2], 0.5, np.float32)
    options = {"temperatures": (0.2, 0.6), "kernel": kernel, "form": form}
    few = value_and_gradient(x[1:], p[1:], np.ones(2, np.float32), w[1:], **options)
    for junk in (1e3, np.nan, np.inf):
        x[0, 1, 0], p[0, 2, 1], w[0, 0] = junk, junk, junk
        states = np.array([0.0, 1.0, 1.0], np.float32)
        loss, info, gradient = value_and_gradient(x, p, states, w, **options)
        np.testing.assert_array_equal(loss[0], 0.0)
        np.testing.assert_array_equal(gradient[0], 0.0)
        np.testing.assert_allclose(loss[1:], few[0], rtol=2e-5)
        np.testing.assert_allclose(gradient[1:], few[2], rtol=2e-4, atol=1e-6)
        for got, expected in zip(info, few[1], strict=True):
            np.testing.assert_allclose(got, expected, rtol=2e-5)
        assert info.nonfinite == 0


def test_a_nonfinite_state_is_reported_and_harms_no_other():
    clean = problem(5, batch=2)
    clean = [a.astype(np.float32) for a in (*clean, np.ones(2), np.full((2, 3), 0.5))]
    few = value_and_gradient(*clean, temperatures=(0.3,))
    for junk in (np.nan, -np.inf):
        for where in (0, 1, 3):  # generated, positives, the positives' weights
            parts = [np.insert(a, 1, a[0], axis=0) for a in clean]
            parts[where][1, 0] = junk
            loss, info, gradient = value_and_gradient(*parts, temperatures=(0.3,))
            assert info.nonfinite == 1
            np.testing.assert_array_equal(np.isnan(loss), [False, True, False])
            np.testing.assert_allclose(loss[::2], few[0], rtol=2e-5)
            np.testing.assert_allclose(gradient[::2], few[2], rtol=2e-4, atol=1e-6)
            np.testing.assert_array_equal(gradient[1], 0.0)  # no NaN flows back from here
            np.testing.assert_allclose(info.scale, few[1].scale, rtol=2e-5)
            np.testing.assert_allclose(info.raw_norms, few[1].raw_norms, rtol=2e-5)


def test_a_batch_without_weight_is_no_division_by_zero():
    x, p = (a.astype(np.float32) for a in problem(6))
    loss, info, gradient = value_and_gradient(x, p, np.zeros(3, np.float32))
    np.testing.assert_array_equal(loss, 0.0)
    np.testing.assert_array_equal(gradient, 0.0)
    np.testing.assert_array_equal(info.raw_norms, 0.0)


@pytest.mark.parametrize("form", ["two-sided", "mean-shift", "sinkhorn"])
def test_one_sample_moves_straight_to_its_one_positive(form):
    x = jnp.array([[[0.0, 0.0]], [[1.0, 1.0]]])
    p = jnp.array([[[3.0, 4.0]], [[1.0, 2.0]]])
    loss, _, gradient = value_and_gradient(x, p, form=form)
    way = -np.asarray(gradient)[:, 0]
    length = np.linalg.norm(way, axis=-1, keepdims=True)
    np.testing.assert_allclose(way / length, [[0.6, 0.8], [0.0, 1.0]], atol=1e-5)
    # No second sample and no second positive: the force is proportional to the distance.
    np.testing.assert_allclose(length[0] / length[1], 5.0, rtol=1e-3)
    np.testing.assert_allclose(np.mean(loss), 1.0, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "form"), FORMS)
def test_coinciding_points_have_no_force(kernel, form):
    x = jnp.full((2, 3, 2), 0.25)
    loss, info, gradient = value_and_gradient(x, x[:, :2], kernel=kernel, form=form)
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-3)
    np.testing.assert_allclose(info.scale, 1e-4, rtol=1e-5)  # the floor of each distance
    np.testing.assert_allclose(info.raw_norms, 0.0, atol=1e-6)


def test_some_coinciding_points_follow_the_formula(x64):
    """The floors of the distance and of the affinity are part of the formula."""
    x, p = problem(7)
    x[0, 1], p[0, 0] = x[0, 0], x[0, 0]
    x[1], p[1] = x[1, 0], x[1, 0]
    loss, info, gradient = value_and_gradient(x, p)
    expected, F, sigma, scale, _ = reference_drift(
        x, p, (0.05,), "laplace", "two-sided", np.ones(3), np.ones((3, 3))
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient, -2 * F / (sigma * 8), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(info.scale, scale, rtol=1e-12)


def test_narrow_types_are_computed_in_float32():
    x, p = (jnp.asarray(a, jnp.bfloat16) for a in problem(8))
    loss, info, gradient = value_and_gradient(x, p, temperatures=(0.3,))
    wide = value_and_gradient(x.astype(jnp.float32), p.astype(jnp.float32), temperatures=(0.3,))
    assert loss.dtype == info.scale.dtype == info.nonfinite.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(loss, wide[0], rtol=1e-5)
    np.testing.assert_allclose(gradient.astype(jnp.float32), wide[2], rtol=1e-2, atol=1e-4)
    mixed = value_and_gradient(x, p.astype(jnp.float32), temperatures=(0.3,))
    assert mixed[0].dtype == jnp.float32


def test_float32_stays_near_float64(x64):
    x, p = problem(9, batch=8, generated=8, positives=4, dim=5)
    wide = value_and_gradient(x, p)
    narrow = value_and_gradient(x.astype(np.float32), p.astype(np.float32))
    assert narrow[0].dtype == jnp.float32
    np.testing.assert_allclose(narrow[0], wide[0], rtol=1e-4)
    np.testing.assert_allclose(narrow[2], wide[2], atol=1e-4 * np.abs(wide[2]).max())


@pytest.mark.parametrize(
    ("temperatures", "kernel", "form", "word"),
    [
        ((), "laplace", "two-sided", "temperatures"),
        ((0.1, 0.0), "laplace", "two-sided", "temperatures"),
        ((-1.0,), "laplace", "two-sided", "temperatures"),
        ((0.1, float("nan")), "laplace", "two-sided", "temperatures"),
        ((float("inf"),), "laplace", "two-sided", "temperatures"),
        ((0.1,), "cauchy", "two-sided", "'cauchy'"),
        ((0.1,), "laplace", "one-sided", "'one-sided'"),
    ],
)
def test_drift_loss_refuses_options_without_meaning(temperatures, kernel, form, word):
    # Without the run-time type checks of the tests, which would refuse the names one call earlier.
    bare = inspect.unwrap(drift_loss)
    x, p = (jnp.asarray(a, jnp.float32) for a in problem(0))
    with pytest.raises(ValueError, match=word):
        bare(x, p, temperatures=temperatures, kernel=kernel, form=form)


# --- the transport plan ---------------------------------------------------------------------------


plan_of = jax.jit(transport_plan, static_argnums=2)


def test_a_plan_has_its_marginals(x64):
    """Samples give 1 each, targets take their shares; one of weight 0 takes nothing."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 4, 7)) * 3
    weights = rng.uniform(0.2, 2.0, size=(5, 7))
    weights[:, 2] = 0.0
    plan = np.asarray(plan_of(logits, weights, 500))
    np.testing.assert_allclose(plan.sum(axis=2), 1.0, rtol=1e-12)
    shares = 4 * weights / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(plan.sum(axis=1), shares, rtol=1e-6)
    np.testing.assert_array_equal(plan[:, :, 2], 0.0)
    # What makes it the plan of these costs: cross ratios are those of the kernel.
    kept = np.delete(plan, 2, axis=2), np.delete(np.exp(logits), 2, axis=2)
    ratio, kernel = (a[:, :-1, :-1] * a[:, 1:, 1:] / a[:, :-1, 1:] / a[:, 1:, :-1] for a in kept)
    np.testing.assert_allclose(ratio, kernel, rtol=1e-8)


def test_a_plan_of_two_and_two_is_known_in_closed_form(x64):
    """Uniform margins leave one number p; the cross ratio of the kernel is ``(p / (1 - p))^2``."""
    logits = np.array([[0.3, -0.8], [1.1, 0.9]])
    p = 1 / (1 + np.exp(-(0.3 + 0.9 + 0.8 - 1.1) / 2))
    plan = plan_of(logits, np.ones(2), 200)
    np.testing.assert_allclose(plan, [[p, 1 - p], [1 - p, p]], rtol=1e-10)


def test_a_cold_plan_costs_no_more_than_the_optimal_assignment(x64):
    """It may cost more by the temperature times the most that its entropy can be larger."""
    rng = np.random.default_rng(1)
    cost = np.linalg.norm(rng.normal(size=(6, 1, 2)) - rng.normal(size=(1, 6, 2)), axis=-1)
    least = cost[linear_sum_assignment(cost)].sum()
    excess = []
    for tau in (0.02, 0.1, 10.0):
        plan = np.asarray(plan_of(-cost / tau, np.ones(6), 5000))
        excess.append(np.sum(plan * cost) - least)
        assert -1e-3 < excess[-1] < tau * 6 * np.log(6)
    assert excess[0] < 0.05 < excess[1] < 1 < excess[2]


def test_the_default_iterations_hold_the_marginals_of_chunks():
    """As the docstring says: 1% in 95% of states, of 8 samples and one positive, untrained."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 8, 25))
    y = np.concatenate([x, rng.normal(size=(200, 1, 25))], axis=1)
    distance = np.linalg.norm(x[:, :, None] - y[:, None], axis=-1)
    logits = -(distance / distance.mean() + 100 * np.eye(8, 9)) / 0.05
    plan = np.asarray(plan_of(logits.astype(np.float32), np.ones((200, 9), np.float32)))
    error = np.abs(plan.sum(axis=1) / (8 / 9) - 1).max(axis=1)
    assert np.quantile(error, 0.95) < 0.01
    np.testing.assert_array_equal(np.diagonal(plan, axis1=1, axis2=2), 0.0)  # not to itself


def test_a_plan_gives_a_far_positive_its_share():
    """However far out of the kernel's reach, and from the samples that are nearest to it."""
    x = np.array([[[-1.0, 0.0], [-1.1, 0.1], [1.0, 0.0], [1.1, 0.1]]])
    p = np.array([[[-1.05, 0.0], [-0.95, 0.1], [-1.0, -0.1], [9.0, 0.0]]])
    distance = np.linalg.norm(x[:, :, None] - np.concatenate([x, p], axis=1)[:, None], axis=-1)
    logits = -(distance / distance.mean() + 100 * np.eye(4, 8)) / 0.05
    plan = np.asarray(plan_of(logits, np.ones((1, 8)), 200))
    np.testing.assert_allclose(plan[0, :, 7].sum(), 0.5, rtol=1e-3)
    assert plan[0, 2:, 7].sum() > 0.49


def test_samples_of_one_distribution_are_nearly_at_rest():
    """Not exactly: a sample does not repel itself, but is drawn to the positive nearest to it."""
    rng = np.random.default_rng(3)
    x, p = rng.normal(size=(4, 64, 2)), rng.normal(size=(4, 64, 2))
    norms = [
        value_and_gradient(x, p + shift, form="sinkhorn", temperatures=(0.5,))[1].raw_norms[0]
        for shift in (0.0, 1.0)
    ]
    assert norms[0] < 0.3 * norms[1]


# --- the field of the theory: exact identities -------------------------------------------------


points = arrays(np.float64, st.just((9, 2)), elements=st.floats(-3, 3, width=16))
field = jax.jit(mean_shift_field)


@settings(max_examples=30)
@given(points=points, bandwidth=st.floats(0.2, 3.0))
def test_mean_shift_field_is_what_its_docstring_says(points, bandwidth):
    """Against the loops, and its symmetries, on any arrangement of points, coinciding ones too."""
    with jax.enable_x64(True):
        x, p, q = points[:3], points[2:6], points[5:]
        v = np.asarray(field(x, p, q, bandwidth=bandwidth))
        close = {"rtol": 1e-7, "atol": 1e-9}
        np.testing.assert_allclose(v, reference_shift(x, p, q, bandwidth), **close)
        np.testing.assert_allclose(field(x, q, p, bandwidth=bandwidth), -v, **close)
        np.testing.assert_allclose(field(x, p, p, bandwidth=bandwidth), 0.0, atol=1e-12)
        np.testing.assert_allclose(field(x[::-1], p, q, bandwidth=bandwidth), v[::-1], **close)
        np.testing.assert_allclose(field(x, p[::-1], q[::-1], bandwidth=bandwidth), v, **close)
        moved = field(x + 5.0, p + 5.0, q + 5.0, bandwidth=bandwidth)
        np.testing.assert_allclose(moved, v, **close)
        stretched = field(2 * x, 2 * p, 2 * q, bandwidth=2 * bandwidth)
        np.testing.assert_allclose(stretched, 2 * v, **close)


def test_far_from_every_sample_the_field_is_that_of_the_nearest(x64):
    """Where every kernel underflows, their ratio is still well defined."""
    v = field(
        jnp.array([[1000.0, 0.0]]),
        jnp.array([[1.0, 2.0], [0.0, 0.0]]),
        jnp.array([[0.0, -3.0], [-1.0, 0.0]]),
        bandwidth=0.5,
    )
    np.testing.assert_allclose(v, [[1.0, 5.0]], rtol=1e-9)


def test_a_nan_among_the_samples_is_not_hidden():
    x, p = jnp.zeros((2, 2)), jnp.array([[1.0, jnp.nan], [0.0, 0.0]])
    assert np.isnan(field(x, p, x, bandwidth=1.0)).any(axis=1).all()
    assert np.isnan(field(x, x, p, bandwidth=1.0)).any(axis=1).all()


def test_the_field_is_the_difference_of_kde_scores(x64):
    """``V = h^2 (grad log p_kde - grad log q_kde)``, by automatic differentiation of the KDEs."""
    x, p = problem(10, batch=1, generated=6, positives=7, dim=3)
    x, p, q = x[0], p[0], problem(11, batch=1, generated=5, dim=3)[0][0]
    h = 0.8

    def log_kde(z, samples):
        return jax.nn.logsumexp(-jnp.sum((z[None] - samples) ** 2, axis=-1) / (2 * h**2))

    score = jax.jit(jax.vmap(jax.grad(log_kde), in_axes=(0, None)))
    expected = h**2 * (score(x, p) - score(x, q))
    np.testing.assert_allclose(field(x, p, q, bandwidth=h), expected, rtol=1e-10, atol=1e-13)


# --- the field of the theory: limits, on densities known in closed form ------------------------
#
# Quantiles stand for the samples of a density on the line: as many random ones would leave an error
# of 1 / sqrt(n), far above the orders to be seen.


def gaussian(count, mean, deviation):
    return mean + deviation * norm.ppf((np.arange(count) + 0.5) / count)


def gaussian_score(x, mean, variance):
    return -(x - mean) / variance


def test_closed_form_on_gaussians(x64):
    """A Gaussian smoothed by the kernel is a Gaussian of variance ``s^2 + h^2``."""
    x = np.linspace(-1.0, 1.5, 6)
    p, q = gaussian(4000, 0.5, 0.8), gaussian(4000, -0.3, 1.1)
    for h in (0.3, 0.6):
        v = field(x[:, None], p[:, None], q[:, None], bandwidth=h)[:, 0]
        smoothed = [
            gaussian_score(x, 0.5, 0.8**2 + h**2),
            gaussian_score(x, -0.3, 1.1**2 + h**2),
        ]
        np.testing.assert_allclose(v, h**2 * (smoothed[0] - smoothed[1]), atol=1e-4)


def test_the_improved_policy_attracts_along_the_gradient_of_q(x64):
    """``V / h^2 -> grad Q / alpha + grad log pi_old - grad log pi``, error of order ``h^2``.

    ``pi_old = N(m, s^2)`` and ``Q = -c/2 (a - b)^2`` make ``pi+ = pi_old exp(Q / alpha) / Z`` a
    Gaussian, whose precision and mean are those of a product of Gaussians.
    """
    m, s, c, b, alpha = 0.2, 0.9, 1.5, 1.2, 2.0
    precision = 1 / s**2 + c / alpha
    mean = (m / s**2 + c * b / alpha) / precision
    improved = gaussian(8000, mean, precision**-0.5)[:, None]
    policy = gaussian(8000, -0.1, 1.3)[:, None]
    x = np.linspace(-0.5, 1.0, 5)
    limit = -c * (x - b) / alpha + gaussian_score(x, m, s**2) - gaussian_score(x, -0.1, 1.3**2)
    errors = []
    for h in (0.2, 0.1, 0.05):
        v = field(x[:, None], improved, policy, bandwidth=h)[:, 0]
        errors.append(np.abs(v / h**2 - limit).max())
    assert errors[-1] < 0.02 * np.abs(limit).max()
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.15)


GRID = np.linspace(-6.0, 6.0, 1201)


def smoothed_kl(x, p, bandwidth):
    """``KL(q_kde || p_kde)`` by the trapezoidal rule."""
    q_kde, p_kde = (np.mean(norm.pdf(GRID[:, None], y, bandwidth), axis=1) for y in (x, p))
    ratio = np.log(np.maximum(q_kde, 1e-300) / np.maximum(p_kde, 1e-300))
    return np.trapezoid(q_kde * ratio, GRID)


@partial(jax.jit, static_argnames="steps")
def flow(x, p, bandwidth, rate, steps):
    """Particles moved along the field between them and the target; all positions on the way."""

    def step(x, _):
        x = x + rate * mean_shift_field(x, p, x, bandwidth=bandwidth)
        return x, x[:, 0]

    return jax.lax.scan(step, x, length=steps)[1]


def kl_along_the_flow(x, p, bandwidth, steps, rate=0.3):
    path = np.asarray(flow(x[:, None], p[:, None], bandwidth, rate, steps))
    stops = path[np.linspace(0, steps - 1, 21).astype(int)]
    return np.array([smoothed_kl(y, p, bandwidth) for y in (x, *stops)]), path[-1]


def test_drifting_dissipates_the_kl_divergence(x64):
    """Many particles, a bandwidth well above their spacing: the theorem's conditions."""
    target = np.concatenate([gaussian(60, -1.0, 0.5), gaussian(140, 1.0, 0.5)])
    start = gaussian(100, -0.5, 0.8)
    divergence, end = kl_along_the_flow(start, target, 0.4, steps=240)
    assert divergence[0] > 0.4
    assert np.all(np.diff(divergence) < 1e-6)
    assert divergence[-1] < 1e-3
    assert np.mean(end > 0) == pytest.approx(0.7, abs=0.03)


def test_where_the_kl_theorem_does_not_hold(x64):
    """Eight particles further apart than the bandwidth: the divergence rises.

    Each particle's kernel sees hardly any other, so they barely repel each other, while each drifts
    to the mean of the few positives within its own bandwidth: the source contracts. (The spacing,
    not the number, decides: the field has no more information than the kernel lets through.)
    """
    target = np.concatenate([gaussian(60, -1.5, 0.4), gaussian(140, 1.5, 0.4)])
    start = gaussian(8, -1.5, 0.4)
    divergence, end = kl_along_the_flow(start, target, 0.1, steps=100)
    assert np.all(np.diff(divergence) > 0)
    assert divergence[-1] > divergence[0] + 0.02
    assert np.all(end < 0)  # and the other mode is never found


def test_the_rate_of_dissipation(x64):
    """``-dKL/dt = E_q[V (k * V)] / h^2`` exactly, so ``E_q[V^2] / h^2`` but for order ``h^2``.

    The first holds for particles and any bandwidth (``q_kde`` moves by the smoothed flux). The
    second is the flow in Wasserstein-2; between them lies why the theorem needs a small bandwidth:
    ``E_q[V (k * V)]`` can be negative where ``V`` turns within the width of the kernel.
    """
    target = np.concatenate([gaussian(1200, -1.0, 0.6), gaussian(2800, 1.0, 0.6)])
    start = gaussian(2000, 0.1, 1.0)
    gaps = []
    for h in (0.4, 0.2):
        at_grid = np.asarray(field(GRID[:, None], target[:, None], start[:, None], bandwidth=h))
        v = np.interp(start, GRID, at_grid[:, 0])
        smoothed = np.trapezoid(norm.pdf(GRID, start[:, None], h) * at_grid[:, 0], GRID, axis=1)
        exact = np.mean(v * smoothed) / h**2
        step = 1e-3
        before, after = (smoothed_kl(start + d * v, target, h) for d in (-step, step))
        np.testing.assert_allclose((before - after) / (2 * step), exact, rtol=1e-3)
        gaps.append(abs(np.mean(v**2) / h**2 / exact - 1))
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(2.0, abs=0.5)
    assert gaps[1] < 0.1


@pytest.mark.statistical
@pytest.mark.parametrize("form", ["two-sided", "sinkhorn"])
def test_many_positives_keep_the_weights_of_the_modes(form):
    """Particles in the trained field settle on two modes, 0.7 and 0.3 of them, as the positives.

    With 64 of each and a temperature of 0.2. With one positive per state, as policies are trained,
    the weights come out flatter: see the probes of the agent.
    """
    modes = jnp.array([[0.6, 0.2], [-0.6, -0.2]])

    @jax.jit
    def settle(key):
        noise, start = jax.random.split(key)
        first = jnp.arange(64)[:, None] < 45
        p = jnp.where(first, modes[:1], modes[1:]) + 0.08 * jax.random.normal(noise, (64, 2))
        x = 0.5 * jax.random.normal(start, (64, 2))

        def step(x, t):
            def loss(x):
                loss, info = drift_loss(x[None], p[None], temperatures=(0.2,), form=form)
                return loss[0], info

            gradient, info = jax.grad(loss, has_aux=True)(x)
            # This multiple of the gradient moves x by ``rate sigma F``. The rate falls to zero, as
            # F has a root mean square of 1 however near the particles are to rest.
            rate = 0.05 * (1 - t / 400)
            return x - rate * info.scale**2 * 64 / 2 * gradient, info.raw_norms[0]

        return jax.lax.scan(step, x, jnp.arange(400.0))

    x, norms = jax.vmap(settle)(jax.random.split(statistical.key(0), 8))
    first = np.mean(x[..., 0] > 0, axis=1)
    statistical.assert_within("first mode", np.mean(first) - 45 / 64, -0.05, 0.05)
    distance = np.linalg.norm(x[..., None, :] - modes[None, None], axis=-1).min(axis=-1)
    statistical.assert_within("at a mode", np.mean(distance < 0.3), low=0.8)
    if form == "two-sided":  # What is to be watched: this falls. A plan always finds a way to go.
        statistical.assert_within("norm left", np.max(norms[:, -1] / norms[:, 0]), high=0.05)
