"""Every wrong call of an environment is refused by name, with rule and remedy: nothing is broadcast."""

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import starts
import wrong_arguments
import wrong_calls
from wrong_arguments import JUNK, Argument, alike, count, flag, floats, key, option, optional, plain_number, thing
from wrong_calls import door

from hindsight_jax import envs, types
from hindsight_jax.envs import _validation, base, registry

NAN, INF = math.nan, math.inf
TRACED = ("flip_bit", "grid_four_rooms", "push")  # a flat set, a key in the state, physics
STEPPED = (*TRACED, "navigation")  # the contract of physics tasks steps and draws the others, and a trace costs
METHODS = (
    "reset",
    "reset_to",
    "check_start",
    "is_start",
    "step",
    "achieved_goal",
    "distance",
    "success",
    "sample_goal",
    "reachable",
    "reachable_from",
    "scene",
    "bodies",
    "bodies_at",
    "markers",
)
STARTS = {"".join(map(str.title, name.split("_"))): pair for name, pair in starts.STARTS.items()}  # by class
ON_STATES = ("reset_to", "step", "scene", "bodies", "markers")


def box(right):
    """A box (low, high) of a task, and values that are not one."""
    low, high = (tuple(map(float, corner)) for corner in right)
    beyond = tuple(x + 1e3 for x in high)
    return Argument(
        right,
        {},
        JUNK
        | {
            "one corner": (low,),
            "three corners": (low, high, high),
            "numbers without corners": (0.0, 1.0),
            "swapped": (beyond, low),
            "NaN": (low, (NAN,) * len(high)),
            "infinity": (low, (INF,) * len(high)),
            "beyond": (low, beyond),
            "a dimension more": ((*low, 0.0), (*high, 0.0)),
            "a dimension less": (low[1:], high[1:]),
            "another dimension in each": (low, (*high, 0.0)),
            "strings": tuple(tuple(map(str, corner)) for corner in (low, high)),
            "a string of digits": ("0" * len(low), "0" * len(low)),
            "booleans": ((True,) * len(low), (True,) * len(low)),
            "complex": ((0j,) * len(low), (0j,) * len(low)),
            "nested": ((low, high), (low, high)),
            "ranks swapped": tuple(zip(low, high, strict=True)) if len(low) != 2 else (high, low, low),
        },
    )


BINS = count(3)._replace(known={"1": 1, "102": 102})
ARGUMENTS = {
    "actions": option("discrete"),
    "bins": BINS,
    "goal_spread": plain_number(0.3, -0.1, 2.1),
    "horizon": count(50),
    "size": count(3),
    "slip": plain_number(0.2, -0.1, 1.1),
    "start_force": plain_number(1000.0, -1.0, 2001.0),
    "threshold": plain_number(0.05, 0.0, -0.1),
}


def constructor(name):
    """`make(name, ...)` with all arguments of the task."""
    module, attribute = envs.registry._TASKS[name]
    task = getattr(__import__(module, fromlist=[attribute]), attribute)
    arguments = {}
    for argument, parameter in inspect.signature(task).parameters.items():
        if argument in ARGUMENTS:
            arguments[argument] = ARGUMENTS[argument]
        else:
            arguments[argument] = option("uniform") if name == "flip_bit" else box(parameter.default)
        if parameter.default is None:
            arguments[argument] = optional(arguments[argument])
    return door(functools.partial(envs.make, name), **arguments)


def some_state(env):
    """A state of zeros: nothing is computed."""
    return wrong_arguments.zeros_like(jax.eval_shape(env.reset, jax.random.key(0)))


def carried(state):
    """The state of a task, and values that carry something else."""
    now = state.pipeline_state
    stacked = jax.tree.map(lambda x: jnp.broadcast_to(x, (2, *x.shape)), state)
    with_goal = lambda goal: state.replace(pipeline_state=now.replace(goal=goal))
    goals = {f"goal: {label}": with_goal(goal) for label, goal in alike(now.goal).static.items()}
    static = {"a batch": stacked, "a batch of one": jax.tree.map(lambda x: x[None], state), **goals}
    another = {
        "nothing carried": state.replace(pipeline_state=None),
        "the observation": state.obs,
        "what it carries": now,
        "a tuple": state.replace(pipeline_state=(now.goal, now.goal)),
        "another task's": state.replace(pipeline_state=base.PipelineState({"x": now.goal}, now.goal)),
        "a dict": {"pipeline_state": now},
        "the goal alone": state.replace(pipeline_state=now.goal),
    }
    return Argument(state, static, JUNK | another)


