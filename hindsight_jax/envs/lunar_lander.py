"""lunar_lander: a lander with three engines comes down at a goal (HDM, Table 1; numbers from GCSL's code).

Dimension key: O = 8, (x, z, their velocities, angle, turn rate, left contact, right contact), scaled as below;
G = 5, (x, z, angle, left contact, right contact); F frames per step.

The original is a rigid-body game at 50 frames per second; this is a planar model in MJX, and comments in
assets/lunar_lander.xml mark our own choices. One step is 0.04 s: two frames, each of two substeps of 0.01 s (ours). In
each frame, with u1 and u2 uniform in [-1, 1] / 30, the engines give the hull, along its horizontal and its up,

    main: 13 (u2, 4/30 + 2 u1) N s      through the hull's origin
    side: 0.6 (±12/30 + 3 u2, u1) N s   through the point 14/30 m above the origin

as a force that is constant over the frame. Neither acts through the hull's centre of mass, so both turn the hull too.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, physics

FRAME, NUM_FRAMES, FRAME_SUBSTEPS = 0.02, 2, 2
GRAVITY = 10.0
PIXEL = 1 / 30  # metres
MAIN_ENGINE, MAIN_REACH = 13.0, 4 * PIXEL
SIDE_ENGINE, SIDE_REACH, SIDE_HEIGHT = 0.6, 12 * PIXEL, 14 * PIXEL
CENTRE = 0.101307  # metres; the centre of mass's height above the hull's origin
FOOT = (20 * PIXEL, -26 * PIXEL, 0.041)  # metres; x, z and radius of the right foot's sphere, in the leg's frame
LEGS_OUT = 0.4  # radians, the legs' lowest angle
TOUCH = 0.005  # metres; a foot nearer to the ground than this has contact
GROUND = 0.99 * 10 / 3  # the ground's height in the original, where the origin starts at 40/3
START = 40 / 3 - GROUND
REST = 10 / 3 + 0.6 - GROUND  # the origin's height that is observed as 0
SCALE = (10.0, 20 / 3)  # metres per observed unit of x and z
MOVES = ((0.0, 0.0), (0.0, -1.0), (1.0, 0.0), (0.0, 1.0))  # (main, side) of the four actions
SEEN = (-1.0, -0.1, -1.0, -1.5, -1.0, -1.0, 0.0, 0.0), (1.0, 1.5, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0)  # usual observations
ASKED = (-1.0, -0.1, -1.0, 0.0, 0.0), (1.0, 1.5, 1.0, 1.0, 1.0)  # usual goals


class Lander(NamedTuple):
    """The simulated state: the bodies, and the key of the engines' dispersion."""

    physics: physics.Physics  # positions (x, z, angle, left leg, right leg); x and z are the centre of mass's
    key: jax.Array  # split in each step


