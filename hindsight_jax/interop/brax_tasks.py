"""brax's reacher, pusher, ant and humanoid with goals: `envs.make("brax_reacher")`, and so on.

Dynamics, assets and starts are as brax ships them. State, goals and thresholds are those of the tasks of these names in
JaxGCRL (Bortkiewicz et al. 2024, arXiv 2408.11052), so that figures can stand beside theirs; docs/brax.md says where
the two differ. Goals are drawn here and lie outside of brax's state, in which nothing changes with them.

Dimension key: O numbers of the state, G of a goal.
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from brax import math

from hindsight_jax import backend as jax_backend
from hindsight_jax import checks, numerics, rendering, types
from hindsight_jax.envs import _validation, base
from hindsight_jax.interop.brax import SimulatedTask, simulating

BACKENDS = ("generalized", "spring", "positional", "mjx")
TIP = 0.11  # metres from the second link's joint to reacher's fingertip
GOALS_WITHIN = 0.2  # metres from the shoulder
TABLE = (0.45, -0.05, -0.323)  # metres, where pusher's goal has slid nowhere
CLEAR = 0.17  # metres between pusher's object and its goal: the object starts further out where it is less
CIRCLE = 10.0  # metres, the radius of ant's goals
RING = (1.0, 5.0)  # metres, the distances of humanoid's goals
UPRIGHT = 1.25  # metres, the height of humanoid's goals


class ShippedTask(SimulatedTask):
    """A task on an environment of brax, which is made when it is first used: that takes seconds.

    Args:
      horizon: steps per episode.
      threshold: success is a distance, in metres, strictly below this.
      backend: brax's physics: 'generalized', 'spring', 'positional' or 'mjx'. They are different dynamics.
    """

    _NAME: ClassVar[str]  # brax's
    _OPTIONS: ClassVar[dict[str, Any]] = {}
    _NUM_DIMS: ClassVar[int]
    _HIGH: ClassVar[tuple[float, ...]]  # observations lie within plus and minus these
    _GOALS: ClassVar[types.Range]

    def __init__(self, horizon: int, threshold: float, backend: str):
        self._backend = _validation.choose("backend", backend, {name: name for name in BACKENDS})
        self._spec = types.EnvSpec(
            observation_shape=(len(self._HIGH),),
            goal_shape=(len(self._GOALS.low),),
            action=types.Box(self._NUM_DIMS),
            horizon=checks.positive_int("horizon", horizon, "It is the number of steps of an episode."),
            threshold=_validation.threshold(threshold, "It is in metres."),
            ends_at_success=False,
            observation_range=types.Range(tuple(-x for x in self._HIGH), self._HIGH),
            goal_range=self._GOALS,
        )

    @property
    def backend(self) -> str:
        return self._backend

    @functools.cached_property
    def env(self) -> Any:
        """The environment of brax."""
        jax_backend.start()
        from brax import envs

        with numerics.made_once(), simulating():
            return envs.get_environment(self._NAME, backend=self._backend, **self._OPTIONS)

    def __getstate__(self) -> dict[str, Any]:
        """Without the environment, which a copy makes again."""
        return {name: value for name, value in super().__getstate__().items() if name != "env"}

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A ball around the goal, as large as the threshold."""
        return (rendering.sphere(state.obs["desired_goal"], self.spec.threshold, rendering.MARKER),)