def action_of(kind):
    right = jnp.zeros(kind.num_dims, jnp.float32 if isinstance(kind, types.Box) else jnp.int32)
    argument = alike(right)
    same_kind = jnp.floating if isinstance(kind, types.Box) else jnp.integer
    wrong = lambda value: (
        not (isinstance(value, jax.Array) and value.shape == right.shape) or not jnp.issubdtype(value.dtype, same_kind)
    )
    return argument._replace(static={label: value for label, value in argument.static.items() if wrong(value)})


def with_leading_axes(argument):
    """The argument, which may have any leading axes, but ends in its own."""
    allowed = ("a leading axis", "a batch")
    return argument._replace(static={label: value for label, value in argument.static.items() if label not in allowed})


def start_of(env):
    """A start of the task, and wrong ones; of a task without starts all are wrong, and the first is never tried."""
    right, beyond = STARTS.get(type(env).__name__, (np.zeros(2), np.zeros(2)))
    if env.backend == "jax" and len(right) != env.spec.goal_shape[0]:  # those of `starts` are of another size
        right, beyond = (np.full(env.spec.goal_shape, value) for value in (0.0, 2.0))
    argument = floats(len(right), value=np.array(right, np.float32))
    return argument._replace(known={"where no episode can begin": jnp.array(beyond), "NaN": jnp.full(len(right), NAN)})


def methods(env):
    """The methods of a task."""
    spec, state = env.spec, carried(some_state(env))
    goal = floats(*spec.goal_shape)
    rng = key()
    raw_is_right = {label: value for label, value in rng.static.items() if label != "raw"}
    start = start_of(env)
    observation = with_leading_axes(floats(*spec.observation_shape))
    return {
        "reset": door(env.reset, rng=rng._replace(static=raw_is_right)),
        "reset_to": door(env.reset_to, rng=rng._replace(static=raw_is_right), goal=optional(goal)),
        "check_start": door(env.check_start, start=start),
        "is_start": door(env.is_start, start=start._replace(known={})),
        "step": door(env.step, state=state, action=action_of(spec.action)),
        "achieved_goal": door(env.achieved_goal, observation=observation),
        "distance": door(env.distance, achieved=goal, desired=goal, any_blamed=True),
        "success": door(env.success, achieved=goal, desired=goal, any_blamed=True),
        "sample_goal": door(env.sample_goal, key=key()),
        "reachable": door(env.reachable, goal=goal),
        "reachable_from": door(env.reachable_from, start=floats(*spec.observation_shape), goal=goal, any_blamed=True),
        "scene": door(env.scene, state=state),
        "bodies": door(env.bodies, state=state),
        "bodies_at": door(env.bodies_at, goal=floats(*spec.goal_shape)),
        "markers": door(env.markers, state=state),
    }


@functools.cache
def calls_of(name):
    env = envs.make(name)
    return {"constructor": constructor(name)} | methods(env)


@pytest.mark.parametrize("name", registry.OF_PAPERS)
def test_every_wrong_call_of_a_task_is_refused(name):
    calls = calls_of(name)
    assert set(calls) == {"constructor", *METHODS}
    assert wrong_calls.thin(calls) == {}
    for what, tried in calls.items():
        takes_none = "start" in what and name not in starts.STARTS
        if what != "constructor" and not takes_none and (what not in ON_STATES or name in STEPPED):  # calls_of made one
            tried.right_call()
        assert wrong_calls.complaints(tried) == {}, what


@pytest.mark.parametrize("name", TRACED)
def test_wrong_shapes_and_dtypes_are_refused_inside_of_jit_and_vmap(name):
    for what, tried in calls_of(name).items():
        assert wrong_calls.complaints_when_traced(tried) == {}, what


