"""Goal laws: distributions over the state whose achieved goal becomes the goal of a step.

A trajectory of `length` actions has the states s_0 .. s_length. For the step t (0 <= t < length) a law draws an index:
-1 keeps the behaviour goal, i >= 1 takes phi(s_i). Every law looks ahead, t < i <= length, except `episode`.

    law = relabel.mixture((0.15, relabel.behaviour()), (0.17, relabel.next_state()), (0.68, relabel.future()))
    law.sample(key, t, length)      i32[]
    law.pmf(t, length, horizon)     f32[horizon + 2], exact: entry 0 is 'behaviour', entry 1 + i is state i

A law is a pytree: weights and the discount are leaves, the kinds are static, so the members of a population may differ
in these numbers. A step outside the trajectory (t >= length), invalid weights (negative, not finite, or all zero) and a
discount outside [0, 1] raise ValueError. Where `jax.jit` hides them, `sample` gives INVALID and `pmf` is all NaN.

Dimension key: H horizon, n components of a mixture. All functions are for one step; map them over a batch with
`jax.vmap`. `hindsight_jax.losses` names the paper of the equations [D n].
"""

import abc
import dataclasses
import math
from typing import Any, NoReturn

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics
from hindsight_jax.relabel import _validation

BEHAVIOUR = -1  # the index that keeps the behaviour goal
INVALID = -2  # from a traced `sample` for a step outside the trajectory or an invalid law; no index of a state


