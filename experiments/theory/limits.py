"""HDM's limits: gamma_hdm = 0 is HER, infinity is HER + HBC; without the TD error it is GCSL; a large weight filters.

All are measured through the agents' own updates, on batches in which the indicator takes both values.

Dimension key: B batch.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, learner, tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import losses

SEEDS = range(4)
GAMMA_HDM = 0.85
WEIGHT = 3.0
WEIGHTS = (1.0, 10.0, 100.0, 1000.0, 10000.0)
THRESHOLDS = (0.0, 0.02, 0.1, 0.3, 0.5, 0.85, 1.5, 3.0, 10.0, 50.0, math.inf)


def bytes_apart(left: Any, right: Any) -> int:
    """How many bytes of two pytrees differ."""
    as_bytes = lambda tree: [np.frombuffer(np.asarray(leaf).tobytes(), np.uint8) for leaf in jax.tree.leaves(tree)]
    return sum(int(np.sum(a != b)) for a, b in zip(as_bytes(left), as_bytes(right), strict=True))


def her_bytes_apart(seed: int, gamma_hdm: float) -> int:
    """Bytes in which the networks and Adam of `hdm` and `her` differ after three updates."""
    states = []
    for agent in (learner.make_agent(), learner.make_agent(imitation="none")):
        state, update = learner.make_state(seed, gamma_hdm=gamma_hdm), learner.update_of(agent)
        for step in range(3):
            state, _ = update(state, learner.random_batch(seed + step), jax.random.key(step))
        states.append((state.params, state.target_params, state.adam))
    return bytes_apart(*states)


def hdm_gradient(seed: int, **values: float) -> np.ndarray:
    """The gradient of `hdm` on one batch."""
    agent = learner.make_agent()
    return np.asarray(learner.gradient(agent, learner.make_state(seed, **values), learner.random_batch(seed)))


def row_gradient(seed: int, imitation: str, **values: float) -> np.ndarray:
    """The gradient of `her` ("none") or `her_hbc` ("always") on the same batch."""
    agent = learner.make_agent(imitation=imitation)
    return np.asarray(learner.gradient(agent, learner.make_state(seed, **values), learner.random_batch(seed)))


def without_td(seed: int) -> np.ndarray:
    """The gradient of `hdm` with indicator 1 and targets equal to Q, so that the TD error and its gradient are 0."""
    agent = learner.make_agent(bounded=False)
    state, batch = learner.make_state(seed, gamma_hdm=math.inf, imitation_weight=WEIGHT), learner.random_batch(seed)
    q = learner.heads(state, batch.observation, batch.goal)[jnp.arange(len(batch.reward)), 0, batch.action[:, 0]]
    batch = batch._replace(reward=q, discount=jnp.zeros_like(batch.discount))
    return np.asarray(learner.gradient(agent, state, batch))


def gcsl_rows(seed: int) -> np.ndarray:
    """The gradient of `gcsl` on each transition, with Q as its logits: [B, n]."""
    agent = learner.make_imitator()
    state = learner.init_of(agent)(jax.random.key(0))._replace(params=learner.make_state(seed).params)
    return np.asarray(learner.row_gradients(agent, state, learner.random_batch(seed)))


def indicators(seed: int, gamma_hdm: float = GAMMA_HDM) -> np.ndarray:
    """exp Q(s, a, g) < gamma_hdm exp max Q(s', ., g) for each transition, in NumPy  [D 31]."""
    state, batch = learner.make_state(seed), learner.random_batch(seed)
    q = np.asarray(learner.heads(state, batch.observation, batch.goal), np.float64)[:, 0]
    q_next = np.asarray(learner.heads(state, batch.next_observation, batch.goal), np.float64)[:, 0]
    taken = np.take_along_axis(q, np.asarray(batch.action), 1)[:, 0]
    return np.exp(taken) < gamma_hdm * np.exp(q_next.max(-1))


def filtered_errors(seed: int) -> np.ndarray:
    """For each weight, the relative error of gradient / weight against imitation where the indicator is 1."""
    filtered = indicators(seed) @ gcsl_rows(seed) / len(indicators(seed))
    scaled = [hdm_gradient(seed, gamma_hdm=GAMMA_HDM, imitation_weight=weight) / weight for weight in WEIGHTS]
    return np.array([tabular.relative(gradient - filtered, filtered) for gradient in scaled])


def scalar_error(gamma_hdm: float, share: float) -> float:
    """The largest difference of the loss and its gradients from td + share weight behaviour_cloning, in float64."""
    with jax.enable_x64(True):
        columns = [jnp.asarray(x) for x in np.random.default_rng(0).normal(size=(6, 200))]

        def expected(q, log_prob, r, discount, v, v_online):
            return losses.td(q, r, discount, v) + share * WEIGHT * losses.behaviour_cloning(log_prob)

        hdm = functools.partial(losses.hdm, gamma_hdm=gamma_hdm, beta=WEIGHT)
        left, right = (jax.vmap(jax.value_and_grad(f, argnums=range(6)))(*columns) for f in (hdm, expected))
        differences = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), left, right)
    return max(jax.tree.leaves(differences))


