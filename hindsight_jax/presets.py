"""The rows: algorithm x environment -> every value of a run, under a name such as hdm_push.

`<algorithm>_<environment>` is the best that we know for wall-clock; with `_paper` it is the paper's schedule to the
letter. Everything that differs between the two stands in TUNED, and in BUILD_NOTES.md with its ablation.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hindsight_jax import checks, fields
from hindsight_jax.fields import FIELDS, Value

ALGORITHMS: dict[str, tuple[str, dict[str, Value]]] = {
    "hdm": (
        "hindsight divergence minimisation: TD + imitation where Q sees progress",
        {"agent.imitation": "indicator"},
    ),
    "her": ("hindsight experience replay, rewards (-1, 0), double Q-learning", {}),
    "her_01": (
        "hindsight experience replay, rewards (0, 1)",
        {
            "relabel.reward_reached": 1.0,
            "relabel.reward_otherwise": 0.0,
            "agent.bounded": False,
            "agent.hindsight_bound": False,  # the bound counts rewards of -1
        },
    ),
    "her_sql": (
        "HER with the soft backup of soft Q-learning",
        {"agent.backup": "mellow", "agent.hindsight_bound": False},  # soft values lie below what is reached
    ),
    "her_hbc": ("HER with imitation of every row", {"agent.imitation": "always"}),
}

ENVIRONMENTS: dict[str, tuple[str, dict[str, Value]]] = {
    "push": (
        "a hand pushes a puck to a goal place",
        {"agent.gamma_hdm": 0.5, "agent.epsilon": 0.2, "relabel.next_state": 0.6, "env.threshold": 0.05},
    ),
}

# What the defaults change in the papers' schedule; BUILD_NOTES.md holds the ablation of each line.
TUNED: dict[str, dict[str, Value]] = {
    "push": {
        "total_steps": 250_000,
        "agent.learning_rate": 2e-3,
        "agent.target_period": 1,
        "agent.hidden_sizes": (256, 256),
        "agent.scale_inputs": True,
        "agent.hindsight_bound": True,
        "env.num_envs": 4,
        "replay.capacity": 10_000,
        "evaluation.every": 10_000,
    },
}

# Numeric values that do not change shapes: the members of one population may differ in them.
POPULATION_FIELDS = (
    "agent.learning_rate",
    "agent.gamma",
    "agent.gamma_hdm",
    "agent.beta",
    "agent.epsilon",
    "agent.target_rate",
    "agent.target_period",
    "agent.temperature",
    "relabel.behaviour",
    "relabel.next_state",
    "relabel.preference",
)


CHANGED_SHARE = 0.06  # a goal asks for a change if it is further than this share of the threshold: 3 mm for push


def names() -> tuple[str, ...]:
    """Every name that `config` takes.

    >>> "hdm_push" in names() and "hdm_push_paper" in names()
    True
    """
    rows = [f"{algorithm}_{environment}" for algorithm in ALGORITHMS for environment in ENVIRONMENTS]
    return tuple(name + suffix for name in rows for suffix in ("", "_paper"))


def split(name: str) -> tuple[str, str, bool]:
    """(algorithm, environment, paper's schedule). Raises ValueError for an unknown name."""
    base, paper = name.removesuffix("_paper"), name.endswith("_paper")
    for algorithm in ALGORITHMS:
        for environment in ENVIRONMENTS:
            if base == f"{algorithm}_{environment}":
                return algorithm, environment, paper
    checks.fail("name", repr(name), "it must be one of presets.names()", "List them: python -m experiments.run --list.")


def config(name: str) -> dict[str, Any]:
    """Every value of the run `name`, by dotted field.

    >>> config("hdm_push_paper")["agent.gamma_hdm"]
    0.5
    """
    algorithm, environment, paper = split(name)
    values = {field: spec.default for field, spec in FIELDS.items()}
    tuned = {} if paper else TUNED[environment]
    return values | ENVIRONMENTS[environment][1] | tuned | ALGORITHMS[algorithm][1]


def describe(name: str) -> str:
    """One line of help."""
    algorithm, environment, paper = split(name)
    schedule = "; the paper's schedule to the letter" if paper else ""
    return f"{ENVIRONMENTS[environment][0]}: {ALGORITHMS[algorithm][0]}{schedule}"


class Experiment(NamedTuple):
    """What a name and its values make."""

    env: Any  # GoalEnv
    agent: Any  # agents.Agent
    run: Any  # training.Run
    num_bytes_of_ring: int  # per member
    num_epochs: int  # after the warm-up
    epochs_between_evaluations: int


def build(name: str, values: Mapping[str, Any]) -> Experiment:
    """The environment, the run and its lengths from a complete dict of values, as `config` makes it.

    Raises ValueError if a field is missing or unknown, of a wrong type, out of range, or does not fit the others.

    >>> experiment = build("hdm_push", config("hdm_push"))
    >>> experiment.env.spec.horizon
    50
    """
    values = fields.complete(values)
    # Imported here: MuJoCo and brax take seconds, and listing names must not.
    from hindsight_jax import agents, envs, relabel, replay, training

    _, environment, _ = split(name)
    env = envs.make(environment, horizon=values["env.horizon"], threshold=values["env.threshold"])
    agent = agents.q_learning(
        env.spec,
        distance=env.distance,
        values=agents.QLearningValues(**{n: values[f"agent.{n}"] for n in agents.QLearningValues._fields}),
        hidden_sizes=values["agent.hidden_sizes"],
        layer_norm=values["agent.layer_norm"],
        scale_inputs=values["agent.scale_inputs"],
        backup=values["agent.backup"],
        imitation=values["agent.imitation"],
        next_state=values["agent.next_state"],
        hindsight_bound=values["agent.hindsight_bound"],
        upper=0.0 if values["agent.bounded"] else None,
    )
    ring = replay.make_ring(training.example_trajectory(env), values["replay.capacity"])
    schedule = training.Schedule(
        num_envs=values["env.num_envs"],
        updates_per_epoch=values["agent.updates_per_epoch"],
        batch_size=values["agent.batch_size"],
        warmup_trajectories=values["replay.warmup"],
        evaluation_episodes=values["evaluation.episodes"],
    )
    law, preference = _goals(env, values)
    reward_fn = relabel.reward_by_index(values["relabel.reward_reached"], values["relabel.reward_otherwise"])
    run = training.make_run(env, agent, ring, law, reward_fn, schedule, preference)
    epoch_steps = schedule.num_envs * env.spec.horizon
    after_warmup = max(values["total_steps"] - schedule.warmup_trajectories * env.spec.horizon, 0)
    return Experiment(
        env=env,
        agent=agent,
        run=run,
        num_bytes_of_ring=ring.num_bytes,
        num_epochs=-(-after_warmup // epoch_steps),
        epochs_between_evaluations=max(values["evaluation.every"] // epoch_steps, 1),
    )


def _goals(env: Any, values: Mapping[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """The law over goals and the preference (None if it is off), as functions of a member's own numbers."""
    from hindsight_jax import relabel

    preferred = values["relabel.preference"] > 0
    numbers = {name: values[f"relabel.{name}"] for name in ("behaviour", "next_state")}
    numbers |= {"preference": values["relabel.preference"]} if preferred else {}

    def of_member(overrides: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in overrides.items():
            if name not in numbers:
                rule = f"its name must be one of {', '.join(f'relabel.{known}' for known in numbers)}"
                remedy = "Rename it."
                if name == "preference":
                    remedy = "A preference must be on for all members: set relabel.preference above 0."
                checks.fail(f"values['relabel.{name}']", value, rule, remedy)
        return numbers | dict(overrides)

    def law(overrides: Mapping[str, Any]) -> Any:
        own = of_member(overrides)
        return relabel.hindsight(own["behaviour"], own["next_state"])

    def prefer(overrides: Mapping[str, Any]) -> Any:
        changed = lambda achieved, goal: env.distance(achieved, goal) > CHANGED_SHARE * env.spec.threshold
        candidates, probability = values["relabel.num_candidates"], of_member(overrides)["preference"]
        return relabel.prefer(changed, num_candidates=candidates, probability=probability)

    return law, prefer if preferred else None
