"""Argument checks of runs, rollouts and populations, by types and shapes alone.

Dimension key: M members, T horizon, U updates of an epoch.
"""

import contextlib
import inspect
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, relabel, types
from hindsight_jax.agents.base import Agent
from hindsight_jax.envs import continuity
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.envs.host import HostEnv
from hindsight_jax.replay import Replay
from hindsight_jax.training.state import Best, Data, PopulationState, RunSizes, RunSpec, RunState

_CHECKED: Any = weakref.WeakValueDictionary()  # id -> environment
_TASK = ("reset", "step", "success", "distance")
_BATCHES = {"transitions": types.Transition, "trajectories": types.Trajectory}


def check_task(env: Any) -> None:
    """Checks for a task of either kind, in JAX or on the host."""
    if not isinstance(env, HostEnv):
        check_env(env)


def check_env(env: Any) -> None:
    """Checks for a task: an EnvSpec, the functions that are called here, and a `step` that begins no other episode."""
    if isinstance(env, HostEnv):
        rule = "it is stepped on the host, and no function of JAX can play it"
        checks.fail("env", type(env).__name__, rule, "Train it by training.make_population(run).")
    has = lambda name: callable(getattr(env, name, None))
    if not isinstance(getattr(env, "spec", None), types.EnvSpec) or not all(map(has, _TASK)):
        got = f"the class {env.__name__}" if isinstance(env, type) else type(env).__name__
        rule = f"it must be a GoalEnv, or have its spec, {', '.join(_TASK)}"
        checks.fail("env", got, rule, "Make it with envs.make(name), or derive it from envs.GoalEnv.")
    if not _ships(env) and _CHECKED.get(id(env)) is not env:
        continuity.check_continues(env)
        with contextlib.suppress(TypeError):  # not every class allows weak references
            _CHECKED[id(env)] = env


def _ships(env: Any) -> bool:
    """Whether it is a task of this package as it came: tests have traced those, so that no run has to."""
    if not isinstance(env, GoalEnv) or not type(env).__module__.startswith("hindsight_jax.envs."):
        return False
    own = vars(env)
    return not {"reset", "step"} & own.keys() and ("task" not in own or _ships(own["task"]))


def check_agent(agent: Any) -> None:
    """Checks for an Agent whose functions can be called, and whose kind of batch is known."""
    remedy = "Make it with agents.q_learning(env.spec, ...), for example."
    checks.instance("agent", agent, Agent, remedy)
    for name in ("init", "act", "update", "check"):
        checks.function(f"agent.{name}", getattr(agent, name), remedy)
    if not isinstance(agent.batch, str) or agent.batch not in _BATCHES:
        checks.fail("agent.batch", repr(agent.batch), f"it must be one of {', '.join(_BATCHES)}", remedy)


def check_ring(
    ring: Any,
    example: types.Trajectory,
    remedy: str = "Make it with replay.make_ring(training.example_trajectory(env), capacity).",
) -> None:
    """Checks that the ring's trajectories have the shapes of the environment's, and its kind of action."""
    checks.instance("ring", ring, Replay, remedy)
    is_float = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    for name, like, stored in zip(
        types.Trajectory._fields, example, jax.eval_shape(ring.init).trajectories, strict=True
    ):
        if like is None or stored is None:
            if like is not stored:
                got, rule = ("no image" if stored is None else "an image"), "of this environment it is not so"
                checks.fail("ring", f"a ring of trajectories whose {name} is {got}", rule, remedy)
            continue
        one = jax.ShapeDtypeStruct(stored.shape[1:], stored.dtype)
        if one.shape != like.shape or (name == "action" and is_float(one) != is_float(like)):
            got, rule = checks.describe(one), f"of this environment it is {checks.describe(like)}"
            checks.fail("ring", f"a ring of trajectories whose {name} is {got}", rule, remedy)


def check_goals(law: Any, reward_fn: Any, preference: Any) -> None:
    """Checks for a law and a preference, or functions that make them of a member's overrides, or None; and a reward."""
    remedy = "Pass relabel.hindsight(...), or a function of a member's overrides that returns it."
    if law is not None and not isinstance(law, relabel.Law):
        check_function("law", law, 1, remedy)
    if any(reward_fn is make for make in (relabel.reward_by_index, relabel.reward_by_success)):
        rule = "it must be what that returns, a function of a relabel.Step"
        checks.fail("reward_fn", f"relabel.{reward_fn.__name__}", rule, f"Call it: relabel.{reward_fn.__name__}(...).")
    check_function("reward_fn", reward_fn, 1, "Make it with relabel.reward_by_index().")
    remedy = "Pass relabel.prefer(...), a function of a member's overrides that returns it, or leave it out."
    if preference is not None and not isinstance(preference, relabel.Preference):
        check_function("preference", preference, 1, remedy)