class Reacher(ShippedTask):
    """An arm of two links brings its fingertip to a place. Actions are two torques; a step is 0.02 s.

    Observation, O = 10: 0, 1 the cosines and 2, 3 the sines of both angles; 4, 5, 6 the fingertip's x, y, z; 7, 8, 9
    what brax's reacher has for the fingertip's velocity, which is off once the arm turns: the velocity of the second
    link's centre plus 0.11 m times its turning along y, whichever way the link points. Goal, G = 3: of the fingertip.

    Arguments as of ShippedTask. Raises ValueError for other values.

    >>> Reacher().spec.horizon, Reacher().spec.goal_shape
    (100, (3,))
    """

    _NAME, _NUM_DIMS, _hidden = "reacher", 2, ("target",)
    _HIGH = (1.0, 1.0, 1.0, 1.0, 0.21, 0.21, 0.02, 3.0, 5.0, 1.0)
    _GOALS = types.Range((-GOALS_WITHIN, -GOALS_WITHIN, -0.02), (GOALS_WITHIN, GOALS_WITHIN, 0.02))
    _goal_indices = (4, 5, 6)

    def __init__(self, horizon: int = 100, threshold: float = 0.05, backend: str = "generalized"):
        super().__init__(horizon, threshold, backend)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """At a uniform distance of up to 0.2 m from the shoulder, in a uniform direction: denser near it. f32[3]"""
        return _around(key, 0.0, GOALS_WITHIN, 0.01)

    def observe(self, state: Any) -> jax.Array:
        now, tip = state.pipeline_state, jnp.array([TIP, 0.0, 0.0])
        place = now.x.pos[1] + math.rotate(tip, now.x.rot[1])
        speed = now.xd.vel[1] - jnp.cross(tip, now.xd.ang[1])
        return jnp.concatenate([jnp.cos(now.q[:2]), jnp.sin(now.q[:2]), place, speed])

    def camera(self) -> rendering.Camera:
        """From above, on what the arm can reach."""
        return rendering.orthographic((0.0, 0.0, 1.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=0.56)


class Pusher(ShippedTask):
    """An arm of seven joints pushes an object on a table to a place. Actions are seven torques; a step is 0.05 s.

    Observation, O = 20: 0 to 6 the joints' angles; 7 to 9 the wrist's place, 10 to 12 the object's; 13 to 19 the
    joints' velocities. Goal, G = 3: of the object; its z lies 0.048 m below the object's, which the threshold spans.

    Arguments as of ShippedTask. Raises ValueError for other values.

    >>> Pusher().spec.observation_shape, Pusher().spec.threshold
    ((20,), 0.1)
    """

    _NAME, _NUM_DIMS, _hidden = "pusher", 7, ("goal",)
    _HIGH = (2.3, 1.4, 1.7, 2.4, 1.5, 1.1, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.4, *(10.0,) * 7)
    _GOALS = types.Range((0.25, -0.6, -0.4), (0.65, -0.3, -0.25))
    _goal_indices = (10, 11, 12)

    def __init__(self, horizon: int = 100, threshold: float = 0.1, backend: str = "generalized"):
        super().__init__(horizon, threshold, backend)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform on a rectangle of the table, 0.4 m along x and 0.3 m along y, on the arm's side. f32[3], metres"""
        slid = jax.random.uniform(key, (2,), jnp.float32, jnp.array([-0.2, -0.55]), jnp.array([0.2, -0.25]))
        return jnp.array(TABLE) + jnp.append(slid, 0.0)

    def reset(self, rng: jax.Array) -> base.State:
        start_key, goal_key = jax.random.split(base.typed(rng))
        object_key, start_key = jax.random.split(start_key)
        goal, first = self.sample_goal(goal_key), self.begin(start_key)
        slid = jax.random.uniform(object_key, (2,), jnp.float32, jnp.array([-0.2, -0.3]), jnp.array([0.2, 0.0]))
        gap = jnp.linalg.norm(slid - (goal - jnp.array(TABLE))[:2])
        slid = slid * jnp.where(gap < CLEAR, CLEAR / gap, 1.0)
        with simulating():
            old: Any = first.pipeline_state
            placed = self.env.pipeline_init(old.q.at[-4:-2].set(slid[::-1]), old.qd)  # y slides first, then x
            first = first.replace(pipeline_state=placed)
        return self.first_state(base.PipelineState(first, goal), self._observed(first))

    def observe(self, state: Any) -> jax.Array:
        now, system = state.pipeline_state, self.env.sys
        centres = now.x.pos + jax.vmap(math.rotate)(system.link.inertia.transform.pos, now.x.rot)
        wrist, pushed = (centres[system.link_names.index(name)] for name in ("r_wrist_flex_link", "object"))
        return jnp.concatenate([now.q[:7], wrist, pushed, now.qd[:7]])

    def camera(self) -> rendering.Camera:
        """From above the far side of the table."""
        return rendering.pinhole((1.6, 0.6, 1.0), target=(0.35, -0.3, -0.2), up=(0.0, 0.0, 1.0), fov_degrees=45.0)


class Ant(ShippedTask):
    """A body on four legs of two joints walks to a place. Actions are eight torques; a step is 0.05 s.

    Observation, O = 29, brax's with the position: 0 to 14 positions (x, y, z, a quaternion, eight angles), 15 to 28
    their velocities. Goal, G = 2: (x, y) of the torso. An ant that falls goes on until the horizon.

    Arguments as of ShippedTask. Raises ValueError for other values.

    >>> Ant().spec.horizon, Ant().spec.threshold, Ant().backend
    (1000, 0.5, 'spring')
    """

    _NAME, _NUM_DIMS = "ant", 8
    _OPTIONS: ClassVar = {"exclude_current_positions_from_observation": False, "terminate_when_unhealthy": False}
    _HIGH = (CIRCLE, CIRCLE, 1.0, *(1.0,) * 4, *(1.5,) * 8, *(5.0,) * 6, *(10.0,) * 8)
    _GOALS = types.Range((-CIRCLE,) * 2, (CIRCLE,) * 2)
    _goal_indices = (0, 1)

    def __init__(self, horizon: int = 1000, threshold: float = 0.5, backend: str = "spring"):
        super().__init__(horizon, threshold, backend)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform on the circle of 10 m around the origin, where the ant starts. f32[2], metres"""
        return _around(key, CIRCLE, CIRCLE)

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A disc on the floor around the goal, as large as the threshold."""
        place = jnp.append(state.obs["desired_goal"], 0.01)
        return (rendering.cylinder(place, self.spec.threshold, 0.01, rendering.MARKER),)

    def camera(self) -> rendering.Camera:
        """From above, on all goals."""
        return rendering.orthographic((0.0, 0.0, 20.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=24.0)


class Humanoid(ShippedTask):
    """A body on two legs walks to a place. Actions are 17 torques; a step is 0.015 s.

    Observation, O = 246, brax's with the position: 0 to 23 positions (x, y, z, a quaternion, 17 angles), 24 to 46
    velocities, 47 to 156 the inertia of eleven links about the centre of mass, 157 to 222 their velocities, 223 to 245
    the actuators' forces. Goal, G = 3: of the torso, 1.25 m above the floor, so it must stand. One that falls goes on
    until the horizon; its feet alone touch the floor, as in brax, so it sinks.

    Arguments as of ShippedTask. Raises ValueError for other values.

    >>> Humanoid().spec.observation_shape, Humanoid().spec.goal_shape
    ((246,), (3,))
    """

    _NAME, _NUM_DIMS = "humanoid", 17
    _OPTIONS: ClassVar = Ant._OPTIONS | {"reset_noise_scale": 0.0}
    _HIGH = (5.0, 5.0, 1.5, *(1.0,) * 4, *(2.0,) * 17, *(10.0,) * 23, *(10.0,) * 110, *(10.0,) * 66, *(100.0,) * 23)
    _GOALS = types.Range((-RING[1], -RING[1], 1.0), (RING[1], RING[1], 1.5))
    _goal_indices = (0, 1, 2)

    def __init__(self, horizon: int = 1000, threshold: float = 0.5, backend: str = "spring"):
        super().__init__(horizon, threshold, backend)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """At a uniform distance of 1 to 5 m from the start, in a uniform direction. f32[3], metres"""
        return _around(key, *RING, UPRIGHT)

    def camera(self) -> rendering.Camera:
        """From the side and above, on all goals."""
        return rendering.pinhole((0.0, -13.0, 8.0), target=(0.0, 0.0, 0.0), up=(0.0, 0.0, 1.0), fov_degrees=45.0)


def _around(key: jax.Array, least: float, most: float, *height: float) -> jax.Array:
    """A place around the origin, at a uniform distance and in a uniform direction; its z is the height, if any.

    >>> place = _around(jax.random.key(0), 1.0, 2.0, 0.5)
    >>> place.shape, 1.0 <= float(jnp.linalg.norm(place[:2])) <= 2.0
    ((3,), True)
    """
    distance, angle = jax.random.uniform(key, (2,), jnp.float32, jnp.array([least, 0.0]), jnp.array([most, 2 * jnp.pi]))
    return jnp.stack([distance * jnp.cos(angle), distance * jnp.sin(angle), *map(jnp.float32, height)])
