"""Imitation by progress: weights that say how much a step (s, a, s') advanced towards a goal g, and an expectile loss.

The weights compare two values of one function, V(s, g) and V(s', g), or two actions in one state, so that they rank
actions; `hdm_indicator` does not (see there). The former need no action in the critic, so that one agent serves
discrete and continuous actions and images. All inputs are scalars, for one transition; `_tm1` is at s, `_t` at s'. No
weight has a gradient.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax import checks
from hindsight_jax.losses import _validation

_GAMMA_REMEDY = "It is the discount of the values, per env step: 1 counts steps, below it they fade."
_NOT_NEGATIVE = "Use 0 to switch it off."


def steps_to_goal(v: ArrayLike, *, gamma: ArrayLike) -> jax.Array:
    """The number of steps that a value of -1 a step says, n(v) = log(1 + (1 - gamma) v) / log gamma; at gamma = 1 -v.

    It inverts v = -(1 - gamma^n) / (1 - gamma), the return of n steps of reward -1, after which all rewards are 0.

    Args:
      v: float[], a value in (-1 / (1 - gamma), 0], such as max_a Q(s, a, g). A value above 0 is taken as 0; one at or
        below -1 / (1 - gamma), which no number of steps has, gives inf.
      gamma: in (0, 1], the discount of v. May be traced.

    Returns:
      float[] >= 0, in env steps.

    Raises:
      ValueError: wrong rank or dtype, or a gamma that is known and out of range.

    >>> [round(float(steps_to_goal(v, gamma=0.5)), 4) for v in (0.0, -1.0, -1.5, -1.75)]
    [0.0, 1.0, 2.0, 3.0]
    """
    (v,) = _validation.scalars(v=v)
    smallest = float(jnp.finfo(v.dtype).tiny)
    gamma = _validation.hyper_parameter("gamma", gamma, v.dtype, low=smallest, high=1.0, remedy=_GAMMA_REMEDY)
    v = jnp.minimum(v, jnp.zeros_like(v))
    flat = gamma == 1.0
    rest = jnp.where(flat, 0.5, 1.0 - gamma)  # any number where it is not used: no NaN reaches a gradient
    left = jnp.maximum(1.0 + rest * v, 0.0)
    found = ~(left <= 0.0)  # NaN stays NaN
    # log1p of what is taken away is exact near the goal, where 1 + rest v rounds
    discounted = -jnp.log1p(jnp.where(found, rest * v, 0.0)) / -jnp.log1p(-rest)
    steps = jnp.where(flat, -v, jnp.where(found, discounted, jnp.inf))
    return jnp.where(v == 0.0, jnp.zeros_like(v), steps)  # no -0


def progress(v_tm1: ArrayLike, v_t: ArrayLike, *, gamma: ArrayLike, arrives: ArrayLike = False) -> jax.Array:
    """The steps by which (s, a, s') came closer to the goal, n(V(s, g)) - n(V(s', g)) with n as `steps_to_goal`.

    A step that arrives is paid 0 and not -1, so V(s, g) leaves it out, and V(s', g) says nothing of it: its progress is
    n(V(s, g)) + 1, all the steps that were left.

    With exact values and deterministic dynamics it is 1 for the best action, 0 for one that keeps the distance, and
    negative for one that leads away: unlike Q(s, a, g) - V(s', g), it tells actions apart. A step that starts at the
    goal arrives nowhere, wherever it ends.

    Args:
      v_tm1: float[], V(s, g), in units of a reward of -1 per step.
      v_t: float[], V(s', g), of the same network; not read where the step arrives.
      gamma: in (0, 1], the discount of the values. May be traced.
      arrives: bool[], whether s' is the goal and s is not; False where that is not known.

    Returns:
      float[], in env steps; 0 where both values say that the goal is never reached.

    Raises:
      ValueError: wrong rank or dtype, or a gamma that is known and out of range.

    >>> float(progress(-1.5, -1.0, gamma=0.5)), float(progress(-1.0, -1.5, gamma=0.5))
    (1.0, -1.0)
    >>> float(progress(0.0, -1.5, gamma=0.5, arrives=True))  # V is 0 one step away
    1.0
    """
    v_tm1, v_t = _validation.scalars(v_tm1=v_tm1, v_t=v_t)
    checks.rank("arrives", arrives, 0, "A loss takes one example: map it with jax.vmap.")
    checks.boolean("arrives", arrives)
    before, after = steps_to_goal(v_tm1, gamma=gamma), steps_to_goal(jnp.where(arrives, 0.0, v_t), gamma=gamma)
    both = jnp.isinf(before) & jnp.isinf(after)  # inf - inf is NaN
    gain = jnp.where(both, 0.0, before) - jnp.where(both, 0.0, after)
    return gain + jnp.asarray(arrives).astype(gain.dtype)


def progress_indicator(
    v_tm1: ArrayLike, v_t: ArrayLike, *, gamma: ArrayLike, steps: ArrayLike, arrives: ArrayLike = False
) -> jax.Array:
    """Whether to imitate: 1[progress(v_tm1, v_t) > steps].

    Args:
      v_tm1: float[], V(s, g).
      v_t: float[], V(s', g); not read where the step arrives.
      gamma: in (0, 1], the discount of the values. May be traced.
      steps: the least progress that is imitated, in env steps: 0 imitates any, 1/2 more than half a step, -inf all. May
        be traced.
      arrives: bool[], whether s' is the goal and s is not; False where that is not known.

    Returns:
      float[], 0 or 1, in the dtype of the values, without a gradient. A comparison with NaN is 0.

    Raises:
      ValueError: wrong rank or dtype, or a hyper-parameter that is known and out of range.

    >>> [float(progress_indicator(-1.5, v, gamma=0.5, steps=0.5)) for v in (-1.0, -1.5, -1.75)]
    [1.0, 0.0, 0.0]
    """
    gain = progress(v_tm1, v_t, gamma=gamma, arrives=arrives)
    steps = _validation.hyper_parameter("steps", steps, gain.dtype, remedy="Use 0 for any progress.")
    return jax.lax.stop_gradient((gain > steps).astype(gain.dtype))


def q_filter(q_tm1: ArrayLike, q_policy: ArrayLike) -> jax.Array:
    """Whether to imitate: 1[Q(s, a, g) > Q(s, pi(s, g), g)], where the critic prefers the data (Nair et al., 2018).

    Args:
      q_tm1: float[], the critic's value of the action taken.
      q_policy: float[], its value of the policy's own action in the same state.

    Returns:
      float[], 0 or 1, in the dtype of the values, without a gradient. A comparison with NaN is 0.

    Raises:
      ValueError: wrong rank or dtype.

    >>> float(q_filter(-3.0, -4.0)), float(q_filter(-4.0, -4.0))
    (1.0, 0.0)
    """
    q_tm1, q_policy = _validation.scalars(q_tm1=q_tm1, q_policy=q_policy)
    return jax.lax.stop_gradient((q_tm1 > q_policy).astype(q_tm1.dtype))


def advantage_weight(advantage: ArrayLike, *, scale: ArrayLike, largest: ArrayLike = 100.0) -> jax.Array:
    """The soft gate min(exp(scale advantage), largest), of advantage-weighted regression (Peng et al., 2019).

    With the advantage V(s', g) - V(s, g), of rewards that lie on s, it is GCIVL's weight (Park et al., OGBench, 2024).

    Args:
      advantage: float[], in units of reward.
      scale: >= 0, the inverse temperature; 0 imitates all rows alike. May be traced.
      largest: > 0, the bound of the weight. May be traced.

    Returns:
      float[] in [0, largest], without a gradient.

    Raises:
      ValueError: wrong rank or dtype, or a hyper-parameter that is known and out of range.

    >>> [round(float(advantage_weight(a, scale=1.0, largest=10.0)), 4) for a in (-1.0, 0.0, 5.0)]
    [0.3679, 1.0, 10.0]
    """
    (advantage,) = _validation.scalars(advantage=advantage)
    scale, largest = _soft("scale", scale, advantage), _soft("largest", largest, advantage)
    # the bound enters the exponent, so that no large advantage overflows
    return jax.lax.stop_gradient(jnp.minimum(jnp.exp(jnp.minimum(scale * advantage, jnp.log(largest))), largest))


def wgcsl_weight(
    advantage: ArrayLike,
    offset: ArrayLike,
    *,
    gamma: ArrayLike,
    cutoff: ArrayLike,
    largest: ArrayLike = 10.0,
    smallest: ArrayLike = 0.05,
) -> jax.Array:
    """WGCSL's weight, gamma^offset clip(exp A, 0, largest) (1 if A > cutoff, else smallest)  (Yang et al., 2022).

    Args:
      advantage: float[], A = r + gamma Q(s', pi(s', g), g) - Q(s, pi(s, g), g), in units of reward.
      offset: int[], how many steps later the goal was reached, i - t; below 1 the goal was not, and the weight is 0.
      gamma: in (0, 1], the discount. May be traced.
      cutoff: the advantage above which rows count in full: a percentile of recent ones. May be traced; -inf for all.
      largest: > 0, the bound of exp A. May be traced.
      smallest: >= 0, the factor of the other rows. May be traced.

    Returns:
      float[] >= 0, without a gradient.

    Raises:
      ValueError: wrong rank or dtype, or a hyper-parameter that is known and out of range.

    >>> import jax.numpy as jnp
    >>> [float(wgcsl_weight(0.0, jnp.int32(2), gamma=0.5, cutoff=c)) for c in (-1.0, 1.0)]  # 0.25, and 0.05 of it
    [0.25, 0.012500000186264515]
    """
    checks.rank("offset", offset, 0, "A loss takes one example: map it over the batch with jax.vmap.")
    checks.integer("offset", offset)
    offset = jnp.asarray(offset)
    weight = advantage_weight(advantage, scale=1.0, largest=largest)
    tiny = float(jnp.finfo(weight.dtype).tiny)
    gamma = _validation.hyper_parameter("gamma", gamma, weight.dtype, low=tiny, high=1.0, remedy=_GAMMA_REMEDY)
    cutoff = _validation.hyper_parameter("cutoff", cutoff, weight.dtype, remedy="Use -inf to count all rows in full.")
    smallest = _soft("smallest", smallest, weight)
    faded = gamma ** jnp.maximum(offset, 0).astype(weight.dtype) * weight
    factor = jnp.where(jnp.asarray(advantage, weight.dtype) > cutoff, 1.0, smallest)
    return jax.lax.stop_gradient(jnp.where(offset >= 1, faded * factor, 0.0))


def expectile(error: ArrayLike, *, tau: ArrayLike, positive: ArrayLike | None = None) -> jax.Array:
    """The expectile loss |tau - 1[error < 0]| error^2, for an error of target - prediction (Newey & Powell, 1987).

    The prediction that minimises its mean is the tau-expectile of the targets: their mean at 1/2, and their maximum as
    tau goes to 1. Of r + gamma V(s', g) over the data's actions it is a maximum over those actions that never asks for
    the value of an action that was not taken (implicit Q-learning, Kostrikov et al., 2022).

    Args:
      error: float[], target - prediction, in units of reward; stop the target's gradient yourself.
      tau: in [0, 1]. May be traced.
      positive: bool[], whether the error counts as positive, where another error decides that; None: its own sign.

    Returns:
      float[] >= 0, in units of reward squared; to be minimised. At tau = 1/2 half of the squared error.

    Raises:
      ValueError: wrong rank or dtype, or a tau that is known and out of range.

    >>> float(expectile(2.0, tau=0.75)), float(expectile(-2.0, tau=0.75))
    (3.0, 1.0)
    """
    (error,) = _validation.scalars(error=error)
    tau = _validation.hyper_parameter(
        "tau", tau, error.dtype, low=0.0, high=1.0, remedy="Use 0.5 for the mean, 0.9 near the maximum."
    )
    if positive is None:
        positive = error >= 0.0
    else:
        checks.rank("positive", positive, 0, "A loss takes one example: map it with jax.vmap.")
        checks.boolean("positive", positive)
    return jnp.where(positive, tau, 1.0 - tau) * jnp.square(error)


def _soft(name: str, value: ArrayLike, data: jax.Array) -> jax.Array:
    """A finite number >= 0."""
    largest = _validation.largest(data.dtype)
    return _validation.hyper_parameter(name, value, data.dtype, low=0.0, high=largest, remedy=_NOT_NEGATIVE)
