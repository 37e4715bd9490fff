"""Two tasks of a few cells, on which it is known what hindsight can learn: a lock before an object, and a gamble.

Dimension key: K digits of the lock, L steps of the safe way.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from hindsight_jax import envs, presets, types

DIGITS = np.random.default_rng(0).integers(0, 3, 64)  # the right actions of every lock, the first digit first
FURTHEST = 3  # places of the object to either side of the middle
CHANCE = 0.3  # of winning the gamble
PIT = -1.0  # the place of those who lost it


class Lock(envs.PureTask):
    """An object that can be moved once a lock of K digits is open.

    While the lock is closed the right action of three opens the next digit, and a wrong one closes all. Once it is open
    the actions move the object by -1, 0 and +1, within FURTHEST of the middle, where it starts. Uniform actions open K
    digits in a row with probability 3^-K. Observation (which digit is next, one-hot; place), f32[K + 2]; goal (place).

    Args:
      size: K.
      start: "zeros", all digits closed, or "uniform", with any number of them open.
      horizon: steps per episode.

    >>> env = Lock(size=1)
    >>> state = env.reset(jax.random.key(0))
    >>> for action in (DIGITS[0], 2, 2):  # opens, right, right
    ...     state = env.step(state, jnp.array([action]))
    >>> state.obs["observation"].tolist()
    [0.0, 1.0, 2.0]
    """

    def __init__(self, size: int = 4, start: str = "zeros", horizon: int = 20):
        self.size, self.anywhere = size, start == "uniform"
        self._spec = types.EnvSpec(
            observation_shape=(size + 2,),
            goal_shape=(1,),
            action=types.Discrete(1, 3),
            horizon=horizon,
            threshold=0.5,
            ends_at_success=False,
            observation_range=types.Range((0.0,) * (size + 1) + (-FURTHEST,), (1.0,) * (size + 1) + (FURTHEST,)),
            goal_range=types.Range((-FURTHEST,), (FURTHEST,)),
        )

    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        return observation[..., -1:]

    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        return jnp.sum(jnp.abs(achieved - desired), axis=-1)

    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform over the places, but for the middle."""
        side_key, far_key = jax.random.split(key)
        side = jnp.where(jax.random.bernoulli(side_key), 1.0, -1.0)
        return side * jax.random.randint(far_key, (1,), 1, FURTHEST + 1).astype(jnp.float32)

    def reset(self, rng: jax.Array) -> envs.State:
        goal_key, start_key = jax.random.split(envs.typed(rng))
        last = self.size if self.anywhere else 0
        opened = jax.random.randint(start_key, (), 0, last + 1)
        return self.first_state(*self._at(opened, jnp.zeros(1), self.sample_goal(goal_key)))

    def step(self, state: envs.State, action: jax.Array) -> envs.State:
        index, valid = envs.choice(3, action)
        now: Any = state.pipeline_state
        opened, place = now.physics
        right = index == jnp.asarray(DIGITS)[opened]
        is_open = opened == self.size
        moved = jnp.clip(place + (index - 1).astype(jnp.float32), -FURTHEST, FURTHEST)
        place = jnp.where(valid & is_open, moved, place)
        opened = jnp.where(is_open | ~valid, opened, jnp.where(right, opened + 1, 0))
        return self.next_state(state, *self._at(opened, place, now.goal), valid)

    def _at(self, opened: jax.Array, place: jax.Array, goal: jax.Array) -> tuple[envs.PipelineState, jax.Array]:
        """What a step reads, and the observation."""
        observation = jnp.append(jax.nn.one_hot(opened, self.size + 1), place)
        return envs.PipelineState((opened, place), goal), observation


@struct.dataclass
class Walk:
    """What `step` carries."""

    place: jax.Array  # f32[1]
    goal: jax.Array  # f32[1]
    key: jax.Array  # typed; draws the gambles


class Gamble(envs.PureTask):
    """L cells in a row, the last of which is the goal: walk there surely, or gamble, and lose the episode mostly.

    Actions: 0 back, 1 on, 2 the gamble, which leads from any cell to the last one with probability CHANCE, else to a
    pit that nothing leaves. The best policy walks: it always succeeds. Observation and goal are the place.

    >>> env = Gamble()
    >>> state = env.step(env.reset(jax.random.key(0)), jnp.array([2]))
    >>> state.obs["observation"].tolist()  # it won
    [5.0]
    """

    def __init__(self, size: int = 5, horizon: int = 15):
        self.last = size
        place = types.Range((PIT,), (float(size),))
        self._spec = types.EnvSpec(
            observation_shape=(1,),
            goal_shape=(1,),
            action=types.Discrete(1, 3),
            horizon=horizon,
            threshold=0.5,
            ends_at_success=True,
            observation_range=place,
            goal_range=place,
        )

    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        return jnp.sum(jnp.abs(achieved - desired), axis=-1)

    def sample_goal(self, key: jax.Array) -> jax.Array:
        """The last cell."""
        del key
        return jnp.array([float(self.last)])

    def reset(self, rng: jax.Array) -> envs.State:
        goal_key, key = jax.random.split(envs.typed(rng))
        place = jnp.zeros(1)
        return self.first_state(Walk(place, self.sample_goal(goal_key), key), place)

    def step(self, state: envs.State, action: jax.Array) -> envs.State:
        index, valid = envs.choice(3, action)
        now: Any = state.pipeline_state
        key, use = jax.random.split(now.key)
        walked = jnp.clip(now.place + jnp.where(index == 1, 1.0, -1.0), 0.0, self.last)
        gambled = jnp.where(jax.random.uniform(use) < CHANCE, float(self.last), PIT)
        place = jnp.where(index == 2, gambled, walked)
        place = jnp.where(valid & (now.place != PIT), place, now.place)
        return self.next_state(state, now.replace(place=place, key=key), place, valid)


def register() -> None:
    """Gives both tasks a name with every algorithm."""
    small = {"agent.hidden_sizes": (64, 64), "agent.batch_size": 128, "agent.updates_per_epoch": 40}
    small |= {"agent.learning_rate": 1e-3, "agent.scale_inputs": True, "agent.target_period": 1}
    small |= {"env.num_envs": 20, "replay.warmup": 40}
    lock = small | {"agent.hindsight_bound": True}  # a place can be kept
    # a short ring, so that what was collected before a policy learnt to walk is forgotten; the pit's value sinks fast
    gamble = small | {"agent.epsilon": 0.3, "agent.target_rate": 0.05, "relabel.absorbing": True}
    gamble |= {"replay.capacity": 400}
    presets.register_environment("lock", Lock, help="an object behind a lock of digits", config=lock)
    presets.register_environment(
        "gamble", Gamble, help="a sure way, and a short one by luck", config=gamble, random=True
    )
