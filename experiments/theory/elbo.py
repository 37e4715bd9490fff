"""hEM's lower bound: exact EM never lowers it; hindsight, a partial E-step, may.

Dimension key: N trajectories, G goals; policies are [S, G, A], laws q(tau, g) [N, G]; I iterations.
"""

import functools
from typing import NamedTuple

import numpy as np

from experiments.theory import drawing, trajectories
from experiments.theory.results import Claim, Figure, between, equals

NUM_PROBLEMS, NUM_ITERATIONS, EXAMPLE = 20, 30, 15
SLACK = 1e-12  # a fall by less is rounding


class Course(NamedTuple):
    """The bound after every half-step, and the success of the policy before every iteration; [I] each."""

    before: np.ndarray  # L(pi_t, q_t); NaN at t = 0
    after_e: np.ndarray  # L(pi_t, q_t+1)
    after_m: np.ndarray  # L(pi_t+1, q_t+1)
    success: np.ndarray  # of pi_t
    bound_gap: np.ndarray  # log p(O = 1) of pi_t less L(pi_t, q_t+1)


@functools.cache
def course(seed: int, hindsight: bool, graded: bool = False) -> Course:
    """EM from a random policy: the E-step is the posterior, or `hindsight`'s law.

    p(O = 1 | tau, g) is success, or the share of steps at the goal if `graded`.
    """
    problem, policy = trajectories.random_problem(seed)
    optimality = problem.share if graded else problem.reached
    rows, law = [], None
    for _ in range(NUM_ITERATIONS):
        evidence = trajectories.evidence(problem, policy, optimality)
        before = np.nan if law is None else trajectories.elbo(problem, policy, law, optimality)
        if hindsight:
            law = trajectories.hindsight(problem, policy)
        else:
            law = trajectories.posterior(problem, policy, optimality)
        after_e = trajectories.elbo(problem, policy, law, optimality)
        policy = trajectories.m_step(problem, law)
        after_m = trajectories.elbo(problem, policy, law, optimality)
        rows.append((before, after_e, after_m, evidence, np.log(evidence) - after_e))
    return Course(*np.array(rows).T)


def courses(hindsight: bool, graded: bool = False) -> list[Course]:
    """Those of all problems."""
    return [course(seed, hindsight, graded) for seed in range(NUM_PROBLEMS)]


@functools.cache
def best_success(seed: int) -> float:
    """The success of the best deterministic policy, chosen for each goal by itself."""
    problem, policy = trajectories.random_problem(seed)
    tables = trajectories.deterministic_policies(policy.shape[0], policy.shape[2])
    of = [
        trajectories.joint(problem, np.repeat(table[:, None], policy.shape[1], axis=1)) * problem.reached
        for table in tables
    ]
    return float(np.sum(np.max([np.sum(x, axis=0) for x in of], axis=0)))


def largest_fall(courses: list[Course], half_step: str) -> float:
    """The largest fall of the bound in an E-step ('E') or an M-step ('M'), 0 if there is none; in nats."""
    if half_step == "E":
        falls = [(c.before - c.after_e)[1:] for c in courses]
    else:
        falls = [c.after_e - c.after_m for c in courses]
    return max(float(np.max(fall)) for fall in falls) if falls else 0.0


def printed_bound(seed: int) -> float:
    """[M 11] at q = p(g) p(tau | pi, g), less log p(O = 1): above 0 if it is no lower bound; in nats."""
    problem, policy = trajectories.random_problem(seed)
    prior = trajectories.joint(problem, policy)
    return float(np.sum(prior * problem.reached) - np.log(trajectories.evidence(problem, policy, problem.reached)))


def m_step_gain(seed: int) -> float:
    """The largest gain of the bound by one of 200 policies near the M-step's, in nats; not positive if that is best."""
    problem, policy = trajectories.random_problem(seed)
    law = trajectories.posterior(problem, policy, problem.reached)
    best = trajectories.m_step(problem, law)
    generator = np.random.default_rng([seed, 2])
    value = lambda pi: trajectories.elbo(problem, pi, law, problem.reached)
    others = [0.95 * best + 0.05 * generator.dirichlet(np.ones(2), (3, 3)) for _ in range(200)]
    return max(value(pi) for pi in others) - value(best)