def checked_data(data: Any, env: GoalEnv | HostEnv, agent: Agent, example: types.Trajectory) -> Data | None:
    """The data set with its share as a Python float, or None; ValueError unless it fits the task and the agent."""
    if data is None:
        return None
    remedy = "Make it with training.Data(*datasets.to_ring(trajectories), share=0.5)."
    checks.instance("data", data, Data, remedy)
    if agent.batch != "transitions":
        rule = "the agent learns from trajectories of its own policy"
        checks.fail("data", "a data set", rule, "Leave it out, or take an agent of transitions.")
    if isinstance(env, HostEnv):
        rule = f"{type(env).__name__} is stepped on the host, and learns from what it collects alone"
        checks.fail("data", "a data set", rule, "Leave it out.")
    if env.spec.images is not None:
        rule = "batches of images name frames of the member's own ring, and a data set's lie in another"
        checks.fail("data", "a data set for a task that is seen as images", rule, "Train that task from its states.")
    check_ring(data.ring, example, remedy)
    data.ring.num_pairs(data.state)  # checks that the state is the ring's
    share = checks.number("data.share", data.share, 0.0, 1.0, "1 is offline alone, 0.5 half of each batch.")
    return data._replace(share=share)


def check_data_rows(run: RunSpec) -> None:
    """Checks that each batch has a transition of each kind that it shall have."""
    rows, size = run.data_rows, run.sizes.batch_size
    if run.data is not None and not run.is_offline and not 0 < rows < size:
        rule = f"of {size} transitions it is {rows}, and both the data and the run must have one"
        checks.fail("data.share", run.data.share, rule, "Use 1 for the data alone, no data, or a larger batch.")


def check_function(name: str, value: Any, count: int, remedy: str) -> None:
    """Checks for a callable (not a class) of `count` positional arguments; accepts builtins without a signature."""
    checks.function(name, value, remedy)
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*range(count))
        takes = not isinstance(value, type)
    except TypeError:
        takes = False
    if not takes:
        rule = f"it must be a function of {count} argument{'s' if count > 1 else ''}"
        checks.fail(name, f"{getattr(value, '__qualname__', type(value).__name__)}{signature}", rule, remedy)


def check_batches(batches: Any, kind: str, count: int) -> None:
    """Checks the batches of an epoch, [U, ...]."""
    remedy = "Pass what sample of this run returned."
    checks.instance("batches", batches, _BATCHES[kind], remedy)
    for name, value in batches._asdict().items():
        if value is None and name == "goal_image":
            continue
        checks.array(f"batches.{name}", value)
        assert value is not None
        if jnp.shape(value)[:1] != (count,):
            rule = f"its first axis must be the {count} updates of an epoch"
            checks.fail(f"batches.{name}", checks.describe(value), rule, remedy)


def checked_overrides(overrides: Any) -> dict[str, Any]:
    """`overrides` as a dict; None gives an empty one."""
    if overrides is not None and not isinstance(overrides, Mapping):
        remedy = 'Write {"agent.gamma": 0.9}, for example.'
        checks.fail("overrides", checks.describe(overrides), "it must map dotted names to numbers", remedy)
    return dict(overrides or {})


def check_keys(name: str, keys: Any) -> None:
    """Checks for typed keys [M], M >= 1."""
    is_array = isinstance(keys, (jax.Array, jax.ShapeDtypeStruct))
    if not is_array or not jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) or keys.ndim != 1 or keys.size < 1:
        remedy = "Make them with training.member_keys(seed, num_members)."
        checks.fail(name, checks.describe(keys), "it must be typed keys [M], one for each member", remedy)


def check_devices(devices: Any) -> None:
    """Checks for a sequence of one or more different devices."""
    is_device = lambda x: hasattr(x, "platform") and hasattr(x, "process_index")  # by duck typing: tests fake GPUs
    good = isinstance(devices, Sequence) and len(devices) > 0 and all(map(is_device, devices))
    if not good or len(set(devices)) < len(devices):
        rule = "it must be a list of one or more different devices"
        checks.fail("devices", checks.describe(devices), rule, "Pass jax.devices(), or leave it out.")


def checked_seed(name: str, seed: Any, last: int = 0) -> int:
    """The seed as a Python int; ValueError unless `seed` and `seed + last` fit into an int32."""
    rule, most = "it, and every seed that follows from it, must be an integer in [-2^31, 2^31)", 2**31 - 1 - last
    return checks.whole(name, seed, -(2**31), most, f"Use one in 0..{most}.", rule)


# The arguments of a run's functions


def check_member(run: RunSpec, state: RunState) -> None:
    """Checks the state of one member of this run; its ring and its agent check their own parts."""
    remedy = "Pass what init or epoch of this run returned; map over members with jax.vmap."
    checks.instance("state", state, RunState, remedy)
    checks.typed_key("state.key", state.key)
    bits = jax.eval_shape(jax.random.key_data, state.key)
    for name, check, shape in (
        ("epoch_key", checks.integer, bits.shape),
        ("env_steps", checks.integer, ()),
        ("updates", checks.integer, ()),
        ("frozen", checks.boolean, ()),
    ):
        check(f"state.{name}", getattr(state, name))
        checks.shape(f"state.{name}", getattr(state, name), shape, remedy)
    for name, kind in (("law", relabel.Law), ("preference", relabel.Preference)):
        is_absent = getattr(run, name) is None
        checks.instance(f"state.{name}", getattr(state, name), type(None) if is_absent else kind, remedy)


