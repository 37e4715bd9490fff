"""Lemma 4.2 of HDM: the gradient of noise-contrastive estimation tends to that of InfoNCE like 1/k.

Dimension key: G goals.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import losses

NUM_GOALS = 256
SMALL, LARGE = 2.0 ** np.arange(0, 10), 2.0 ** np.arange(10, 21)  # noise samples per data sample


@functools.cache
def case() -> tuple[np.ndarray, np.ndarray]:
    """Q ~ N(0, 1) of every goal, and a distribution p+ of hindsight goals; noise goals are uniform."""
    generator = np.random.default_rng(0)
    return generator.normal(size=NUM_GOALS), generator.dirichlet(np.ones(NUM_GOALS))


def logits(q: jax.Array, stopped: bool = False) -> jax.Array:
    """Q - log Z, Z = E exp Q under the noise, exactly: [D 22] without its -log k."""
    log_z = jax.nn.logsumexp(q) - jnp.log(len(q))
    return q - (jax.lax.stop_gradient(log_z) if stopped else log_z)


def noise_term(q: jax.Array, k: Any, stopped: bool = False) -> jax.Array:
    """`losses.nce` as a function of its negatives alone."""
    return losses.nce(jnp.zeros((), q.dtype), logits(q, stopped), k=k)


def positive_term(q: jax.Array, p_future: jax.Array, k: Any) -> jax.Array:
    """E_{s+} of `losses.nce` as a function of its positive alone, plus E of the positive: log(1 + exp Delta)."""
    positive = logits(q)
    value = jax.vmap(lambda p: losses.nce(p, jnp.zeros(1, q.dtype), k=k))(positive)
    return jnp.sum(p_future * (value + positive))


def contrastive(q: jax.Array, p_future: jax.Array, k: Any) -> jax.Array:
    """All of `losses.nce`, in expectation over s+."""
    negatives = logits(q)
    return jnp.sum(p_future * jax.vmap(lambda p: losses.nce(p, negatives, k=k))(negatives))


def limit(q: jax.Array, p_future: jax.Array) -> jax.Array:
    """[D 23] as a loss: -(E_{s+} Q - log E exp Q)."""
    return -jnp.sum(p_future * logits(q))


@functools.cache
def norms() -> dict[str, np.ndarray]:
    """The norm of each gradient in units of the gradient of [D 23], for every k."""
    with jax.enable_x64(True):
        q, p_future = (jnp.asarray(x) for x in case())
        reference = jax.grad(limit)(q, p_future)
        terms = {
            "noise": jax.grad(noise_term),
            "positive": lambda q, k: jax.grad(positive_term)(q, p_future, k),
            "whole": lambda q, k: jax.grad(contrastive)(q, p_future, k) - reference,
            "stopped": jax.grad(functools.partial(noise_term, stopped=True)),
        }
        k = jnp.asarray(np.concatenate([SMALL, LARGE]))
        norm = lambda term: jax.jit(jax.vmap(lambda k: jnp.linalg.norm(term(q, k))))(k)
        return {name: np.asarray(norm(term) / jnp.linalg.norm(reference)) for name, term in terms.items()}


def measure() -> tuple[Figure, ...]:
    """The figures for k = 2^0 .. 2^20."""
    table, q = norms(), case()[0]
    slope = lambda name: tabular.slope(LARGE, table[name][len(SMALL) :])
    early = tabular.slope(SMALL[:4], table["noise"][:4])
    largest = np.exp(q).max() / np.exp(q).mean()
    return (
        equals("noise term: slope over k = 2^10 .. 2^20", -1, slope("noise"), 0.02),
        equals("positive term: slope", -1, slope("positive"), 0.02),
        equals("nce against InfoNCE [D 23]: slope", -1, slope("whole"), 0.02),
        between("the same at k = 2^20: relative difference", 0, 1e-4, table["whole"][-1]),
        between("max exp Q / E exp Q", 5, 50, largest),
        between("noise term: slope over k = 1 .. 8, below that", -0.5, 0.5, early),
        between("noise term at k = 2^20 with Z stopped", 0.1, 10, table["stopped"][-1]),
    )


def claim() -> Claim:
    """The limit, and its rate."""
    return Claim(
        key="noise_contrastive",
        title="With many noise samples NCE becomes InfoNCE",
        source="[D Lemma 4.2, 9, 22, 23], proofs in B.1 and B.2",
        statement=(
            "With the logit Q - log E exp Q - log k the gradient of the noise term goes to 0 as k grows, and so does "
            "that of log(1 + exp Delta) in the positive term; what is left is the gradient of InfoNCE."
        ),
        conditions=(
            "Z = E exp Q is exact, over the same noise, and differentiated",
            "k is much larger than max exp Q / E exp Q",
        ),
        verdict="holds, at rate 1/k",
        remark=(
            "The lemma gives a limit; the rate is 1/k once k passes max exp Q / E exp Q, which is exponential in the "
            "spread of Q: a Q that tells goals well apart needs many noise samples. If Z is treated as a constant the "
            "noise term keeps its gradient."
        ),
        figures=measure(),
        caption="Norms of the gradients, in units of InfoNCE's, for Q ~ N(0, 1) over 256 goals.",
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (axis,) = drawing.panels(1, width=6.8)
    table, k = norms(), np.concatenate([SMALL, LARGE])
    names = {"noise": "noise term", "positive": "positive term", "stopped": "noise term, Z stopped"}
    for index, (key, name) in enumerate(names.items()):
        drawing.line(axis, k, table[key], name, index)
    drawing.reference_line(axis, LARGE, table["noise"][-1] * LARGE[-1] / LARGE, "slope -1")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    drawing.label(axis, "what NCE leaves over InfoNCE", "k, noise samples to one of data", "norm / norm of InfoNCE's")
    drawing.legend(axis, "lower left")
    return drawing.png(figure)
