"""Populations of a task that is played on the host (`envs.HostEnv`): one member after another plays, then all learn.

Keys, laws, ring, updates and records are those of any other population: only the episodes come from elsewhere. Each
episode has a key of its own, which gives the seed of its reset and the draws of its policy; so where what an episode
does follows from its seed and its actions, a run repeats, and goes on from a checkpoint, bit for bit.

Dimension key: M members, N episodes of one member, W episodes side by side, T horizon, O observation dims, G goal dims.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, types
from hindsight_jax.envs.host import Episodes, HostEnv, Watch
from hindsight_jax.training import _validation
from hindsight_jax.training import epoch as epochs
from hindsight_jax.training.programs import PopulationSpec, evaluation_keys, first_state, one_epoch, record
from hindsight_jax.training.rollout import Rollout
from hindsight_jax.training.run import example_trajectory, init_without_warmup, warmup_key
from hindsight_jax.training.state import PopulationState, RunSpec

# (t, observation f32[W, O], goal f32[W, G], keys [W], each of one episode) -> actions [W, D]
Act = Callable[[int, np.ndarray, np.ndarray, jax.Array], jax.Array]


class HostPrograms(NamedTuple):
    """The jitted parts of a population's functions, which the functions of this module call."""

    spec: PopulationSpec
    init: Any  # without its warm-up
    store: Any  # donates its state
    one_epoch: Any  # of given episodes; donates its state
    act: Any  # of one member's agent; the first argument, whether it explores, is static
    sample: Any  # uniform actions
    record: Any  # donates its state


def make_host_programs(population: PopulationSpec) -> HostPrograms:
    """Binds and jits; nothing is compiled yet."""
    run = population.run
    return HostPrograms(
        spec=population,
        init=jax.jit(checks.bind(_init, population)),
        store=jax.jit(checks.bind(_store, run), donate_argnums=0),
        one_epoch=jax.jit(checks.bind(_one_epoch, population), donate_argnums=0),
        act=jax.jit(checks.bind(_act, run), static_argnums=0),
        sample=jax.jit(checks.bind(_sample, run)),
        record=jax.jit(checks.bind(record, population), donate_argnums=0),
    )


def warm_up(programs: HostPrograms, state: PopulationState, keys: jax.Array) -> PopulationState:
    """`state`, of members with these keys [M] and empty rings, with their episodes of uniform actions stored."""
    count = programs.spec.run.sizes.warmup_trajectories
    if not count:
        return state
    of_member = lambda i, key: rollout(programs.spec.run.env, programs.sample, key, count)
    return programs.store(state, _by_member(of_member, _mapped(warmup_key, keys)).trajectories)


def advance(programs: HostPrograms, state: PopulationState, num_epochs: Any) -> PopulationState:
    """The state after `num_epochs` more epochs, of collect, store, sample and learn. Donates `state`.

    The members collect in turn, on the host. Raises ValueError on a wrong state or number.
    """
    _validation.check_advance(None, state, num_epochs)
    run = programs.spec.run
    for _ in range(int(num_epochs)):
        keys = _mapped(epochs.split_key, state.members.key).collect
        explore = functools.partial(_policy, programs, state, True)
        of_member = lambda i, key, explore=explore: rollout(run.env, explore(i), key, run.sizes.num_envs)
        state = programs.one_epoch(state, _by_member(of_member, keys))
    return state


def evaluate(programs: HostPrograms, state: PopulationState, keys: jax.Array) -> dict[str, jax.Array]:
    """success_end, success_any, distance_end: means over greedy episodes, f32[M] each, of one member after another.

    A member's evaluation draws from its own key (of keys [M], as given to init), folded with its epoch. Raises
    ValueError on a wrong state or keys.
    """
    _validation.check_evaluate(None, state, keys)
    run = programs.spec.run
    greedy = functools.partial(_policy, programs, state, False)
    of_member = lambda i, key: rollout(run.env, greedy(i), key, run.sizes.evaluation_episodes)
    ended = _by_member(of_member, _evaluation_keys(keys, state.epochs))._asdict()
    del ended["trajectories"]
    return {name: jnp.asarray(value.mean(axis=1, dtype=np.float32)) for name, value in ended.items()}


