"""From a name and its values to a run: environment, agent, goal law, ring and schedule."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hindsight_jax import checks, fields
from hindsight_jax.presets import resolve, tables

CHANGED_SHARE = 0.06  # a goal asks for a change if it is further than this share of the threshold: 3 mm for push


class Setup(NamedTuple):
    """What a name and its values make."""

    env: Any  # GoalEnv
    agent: Any  # agents.Agent
    run: Any  # training.Run
    num_bytes_of_ring: int  # per member
    num_epochs: int  # after the warm-up
    epochs_between_evaluations: int


def build(name: str, values: Mapping[str, Any]) -> Setup:
    """The environment, the run and its lengths from a complete dict of values, as `config` makes it.

    Raises ValueError if a field is missing or unknown, of a wrong type, out of range, or does not fit the others.

    >>> setup = build("hem_flip_bit", resolve.config("hem_flip_bit"))
    >>> setup.env.spec.horizon
    25
    """
    values = fields.complete(values, resolve.fields_of(name))
    resolve.check(name, values)
    # Imported here: MuJoCo and brax take seconds, and listing names must not.
    from hindsight_jax import envs, replay, training

    algorithm, environment, _ = resolve.split(name)
    steps = resolve.horizon(name, values)
    taken = {field.removeprefix("env."): value for field, value in values.items() if field.startswith("env.")}
    num_envs = taken.pop("num_envs")
    env = envs.make(environment, **taken | {"horizon": steps})
    kind = tables.ALGORITHMS[algorithm].agent
    on_policy = kind == "policy_gradient"
    schedule = training.Schedule(
        num_envs=num_envs,
        updates_per_epoch=1 if on_policy else values["agent.updates_per_epoch"],
        batch_size=num_envs if on_policy else values["agent.batch_size"],
        warmup_trajectories=0 if on_policy else values["replay.warmup"],
        evaluation_episodes=values["evaluation.episodes"],
    )
    capacity = num_envs if on_policy else values["replay.capacity"]
    ring = replay.make_ring(training.example_trajectory(env), capacity)
    law, preference = (None, None) if on_policy else _goals(env, values)
    agent = AGENTS[kind](env, values)
    run = training.make_run(env, agent, ring, law, _reward_fn(env, values), schedule, preference)
    after_warmup = max(values["total_steps"] - schedule.warmup_trajectories * steps, 0)
    return Setup(
        env=env,
        agent=agent,
        run=run,
        num_bytes_of_ring=ring.num_bytes,
        num_epochs=-(-after_warmup // (num_envs * steps)),
        epochs_between_evaluations=max(values["evaluation.every"] // (num_envs * steps), 1),
    )


def _options(values: Mapping[str, Any], numbers: Any, *names: str) -> dict[str, Any]:
    """An agent's keyword arguments: its NamedTuple of numbers, and those that have a field of their name."""
    of = lambda names: {name: values[f"agent.{name}"] for name in names}
    return {"values": numbers(**of(numbers._fields))} | of(("hidden_sizes", "layer_norm", *names))


def _q_learning(env: Any, values: Mapping[str, Any]) -> Any:
    from hindsight_jax import agents

    names = ("scale_inputs", "backup", "imitation", "next_state", "hindsight_bound", "evaluated")
    options = _options(values, agents.QLearningValues, *names)
    upper = 0.0 if values["agent.bounded"] else None
    return agents.q_learning(env.spec, distance=env.distance, upper=upper, **options)


def _imitation(env: Any, values: Mapping[str, Any]) -> Any:
    from hindsight_jax import agents

    return agents.imitation(env.spec, **_options(values, agents.ImitationValues, "scale_inputs", "exploration"))


def _actor_critic(env: Any, values: Mapping[str, Any]) -> Any:
    from hindsight_jax import agents

    options = _options(values, agents.ActorCriticValues, "normalise_inputs", "clip_targets")
    return agents.actor_critic(env.spec, **options)


def _policy_gradient(env: Any, values: Mapping[str, Any]) -> Any:
    from hindsight_jax import agents

    names = ("scale_inputs", "goals", "num_goals", "group_size", "baseline")
    options = _options(values, agents.PolicyGradientValues, *names)
    return agents.policy_gradient(env.spec, success=env.success, **options)


# kind -> the agent of an environment and the values of a run
AGENTS: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "q_learning": _q_learning,
    "imitation": _imitation,
    "actor_critic": _actor_critic,
    "policy_gradient": _policy_gradient,
}


def _reward_fn(env: Any, values: Mapping[str, Any]) -> Any:
    """Rewards of relabelled rows; those of an agent that reads none are the default."""
    from hindsight_jax import relabel

    if "relabel.rewards" not in values:
        return relabel.reward_by_index()
    numbers = values["relabel.reward_reached"], values["relabel.reward_otherwise"]
    if values["relabel.rewards"] == "success":
        return relabel.reward_by_success(env.success, *numbers)
    return relabel.reward_by_index(*numbers)


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