def check_member_and_key(run: RunSpec, state: RunState, key: Any) -> None:
    """Checks the arguments of `collect`, `sample` and `evaluate`."""
    check_member(run, state)
    checks.typed_key("key", key)


def check_store(run: RunSpec, state: RunState, trajectories: Any) -> None:
    """Checks the state that `store` is given; the ring checks the trajectories."""
    del trajectories
    check_member(run, state)


def check_learn(run: RunSpec, state: RunState, batches: Any, key: Any) -> None:
    """Checks the arguments of `learn`."""
    check_member(run, state)
    check_batches(batches, run.agent.batch, run.sizes.updates_per_epoch)
    checks.typed_key("key", key)


def check_frozen(run: RunSpec, state: RunState) -> None:
    """Checks the state that `diagnose` is given: of a frozen member, and known."""
    check_member(run, state)
    if not checks.is_concrete(state.frozen) or not state.frozen:
        rule = "it must be of a frozen member, and known outside of jax.jit"
        checks.fail("state", "a member that is not frozen", rule, "Pass a member whose column `frozen` is 1.")


def checked_sizes(sizes: Any, ring: Replay, agent: Agent, is_offline: bool = False) -> RunSizes:
    """The sizes as Python ints; ValueError unless they are positive and fit the ring.

    On policy: one update, a ring of its own, no warm-up. Offline: no warm-up, and a ring that nothing is stored in.
    """
    checks.instance("sizes", sizes, RunSizes, "Write training.RunSizes(...).")
    on_policy = {"warmup_trajectories": 0, "updates_per_epoch": 1} if agent.batch == "trajectories" else {}
    fixed = {"warmup_trajectories": 0} if is_offline else on_policy
    who = (
        "a run that collects nothing" if is_offline else "an agent that learns from the trajectories of its own policy"
    )
    counts = {}
    for name, value in sizes._asdict().items():
        if name in fixed:
            only = fixed[name]
            rule = f"it must be {only} for {who}"
            counts[name] = checks.whole(f"sizes.{name}", value, only, only, f"Write {name}={only}.", rule)
        else:
            counts[name] = checks.positive_int(f"sizes.{name}", value, "Every size of a run is a count.")
    sizes = RunSizes(**counts)
    for name in () if is_offline else ("warmup_trajectories", "num_envs"):
        if getattr(sizes, name) > ring.capacity:
            rule = f"it must be at most the ring's capacity, {ring.capacity}"
            checks.fail(f"sizes.{name}", getattr(sizes, name), rule, "Make a larger ring, or collect fewer.")
    if on_policy and ring.capacity != sizes.num_envs:
        rule = f"it must hold the trajectories of one collection, {sizes.num_envs}"
        checks.fail("ring.capacity", ring.capacity, rule, "Make the ring with capacity=sizes.num_envs.")
    return sizes


# The arguments of a population's functions


def check_population(state: Any) -> int:
    """Checks that every array of members, best agents and metrics begins with the same axis [M]; returns M."""
    remedy = "Pass what init, advance or record of this population returned."
    checks.instance("state", state, PopulationState, remedy)
    checks.instance("state.members", state.members, RunState, remedy)
    check_keys("state.members.key", state.members.key)
    count = state.members.key.shape[0]
    by_member = {"members": state.members, "best": state.best, "metric_sums": state.metric_sums}
    checks.instance("state.best", state.best, Best, remedy)
    checks.instance("state.metric_sums", state.metric_sums, dict, remedy)
    for path, leaf in jax.tree_util.tree_leaves_with_path(by_member):
        if jnp.shape(leaf)[:1] != (count,):
            name = "state." + jax.tree_util.keystr(path, simple=True, separator=".")
            checks.fail(name, checks.describe(leaf), f"its first axis must be the {count} members", remedy)
    for name in ("epochs", "summed_epochs"):
        checks.integer(f"state.{name}", getattr(state, name))
        checks.shape(f"state.{name}", getattr(state, name), (), remedy)
    return count


def check_advance(_: Any, state: Any, num_epochs: Any, data: Any = None) -> None:
    """Checks the arguments of `advance`; the data are the run's own, checked with it."""
    del data
    check_population(state)
    checks.integer("num_epochs", num_epochs, "Pass a number of epochs.")
    checks.shape("num_epochs", num_epochs, (), "Pass one number for all members.")


def check_evaluate(_: Any, state: Any, keys: Any) -> None:
    """Checks the arguments of `evaluate`."""
    count = check_population(state)
    check_keys("keys", keys)
    checks.shape("keys", keys, (count,), "Pass the keys that init was given.")


def check_record(_: Any, state: Any, results: Any) -> None:
    """Checks the arguments of `record`."""
    count, remedy = check_population(state), "Pass what evaluate returned."
    checks.instance("results", results, dict, remedy)
    for name, value in {"success_end": None, "success_any": None, **results}.items():
        checks.shape(f"results[{name!r}]", value, (count,), remedy)
        checks.real(f"results[{name!r}]", value)
