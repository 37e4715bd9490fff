"""Speed beside other libraries that do the same work, timed in turn in one process.

* Training: stable-baselines3's DQN with its HerReplayBuffer on our push, one seed in PyTorch, beside our her_push_paper
  at several seeds. Hidden layers, batch size, stored transitions, learning rate, share of hindsight goals and updates
  per env step are equal. Ours uses double Q-learning, which costs one forward pass more; theirs also reads the achieved
  goal, clips gradients and uses the Huber loss.
* Sampling: flashbax's trajectory buffer beside our ring, and beside moving the bytes of a batch alone. flashbax draws
  sequences and does not relabel: a pair of neighbouring steps is the least that makes a transition, and a sequence of
  T + 1 steps the least that holds every goal of the future.

The other libraries are optional (extra `bench`): a package that is not installed is named in the figures, and its part
is left out.

Dimension key: C capacity in trajectories, T horizon, B batch, X draws of one timed call.
"""

import importlib
import importlib.util
import math
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of
from hindsight_jax import presets, relabel, replay, training, types
from hindsight_jax.agents import flops

CONFIG = "her_push_paper"
TRAINING, SAMPLING = ("gymnasium", "stable_baselines3"), ("flashbax",)  # the packages of each part
EPISODES, WARMUP_EPISODES = 8, 4  # of stable-baselines3: in one timed call, and before it learns
EPOCHS = 2  # of our run, in one timed call
UPDATES = 10  # of stable-baselines3, to choose its number of threads
DRAWS = 200  # X


def missing_packages() -> list[str]:
    """The optional packages that are not installed.

    >>> set(missing_packages()) <= {"gymnasium", "stable_baselines3", "flashbax"}
    True
    """
    return [name for name in (*TRAINING, *SAMPLING) if importlib.util.find_spec(name) is None]


def measure(seeds: int) -> dict[str, float]:
    """Figures of both parts; `not_installed_NAME` is 1 for each missing package, whose part is then left out."""
    missing, values = missing_packages(), presets.config(CONFIG)
    figures = {f"not_installed_{name}": 1.0 for name in missing}
    if not set(TRAINING) & set(missing):
        figures |= measure_training(values, (seeds, 4 * seeds))
    if not set(SAMPLING) & set(missing):
        figures |= measure_sampling(values)
    return figures


def measure_training(values: dict[str, Any], populations: tuple[int, ...]) -> dict[str, float]:
    """Env steps/s in whole epochs of all members of each population, and of one seed of stable-baselines3."""
    setup = presets.build(CONFIG, values)
    horizon = setup.env.spec.horizon
    theirs = baselines(setup.env, values)
    theirs.learn(WARMUP_EPISODES * horizon)  # uniform actions, and no update yet
    threads = choose_threads(lambda: theirs.train(UPDATES, values["agent.batch_size"]))
    calls = [lambda: theirs.learn(EPISODES * horizon, reset_num_timesteps=False)]
    calls += [epochs(setup, count) for count in populations]
    seconds, *ours = best_of(*calls)
    speed, steps = EPISODES * horizon / seconds, EPOCHS * values["env.num_envs"] * horizon
    figures = {"sb3_env_steps_per_second": speed, "sb3_torch_threads": threads}
    for count, seconds in zip(populations, ours, strict=True):
        figures[f"ours_env_steps_per_second_{count}_seeds"] = count * steps / seconds
        figures[f"ours_over_sb3_{count}_seeds"] = count * steps / seconds / speed
    return figures | {
        "sb3_useful_gflop_per_update": baselines_operations(setup.env.spec, values) / 1e9,
        "ours_useful_gflop_per_update": (setup.flops_per_update or math.nan) / 1e9,
    }


def epochs(setup: presets.Setup, num_members: int) -> Callable[[], Any]:
    """A call that advances our population of `num_members` by EPOCHS epochs."""
    population = training.make_population(setup.run, training.devices_for(num_members))
    holder = [population.init(training.member_keys(0, num_members))]

    def advance() -> Any:
        holder[0] = population.advance(holder[0], EPOCHS)
        return holder[0]

    return advance


