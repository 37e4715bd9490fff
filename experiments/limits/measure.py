"""The three measurements: objects that random play leaves alone, values that sink, and luck that is imitated.

Dimension key: S seeds, E evaluations, N pairs of a state and a goal, K bits, A actions.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import hindsight_jax as hj
from experiments.limits import tasks
from hindsight_jax import datasets, envs, numerics, statistics, training, types
from hindsight_jax.networks import QNetwork
from hindsight_jax.runs import chance

PLAYED = 200  # episodes of an evaluation
LOCKS = (3, 9)  # digits
LOCK_STEPS, BIT_STEPS, GAMBLE_STEPS = 32_000, 12_000, 24_000  # env steps of a seed
BITS = 6
PAIRS = 600  # N
_NO_BOUND = {"agent.bounded": False, "agent.hindsight_bound": False, "relabel.absorbing": False}
BOUNDS: dict[str, dict[str, Any]] = {
    "nothing": _NO_BOUND,
    "agent.bounded": _NO_BOUND | {"agent.bounded": True},
    "agent.hindsight_bound": _NO_BOUND | {"agent.hindsight_bound": True},
    "relabel.absorbing": _NO_BOUND | {"relabel.absorbing": True},
}
RECORDED, SHARE = 20, 0.25  # successes in a file, and their share of a batch
GAMBLERS: dict[str, tuple[str, dict[str, Any]]] = {  # by what the page calls them
    "gcsl": ("gcsl", {}),
    "hem": ("hem", {}),
    "hdm": ("hdm", {}),
    "hdm_progress": ("hdm_progress", {}),
    "hdm_v": ("hdm_v", {}),
    "gcivl": ("gcivl", {}),
    "her": ("her", {}),
    "her without own goals": ("her", {"relabel.behaviour": 0.0}),
    "nce": ("nce", {}),
}


def locks(seeds: Sequence[int], report: Callable[[str], None]) -> dict[str, Any]:
    """By digits: the change ratio of random play, the success of gcsl and hdm; of the last also hdm with remedies."""
    found: dict[str, Any] = {}
    for size in LOCKS:
        ratio = chance.chance(tasks.Lock(size), 2_000).change_ratio
        rows = {name: _lock(name, size, seeds, {}, report) for name in ("gcsl", "hdm")}
        found[str(size)] = {"change_ratio": ratio, **rows}
    last = found[str(LOCKS[-1])]
    last["hdm, starts anywhere"] = _lock("hdm", LOCKS[-1], seeds, {"env.start": "uniform"}, report)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "recorded.npz")
        datasets.save(file, recorded(tasks.Lock(LOCKS[-1])))
        data = {"data.file": file, "data.share": SHARE}
        last[f"hdm, {RECORDED} recorded"] = _lock("hdm", LOCKS[-1], seeds, data, report)
    return found


def recorded(env: tasks.Lock) -> types.Trajectory:
    """Episodes [RECORDED, ...] of one who knows the digits."""

    def policy(observation: jax.Array, goal: jax.Array, key: jax.Array) -> jax.Array:
        del key
        opened, place = jnp.argmax(observation[:-1]), observation[-1]
        towards = jnp.sign(goal[0] - place).astype(jnp.int32) + 1
        return jnp.where(opened == env.size, towards, jnp.asarray(tasks.DIGITS)[opened]).astype(jnp.int32)[None]

    return datasets.collect(env, policy, numerics.key(0), episodes=RECORDED)


def _lock(
    name: str, size: int, seeds: Sequence[int], more: Mapping[str, Any], report: Callable[[str], None]
) -> dict[str, Any]:
    """The success of one run on the lock that is closed, wherever it began its own episodes."""
    overrides = {"env.size": size, "evaluation.every": LOCK_STEPS, "evaluation.episodes": 1} | dict(more)
    study = _trained(f"{name}_lock", seeds, overrides, LOCK_STEPS, report)
    return of_seeds(played(tasks.Lock(size), study.trained[()]))


def bounds(seeds: Sequence[int], report: Callable[[str], None]) -> dict[str, Any]:
    """By what bounds the values of hdm on flip_bit: values by distance, the imitated share over time, and success."""
    found = {}
    for label, options in BOUNDS.items():
        overrides = {"env.size": BITS, "evaluation.every": BIT_STEPS // 6, "evaluation.episodes": PLAYED, **options}
        overrides |= {"agent.hidden_sizes": (64, 64), "agent.batch_size": 128, "agent.gamma_hdm": 0.5}
        study = _trained("hdm_flip_bit", seeds, overrides, BIT_STEPS, report)
        found[label] = {
            "env_steps": study["env_steps"][0].tolist(),
            "q_mean": study["q_mean"].mean(0).tolist(),
            "imitated_fraction": study["imitated_fraction"].mean(0).tolist(),
            "value_by_distance": value_by_distance(study),
            "success": of_seeds(study["success_end"][:, -1]),
        }
    gamma = study.config["agent.gamma"]
    return {"true_value": [true_value(n, gamma) for n in range(1, BITS + 1)], "found": found}


def true_value(steps: int, gamma: float) -> float:
    """-(1 - gamma^(n - 1)) / (1 - gamma): n steps earn -1 each, but the last one 0, and nothing follows.

    >>> [true_value(n, 0.5) for n in (1, 2, 3)]
    [0.0, -1.0, -1.5]
    """
    return -(1.0 - gamma ** (steps - 1)) / (1.0 - gamma) + 0.0


def value_by_distance(study: Any) -> list[float]:
    """The mean of max_a Q(s, a, g) over seeds and pairs whose bits differ in 1, 2, .. K places."""
    generator = np.random.default_rng(0)
    bits, goals = generator.integers(0, 2, (2, PAIRS, BITS)).astype(np.float32)
    trained, config = study.trained[()], study.config
    spec: Any = envs.make("flip_bit", size=BITS).spec
    network = QNetwork(
        action=spec.action,
        hidden_sizes=config["agent.hidden_sizes"],
        observation_range=spec.observation_range if config["agent.scale_inputs"] else None,
        goal_range=spec.goal_range if config["agent.scale_inputs"] else None,
    )
    q = jax.jit(jax.vmap(network.apply, (0, None, None)))(trained.last.params, bits, goals)  # [S, N, 1, A]
    best = np.asarray(q).max(-1)[..., 0].mean(0)
    apart = np.abs(bits - goals).sum(-1)
    return [float(best[apart == n].mean()) for n in range(1, BITS + 1)]


def gambles(seeds: Sequence[int], report: Callable[[str], None]) -> dict[str, Any]:
    """By row: success, and the share of states of the walk in which it gambles; the optimum is 1 and 0."""
    found = {}
    for label, (name, options) in GAMBLERS.items():
        overrides = {"evaluation.every": GAMBLE_STEPS, "evaluation.episodes": PLAYED, **options}
        study = _trained(f"{name}_gamble", seeds, overrides, GAMBLE_STEPS, report)
        trained, env = study.trained[()], tasks.Gamble()
        gambled = np.asarray(gambling(trained.agent, env)(trained.last))
        found[label] = {
            "success": of_seeds(study["success_end"][:, -1]),
            "gambles": [float(share) for share in gambled.mean(0)],
        }
    return found


def gambling(agent: Any, env: tasks.Gamble) -> Callable[[Any], jax.Array]:
    """A function of agents' states: whether each gambles in each cell before the last, bool[S, L]."""
    goal, key = jnp.array([float(env.last)]), numerics.key(0)
    act = lambda state, place: agent.act(state, place[None], goal, key, False)[0] == 2
    cells = jnp.arange(env.last, dtype=jnp.float32)
    return jax.jit(jax.vmap(lambda state: jax.vmap(lambda place: act(state, place))(cells)))