def measure() -> tuple[Figure, ...]:
    """The figures of twenty problems."""
    exact, graded, partial = courses(False), courses(False, graded=True), courses(True)
    gap = max(float(np.abs(c.bound_gap).max()) for c in (*exact, *graded))
    left = [best_success(seed) - c.success[-1] for seed, c in enumerate(exact)]
    lowered = sum(bool(np.any(c.after_e[1:] < c.before[1:] - SLACK)) for c in partial)
    worse = sum(bool(np.any(np.diff(c.success) < -SLACK)) for c in partial)
    short = [best_success(seed) - c.success[-1] for seed, c in enumerate(partial)]
    return (
        equals("full E-step: log p(O = 1) less the bound (nats)", 0, gap, 1e-10),
        equals("full EM: largest fall of the bound in an E-step", 0, max(largest_fall(exact, "E"), 0.0), 1e-10),
        equals("the same in an M-step", 0, max(largest_fall(exact, "M"), 0.0), 1e-10),
        equals(
            "the same with graded returns, both steps", 0, max(*(largest_fall(graded, x) for x in "EM"), 0.0), 1e-10
        ),
        equals("full EM: iterations after which success is lower", 0, _falls(exact), 0),
        between("a policy near the M-step's: its largest gain (nats)", -1.0, 0.0, max(map(m_step_gain, range(5)))),
        between("best success less that of full EM, 30 iterations: largest", 0.0, 0.05, max(left)),
        equals("hindsight E-step: largest fall in an M-step", 0, max(largest_fall(partial, "M"), 0.0), 1e-10),
        between("the same in an E-step (nats)", 1e-4, 1.0, largest_fall(partial, "E")),
        between("problems of 20 in which an E-step lowers the bound", 1, NUM_PROBLEMS, lowered),
        between("problems in which success falls at times", 1, NUM_PROBLEMS, worse),
        between("best success less that of hindsight EM: mean", 0.03, 0.3, float(np.mean(short))),
        between("[M 11] as printed, above log p(O = 1) by (nats): least", 0.1, 5.0, min(map(printed_bound, range(20)))),
    )


def _falls(courses: list[Course]) -> int:
    return sum(int(np.sum(np.diff(c.success) < -SLACK)) for c in courses)


def claim() -> Claim:
    """The rise of the bound, and what hindsight makes of it."""
    return Claim(
        key="elbo",
        title="Exact EM never lowers the bound; a hindsight E-step may",
        source="[M 6-11], sections 2.3 and 3",
        statement=(
            "L(pi, q) = E_q log p(O = 1 | tau, g) - KL[q, p(g) p(tau | pi, g)] is at most log p(O = 1), with equality "
            "for the posterior; so neither a full E-step nor a full M-step lowers it, and success never falls."
        ),
        conditions=(
            "tabular policy, and an M-step by counts over whole trajectories: its exact maximiser",
            "the E-step is the full posterior, under the policy of the moment",
            "random dynamics do not matter: they are the same in prior and posterior",
        ),
        verdict="holds for full steps; not for hindsight as the E-step",
        remark=(
            "hEM's E-step is partial: q_h makes the first term of L as large as it can be, at any cost in the second. "
            "The next q_h may then be worse than the last one for the policy that the M-step made of it, and where "
            "dynamics are random success may fall as well, since imitating a lucky trajectory learns its action and "
            "not its luck. What the paper does claim for q_h is Theorem 3's bound, under conditions "
            "([claim 7](#7-after-an-exact-m-step-success-is-at-least-the-share-of-goals-in-the-buffer)). [M 11] "
            "drops the logarithm of [M 8]: as printed it bounds log E exp(R / alpha) and exceeds log p(O = 1); the "
            "figures are those of [M 8], which is -inf for a q with any weight on a failure."
        ),
        figures=measure(),
        caption=(
            f"Left: the bound after every half-step on problem {EXAMPLE}, and log p(O = 1) (dotted). Right: success "
            "less the best policy's, mean over 20 problems."
        ),
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2)
    for index, (name, hindsight) in enumerate((("posterior", False), ("hindsight", True))):
        shown = course(EXAMPLE, hindsight)
        halves = np.stack([shown.after_e, shown.after_m], axis=1)[:8].ravel()
        steps = np.arange(len(halves)) / 2
        drawing.line(left, steps, halves, f"E-step: {name}", index)
        drawing.reference_line(left, np.arange(8), np.log(shown.success[:8]), "log p(O = 1)" if not index else "")
        gap = np.mean([c.success - best_success(seed) for seed, c in enumerate(courses(hindsight))], axis=0)
        drawing.line(right, np.arange(20), gap[:20], f"E-step: {name}", index)
    drawing.label(left, "the bound L after each half-step", "iteration", "L (nats)")
    drawing.label(right, "success less the best policy's", "iteration", "success (probability)")
    for axis in (left, right):
        drawing.legend(axis)
    return drawing.png(figure)