def baselines(env: Any, values: dict[str, Any]) -> Any:
    """stable-baselines3's DQN on our task with our hyper-parameters; like ours it updates after each episode."""
    library = importlib.import_module("stable_baselines3")
    from hindsight_jax.interop.gymnasium import GymnasiumEnv

    return library.DQN(
        "MultiInputPolicy",
        GymnasiumEnv(env),
        learning_rate=values["agent.learning_rate"],
        buffer_size=values["replay.capacity"] * env.spec.horizon,
        learning_starts=WARMUP_EPISODES * env.spec.horizon,
        batch_size=values["agent.batch_size"],
        tau=values["agent.target_rate"],
        target_update_interval=values["agent.target_period"],
        gamma=values["agent.gamma"],
        train_freq=(1, "episode"),
        gradient_steps=values["agent.updates_per_epoch"],
        replay_buffer_class=library.HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 1.0 / values["relabel.behaviour"] - 1.0},
        exploration_initial_eps=values["agent.epsilon"],
        exploration_final_eps=values["agent.epsilon"],
        policy_kwargs={"net_arch": list(values["agent.hidden_sizes"])},
        seed=0,
        device="cpu",
    )


def choose_threads(train: Callable[[], Any]) -> int:
    """Sets PyTorch's number of threads to one or to all cores, whichever trains faster here, and returns it.

    Small matrix products gain little from a second thread, and wait for it if its core is busy.
    """
    torch = importlib.import_module("torch")
    seconds = {}
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        train()
        start = time.perf_counter()
        train()
        seconds[threads] = time.perf_counter() - start
    fastest = min(seconds, key=seconds.__getitem__)
    torch.set_num_threads(fastest)
    return fastest


def baselines_operations(spec: types.EnvSpec, values: dict[str, Any]) -> int:
    """Useful operations of one of its updates: forward and backward at (s, g), the target's forward at (s', g).

    Its network also reads the achieved goal.

    >>> box = types.Range((0.0,) * 4, (1.0,) * 4)
    >>> spec = types.EnvSpec((4,), (4,), types.Discrete(1, 9), 50, 0.05, False, box, box)
    >>> baselines_operations(spec, presets.config("her_push_paper"))  # 256 * 2 * (4 * 127,500 - 4,800)
    258662400
    """
    assert isinstance(spec.action, types.Discrete)
    inputs = spec.observation_shape[0] + 2 * spec.goal_shape[0]
    network = flops.mlp(inputs, values["agent.hidden_sizes"], spec.action.num_bins)
    return values["agent.batch_size"] * (network.learn + network.forward)


class Draw(NamedTuple):
    """A way to take B transitions from a buffer."""

    take: Callable[[Any, Any], Any]  # (stored, one input) -> a batch
    stored: Any
    inputs: Any  # keys or indices, with a leading axis X


def measure_sampling(values: dict[str, Any]) -> dict[str, float]:
    """Microseconds of one draw of B transitions, in a call of its own and inside a scan, which has no dispatch."""
    spec = presets.build(CONFIG, values).env.spec
    buffer = flashbax_buffer(spec, values, 2)
    draws = {
        "ours": ours(spec, values),
        "flashbax_pairs": buffer,
        "flashbax_sequences": flashbax_buffer(spec, values, spec.horizon + 1, buffer.stored),
        "moving": moving(spec, values),
    }
    figures = {}
    for place, calls in (("one_call", map(one_call, draws.values())), ("in_scan", map(in_a_scan, draws.values()))):
        each = dict(zip(draws, (1e6 * seconds / DRAWS for seconds in best_of(*calls)), strict=True))
        figures |= {f"{name}_microseconds_{place}": time for name, time in each.items()}
        figures |= {f"{name}_over_ours_{place}": each[name] / each["ours"] for name in draws if "flashbax" in name}
        figures[f"ours_over_moving_{place}"] = each["ours"] / each["moving"]
    return figures


def one_call(draw: Draw) -> Callable[[], Any]:
    """A call that draws X batches in X dispatches."""
    take = jax.jit(draw.take)
    inputs = [jax.tree.map(lambda x, i=i: x[i], draw.inputs) for i in range(DRAWS)]

    def call() -> None:
        for input_ in inputs:
            jax.block_until_ready(take(draw.stored, input_))

    return call