class LunarLander(physics.PhysicsTask):
    """A lander and a goal on the ground; success is the hull's observed (x, z) within the threshold of the goal's.

    The observation is the hull's origin (x / 10, (z - 0.633) / 6.667) with z above the ground, the centre of mass's
    velocities (10 vx / 50, 6.667 vz / 50), the angle (radians, from +x towards +z, unwrapped), 20 / 50 of the turn
    rate, and for the left and the right foot 1.0 if it touches the ground, else 0.0. A crash does not end the episode.

    Args:
      actions: 'discrete', one integer: 0 nothing, 1 push left, 2 main engine, 3 push right; or 'continuous' (ours), two
        numbers clipped to [-1, 1]: the main engine's power, off below 0, and the side engines', negative to the left;
        an impulse is proportional to its engine's power.
      horizon: steps per episode.
      threshold: in observed units; success is a distance in (x, z) strictly below this.
      start_force: newtons; during the first frame a force uniform in ±start_force acts along each axis.
      goal_spread: standard deviation of the goal's observed x.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range fires nothing and sets `metrics["invalid_action"]`.

    >>> env = LunarLander()
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> [round(float(z), 1) for z in (state.obs["observation"][1], state.obs["desired_goal"][1])]
    [1.4, 0.0]
    """

    def __init__(
        self,
        actions: str = "discrete",
        horizon: int = 50,
        threshold: float = 0.08,
        start_force: float = 1000.0,
        goal_spread: float = 0.3,
    ):
        self._start_force = checks.number("start_force", start_force, 0.0, 2000.0, "The original's is 1000 N.")
        self._goal_spread = checks.number("goal_spread", goal_spread, 0.0, 2.0, "The original's is 0.3.")
        action = _validation.choose(
            "actions", actions, {"discrete": types.Discrete(1, len(MOVES)), "continuous": types.Box(2)}
        )
        super().__init__(
            "lunar_lander.xml",
            action,
            num_moves=2,
            horizon=horizon,
            threshold=threshold,
            ends_at_success=False,
            observation_range=types.Range(*SEEN),
            goal_range=types.Range(*ASKED),
        )
        self._per_newton = FRAME * np.linalg.inv(_inertia_with_locked_legs(self.engine.model))[:, :2]

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """x, z, angle and contacts, [5]."""
        return observation[..., jnp.array([0, 1, 4, 6, 7])]

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean distance in (x, z), in observed units; angle and legs do not count."""
        return jnp.linalg.norm(achieved[..., :2] - desired[..., :2], axis=-1)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """f32[5]: on the ground at a Gaussian x; upright on both legs or, as likely, at a Gaussian angle on neither."""
        x_key, angle_key, legs_key = jax.random.split(key, 3)
        x = self._goal_spread * jax.random.normal(x_key, (), jnp.float32)
        tilt = 0.2 * jax.random.normal(angle_key, (), jnp.float32)
        landed = jax.random.bernoulli(legs_key)
        legs = landed.astype(jnp.float32)
        return jnp.stack([x, jnp.zeros_like(x), jnp.where(landed, 0.0, tilt), legs, legs])

    def sample_start(self, key: jax.Array) -> Lander:
        """Top centre, upright, legs out; a random force has pushed its centre of mass from rest during one frame.

        In that frame motors hold the legs out with 40 N m against at most 13 N m, so the lander moves as one body.
        """
        force_key, key = jax.random.split(key)
        force = self._start_force * jax.random.uniform(force_key, (2,), jnp.float32, -1.0, 1.0)
        velocity = jnp.asarray(self._per_newton, jnp.float32) @ force - FRAME * jnp.array([0.0, GRAVITY, 0.0])
        root = jnp.array([0.0, START + CENTRE, 0.0]) + FRAME * velocity
        legs = jnp.full(2, LEGS_OUT, jnp.float32)
        return Lander(self.engine.start(jnp.append(root, legs), jnp.append(velocity, jnp.zeros(2))), key)

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether a lander with its legs out can be there: no foot below the ground, at most a quarter turn.

        A start is the first six numbers of an observation, f32[6].
        """
        checks.shape("start", start, (6,), "Give the observed x, z, their velocities, angle and turn rate.")
        height, angle = start[1] * SCALE[1] + REST, start[4]
        lowest = jnp.minimum(_lowest(height, LEGS_OUT - angle), _lowest(height, LEGS_OUT + angle))
        return jnp.all(jnp.isfinite(start)) & (lowest >= 0.0) & (jnp.abs(angle) <= math.pi / 2)

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        x, z, vx, vz, angle, turn = start
        root = jnp.stack([*_centre_of_mass(x, z, angle), angle, LEGS_OUT, LEGS_OUT])
        zero = jnp.zeros_like(x)
        speeds = jnp.stack([vx * 50 / SCALE[0], vz * 50 / SCALE[1], turn * 50 / 20, zero, zero])
        lander = now.physics._replace(physics=self.engine.start(root, speeds))
        return now.replace(physics=lander), self.observe(lander)

    def engines(self, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(f32[2] in [-1, 1], bool[]): the powers of the main and the side engines, and whether the action is valid."""
        if isinstance(self.spec.action, types.Box):
            return action_sets.moves(self.spec.action, action, 2)
        index, valid = action_sets.choice(len(MOVES), action)
        return jnp.array(MOVES)[jnp.where(valid, index, 0)], valid

    def controls(self, now: Lander, move: jax.Array) -> jax.Array:
        """f32[S, 5]: force along the hull's horizontal and its up, torque about its centre of mass, 0 for the legs."""
        main, side = jnp.maximum(move[0], 0.0), move[1]
        dispersion = jax.random.uniform(jax.random.split(now.key)[1], (NUM_FRAMES, 2), jnp.float32, -PIXEL, PIXEL)
        u1, u2 = dispersion.T
        main_across, main_up = MAIN_ENGINE * main * jnp.stack([u2, MAIN_REACH + 2 * u1])
        sign, power = jnp.sign(side), jnp.abs(side)
        side_across, side_up = SIDE_ENGINE * power * jnp.stack([sign * SIDE_REACH + 3 * u2, u1])
        turn = CENTRE * main_across - (SIDE_HEIGHT - CENTRE) * side_across
        zero = jnp.zeros(NUM_FRAMES, jnp.float32)
        impulses = jnp.stack([main_across + side_across, main_up + side_up, turn, zero, zero], axis=1)
        return jnp.repeat(impulses / FRAME, FRAME_SUBSTEPS, axis=0)

    def observe(self, now: Lander) -> jax.Array:
        """Scaled position and velocity, angle and turn rate, contacts, [8]."""
        (x, z, angle, left, right), (vx, vz, turn) = now.physics.qpos, now.physics.qvel[:3]
        x, z = x + CENTRE * jnp.sin(angle), z - CENTRE * jnp.cos(angle)  # the hull's origin
        touches = lambda leg: (_lowest(z, leg) < TOUCH).astype(jnp.float32)
        position = [x / SCALE[0], (z - REST) / SCALE[1], vx * SCALE[0] / 50, vz * SCALE[1] / 50]
        return jnp.stack([*position, angle, 20 * turn / 50, touches(left - angle), touches(right + angle)])

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        move, valid = self.engines(action)
        now: Any = state.pipeline_state
        moved = self.engine.substeps(now.physics.physics, self.controls(now.physics, move))
        after = Lander(moved, jax.random.split(now.physics.key)[0])
        return self.next_state(state, base.PipelineState(after, now.goal), self.observe(after), valid)

    @checks.validated(_validation.check_state)
    def bodies(self, state: base.State) -> rendering.Scene:
        """The lander."""
        now: Any = state.pipeline_state
        return self.engine.bodies(now.physics.physics.qpos)

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The lander at the goal's place and angle, its legs out, whether they are to touch the ground or not."""
        root = jnp.stack([*_centre_of_mass(*goal[:3]), goal[2]])
        return self.engine.bodies(jnp.append(root, jnp.full(2, LEGS_OUT, jnp.float32)))

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A panel behind the lander: at a success the hull's origin is in front of it."""
        goal = state.obs["desired_goal"]
        half = (self.spec.threshold * SCALE[0], 0.05, self.spec.threshold * SCALE[1])
        x, z = goal[0] * SCALE[0], goal[1] * SCALE[1] + REST
        return (rendering.box(jnp.stack([x, jnp.full_like(x, 0.6), z]), half, rendering.MARKER),)

    def camera(self) -> rendering.Camera:
        """From the side, and a little from above."""
        return rendering.orthographic((0.0, -20.0, 7.5), target=(0.0, 0.0, 5.5), up=(0.0, 0.0, 1.0), height=15.0)


def _inertia_with_locked_legs(model: mujoco.MjModel) -> np.ndarray:
    """The inertia matrix [3, 3] in (x, z, angle) of the upright hull and its legs, held out, as one body."""
    data, full = mujoco.MjData(model), np.zeros((model.nv, model.nv))
    data.qpos[3:] = LEGS_OUT
    mujoco.mj_forward(model, data)
    mujoco.mj_fullM(model, data, full)
    return full[:3, :3]


def _centre_of_mass(x: jax.Array, z: jax.Array, angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Its place in metres, from the observed place and the angle of the hull."""
    return x * SCALE[0] - CENTRE * jnp.sin(angle), z * SCALE[1] + REST + CENTRE * jnp.cos(angle)


def _lowest(origin: jax.Array, angle: jax.Array) -> jax.Array:
    """The height of a foot's lowest point, for a leg turned upwards by `angle` on its own side."""
    x, z, radius = FOOT
    return origin + x * jnp.sin(angle) + z * jnp.cos(angle) - radius
