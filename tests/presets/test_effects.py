"""Every field of every name has an effect: another value is refused by name, or changes what is computed or how long.

The computation is the agent's functions and the sampling of relabelled rows, as jaxprs from which everything is taken
out that no output needs, with the numbers that are left; the schedule is counts, lengths and shapes. A stand-in of two
coordinates takes each task's place, and keeps the arguments that the config passes to it: that these change the real
task is the last test.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import pytest
from jax.interpreters import partial_eval
from named_runs import EVERY_NAME

from hindsight_jax import envs, presets, replay, training, types
from hindsight_jax.agents.base import default_hparams
from hindsight_jax.envs import continuity
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.presets.resolve import hyperparameters
from hindsight_jax.runs import config_file

# How often a session saves, and what it does with NaN: tests/runs/test_session.py and test_kills.py have these.
# And a file of data, which has to be there: tests/runs/test_run_data.py.
OF_THE_SESSION = {"checkpoint.seconds", "checkpoint.keep", "on_nan", "data.file"}
# Names of images have the same fields on every task: this one, which all kinds of agent learn, stands for the others.
STANDS_FOR_IMAGES = "push_pixels"
BOX = types.Range((-1.0, -1.0), (1.0, 1.0))


class Stand(GoalEnv):
    """A task of two coordinates that neither starts nor moves."""

    def __init__(self, continuous, horizon, arguments=(), images=None):
        self.arguments = arguments
        action = types.Box(2) if continuous else types.Discrete(2, 3)
        self._spec = types.EnvSpec((2,), (2,), action, horizon, 0.5, False, BOX, BOX)
        if images is not None:
            shape = (images.pixels, images.pixels, 3 * images.frames)
            self._spec = self._spec._replace(observation_shape=shape, observation_range=None, images=images)

    spec = property(lambda self: self._spec)

    def distance(self, achieved, desired):
        return jnp.linalg.norm(achieved - desired)

    def achieved_goal(self, observation):
        return observation

    def sample_goal(self, key):
        raise NotImplementedError

    reset = step = sample_goal


@pytest.fixture(autouse=True)
def _stands(monkeypatch):
    """`envs.make` makes stand-ins, whose steps nothing traces."""

    def make(task, **arguments):
        entry = presets.ENVIRONMENTS[task]
        steps = arguments.get("horizon") or entry.horizon or arguments["size"]
        continuous = arguments.get("actions", entry.actions[0]) == "continuous"
        images = arguments.get("pixels") and types.Images(48, arguments["frames"], arguments["goals"] == "image")
        return Stand(continuous, steps, (task, *sorted(arguments.items())), images or None)

    monkeypatch.setattr(envs, "make", make)
    monkeypatch.setattr(continuity, "check_continues", lambda env: None)


def needed(function, *arguments):
    """(program, leaves): the jaxpr of `function` as its outputs need it, and the paths of the inputs that they need."""
    closed = jax.make_jaxpr(function)(*arguments)
    jaxpr, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(arguments)[0]]
    return f"{jaxpr} {closed.consts}", [path for path, is_used in zip(paths, used, strict=True) if is_used]


@functools.cache
def of_agent(kind, options, continuous, images):
    """(program, numbers): what agents with these options compute, and the hyper-parameters that it needs."""
    env, make = Stand(continuous, horizon=3, images=images), presets.AGENTS[kind].make
    parameters = inspect.signature(make).parameters
    agent = make(env.spec, **dict(options), **{n: getattr(env, n) for n in ("distance", "success") if n in parameters})
    key, two, four = jax.random.key(0), jnp.zeros(2), jnp.zeros((4, 2))
    action, flag, whole = env.spec.action.sample(key), jnp.zeros(4, bool), jnp.zeros(4, jnp.int32)
    many = lambda *counts: jnp.broadcast_to(action, (*counts, 2))
    if agent.batch == "trajectories":
        states, count = jnp.zeros((40, 4, 2)), 40  # of any group size that is tried
        length, flag = jnp.full(count, 3, jnp.int32), jnp.zeros(count, bool)
        batch = types.Trajectory(states, states, many(count, 3), states[:, 0], length=length, terminal=flag)
    else:
        one = jnp.zeros(4)
        batch = types.Transition(four, many(4), four, four, four, four, one, one, flag, flag, whole, one)
    goal = two
    if images is not None:
        seen = jnp.zeros((4, *env.spec.observation_shape), jnp.uint8)
        picture = seen[..., :3] if images.goals else None
        batch = batch._replace(observation=seen, next_observation=seen, goal_image=picture)
        two, goal = seen[0], two if picture is None else picture[0]

    def learn(state):
        new, metrics = agent.update(state, batch, key)
        return new._replace(hparams=None), metrics  # those are passed on

    state = agent.init(key)
    act = lambda explore: needed(lambda state: agent.act(state, two, goal, key, explore), state)
    programs, leaves = zip(needed(learn, state), act(True), act(False), strict=True)
    numbers = {path.rpartition(".")[2] for paths in leaves for path in paths if ".hparams." in path}
    hparams = {name: jnp.float32(value) for name, value in default_hparams(make)._asdict().items()}
    first, begun = needed(lambda key, hparams: agent.init(key, hparams)._replace(hparams=None), key, hparams)
    numbers |= {name for name in hparams if any(f"['{name}']" in path for path in begun)}
    return (first, *programs, str(leaves)), numbers


@functools.cache
def of_sampling(relabelling, setup):
    """(program, numbers) of sampling relabelled rows; `relabelling` are the config's relabel.*, for the cache."""
    del relabelling
    run = setup.value.run.spec
    law, preference = run.law({}), run.preference and run.preference({})
    ring = replay.make_ring(training.example_trajectory(Stand(continuous=False, horizon=3)), 2)
    sample = lambda law, preference, state, key: ring.sample(state, key, 2, law, run.reward_fn, preference)
    inputs = (law, preference, ring.init(), jax.random.key(0))
    program, leaves = needed(jax.jit(sample), *inputs)
    values = {
        jax.tree_util.keystr(path): str(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(inputs[:2])[0]
    }
    return program, tuple(sorted((path, values[path]) for path in leaves if path in values))


class Unhashed:
    """A value that a cache does not look at."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def computed(name, config):
    """What a run of these values computes, and for how long."""
    kind = presets.ALGORITHMS[presets.split(name)[0]].agent
    setup = presets.build(name, config)
    env, sizes = setup.env, setup.run.spec.sizes
    numbers, options = hyperparameters(presets.AGENTS[kind].make)
    given = tuple((option, config[f"agent.{option}"]) for option in options if f"agent.{option}" in config)
    program, used = of_agent(kind, given, isinstance(env.spec.action, types.Box), env.spec.images)
    values = tuple((number, config.get(f"agent.{number}", numbers[number].default)) for number in sorted(used))
    relabelling = tuple((field, value) for field, value in config.items() if field.startswith("relabel."))
    rows = of_sampling(relabelling, Unhashed(setup)) if relabelling else ()
    lengths = (setup.num_epochs, setup.epochs_between_evaluations, setup.num_bytes_of_ring)
    return env.arguments, sizes, lengths, config_file.members(config, {}).seeds, program, values, rows


def others(field, value):
    """Other values of a field, in its range."""
    if isinstance(value, bool):
        return [not value]
    if field.options:
        return [option for option in field.options if option != value]
    if isinstance(value, tuple):
        return [(*value, 8)]
    steps = [value * 2, value + 1, value // 2] if isinstance(value, int) else [value / 2, value + 0.25, 1.0, 0.0, 0.5]
    return [step for step in steps if field.low <= step <= field.high and step != value]


def outcome(name, field, spec):
    """'changed', 'refused: why' or 'nothing' of another value of one field; the first value that is accepted tells."""
    config, why = presets.config(name), ""
    for value in others(spec, config.get(field, spec.default)):
        try:
            chosen = presets.config(name, {field: value})
            presets.check(name, chosen)
        except ValueError as error:
            why = str(error)
            continue
        return "changed" if computed(name, chosen) != computed(name, config) else "nothing"
    assert why, (name, field)
    return f"refused: {why}"


@pytest.mark.seldom
@pytest.mark.parametrize("algorithm", presets.ALGORITHMS)
def test_another_value_of_any_field_is_refused_by_name_or_changes_something(algorithm):
    for name in [name for name in EVERY_NAME if presets.split(name)[0] == algorithm]:
        task = presets.split(name)[1]
        if task.endswith("_pixels") and task != STANDS_FOR_IMAGES:
            continue
        for field, spec in presets.candidates(name).items():
            if field not in OF_THE_SESSION:
                found = outcome(name, field, spec)
                assert found == "changed" or field in found, (name, field, found)
                assert ("no effect" in found) == (field not in presets.fields_of(name)) or "num_candidates" in field


def test_the_test_sees_a_field_without_effect(monkeypatch):
    """The temperature, if it were accepted without a soft backup."""
    spec = presets.candidates("her_flip_bit")["agent.temperature"]
    assert outcome("her_flip_bit", "agent.temperature", spec).startswith(
        "refused: agent.temperature: got 0.5, but it h"
    )
    monkeypatch.setattr(presets.resolve, "_refuse_without_effect", lambda *arguments: None)
    assert outcome("her_flip_bit", "agent.temperature", spec) == "nothing"
    assert outcome("her_sql_flip_bit", "agent.temperature", spec) == "changed"