class Law(abc.ABC):
    """A distribution over -1 (behaviour) and the state indices 1..length, given t and length.

    A subclass implements `_draw` and `_mass`, which may assume that t and length are i32[] with 0 <= t < length.
    """

    @abc.abstractmethod
    def _draw(self, key: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        """Draws one index, i32[]."""

    @abc.abstractmethod
    def _mass(self, index: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        """The probability of each index, f32[H+2]; `index` is i32[H+2] = -1, 0, .., H."""

    def _is_valid(self) -> jax.Array:
        """bool[]: the leaves (weights, discount) are valid."""
        return jnp.asarray(True)

    def _components(self) -> list[tuple[jax.Array, "Law"]]:
        """(probability f32[], law) of every component, those of nested mixtures included."""
        return [(jnp.float32(1.0), self)]

    @numerics.steady
    def sample(self, key: jax.Array, t: Any, length: Any) -> jax.Array:
        """Draws the index of the state whose achieved goal becomes the goal.

        Args:
          key: one typed key, used here and nowhere else.
          t: i32[], the step, 0 <= t < length.
          length: i32[], actions of the trajectory.

        Returns:
          i32[]: -1 keeps the behaviour goal, else 1 <= i <= length (t < i except for `episode`). INVALID (-2) if t,
          length, the weights or the discount are traced and out of range.

        Raises:
          ValueError: a raw or batched key, a t or length that is not an integer scalar, or known values out of range.

        >>> int(future().sample(jax.random.key(0), 3, 4))  # s_4 is the only later state
        4
        """
        checks.typed_key("key", key)
        t, length = _step(t, length)
        exists = (t >= 0) & (t < length) & self._is_valid()
        return jnp.where(exists, self._draw(key, t, length), INVALID)

    @numerics.steady
    def pmf(self, t: Any, length: Any, horizon: int) -> jax.Array:
        """The exact distribution of `sample`.

        Args:
          t: i32[], the step, 0 <= t < length.
          length: i32[], actions of the trajectory, at most `horizon`.
          horizon: static, H.

        Returns:
          f32[H+2], summing to 1: entry 0 is 'behaviour', entry 1 + i is state i. NaN if t, length, the weights or the
          discount are traced and out of range.

        Raises:
          ValueError: a t or length that is not an integer scalar, or known values out of range.

        >>> mixture((0.5, behaviour()), (0.5, future())).pmf(1, 3, 4).tolist()  # s_2 and s_3 are later than s_1
        [0.5, 0.0, 0.0, 0.25, 0.25, 0.0]
        """
        horizon = checks.positive_int("horizon", horizon, "Pass the T of the ring.")
        t, length = _step(t, length, horizon)
        index = jnp.arange(-1, horizon + 1, dtype=jnp.int32)
        exists = (t >= 0) & (t < length) & (length <= horizon) & self._is_valid()
        return jnp.where(exists, self._mass(index, t, length), jnp.nan)

    def behaviour_probability(self) -> jax.Array:
        """f32[]: the probability of keeping the behaviour goal; the same for every t and length.

        >>> float(mixture((0.25, behaviour()), (0.75, final())).behaviour_probability())
        0.25
        """
        return jnp.float32(0.0)

    def given_hindsight(self) -> "Law":
        """The law conditioned on a hindsight goal: it does not keep the behaviour goal.

        Raises ValueError if this law always keeps the behaviour goal; with traced weights, samples are INVALID instead.

        >>> mixture((0.5, behaviour()), (0.5, future())).given_hindsight().pmf(0, 2, 2).tolist()
        [0.0, 0.0, 0.5, 0.5]
        """
        return self


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Behaviour(Law):
    """-1: keeps the goal that the trajectory was collected for."""

    def _draw(self, key: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        return jnp.int32(BEHAVIOUR)

    def _mass(self, index: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        return (index == BEHAVIOUR).astype(jnp.float32)

    def behaviour_probability(self) -> jax.Array:
        return jnp.float32(1.0)

    def given_hindsight(self) -> Law:
        _fail_no_hindsight("behaviour()")


_INDEX = {"next_state": lambda t, length: t + 1, "final": lambda t, length: length}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Deterministic(Law):
    """i is a function of t and length, given by the kind."""

    kind: str = dataclasses.field(metadata={"static": True})  # a key of _INDEX

    def _draw(self, key: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        return _INDEX[self.kind](t, length)

    def _mass(self, index: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        return (index == _INDEX[self.kind](t, length)).astype(jnp.float32)


_FIRST = {"future": lambda t: t + 1, "episode": lambda t: jnp.ones_like(t)}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Uniform(Law):
    """i uniform over first..length, where `first` is given by the kind."""

    kind: str = dataclasses.field(metadata={"static": True})  # a key of _FIRST

    def _draw(self, key: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        """Takes random bits modulo the number of states: exact to 2^-32, and cheaper than `randint`."""
        first = _FIRST[self.kind](t)
        count = (length + 1 - first).astype(jnp.uint32)
        return first + (jax.random.bits(key, (), jnp.uint32) % count).astype(jnp.int32)

    def _mass(self, index: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        first = _FIRST[self.kind](t)
        inside = (index >= first) & (index <= length)
        return inside.astype(jnp.float32) / (length + 1 - first).astype(jnp.float32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Geometric(Law):
    """P(i) proportional to discount^(i - t - 1) on t+1..length."""

    discount: jax.Array  # f32[], in [0, 1]

    def _draw(self, key: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        """Inverts P(offset < k) = (1 - discount^k) / (1 - discount^n), n = length - t, in the logarithm of discount.

        The logarithm is 0 at discount 1, where the limit is offset = floor(u n), and -inf at discount 0.
        """
        u = jax.random.uniform(key, (), jnp.float32)
        n = (length - t).astype(jnp.float32)
        log_discount = jnp.log(self.discount)
        flat = log_discount == 0.0
        slope = jnp.where(flat, -1.0, log_discount)
        offset = jnp.where(flat, u * n, jnp.log1p(u * jnp.expm1(n * slope)) / slope)
        return jnp.clip(t + 1 + jnp.floor(offset).astype(jnp.int32), t + 1, length)

    def _mass(self, index: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        offset = jnp.maximum(index - t - 1, 0).astype(jnp.float32)
        inside = (index > t) & (index <= length)
        weight = jnp.where(inside, self.discount**offset, 0.0)  # 0^0 is 1
        return weight / jnp.sum(weight)

    def _is_valid(self) -> jax.Array:
        checks.rank("discount", self.discount, 0, "Map the law over its population with jax.vmap.")
        return (self.discount >= 0.0) & (self.discount <= 1.0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mixture(Law):
    """Law k with probability weights[k] / sum(weights)."""

    weights: jax.Array  # f32[n]
    laws: tuple[Law, ...]  # n

    def probabilities(self) -> jax.Array:
        """weights / sum(weights), f32[n]; all NaN if a weight is negative or not finite, or if all are 0."""
        checks.rank("weights", self.weights, 1, "Map the law over its population with jax.vmap.")
        total = jnp.sum(self.weights)
        positive = jnp.all(self.weights >= 0.0) & (total > 0.0) & (total < jnp.inf)
        return jnp.where(positive, self.weights / total, jnp.nan)

    def _draw(self, key: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        """Inverts the cumulative probabilities; no rounding ever draws a component of probability 0."""
        key_component, *keys = jax.random.split(key, len(self.laws) + 1)
        p = self.probabilities()
        covers = (p > 0.0) & (jax.random.uniform(key_component, (), jnp.float32) < jnp.cumsum(p))
        last = (
            len(self.laws) - 1 - jnp.argmax(p[::-1] > 0.0)
        )  # for a u above a cumulative sum that rounds to less than 1
        component = jnp.where(jnp.any(covers), jnp.argmax(covers), last)
        indices = [law._draw(k, t, length) for law, k in zip(self.laws, keys, strict=True)]
        return jnp.stack(indices)[component]

    def _mass(self, index: jax.Array, t: jax.Array, length: jax.Array) -> jax.Array:
        masses = jnp.stack([law._mass(index, t, length) for law in self.laws])  # [n, H+2]
        return jnp.sum(self.probabilities()[:, None] * masses, axis=0)

    def _is_valid(self) -> jax.Array:
        valid = [law._is_valid() for law in self.laws]
        return jnp.all(self.probabilities() >= 0.0) & jnp.all(jnp.stack(valid))

    def _components(self) -> list[tuple[jax.Array, Law]]:
        p = self.probabilities()
        return [(p[k] * share, inner) for k, law in enumerate(self.laws) for share, inner in law._components()]

    def behaviour_probability(self) -> jax.Array:
        behaviours = [p for p, law in self._components() if isinstance(law, Behaviour)]
        return jnp.sum(jnp.stack(behaviours)) if behaviours else jnp.float32(0.0)

    def given_hindsight(self) -> Law:
        components = [(p, law) for p, law in self._components() if not isinstance(law, Behaviour)]
        if not components:
            _fail_no_hindsight("a mixture of behaviour() only")
        weights = jnp.stack([p for p, _ in components])
        if checks.is_concrete(weights) and not bool(jnp.sum(weights) > 0.0):
            _fail_no_hindsight(f"hindsight weights {weights.tolist()}")
        return Mixture(weights, tuple(law for _, law in components))


def behaviour() -> Law:
    """Keeps the goal that the trajectory was collected for: index -1.

    >>> behaviour().pmf(0, 2, 2).tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    return Behaviour()


def next_state() -> Law:
    """i = t + 1: next-state relabelling, the transitions that `reward_by_index` rewards [D 28].

    >>> next_state().pmf(0, 2, 2).tolist()
    [0.0, 0.0, 1.0, 0.0]
    """
    return Deterministic("next_state")


def future() -> Law:
    """i uniform over t+1..length: 'future' of HER (Andrychowicz et al., 2017).

    >>> future().pmf(0, 2, 2).tolist()
    [0.0, 0.0, 0.5, 0.5]
    """
    return Uniform("future")


def final() -> Law:
    """i = length: 'final' of HER (Andrychowicz et al., 2017).

    >>> final().pmf(0, 2, 2).tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    return Deterministic("final")


def episode() -> Law:
    """i uniform over 1..length, before or after t: 'episode' of HER. No action leads to s_0, so it is left out.

    >>> episode().pmf(1, 2, 2).tolist()
    [0.0, 0.0, 0.5, 0.5]
    """
    return Uniform("episode")


def geometric(discount: Any) -> Law:
    """P(i) = discount^(i-t-1) (1 - discount) / (1 - discount^(length-t)): [D 4], cut at the end of the trajectory.

    Args:
      discount: f32[] in [0, 1], may be traced; 0 is `next_state`, 1 is `future`.

    Raises:
      ValueError: a discount that is not a scalar number, or is known and outside [0, 1].

    A draw inverts one float32 uniform number, so `pmf` describes it to two steps of that number, 2.4e-7.

    >>> geometric(0.5).pmf(0, 2, 2).tolist() == [0.0, 0.0, jnp.float32(2 / 3), jnp.float32(1 / 3)]
    True
    """
    value = _validation.scalar("discount", discount)
    checks.in_range("discount", discount, 0.0, 1.0, "0 is next_state(), 1 is future().")
    return Geometric(value)


def mixture(*components: tuple[Any, Law]) -> Law:
    """Law k with probability weight k, drawn anew at every sample.

    Weights are divided by their sum wherever they are used, so traced weights need not sum to 1.

    Args:
      *components: pairs (weight, law). A weight is f32[] >= 0 and may be traced; known weights sum to 1 within 1e-6.

    Raises:
      ValueError: components that are not pairs, or known weights that are negative or do not sum to 1.

    >>> law = mixture((0.25, behaviour()), (0.75, mixture((0.5, next_state()), (0.5, final()))))
    >>> law.pmf(0, 3, 3).tolist()
    [0.25, 0.0, 0.375, 0.0, 0.375]
    """
    if not components:
        checks.fail("components", "none", "a mixture needs at least one", "Pass pairs (weight, law).")
    for component in components:
        if not (isinstance(component, tuple) and len(component) == 2 and isinstance(component[1], Law)):
            checks.fail("components", component, "each must be a pair (weight, law)", "Write (0.5, future()).")
    weights = [weight for weight, _ in components]
    stacked = jnp.stack([_validation.scalar("weight", weight) for weight in weights])
    for weight in weights:
        checks.in_range("weight", weight, 0.0, math.inf, "Use 0 to leave a component out.")
    if all(checks.is_concrete(weight) for weight in weights):
        total = sum(float(weight) for weight in weights)
        if not abs(total - 1.0) <= 1e-6:
            checks.fail("weights", weights, f"they must sum to 1, not {total:.7g}", "Divide them by their sum.")
    return Mixture(stacked, tuple(law for _, law in components))


def hindsight(behaviour_probability: Any, next_state_ratio: Any, rest: Law | None = None) -> Law:
    """The default mixture: b behaviour, (1-b) p next state, (1-b) (1-p) rest (HDM's Table 2 and appendix C).

    With rewards by index, `rest` uniform over the future and trajectories of T actions, the fraction of rewards 0 is
    (1-b) (p + (1-p) H/T), H the T-th harmonic number: 0.231, 0.463, 0.541 at p = 0.2, 0.5, 0.6 and b = 0.15, T = 50.

    Args:
      behaviour_probability: b, f32[] in [0, 1], may be traced.
      next_state_ratio: p, f32[] in [0, 1], may be traced.
      rest: a law of hindsight goals, `future()` by default.

    Raises:
      ValueError: numbers that are not scalars, or are known and outside [0, 1], or a rest that is not a Law.

    >>> hindsight(0.5, 0.5).pmf(0, 2, 2).tolist()
    [0.5, 0.0, 0.375, 0.125]
    """
    b = _validation.scalar("behaviour_probability", behaviour_probability)
    p = _validation.scalar("next_state_ratio", next_state_ratio)
    checks.in_range("behaviour_probability", behaviour_probability, 0.0, 1.0, "0.15 is the papers' value.")
    checks.in_range("next_state_ratio", next_state_ratio, 0.0, 1.0, "0.2 is the papers' default.")
    rest = future() if rest is None else rest
    if not isinstance(rest, Law):
        checks.fail("rest", checks.describe(rest), "it must be a law of goals", "Leave it out for future().")
    return mixture((b, behaviour()), ((1.0 - b) * p, next_state()), ((1.0 - b) * (1.0 - p), rest))


def _fail_no_hindsight(got: str) -> NoReturn:
    """Raises ValueError for a law that always keeps the behaviour goal."""
    checks.fail("law", got, "a hindsight goal must have positive probability", "Add future(), or drop the preference.")


def _step(t: Any, length: Any, horizon: int | None = None) -> tuple[jax.Array, jax.Array]:
    """Checks t and length, unless they are traced, and converts them to i32[]."""
    for name, value in (("t", t), ("length", length)):
        checks.integer(name, value)
        checks.rank(name, value, 0)
    longest = checks.INT32_MAX if horizon is None else horizon
    checks.in_range("length", length, 1, longest, "A goal needs a later state.")
    last = int(length) - 1 if checks.is_concrete(length) else checks.INT32_MAX
    checks.in_range("t", t, 0, last, "t is a step of the trajectory: 0 <= t < length.")
    return jnp.asarray(t).astype(jnp.int32), jnp.asarray(length).astype(jnp.int32)