def register_and_forget(name, make, replace):
    """`envs.register`, undone at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envs.registry, "_REGISTERED", {})
        envs.register(name, make, replace=replace)


@functools.cache
def others():
    """The public functions of `envs` that are no task's."""
    task = envs.make("flip_bit", size=3)
    wrapped = envs.AutoReset(task, horizon=2)
    state = some_state(wrapped)
    strange = {
        "of the task": some_state(task),
        "no info": state.replace(info={}),
        "of another task": some_state(envs.AutoReset(envs.make("flip_bit", size=4))),
    }
    a_state = carried(state)
    rng = key()
    typed_or_raw = rng._replace(static={label: value for label, value in rng.static.items() if label != "raw"})
    return {
        "make": door(envs.make, name=option("push")),
        "make: of an override": door(
            lambda override: envs.make("flip_bit", **{override: 3}),
            override=Argument("size", {}, {repr(name): name for name in MISSPELT}),
            called={"override": "override of flip_bit"},
        ),
        "register": door(
            register_and_forget,
            name=Argument("my_task", {}, JUNK | {repr(name): name for name in NO_IDENTIFIERS}),
            make=thing(type(task), an_instance=task),
            replace=flag(),
        ),
        "typed": door(envs.typed, rng=typed_or_raw),
        "ImageEnv": door(
            envs.ImageEnv,
            task=thing(task, wrapped=wrapped, a_class=type(task), a_name="push", seen=envs.ImageEnv(task)),
            pixels=count(48)._replace(sizes={"too few": 35, "too many": 513}),
            frames=count(),
            goals=option("state"),
        ),
        "AutoReset": door(
            envs.AutoReset,
            env=thing(task, wrapped=wrapped, a_class=type(task), a_name="push", a_spec=task.spec),
            horizon=optional(count()),
        ),
        "AutoReset: reset": door(wrapped.reset, rng=typed_or_raw),
        "AutoReset: step": door(
            wrapped.step,
            state=a_state._replace(known=a_state.known | strange),
            action=action_of(task.spec.action),
        ),
    }


MISSPELT = ("siz", "sizes", "Size", "SIZE", "horizont", "Horizon", "steps", "starts", "goal", "goals", "bins", "action")
MISSPELT += ("actions", "tolerance", "thresh", "thresholds", "seed", "name_", "_size", "size_", "size ", "", " ", "é")
NO_IDENTIFIERS = ("", " ", "Task", "my task", "my-task", "2d", "_task", "task\n", "täsk", "a.b", "push", "claw")
TRIED = (
    "make",
    "make: of an override",
    "register",
    "typed",
    "ImageEnv",
    "AutoReset",
    "AutoReset: reset",
    "AutoReset: step",
)
# What tasks are written with: their own tests try them.
WRITING = ("Engine", "PhysicsTask", "PipelineState", "PureTask", "State", "action_set", "check_task", "choice", "held")
WRITING += ("moves", "straight")


@pytest.mark.parametrize("name", TRIED)
def test_every_wrong_call_of_the_registry_and_the_wrapper_is_refused(name):
    tried = others()[name]
    tried.right_call()
    assert wrong_calls.complaints(tried) == {}
    assert wrong_calls.complaints_when_traced(tried) == {}


def test_the_table_holds_every_public_function_with_twenty_wrong_calls():
    # GoalEnv and HostEnv are abstract: the methods of the one are tried of every task; names takes nothing
    assert wrong_calls.missing(envs, others(), others=["GoalEnv", "HostEnv", "names", *WRITING]) == set()
    assert set(TRIED) == set(others())
    assert wrong_calls.thin(others()) == {}
    with pytest.raises(TypeError, match="argument"):
        envs.names("push")


def test_every_method_with_arguments_is_tried():
    task = {name for name in dir(base.GoalEnv) if not name.startswith("_")}
    without = {"action_size", "backend", "camera", "scenery", "observation_size", "spec", "unwrapped"}
    ours = {"first_state", "next_state", "start_at"}  # for those who write a task
    assert task - without - ours == set(METHODS)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf, "0.1", True, None, 1j])
def test_a_threshold_is_a_finite_number_above_zero(bad):
    with pytest.raises(ValueError, match=r"^threshold: got .*, but it must be a finite number > 0\. Ours is 1\."):
        _validation.threshold(bad, "Ours is 1.")


@pytest.mark.parametrize("good", [1e-9, 1, 2.5, np.float32(0.1), 1e30])
def test_any_positive_threshold_will_do(good):
    assert repr(_validation.threshold(good, "")) == repr(float(good))
