"""From a name and its configuration to a run: environment, agent, goal law, ring and sizes."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hindsight_jax import checks
from hindsight_jax.agents.base import default_hparams
from hindsight_jax.presets import resolve
from hindsight_jax.presets.algorithms import AGENTS, ALGORITHMS, AgentKind
from hindsight_jax.presets.environments import ENVIRONMENTS

CHANGED_SHARE = 0.06  # a goal asks for a change if it is further than this share of the threshold: 3 mm for push


class Setup(NamedTuple):
    """What a name and its configuration make."""

    env: Any  # GoalEnv
    agent: Any  # agents.Agent
    run: Any  # training.Run
    num_bytes_of_ring: int  # per member
    num_epochs: int  # after the warm-up
    epochs_between_evaluations: int
    flops_per_update: float | None = None  # useful operations of one member; None: the agent does not count them
    data_sha256: str = ""  # of the file that it learns from, too; "": there is none, or it was not read


def build(name: str, config: Mapping[str, Any], read_data: bool = True) -> Setup:
    """The environment, the run and its lengths from a complete configuration, as `presets.config` makes it.

    With warm-up trajectories W, environments N and horizon T:

        num_epochs = ceil((total_steps - W T) / (N T))
        epochs_between_evaluations = max(floor(evaluation.every / (N T)), 1)

    Offline, with data.share=1, there is no warm-up (W = 0), and an epoch counts N T env steps although it takes none.

    Args:
      name: of the run.
      config: complete.
      read_data: whether to read data.file. Without it the run has an empty data set in its place: its states have the
        same shapes, and its policies play, but it cannot train.

    Raises:
      ValueError: a field is missing or unknown, of a wrong type, out of range, or does not fit the others; or the data
        are not the task's.

    >>> setup = build("hem_flip_bit", resolve.config("hem_flip_bit"))
    >>> setup.env.spec.horizon
    25
    """
    config = resolve.complete(name, config)
    read_data = checks.flag("read_data", read_data, "Pass False to play a run's policies without its data.")
    # Imported here: MuJoCo and brax take seconds, and listing names must not.
    from hindsight_jax import replay, training

    algorithm, _, _ = resolve.split(name)
    kind = AGENTS[ALGORITHMS[algorithm].agent]
    env = make_env(name, config)
    agent = make_agent(kind, env, config)
    on_policy, num_envs, steps = kind.batch == "trajectories", config["env.num_envs"], env.spec.horizon
    sizes = training.RunSizes(
        num_envs=num_envs,
        updates_per_epoch=1 if on_policy else config["agent.updates_per_epoch"],
        batch_size=num_envs if on_policy else config["agent.batch_size"],
        warmup_trajectories=config.get("replay.warmup", 0),  # on policy and offline there is none
        evaluation_episodes=config["evaluation.episodes"],
    )
    capacity = num_envs if on_policy else config.get("replay.capacity", 1)  # offline the ring stays empty
    ring = replay.make_ring(training.example_trajectory(env), capacity, config.get("env.frames", 1))
    law, preference = (None, None) if on_policy else _goals(env, config)
    data, digest = _data(env, config, read_data)
    run = training.make_run(env, agent, ring, law, _reward_fn(env, config), sizes, preference, data)
    after_warmup = max(config["total_steps"] - sizes.warmup_trajectories * steps, 0)
    return Setup(
        env=env,
        agent=agent,
        run=run,
        num_bytes_of_ring=ring.num_bytes,
        num_epochs=-(-after_warmup // (num_envs * steps)),
        epochs_between_evaluations=max(config["evaluation.every"] // (num_envs * steps), 1),
        flops_per_update=None if agent.flops is None else float(agent.flops(sizes.batch_size)),
        data_sha256=digest,
    )


def make_env(name: str, config: Mapping[str, Any]) -> Any:
    """The task of the run `name`, with the arguments that its configuration has under env.*."""
    from hindsight_jax import envs, types

    _, environment, _ = resolve.split(name)
    taken = {field.removeprefix("env."): value for field, value in config.items() if field.startswith("env.")}
    del taken["num_envs"]
    steps = resolve.horizon(name, config)
    if "horizon" in taken:
        taken["horizon"] = steps
    env = envs.make(ENVIRONMENTS[environment].task or environment, **taken)
    made = "continuous" if isinstance(env.spec.action, types.Box) else "discrete"
    registered = config.get("env.actions", ENVIRONMENTS[environment].actions[0])
    if made != registered:
        remedy = f'Register the task with actions=("{made}",).'
        checks.fail(f"spec.action of {environment}", env.spec.action, f"it is registered as {registered}", remedy)
    if env.spec.horizon != steps:
        remedy = f"Register the task with horizon={env.spec.horizon}."
        checks.fail(f"spec.horizon of {environment}", env.spec.horizon, f"it is registered with {steps}", remedy)
    return env


def make_agent(kind: AgentKind, env: Any, config: Mapping[str, Any]) -> Any:
    """An agent of this kind for the environment, with the hyper-parameters that the configuration has under agent.*.

    A constructor that has a parameter `distance` or `success` gets the environment's. Raises ValueError if the agent
    learns from another kind of batch than it is registered with.
    """
    numbers, options = resolve.hyperparameters(kind.make)
    parameters = inspect.signature(kind.make).parameters
    given = lambda names: {name: config[f"agent.{name}"] for name in names if f"agent.{name}" in config}
    hparams = default_hparams(kind.make)._replace(**given(numbers))
    arguments = given(options)
    arguments |= {name: getattr(env, name) for name in ("distance", "success") if name in parameters}
    agent = kind.make(env.spec, hparams=hparams, **arguments)
    if agent.batch != kind.batch:
        rule = f"it is registered to learn from {kind.batch}"
        checks.fail("agent.batch", agent.batch, rule, f"Register the algorithm with batch={agent.batch!r}.")
    return agent


def _data(env: Any, config: Mapping[str, Any], read: bool) -> tuple[Any, str]:
    """The data set that the run learns from, or None, and the SHA-256 of its file."""
    if "data.file" not in config:
        return None, ""
    from hindsight_jax import datasets, replay, training

    path, share = config["data.file"], config["data.share"]
    if not read:
        ring = replay.make_ring(training.example_trajectory(env), 1)
        return training.Data(ring, ring.init(), share), ""
    return training.Data(*datasets.to_ring(datasets.load(path, env.spec)), share), datasets.sha256(path)


def _reward_fn(env: Any, config: Mapping[str, Any]) -> Any:
    """Rewards of relabelled transitions; an agent that reads none has the default."""
    from hindsight_jax import relabel

    if "relabel.rewards" not in config:
        return relabel.reward_by_index()
    numbers = config["relabel.reward_reached"], config["relabel.reward_otherwise"]
    absorbing = config["relabel.absorbing"]
    if config["relabel.rewards"] == "success":
        return relabel.reward_by_success(env.success, *numbers, absorbing=absorbing)
    return relabel.reward_by_index(*numbers, absorbing=absorbing)


def _goals(env: Any, config: Mapping[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """The law over goals and the preference (None if it is off), as functions of a member's overrides."""
    from hindsight_jax import relabel

    preferred = config["relabel.preference"] > 0
    names = ("behaviour", "next_state", "discount", *(["preference"] if preferred else []))
    numbers = {name: config[f"relabel.{name}"] for name in names if f"relabel.{name}" in config}
    rest = config["relabel.law"]

    def of_member(overrides: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in overrides.items():
            if name not in numbers:
                rule = f"its name must be one of {', '.join(f'relabel.{known}' for known in numbers)}"
                remedy = ""
                if name == "preference":
                    remedy = "A preference must be on for all members: set relabel.preference above 0."
                checks.fail(f"overrides['relabel.{name}']", value, rule, remedy)
        return numbers | dict(overrides)

    def law(overrides: Mapping[str, Any]) -> Any:
        shares = of_member(overrides)
        law = relabel.geometric(shares["discount"]) if rest == "geometric" else getattr(relabel, rest)()
        return relabel.hindsight(shares["behaviour"], shares["next_state"], law)

    def prefer(overrides: Mapping[str, Any]) -> Any:
        changed = lambda achieved, goal: env.distance(achieved, goal) > CHANGED_SHARE * env.spec.threshold
        candidates, probability = config["relabel.num_candidates"], of_member(overrides)["preference"]
        return relabel.prefer(changed, num_candidates=candidates, probability=probability)

    return law, prefer if preferred else None
