"""MJX behind a small door: `Engine` steps a model of an asset, `PhysicsTask` is a goal-conditioned task on one.

Dimension key: V degrees of freedom (slides and hinges only, so positions count the same), U actuators, S substeps,
M moving dimensions of an action, O observation dims, G goal dims.

`mjx.Data` holds some hundred arrays, many of zero size, and all but three are computed anew in each step. So the three
are the state: a scan carries less, a checkpoint holds no empty arrays, and XLA drops what nobody reads.
"""

import abc
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _quiet_imports, _validation, action_sets, base

with _quiet_imports.without_warp_message():
    import mujoco
    from mujoco import mjx

Markers = Sequence[rendering.Scene]


class Physics(NamedTuple):
    """All that a step reads of the past."""

    qpos: jax.Array  # f32[V], metres or radians
    qvel: jax.Array  # f32[V], per second
    warmstart: jax.Array  # f32[V], the last acceleration, where the solver starts


def load(asset: str) -> mujoco.MjModel:
    """The C model of envs/assets/<asset>."""
    return mujoco.MjModel.from_xml_path(str(pathlib.Path(__file__).parent / "assets" / asset))


class Engine:
    """One model, ready to step. MJX needs rank promotion, which the rest of the library forbids: it is allowed here.

    >>> engine = Engine("push.xml")
    >>> state = engine.start(jnp.array([0.0, 0.6, 0.1, 0.6]))
    >>> state = engine.substeps(state, jnp.zeros((4, 2)))
    """

    def __init__(self, asset: str):
        self.model = load(asset)  # C MuJoCo's, for names, sizes and parity
        with jax.numpy_rank_promotion("allow"):
            self._mjx_model = mjx.put_model(self.model, impl="jax")
            self._blank = mjx.make_data(self.model, impl="jax")
        self._traced_substep = jax.jit(self._substep)  # traced once for every rollout that a program has

    def start(self, qpos: jax.Array, qvel: jax.Array | None = None) -> Physics:
        """The state in the positions `qpos` f32[V], at rest or with the velocities `qvel` f32[V]."""
        zeros = jnp.zeros(self.model.nv, jnp.float32)
        return Physics(qpos.astype(jnp.float32), zeros if qvel is None else qvel.astype(jnp.float32), zeros)

    def substeps(self, state: Physics, controls: jax.Array) -> Physics:
        """The state after S substeps of the model's timestep with the controls f32[S, U], which must be finite."""
        with jax.numpy_rank_promotion("allow"):
            return jax.lax.scan(self._traced_substep, state, controls)[0]

    def _substep(self, state: Physics, control: jax.Array) -> tuple[Physics, None]:
        data = self._blank.replace(qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.warmstart, ctrl=control)
        data = mjx.step(self._mjx_model, data)
        return Physics(data.qpos, data.qvel, data.qacc_warmstart), None

    def scene(self, qpos: jax.Array) -> rendering.Scene:
        """The model's geoms at the positions `qpos` f32[V], in their own colours; those of alpha 0 are left out."""
        shown = np.flatnonzero(self.model.geom_rgba[:, 3] > 0)
        with jax.numpy_rank_promotion("allow"):
            data = mjx.kinematics(self._mjx_model, self._blank.replace(qpos=qpos))
        return rendering.Scene(
            tuple(int(kind) for kind in self.model.geom_type[shown]),
            data.geom_xpos[shown],
            data.geom_xmat[shown],
            jnp.asarray(self.model.geom_size[shown], jnp.float32),
            jnp.asarray(self.model.geom_rgba[shown], jnp.float32),
        )


class PhysicsTask(base.GoalEnv):
    """A task whose state is an Engine's. A subclass says how it starts, what an action does, and what is observed.

    Args:
      asset: the model's file in envs/assets.
      action: the action set, of `action_set`.
      num_moves: M, how many numbers in [-1, 1] an action stands for (`base.moves`).
      horizon: steps per episode.
      threshold: success is a distance below this.
      ends_at_success: the episode ends at the first success.
      observation_range: where observations usually lie; its length is O.
      goal_range: where goals lie; its length is G.

    Raises ValueError for a bad horizon or threshold.
    """

    def __init__(
        self,
        asset: str,
        action: types.Discrete | types.Box,
        num_moves: int,
        *,
        horizon: int,
        threshold: float,
        ends_at_success: bool,
        observation_range: types.Range,
        goal_range: types.Range,
    ):
        checks.positive_int("horizon", horizon, "The papers' is 50.")
        _validation.check_threshold(threshold, "Leave it out for the paper's.")
        self._spec = types.EnvSpec(
            observation_shape=(len(observation_range.low),),
            goal_shape=(len(goal_range.low),),
            action=action,
            horizon=int(horizon),
            threshold=float(threshold),
            ends_at_success=ends_at_success,
            observation_range=observation_range,
            goal_range=goal_range,
        )
        self._num_moves = num_moves
        self.engine = Engine(asset)

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @abc.abstractmethod
    def sample_start(self, key: jax.Array) -> Physics:
        """The first state of an episode."""

    @abc.abstractmethod
    def controls(self, now: Physics, move: jax.Array) -> jax.Array:
        """The actuators' inputs f32[S, U] of one step, for a move f32[M] in [-1, 1]."""

    @abc.abstractmethod
    def observe(self, now: Physics) -> jax.Array:
        """What the agent sees of a state, f32[*O]."""

    def markers(self, goal: jax.Array) -> Markers:
        """Translucent bodies that show where the goal is, and whatever else a picture needs."""
        del goal
        return ()

    def reset(self, rng: jax.Array) -> base.State:
        start_key, goal_key = jax.random.split(base.typed(rng))
        start = self.sample_start(start_key)
        return self.first_state(base.PipelineState(start, self.sample_goal(goal_key)), self.observe(start))

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        move, valid = action_sets.moves(self.spec.action, action, self._num_moves)
        now: Any = state.pipeline_state
        after = self.engine.substeps(now.physics, self.controls(now.physics, move))
        return self.next_state(state, base.PipelineState(after, now.goal), self.observe(after), valid)

    @checks.validated(_validation.check_state)
    def scene(self, state: base.State) -> rendering.Scene:
        """The model's geoms, and the goal's markers."""
        now: Any = state.pipeline_state
        return rendering.compose(self.engine.scene(now.physics.qpos), *self.markers(now.goal))


def held(control: jax.Array, num_substeps: int) -> jax.Array:
    """The same control f32[U] in every substep, f32[S, U].

    >>> held(jnp.ones(1), 3)[:, 0].tolist()
    [1.0, 1.0, 1.0]
    """
    return jnp.broadcast_to(control[None], (num_substeps, *control.shape))


def straight(start: jax.Array, end: jax.Array, num_substeps: int) -> jax.Array:
    """The controls f32[S, U] of a straight line at a constant speed, from `start` (left out) to `end` f32[U].

    >>> straight(jnp.zeros(1), jnp.ones(1), 4)[:, 0].tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    part = jnp.arange(1, num_substeps + 1, dtype=jnp.float32)[:, None] / num_substeps
    return start[None] + part * (end - start)[None]