def relative_to(value: np.ndarray, reference: np.ndarray) -> float:
    """The norm of value - reference, in units of the norm of the reference."""
    return tabular.relative(value - reference, reference)


def measure() -> tuple[Figure, ...]:
    """The figures of four batches."""
    picked = [float(indicators(seed).mean()) for seed in SEEDS]
    weight = {"imitation_weight": WEIGHT}
    hdm = {x: [hdm_gradient(s, gamma_hdm=x, **weight) for s in SEEDS] for x in (GAMMA_HDM, math.inf)}
    at_infinity = [relative_to(hdm[math.inf][i], row_gradient(s, "always", **weight)) for i, s in enumerate(SEEDS)]
    off_her = [relative_to(hdm[GAMMA_HDM][i], row_gradient(s, "none", **weight)) for i, s in enumerate(SEEDS)]
    imitation_only = [relative_to(without_td(s), WEIGHT * gcsl_rows(s).mean(0)) for s in SEEDS]
    filtered = np.array([filtered_errors(seed) for seed in SEEDS])
    unfiltered = [
        relative_to(
            hdm_gradient(s, gamma_hdm=GAMMA_HDM, imitation_weight=WEIGHTS[-1]) / WEIGHTS[-1], gcsl_rows(s).mean(0)
        )
        for s in SEEDS
    ]
    return (
        between("smallest share picked by the indicator at 0.85", 0.05, 0.95, min(picked)),
        between("largest share", 0.05, 0.95, max(picked)),
        equals(
            "gamma_hdm 0 and `her`: bytes that differ after 3 updates",
            0,
            sum(her_bytes_apart(s, 0.0) for s in SEEDS),
            0,
        ),
        between("gamma_hdm 0.85 and `her`: gradient", 0.1, 10, min(off_her)),
        equals("gamma_hdm infinity and `her_hbc`: gradient, float32", 0, max(at_infinity), 1e-5),
        equals("TD off, indicator 1, against weight x `gcsl`: float32", 0, max(imitation_only), 1e-5),
        equals("losses alone, gamma_hdm 0 and td: float64", 0, scalar_error(0.0, 0.0), 1e-10),
        equals("losses alone, gamma_hdm infinity and td + weight x imitation", 0, scalar_error(math.inf, 1.0), 1e-10),
        equals(
            "weight to infinity: slope of the error against filtered imitation",
            -1,
            tabular.slope(np.array(WEIGHTS), filtered.mean(0)),
            0.02,
        ),
        between("weight 1e4 against imitation of every row: error", 0.05, 10, min(unfiltered)),
    )


def claim() -> Claim:
    """The limits, and the effect of a large weight of imitation."""
    return Claim(
        key="limits",
        title="HER, HER + HBC and GCSL are limits of HDM",
        source="[D Algorithm 1, 12, 31, 32], section 4.4",
        statement=(
            "The threshold gamma_hdm leads from HER (0) to HER + HBC (infinity), and without the TD error the loss is "
            "hindsight behaviour cloning, times its weight."
        ),
        conditions=(
            "gamma_hdm may be exactly 0 and infinity",
            "next-state goals by relabelling, not by line 2",
            "the policy is the softmax of Q",
        ),
        verdict="holds",
        remark=(
            "A large weight of imitation alone does not give GCSL: it gives imitation of the rows that the indicator "
            "picks, since the indicator depends on Q and not on the weight. (It is `agent.imitation_weight`; the "
            "paper's beta is in the reward as well.)"
        ),
        figures=measure(),
        caption=(
            "Left: distance of HDM's gradient to those of its two limits, over gamma_hdm (outermost: 0 and infinity). "
            "Right: HDM's gradient over the weight, divided by it, against imitation of the picked and of all rows."
        ),
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2)
    her, hbc = row_gradient(0, "none", imitation_weight=WEIGHT), row_gradient(0, "always", imitation_weight=WEIGHT)
    gradients = [hdm_gradient(0, gamma_hdm=threshold, imitation_weight=WEIGHT) for threshold in THRESHOLDS]
    positions = np.arange(len(THRESHOLDS))
    for index, (name, limit) in enumerate((("HER", her), ("HER + HBC", hbc))):
        drawing.line(left, positions, [tabular.relative(g - limit, her - hbc) for g in gradients], f"to {name}", index)
    drawing.line(left, positions, [indicators(0, x).mean() for x in THRESHOLDS], "share picked", 2, dashed=True)
    left.set_xticks(positions, ["∞" if math.isinf(x) else f"{x:g}" for x in THRESHOLDS])
    drawing.label(left, "between the limits", "gamma_hdm", "distance / distance of the limits; share")
    drawing.legend(left)
    every = gcsl_rows(0).mean(0)
    against_all = [
        tabular.relative(hdm_gradient(0, gamma_hdm=GAMMA_HDM, imitation_weight=b) / b - every, every) for b in WEIGHTS
    ]
    drawing.line(right, WEIGHTS, filtered_errors(0), "picked rows", 0)
    drawing.line(right, WEIGHTS, against_all, "all rows (GCSL)", 1)
    right.set_xscale("log")
    right.set_yscale("log")
    drawing.label(right, "a large weight filters", "weight of imitation", "relative distance of the gradient")
    drawing.legend(right)
    return drawing.png(figure)
