"""HDM's property of Boltzmann policies [D 29], and what is made of it: signs, references and what is stopped.

Dimension key: A actions. Tables are rows of Q(s, ., g), [rows, A].
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from experiments.theory import tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import losses

NUM_ROWS, NUM_ACTIONS, TEMPERATURE = 1000, 4, 0.5


def tables() -> tuple[np.ndarray, np.ndarray]:
    """A thousand random rows of Q, and as many other policies."""
    generator = np.random.default_rng(0)
    return 2 * generator.normal(size=(NUM_ROWS, NUM_ACTIONS)), generator.dirichlet(np.ones(NUM_ACTIONS), NUM_ROWS)


def mean_q(pi: np.ndarray, q: np.ndarray) -> np.ndarray:
    """E_pi Q, [rows]."""
    return np.sum(pi * q, axis=1)


def entropy(pi: np.ndarray) -> np.ndarray:
    """H(pi) in nats, [rows]."""
    return scipy.special.entr(pi).sum(1)


def divergence(pi: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """KL(pi, reference) in nats, [rows]."""
    return scipy.special.rel_entr(pi, reference).sum(1)


def slope_at_boltzmann(sign: float) -> float:
    """The largest slope of E_pi Q + sign H(pi) in the logits of pi, at pi = softmax Q: 0 where that is stationary."""
    q, _ = tables()
    pi = scipy.special.softmax(q, axis=1)
    value = q - sign * np.log(pi)  # of an action; a softmax's slope is pi (value - mean value)
    return float(np.abs(pi * (value - np.sum(pi * value, axis=1, keepdims=True))).max())


def cloning_errors() -> tuple[float, float]:
    """The gradient of -Q(s, a) + E_pi Q against `losses.behaviour_cloning`'s: (pi stopped, pi differentiated)."""
    q, _ = tables()
    with jax.enable_x64(True):
        table, action = jnp.asarray(q), jnp.arange(NUM_ROWS) % NUM_ACTIONS
        ours = jax.vmap(jax.grad(lambda row, a: losses.behaviour_cloning(losses.log_prob(row, a))))(table, action)

        def pushed(stop):
            def loss(row, a):
                pi = jax.nn.softmax(row)
                return jnp.sum((jax.lax.stop_gradient(pi) if stop else pi) * row) - row[a]

            return np.asarray(jax.vmap(jax.grad(loss))(table, action))

        error = lambda stop: tabular.relative(pushed(stop) - np.asarray(ours), np.asarray(ours))
        return error(True), error(False)


def measure() -> tuple[Figure, ...]:
    """The figures of a thousand rows of four actions."""
    q, other = tables()
    boltzmann, total = scipy.special.softmax(q, axis=1), scipy.special.logsumexp(q, axis=1)
    even = np.full_like(q, 1 / NUM_ACTIONS)
    largest = lambda x: float(np.abs(x).max())
    gap = total - entropy(other) - mean_q(other, q)
    warm = scipy.special.softmax(q / TEMPERATURE, axis=1)
    scaled = TEMPERATURE * (scipy.special.logsumexp(q / TEMPERATURE, axis=1) - entropy(warm))
    stopped, differentiated = cloning_errors()
    return (
        equals(
            "E_pi Q - (logsumexp Q - H), pi = softmax Q",
            0,
            largest(mean_q(boltzmann, q) - total + entropy(boltzmann)),
            1e-10,
        ),
        equals(
            "with a mean: E_pi Q - (log mean exp Q + KL(pi, uniform))",
            0,
            largest(mean_q(boltzmann, q) - total + np.log(NUM_ACTIONS) - divergence(boltzmann, even)),
            1e-10,
        ),
        equals(
            "any policy: logsumexp Q - H - E_pi Q - KL(pi, softmax Q)",
            0,
            largest(gap - divergence(other, boltzmann)),
            1e-10,
        ),
        between("the error of [D 29] for them, median (nats)", 0.1, 5.0, np.median(gap)),
        equals("temperature 0.5: E_pi Q - tau (logsumexp Q / tau - H)", 0, largest(mean_q(warm, q) - scaled), 1e-10),
        between(
            "the same by [D 29] as printed, median (nats)",
            0.02,
            1.0,
            np.median(total - entropy(warm) - mean_q(warm, q)),
        ),
        equals("slope of E_pi Q + H(pi) at softmax Q", 0, slope_at_boltzmann(+1.0), 1e-10),
        between("slope of E_pi Q - H(pi) at softmax Q, largest", 0.1, 5.0, slope_at_boltzmann(-1.0)),
        equals("[D 32] from -Q(a) + E_pi Q with pi stopped: gradient, relative", 0, stopped, 1e-10),
        between("the same with pi differentiated", 0.1, 5.0, differentiated),
    )


def claim() -> Claim:
    """The property, and the sign and the stop that it is used with."""
    return Claim(
        key="boltzmann",
        title="The mean of Q under its own softmax is the log-sum-exp less the entropy",
        source="[D 29], used for [D 32]; [D 56] and appendix B.3 for the sign of the entropy",
        statement=(
            "E_pi Q = log sum_a exp Q - H(pi) for pi = softmax Q, so that pushing Q(s, a, g) up and E_pi Q down is "
            "imitation: the gradient of -log pi(a | s, g)."
        ),
        conditions=(
            "pi = softmax Q, at temperature 1: the weight lambda_f of the entropy in [D 14] is 1",
            "pi is a constant where E_pi Q is pushed down",
        ),
        verdict="holds; the sign in appendix B.3 does not",
        remark=(
            "The entropy is subtracted, as [D 29] has it. Appendix B.3 prints the Boltzmann policy as the maximiser of "
            "E_pi Q - H(pi); it is that of E_pi Q + H(pi), as in [D 14], whose term -lambda H is minimised. With the "
            "mean exp Q / |A| of [D 25] the entropy becomes the divergence from the uniform policy, and is added: "
            "E_pi Q = log mean_a exp Q + KL(pi, uniform). For another policy the right side is too large by KL(pi, "
            "softmax Q). [D 32] keeps the first term of [D 29] alone; that is exact for the gradient if pi is stopped, "
            "since then the slope of E_pi Q is that of the log-sum-exp, and drops the entropy's slope if it is not."
        ),
        figures=measure(),
    )
