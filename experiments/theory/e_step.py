"""E-steps under sparse rewards: MPO's returns the policy unchanged, the hindsight E-step does not.

The problem of hEM's theorem 1: one step, k actions, k goals, a reward of 1 for the action that is the goal.

Dimension key: k actions = goals, N samples of a buffer.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, tabular
from experiments.theory.results import Claim, Figure, equals
from hindsight_jax import losses

SIZES, NUM_SAMPLES, NUM_SEEDS = (4, 8, 16, 32, 64, 128), 64, 400
TEMPERATURE = 0.1


class Buffer(NamedTuple):
    """N steps of the uniform policy for uniform goals."""

    goal: np.ndarray  # [N]
    action: np.ndarray  # [N]


def collect(seed: int, k: int) -> Buffer:
    """A buffer of 64 random steps."""
    return Buffer(*np.random.default_rng([seed, k]).integers(0, k, (2, NUM_SAMPLES)))


def estimated_q(buffer: Buffer, k: int) -> np.ndarray:
    """The mean reward of every (goal, action) in the buffer, 0 for pairs that it does not hold: [k, k]."""
    hits = np.zeros((k, k))
    hit = buffer.goal == buffer.action
    hits[buffer.goal[hit], buffer.action[hit]] = 1.0
    return hits


def mpo_policy(q: np.ndarray, temperature: float) -> np.ndarray:
    """`losses.e_step` from the uniform policy, for every goal: [k goals, k actions]."""
    with jax.enable_x64(True):
        even = jnp.full(q.shape, -np.log(q.shape[1]))
        return np.exp(_e_steps(even, jnp.asarray(q), temperature))


@jax.jit
def _e_steps(log_prob: jax.Array, q: jax.Array, temperature: float) -> jax.Array:
    return jax.vmap(functools.partial(losses.e_step, temperature=temperature))(log_prob, q)


def hindsight_policy(buffer: Buffer, k: int) -> np.ndarray:
    """The M-step by counts of (action, goal = action): [k, k]; uniform for goals that the buffer does not hold."""
    policy = np.full((k, k), 1 / k)
    for action in np.unique(buffer.action):
        policy[action] = np.eye(k)[action]
    return policy


def success(policy: np.ndarray) -> float:
    """The probability that the action is the goal, for a uniform goal."""
    return float(np.mean(np.diag(policy)))


class Outcome(NamedTuple):
    """Means over the seeds, for one k."""

    informed: float  # share of goals for which MPO's E-step differs from pi
    informed_hindsight: float
    success: float
    success_hindsight: float
    left_over: float  # largest difference from pi where Q is 0


@functools.cache
def outcome(k: int) -> Outcome:
    """The outcome of one iteration, over 400 buffers."""
    samples = []
    for seed in range(NUM_SEEDS):
        buffer = collect(seed, k)
        q = estimated_q(buffer, k)
        informed = q.any(1)
        policy, hindsight = mpo_policy(q, TEMPERATURE), hindsight_policy(buffer, k)
        left_over = np.abs(policy[~informed] - 1 / k).max(initial=0.0)
        seen = len(np.unique(buffer.action)) / k
        samples.append((informed.mean(), seen, success(policy), success(hindsight), left_over))
    columns = np.array(samples)
    informed, seen, reached, reached_hindsight = columns[:, :4].mean(0).tolist()
    return Outcome(
        informed=informed,
        informed_hindsight=seen,
        success=reached,
        success_hindsight=reached_hindsight,
        left_over=float(columns[:, 4].max()),
    )


def gradient_error(temperature: float) -> float:
    """Relative error of eta times the M-step's first gradient against the policy gradient pi (Q - E Q), 8 actions."""
    q = np.random.default_rng(0).normal(size=(1, 8))
    m_step = temperature * (mpo_policy(q, temperature) - 1 / 8)
    policy_gradient = (q - q.mean()) / 8
    return tabular.relative(m_step - policy_gradient, policy_gradient)


def measure() -> tuple[Figure, ...]:
    """The figures for k = 64 and 64 samples; the picture has k = 4 .. 128."""
    measured, k = outcome(64), 64
    informed, seen = 1 - (1 - k**-2.0) ** NUM_SAMPLES, 1 - (1 - 1 / k) ** NUM_SAMPLES
    temperatures = np.array([10.0, 100.0, 1000.0])
    return (
        equals("where Q = 0: largest |q - pi|", 0, measured.left_over, 1e-10),
        equals("goals for which q differs from pi: 1 - (1 - 1/k^2)^64", informed, measured.informed, 0.003),
        equals("goals that hindsight informs: 1 - (1 - 1/k)^64", seen, measured.informed_hindsight, 0.01),
        equals("success of the uniform policy, 1/k", 1 / k, success(np.full((k, k), 1 / k)), 1e-12),
        equals(
            "success after MPO's E-step and an exact M-step", informed + (1 - informed) / k, measured.success, 0.003
        ),
        equals(
            "success after the hindsight E-step and an exact M-step",
            seen + (1 - seen) / k,
            measured.success_hindsight,
            0.01,
        ),
        equals(
            "slope over eta of the error to the policy gradient",
            -1,
            tabular.slope(temperatures, np.array([gradient_error(eta) for eta in temperatures])),
            0.02,
        ),
    )


def claim() -> Claim:
    """One E-step of either kind."""
    return Claim(
        key="e_step",
        title="With sparse rewards MPO's E-step gives the policy back; the hindsight E-step does not",
        source="[M section 3], prior work and (P.2)",
        statement=(
            "q(a) ~ pi(a) exp(Q / eta) is pi where the estimated Q is 0, which is nearly everywhere if rewards are "
            "sparse; for a large eta it is a step of policy gradient. Hindsight goals are rewarded by construction."
        ),
        conditions=(
            "Q is estimated from the buffer, 0 where it holds no reward",
            "k actions, k goals, one step, N = 64",
        ),
        verdict="holds",
        remark=(
            "The paper argues it in words; here the shares of goals that get a signal are those of the two events, a "
            "sample that hits its own goal (1/k^2 for each goal) and a sample that hits the goal at all (1/k)."
        ),
        figures=measure(),
        caption="Means over 400 buffers of 64 steps of the uniform policy; one E-step and one exact M-step.",
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2)
    outcomes = [outcome(k) for k in SIZES]
    drawing.line(left, SIZES, [o.informed for o in outcomes], "MPO's E-step", 0)
    drawing.line(left, SIZES, [o.informed_hindsight for o in outcomes], "hindsight E-step", 1)
    drawing.label(left, "goals for which the M-step learns", "k, actions and goals", "share of goals")
    drawing.line(right, SIZES, [o.success for o in outcomes], "MPO's E-step", 0)
    drawing.line(right, SIZES, [o.success_hindsight for o in outcomes], "hindsight E-step", 1)
    drawing.reference_line(right, SIZES, 1 / np.array(SIZES), "uniform policy, 1/k")
    drawing.label(right, "after one iteration", "k, actions and goals", "success (probability)")
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_ylim(-0.05, 1.35)
        drawing.legend(axis)
    return drawing.png(figure)