def in_a_scan(draw: Draw) -> Callable[[], Any]:
    """A call that draws X batches in one dispatch, and writes all of them out."""
    scan = jax.jit(lambda stored, inputs: jax.lax.scan(lambda _, x: (None, draw.take(stored, x)), None, inputs)[1])
    return lambda: scan(draw.stored, draw.inputs)


def ours(spec: types.EnvSpec, values: dict[str, Any]) -> Draw:
    """Relabelled transitions from a full ring."""
    ring, state = full_ring(spec, values)
    law = relabel.hindsight(values["relabel.behaviour"], values["relabel.next_state"])
    rewards = relabel.reward_by_index()
    take = lambda state, key: ring.sample(state, key, values["agent.batch_size"], law, rewards)
    return Draw(take, state, jax.random.split(jax.random.key(0), DRAWS))


def moving(spec: types.EnvSpec, values: dict[str, Any]) -> Draw:
    """Reads what a batch needs of the ring at given indices: no random draw, no goal law, no reward."""
    _, state = full_ring(spec, values)
    keys = jax.random.split(jax.random.key(0), 3)
    shape = (DRAWS, values["agent.batch_size"])
    places = [
        jax.random.randint(key, shape, 0, size)
        for key, size in zip(keys, (values["replay.capacity"], spec.horizon, spec.horizon + 1), strict=True)
    ]

    def take(stored: types.Trajectory, places: Any) -> Any:
        slot, t, i = places
        read = lambda array, *at: array.at[at].get(mode="promise_in_bounds", wrap_negative_indices=False)
        achieved = [read(stored.achieved_goal, slot, at) for at in (t, t + 1, i)]
        observed = [read(stored.observation, slot, at) for at in (t, t + 1)]
        return achieved, observed, read(stored.action, slot, t), read(stored.desired_goal, slot)

    return Draw(take, state.trajectories, places)


def flashbax_buffer(spec: types.EnvSpec, values: dict[str, Any], length: int, stored: Any = None) -> Draw:
    """Sequences of `length` neighbouring steps from `stored`, by default a full buffer of C T transitions."""
    size = values["replay.capacity"] * spec.horizon
    buffer = importlib.import_module("flashbax").make_trajectory_buffer(
        add_batch_size=1,
        sample_batch_size=values["agent.batch_size"],
        sample_sequence_length=length,
        period=1,
        min_length_time_axis=length,
        max_length_time_axis=size,
    )
    if stored is None:
        step = {
            "observation": jnp.zeros(spec.observation_shape),
            "achieved_goal": jnp.zeros(spec.goal_shape),
            "desired_goal": jnp.zeros(spec.goal_shape),
            "action": jnp.zeros(spec.action.num_dims, jnp.int32),
        }
        add = jax.jit(buffer.add, donate_argnums=0)
        stored = add(buffer.init(step), jax.tree.map(lambda x: jnp.zeros((1, size, *x.shape), x.dtype), step))

    def take(stored: Any, key: jax.Array) -> Any:
        with jax.numpy_rank_promotion("allow"):  # flashbax promotes ranks, which our tests forbid
            return buffer.sample(stored, key).experience

    return Draw(take, stored, jax.random.split(jax.random.key(0), DRAWS))


def full_ring(spec: types.EnvSpec, values: dict[str, Any]) -> tuple[replay.Replay, replay.ReplayState]:
    """A full ring of C trajectories of T steps; every number of a state is 1000 slot + step, rounded to float32."""
    capacity, horizon = values["replay.capacity"], spec.horizon
    place = 1000.0 * jnp.arange(capacity)[:, None] + jnp.arange(horizon + 1)[None]

    def spread(value: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jnp.broadcast_to(jnp.expand_dims(value, range(value.ndim, value.ndim + len(shape))), value.shape + shape)

    trajectories = types.Trajectory(
        observation=spread(place, spec.observation_shape),
        achieved_goal=spread(place, spec.goal_shape),
        action=spread(place[:, :-1].astype(jnp.int32), (spec.action.num_dims,)),
        desired_goal=spread(-place[:, 0], spec.goal_shape),
        length=jnp.full(capacity, horizon, jnp.int32),
        terminal=jnp.zeros(capacity, jnp.bool_),
    )
    ring = replay.make_ring(jax.tree.map(lambda x: x[0], trajectories), capacity)
    return ring, jax.jit(ring.add, donate_argnums=0)(ring.init(), trajectories)