def rollout(env: HostEnv, act: Act, key: jax.Array, count: int) -> Rollout:
    """N = `count` whole episodes, in rounds of as many as the task plays side by side; NumPy's arrays.

    The rounds are equally wide, so the last may play more than are asked for; those are dropped.
    """
    width = min(env.width, count)
    rounds = [play(env, act, keys) for keys in _rounds(key, -(-count // width), width)]
    played: Episodes = jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *rounds)
    last = played.length - 1  # an episode has at least one step
    success: Any = played.success  # `play` fills it in
    rows = np.arange(count)
    distance: Any = np.asarray(_distance(env, played.achieved_goal[rows, last + 1], played.desired_goal))
    fields = {name: getattr(played, name) for name in Episodes._fields if name != "success"}
    return Rollout(types.Trajectory(**fields), success[rows, last], success.any(axis=1), distance)


def play(env: HostEnv, act: Act, keys: jax.Array, watch: Watch | None = None) -> Episodes:
    """W whole episodes, one for each of the keys [W], of the policy `act`; see `HostEnv.play`.

    A key gives the seed of the episode's reset, in [0, 2^31), and the key that `act` has at each of its steps. Where
    the environment says nothing of success, it is that of the distance.
    """
    seeds, keys = _mapped(_seed_and_key, keys)
    policy = lambda t, observation, goal: np.asarray(act(t, observation, goal, keys))
    played = env.play(policy, np.asarray(seeds, np.int64), watch)
    if played.success is not None:
        return played
    goals = np.broadcast_to(played.desired_goal[:, None], played.achieved_goal[:, 1:].shape)
    near = np.asarray(_success(env, played.achieved_goal[:, 1:], goals))
    return played._replace(success=near & (np.arange(env.spec.horizon) < played.length[:, None]))


def act_of(policy: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]) -> Act:
    """What `play` and `rollout` take, of a policy(observation [O], goal [G], key) -> action [D]."""

    @jax.jit
    def act(t: Any, observation: Any, goal: Any, keys: jax.Array) -> jax.Array:
        return jax.vmap(policy)(observation, goal, step_keys(keys, t))

    return act


def step_keys(keys: jax.Array, t: Any) -> jax.Array:
    """The keys [W] of step t, of the episodes' own [W]."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, t)


def _init(population: PopulationSpec, keys: jax.Array, overrides: dict[str, jax.Array]) -> PopulationState:
    """The first state before the warm-up."""
    run = population.run
    members = jax.vmap(functools.partial(init_without_warmup, run))(keys, overrides)
    number, many = jnp.zeros(run.sizes.num_envs), lambda x: jnp.broadcast_to(x, (run.sizes.num_envs, *x.shape))
    trajectories = jax.tree.map(many, example_trajectory(run.env))
    return first_state(population, members, Rollout(trajectories, number > 0, number > 0, number))


def _one_epoch(population: PopulationSpec, state: PopulationState, episodes: Rollout) -> PopulationState:
    """The state after an epoch of these episodes [M, N, ...]; a member learns by itself, whether or not it is alone."""
    in_turn = lambda function: lambda *inputs: jax.lax.map(lambda one: function(*one), inputs)
    return one_epoch(population, state, episodes, in_turn)


def _store(run: RunSpec, state: PopulationState, trajectories: types.Trajectory) -> PopulationState:
    """Trajectories [M, N, ...] in the members' rings."""
    return state._replace(members=jax.vmap(functools.partial(epochs.store, run))(state.members, trajectories))


def _act(run: RunSpec, explore: bool, agent: Any, t: Any, observation: Any, goal: Any, keys: jax.Array) -> jax.Array:
    """One member's actions [W, D]."""
    one = lambda observation, goal, key: run.agent.act(agent, observation, goal, key, explore)
    return jax.vmap(one)(observation, goal, step_keys(keys, t))


def _sample(run: RunSpec, t: Any, observation: Any, goal: Any, keys: jax.Array) -> jax.Array:
    """Uniform actions [W, D]."""
    return jax.vmap(run.env.spec.action.sample)(step_keys(keys, t))


def _policy(programs: HostPrograms, state: PopulationState, explore: bool, member: int) -> Act:
    """The policy of one member."""
    return functools.partial(programs.act, explore, _entry(state.members.agent, member))


def _by_member(function: Callable[[int, jax.Array], Rollout], keys: jax.Array) -> Rollout:
    """function(member, its key) of one member after another, stacked [M, ...]."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(function(i, _entry(keys, i)) for i in range(len(keys))))


# Small programs around the host's loop: each line of it by itself would be a compiled program of its own.

_evaluation_keys = jax.jit(evaluation_keys)


@functools.partial(jax.jit, static_argnums=0)
def _mapped(function: Callable[[jax.Array], Any], keys: jax.Array) -> Any:
    """function(key) of each of the keys."""
    return jax.vmap(function)(keys)


@jax.jit
def _entry(tree: Any, i: Any) -> Any:
    """Entry i of every array."""
    return jax.tree.map(lambda x: x[i], tree)


@functools.partial(jax.jit, static_argnums=0)
def _distance(env: HostEnv, achieved: Any, desired: Any) -> jax.Array:
    """f32[N], of goals [N, G]."""
    return env.distance(achieved, desired)


@functools.partial(jax.jit, static_argnums=0)
def _success(env: HostEnv, achieved: Any, desired: Any) -> jax.Array:
    """bool[W, T], of goals [W, T, G]."""
    return env.success(achieved, desired)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _rounds(key: jax.Array, number: int, width: int) -> list[jax.Array]:
    """So many times the keys [W] of a round."""
    return list(jax.random.split(key, (number, width)))


def _seed_and_key(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(u32[] below 2^31, the key of the policy) of an episode, from the episode's key."""
    key_seed, key_policy = jax.random.split(key)
    return jax.random.bits(key_seed) >> 1, key_policy
