"""f-divergence Q-learning: Q-learning that matches the policy's visits to the hindsight data in any f-divergence.

A divergence D_f(p, q) = E_q f(p / q) enters by the convex conjugate f*(x) = sup_t x t - f(t), for D_f(p, q) is the
supremum of E_p T - E_q f*(T) over functions T [D 5]. All inputs are scalars, for one (s, a) with a hindsight goal s+
and a behaviour goal g; values are in units of reward. `hindsight_jax.losses` names the paper of the equations [D n].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax import checks
from hindsight_jax.losses import _validation

_Function = Callable[[jax.Array], jax.Array]


class Divergence(NamedTuple):
    """A convex f with f(1) = 0, its conjugate f*, and the domain of f*. All functions are elementwise.

    >>> kl = DIVERGENCES["kl"]
    >>> float(kl.generator(1.0)), float(kl.conjugate(1.0)), float(DIVERGENCES["reverse_kl"].conjugate(1.0))
    (0.0, 1.0, inf)
    """

    name: str
    generator: _Function  # f(t) of a ratio t = p / q; +inf where f is not defined. Use its gradient at t > 0 only
    conjugate: _Function  # f*(x); +inf, with a gradient of zero, outside its domain
    domain: _Function  # whether f*(x) is finite, bool
    help: str


def _extended(formula: _Function, domain: _Function, inside: float) -> _Function:
    """The formula on its domain, +inf elsewhere. `inside` is any point of the domain."""

    def total(x: jax.Array) -> jax.Array:
        # the formula gets `inside` in place of a point outside: selecting its NaN away would leave a NaN gradient
        finite = domain(x)
        return jnp.where(finite, formula(jnp.where(finite, x, inside)), jnp.inf)

    return total


def _everywhere(x: jax.Array) -> jax.Array:
    return jnp.full(jnp.shape(x), True)


def _not_negative(t: jax.Array) -> jax.Array:
    return jnp.asarray(t) >= 0


def _times_log(t: jax.Array, ratio: jax.Array) -> jax.Array:
    """t log ratio, which is 0 at t = 0."""
    return t * jnp.log(jnp.where(t > 0, ratio, 1.0))


def _make(
    name: str,
    *,
    generator: _Function,
    conjugate: _Function,
    domain: _Function,
    help: str,
    ratios: _Function = _not_negative,
) -> Divergence:
    """The divergence of these formulas, with f = +inf off `ratios` and f* = +inf off `domain`."""
    return Divergence(
        name=name,
        generator=_extended(generator, ratios, 1.0),
        conjugate=_extended(conjugate, domain, -1.0),
        domain=domain,
        help=help,
    )


_ALL = (
    _make(
        "kl",
        generator=lambda t: _times_log(t, t),
        conjugate=lambda x: jnp.exp(x - 1.0),
        domain=_everywhere,
        help="KL(p_pi, p_mu), f = t log t: the policy stays within the data",
    ),
    _make(
        "reverse_kl",
        generator=lambda t: -jnp.log(t),
        conjugate=lambda x: -1.0 - jnp.log(-x),
        domain=lambda x: jnp.asarray(x) < 0.0,
        help="KL(p_mu, p_pi), f = -log t: the policy covers all of the data",
    ),
    _make(
        "jensen_shannon",
        generator=lambda t: 0.5 * (_times_log(t, 2.0 * t / (1.0 + t)) - jnp.log((1.0 + t) / 2.0)),
        conjugate=lambda x: -0.5 * jnp.log1p(-jnp.expm1(2.0 * x)),
        # x < log(2) / 2, in a form whose rounding never puts a negative number into the logarithm
        domain=lambda x: jnp.expm1(2.0 * jnp.asarray(x)) < 1.0,
        help="the mean KL of both to their mean, between 0 and log 2",
    ),
    _make(
        "squared_hellinger",
        generator=lambda t: jnp.square(jnp.sqrt(t) - 1.0),
        conjugate=lambda x: 1.0 / (1.0 - x) - 1.0,
        domain=lambda x: jnp.asarray(x) < 1.0,
        help="sum (sqrt p_pi - sqrt p_mu)^2, between 0 and 2",
    ),
    _make(
        "pearson_chi2",
        generator=lambda t: jnp.square(t - 1.0),
        conjugate=lambda x: jnp.maximum(x, -2.0) + jnp.square(jnp.maximum(x, -2.0)) / 4.0,
        domain=_everywhere,
        help="sum (p_pi - p_mu)^2 / p_mu, by a quadratic that is flat below -2",
    ),
    _make(
        "total_variation",
        generator=lambda t: 0.5 * jnp.abs(t - 1.0),
        conjugate=lambda x: jnp.maximum(x, -0.5),
        domain=lambda x: jnp.asarray(x) <= 0.5,
        help="sum |p_pi - p_mu| / 2, between 0 and 1",
    ),
    _make(
        "quadratic",
        generator=lambda t: 0.5 * (jnp.square(t) - 1.0),
        conjugate=lambda x: 0.5 * (jnp.square(x) + 1.0),
        domain=_everywhere,
        help="half of Pearson's, with t over the whole line: the squared residual of Q-learning [D 19]",
        ratios=_everywhere,
    ),
)

DIVERGENCES: dict[str, Divergence] = {each.name: each for each in _ALL}
"""The divergences that `divergence` knows by name."""


def divergence(
    residual: ArrayLike,
    q_policy: ArrayLike,
    next_v: ArrayLike,
    discount: ArrayLike,
    *,
    f: str | Divergence,
    r: ArrayLike = -1.0,
) -> jax.Array:
    """f*(r - residual) - r + q_policy - discount next_v  [D 18].

    The residual is at the hindsight goal s+, the other values at a behaviour goal g; no gradient is stopped. The mean
    over the data has the minimum -D_f(p_pi, p_mu) over Q, at the residual r - f'(p_pi / p_mu), where p_mu is the law
    of (s, a, s+) in the data [D 10] and p_pi that of (s, a, g) under the policy [D 13]. This holds if (s, a) are
    discounted visits, s+ is drawn by the law `geometric(gamma)`, P Q is exact (one sampled s' is biased through f*),
    and g does not depend on the start.

    The reward r shifts the residual, and nothing else: f*(x + r) - r is the conjugate of f(t) - r (t - 1), which is the
    same divergence. For "quadratic" this is [D 19], (r - residual)^2 / 2 + 1/2 - r. For the others it keeps the
    residual, near -1 for a reward of -1 per step, in the domain of f*; with r = 0 it is f*(-residual). "reverse_kl"
    needs residual > r: give it an r below every reward.

    Args:
      residual: float[], Q(s, a, s+) - gamma P Q(s, a, s+).
      q_policy: float[], Q(s, a~, g) with a~ ~ pi(. | s, g), or its mean over a~.
      next_v: float[], P Q(s, a, g), the expected value after (s, a).
      discount: float[], gamma.
      f: a name of `DIVERGENCES`, or a Divergence of your own.
      r: the reward by which f is shifted, finite; the default is HER's reward per step. May be traced.

    Returns:
      float[], to be minimised, in units of reward. If r - residual is outside the domain of f* it is +inf, without NaN
      and without a gradient through the residual: a mean that is not finite says that r is too high.

    Raises:
      ValueError: wrong rank or dtype, an unknown name, or an r that is known and not finite.

    >>> # (-1 + 3)^2 / 2 + 1/2 + 1 = 3.5, and -4 - 0.5 * -6 = -1
    >>> float(divergence(-3.0, -4.0, -6.0, 0.5, f="quadratic"))
    2.5
    >>> # r - residual = 2 is outside of x < 1; with r = -4 it is -1: -1/2 + 4 - 1 = 2.5
    >>> [float(divergence(-3.0, -4.0, -6.0, 0.5, f="squared_hellinger", r=r)) for r in (-1.0, -4.0)]
    [inf, 2.5]
    """
    residual, q_policy, next_v, discount = _validation.scalars(
        residual=residual, q_policy=q_policy, next_v=next_v, discount=discount
    )
    largest = _validation.largest(residual.dtype)
    r = _validation.hyper_parameter("r", r, residual.dtype, low=-largest, high=largest, remedy="Use 0 for no shift.")
    return _named(f).conjugate(r - residual) - r + q_policy - discount * next_v


def up_to_ratio(f: str | Divergence, largest: ArrayLike) -> Divergence:
    """The divergence whose f is +inf above the ratio `largest`, so that its f* is finite everywhere.

    f*(x) is the supremum of x t - f(t) over t <= largest: the old f* up to x = f'(largest), and from there on the line
    largest x - f(largest). Its gradient, the ratio p / q that a residual stands for, is at most `largest`. A network
    that errs may leave the domain of an f*, and one residual outside of it makes a mean infinite.

    Args:
      f: a name of `DIVERGENCES`, or a Divergence of your own.
      largest: float[] > 1, so that f(1) = 0 stays. May be traced.

    Returns:
      A Divergence for `divergence`.

    Raises:
      ValueError: an unknown name, or a `largest` that is known and not a finite number > 1.

    >>> hellinger = up_to_ratio("squared_hellinger", 4.0)  # f'(4) = 1/2 and f(4) = 1: from 1/2 on 4 x - 1
    >>> [round(float(hellinger.conjugate(x)), 4) for x in (0.25, 0.5, 3.0)]
    [0.3333, 1.0, 11.0]
    """
    known, dtype = _named(f), jnp.result_type(float)
    limits = jnp.finfo(dtype)
    remedy = "Use 20, say. Without a limit, pass the divergence itself."
    low, high = 1.0 + float(limits.eps), float(limits.max)
    largest = _validation.hyper_parameter("largest", largest, dtype, low=low, high=high, remedy=remedy)
    highest, slope = jax.value_and_grad(known.generator)(largest)

    def conjugate(x: jax.Array) -> jax.Array:
        x = jnp.asarray(x, jnp.result_type(x, float))
        end, value, steepest = (constant.astype(x.dtype) for constant in (slope, highest, largest))
        return jnp.where(x <= end, known.conjugate(jnp.minimum(x, end)), steepest * x - value)

    return Divergence(
        name=f"{known.name} up to a ratio",
        generator=lambda t: jnp.where(t <= largest, known.generator(t), jnp.inf),
        conjugate=conjugate,
        domain=_everywhere,
        help=f"{known.help}; no ratio above a limit",
    )


def _named(f: Any) -> Divergence:
    """Looks a name up in DIVERGENCES; returns a Divergence as it is."""
    if isinstance(f, Divergence) and callable(f.conjugate):
        return f
    if not isinstance(f, str) or f not in DIVERGENCES:
        checks.fail("f", repr(f), f"it must be one of {', '.join(DIVERGENCES)}", "Or give a Divergence of your own.")
    return DIVERGENCES[f]