def played(env: Any, trained: Any) -> np.ndarray:
    """Success at the end of PLAYED episodes of each seed's greedy policy, [S]."""

    def success(state: Any, key: jax.Array) -> jax.Array:
        policy = lambda observation, goal, key: trained.agent.act(state, observation, goal, key, False)
        return training.rollout(env, policy, key, PLAYED).success_end.mean()

    count = len(jax.tree.leaves(trained.last)[0])
    return np.asarray(jax.jit(jax.vmap(success))(trained.last, jax.random.split(numerics.key(1), count)))


def of_seeds(rates: np.ndarray) -> dict[str, float]:
    """The mean of rates [S] and its 95 % interval.

    >>> of_seeds(np.array([0.5, 0.5]))
    {'mean': 0.5, 'low': 0.5, 'high': 0.5}
    """
    found = statistics.interval(rates, rates=True)
    return {end: round(float(x), 3) for end, x in found._asdict().items()}


def _trained(
    name: str, seeds: Sequence[int], overrides: Mapping[str, Any], steps: int, report: Callable[[str], None]
) -> Any:
    """The study of one run, all seeds in one vmapped call."""
    report(f"{name} {dict(overrides)}")
    return hj.train(name, seeds=tuple(seeds), overrides=overrides, total_steps=steps)


PARTS: dict[str, Callable[[Sequence[int], Callable[[str], None]], dict[str, Any]]] = {
    "locks": locks,
    "bounds": bounds,
    "gambles": gambles,
}
