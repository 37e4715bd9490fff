"""A thin wrapper around MJX: `Engine` steps a model, `PhysicsTask` is a goal-conditioned task on one.

Dimension key: Q positions, V velocities (of slides and hinges alone Q = V; a free joint has 7 positions, of which the
last four are a unit quaternion, and 6 velocities; a ball joint has 4 and 3), U actuators, S substeps, M moving
dimensions of an action, O observation dims, G goal dims.

`mjx.Data` holds some hundred arrays, many of zero size, and all but three are computed anew in each step. So the three
are the state: a scan carries less, a checkpoint holds no empty arrays, and XLA drops the arrays that nobody reads.
"""

import abc
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import backend, checks, numerics, rendering, types
from hindsight_jax.envs import _quiet_imports, _small_matrices, _validation, action_sets, base

with _quiet_imports.without_warp_message():
    import mujoco
    from mujoco import mjx

_ASSETS = pathlib.Path(__file__).parent / "assets"
_SHIPPED = frozenset(asset.name for asset in _ASSETS.glob("*.xml"))  # tests run each in MJX
_DRAWN = (rendering.PLANE, rendering.SPHERE, rendering.CAPSULE, rendering.CYLINDER, rendering.BOX)


class Physics(NamedTuple):
    """All that a step reads of the past."""

    qpos: jax.Array  # f32[Q], metres or radians; a quaternion of unit length
    qvel: jax.Array  # f32[V], per second
    warmstart: jax.Array  # f32[V], the last acceleration, where the solver starts


def load(model: str | os.PathLike[str]) -> mujoco.MjModel:
    """C MuJoCo's model of an XML text (it starts with "<"), a name in envs/assets, or a path, tried in this order.

    Raises ValueError, with MuJoCo's reason, for a text or a file that MuJoCo cannot read.

    >>> load("<mujoco><worldbody><geom size='0.1'/></worldbody></mujoco>").ngeom, load("push.xml").nu
    (1, 2)
    """
    if not isinstance(model, (str, os.PathLike)):
        checks.fail("model", checks.describe(model), "it must be a string or a path", "Pass the text of an MJCF file.")
    text = os.fsdecode(model)
    is_text = text.lstrip().startswith("<")
    places = (str(_ASSETS / text), text) if os.path.basename(text) == text else (text,)
    path = next(filter(os.path.isfile, places), None)
    if path is None and not is_text:
        known = ", ".join(sorted(asset.name for asset in _ASSETS.glob("*.xml")))
        rule = f"it must be XML that starts with '<', a path, or one of {known}"
        checks.fail("model", _short(model), rule, f"{os.getcwd()} has no such file.")
    try:
        return mujoco.MjModel.from_xml_string(text) if is_text else mujoco.MjModel.from_xml_path(path)
    except ValueError as error:
        reason = " ".join(str(error).split())
        checks.fail("model", _short(model), "MuJoCo must be able to read it", f"Correct the XML: {reason}")


def _short(model: str | os.PathLike[str]) -> str:
    """The text or path as a message shows it."""
    text = " ".join(os.fsdecode(model).split())
    return repr(text if len(text) <= 60 else f"{text[:60]} ...")


class Engine:
    """One model, ready to step. MJX needs rank promotion, which the rest of the library forbids: it is allowed here.

    Args:
      model: XML text, the name of a file in envs/assets, or a path. Every kind of joint will do: slides, hinges, balls
        and free joints. Actuators must be stateless. Mocap bodies stay where the XML has them.

    Raises ValueError for a model that MuJoCo cannot read, that MJX does not support, or whose actuators have a state.

    >>> engine = Engine("push.xml")
    >>> state = engine.start(jnp.array([0.0, 0.6, 0.1, 0.6]))
    >>> state = engine.substeps(state, jnp.zeros((4, 2)))
    """

    def __init__(self, model: str | os.PathLike[str]):
        self.model = load(model)  # C MuJoCo's, for names, sizes and parity
        if self.model.na or self.model.nhistory:  # lost between substeps: `Physics` does not carry them
            rule = "its actuators must be stateless, for a state holds positions and velocities alone"
            remedy = "Remove their dyntype, timeconst and delay, and muscles."
            checks.fail("model", _short(model), rule, remedy)
        self._source = model
        if not (isinstance(model, str) and model in _SHIPPED):
            self._mjx  # noqa: B018 - MJX may refuse it
        self._traced_substep = self._traced()

    @functools.cached_property
    def _mjx(self) -> tuple[mjx.Model, mjx.Data]:
        """MJX's model, and its data in the positions of the XML: made late, so that making a task starts no JAX."""
        backend.start()
        with numerics.made_once(), jax.numpy_rank_promotion("allow"):
            try:
                return mjx.put_model(self.model, impl="jax"), mjx.make_data(self.model, impl="jax")
            except NotImplementedError as error:
                checks.fail("model", _short(self._source), "MJX must support it", f"Leave this out: {error}")

    def __getstate__(self) -> dict[str, Any]:
        """C MuJoCo's model: the XML's files may not be where the copy is."""
        return {"model": self.model, "_source": self._source}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._traced_substep = self._traced()

    def start(self, qpos: jax.Array, qvel: jax.Array | None = None) -> Physics:
        """The state in the positions `qpos` f32[Q], at rest or with the velocities `qvel` f32[V].

        MuJoCo's order: joint after joint as in the XML. `engine.model.qpos0` are the positions of the XML.
        """
        checks.shape("qpos", qpos, (self.model.nq,), "Give each position of the model, joint after joint.")
        zeros = jnp.zeros(self.model.nv, jnp.float32)
        if qvel is not None:
            checks.shape("qvel", qvel, (self.model.nv,), "Give each velocity of the model, joint after joint.")
        return Physics(jnp.asarray(qpos, jnp.float32), zeros if qvel is None else jnp.asarray(qvel, jnp.float32), zeros)

    def substeps(self, state: Physics, controls: jax.Array) -> Physics:
        """The state after S substeps of the model's timestep with the controls f32[S, U], which must be finite."""
        remedy = "Give each actuator its input in each substep; envs.held repeats one."
        checks.rank("controls", controls, 2, remedy)
        checks.shape("controls", controls, (controls.shape[0], self.model.nu), remedy)
        with jax.numpy_rank_promotion("allow"), jax.disable_jit(False):  # one by one, MJX's operations take minutes
            return jax.lax.scan(self._traced_substep, state, controls)[0]

    def _traced(self) -> Callable[..., Any]:
        """A substep that is traced once for every rollout of a program."""
        return jax.jit(_small_matrices.written_out(self._substep))

    def _substep(self, state: Physics, control: jax.Array) -> tuple[Physics, None]:
        model, blank = self._mjx
        data = blank.replace(qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.warmstart, ctrl=control)
        data = mjx.step(model, data)
        return Physics(data.qpos, data.qvel, data.qacc_warmstart), None

    def scene(self, qpos: jax.Array) -> rendering.Scene:
        """The model's geoms at the positions `qpos` f32[Q], in their own colours; those of alpha 0 are left out.

        So are meshes, ellipsoids and height fields, which `rendering` does not draw.
        """
        return self._geoms(self._shown(), qpos)

    def scenery(self) -> rendering.Scene | None:
        """Those geoms of `scene` that no joint moves; None if there are none."""
        rows = self._shown(moving=False)
        if not rows.size:
            return None
        data = mujoco.MjData(self.model)
        mujoco.mj_kinematics(self.model, data)
        return self._drawn(rows, data.geom_xpos, data.geom_xmat.reshape(-1, 3, 3))

    def bodies(self, qpos: jax.Array) -> rendering.Scene:
        """Those geoms of `scene` that joints move, at the positions `qpos` f32[Q]."""
        return self._geoms(self._shown(moving=True), qpos)

    def _shown(self, moving: bool | None = None) -> np.ndarray:
        """Indices of the geoms that are drawn: all, those that some joint moves, or the others."""
        shown = (self.model.geom_rgba[:, 3] > 0) & np.isin(self.model.geom_type, _DRAWN)
        moves = self.model.body_weldid[self.model.geom_bodyid] != 0  # 0 is the world
        return np.flatnonzero(shown if moving is None else shown & (moves == moving))

    def _geoms(self, rows: np.ndarray, qpos: jax.Array) -> rendering.Scene:
        with jax.numpy_rank_promotion("allow"), jax.disable_jit(False):
            model, blank = self._mjx
            data = mjx.kinematics(model, blank.replace(qpos=qpos))
        return self._drawn(rows, data.geom_xpos, data.geom_xmat)

    def _drawn(self, rows: np.ndarray, position: Any, rotation: Any) -> rendering.Scene:
        """The scene of these geoms, of all geoms' positions [N, 3] and rotations [N, 3, 3]."""
        kinds = tuple(int(kind) for kind in self.model.geom_type[rows])
        rest = position[rows], rotation[rows], self.model.geom_size[rows], self.model.geom_rgba[rows]
        return rendering.Scene(kinds, *(jnp.asarray(array, jnp.float32) for array in rest))


numerics.steady_methods(Engine)


class PhysicsTask(base.GoalEnv):
    """A task whose state is an Engine's; `PipelineState.physics` is a `Physics`.

    A subclass defines `sample_start`, `controls` and `observe`, and what every task does: `achieved_goal`, `distance`
    and `sample_goal`. The model and `camera` draw it; `markers` show its goal.

    Args:
      model: the model of the Engine: XML text, the name of a file in envs/assets, or a path.
      action: the action set, of `envs.action_set`.
      num_moves: M, how many numbers in [-1, 1] an action stands for (`envs.moves`).
      horizon: steps per episode.
      threshold: success is a distance strictly below this.
      ends_at_success: whether the episode ends at the first success.
      observation_range: where observations usually lie; its length is O.
      goal_range: where goals lie; its length is G.

    Raises ValueError for a bad model, horizon or threshold.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        action: types.Discrete | types.Box,
        num_moves: int,
        *,
        horizon: int,
        threshold: float,
        ends_at_success: bool,
        observation_range: types.Range,
        goal_range: types.Range,
    ):
        self._spec = types.EnvSpec(
            observation_shape=(len(observation_range.low),),
            goal_shape=(len(goal_range.low),),
            action=action,
            horizon=checks.positive_int("horizon", horizon, "It is the number of steps of an episode."),
            threshold=_validation.threshold(threshold, "It is in the units of `distance`."),
            ends_at_success=ends_at_success,
            observation_range=observation_range,
            goal_range=goal_range,
        )
        self._num_moves = num_moves
        self.engine = Engine(model)

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @abc.abstractmethod
    def sample_start(self, key: jax.Array) -> Physics:
        """The first state of an episode: `self.engine.start(positions)`, drawn by the key."""

    @abc.abstractmethod
    def controls(self, now: Physics, move: jax.Array) -> jax.Array:
        """The actuators' inputs f32[S, U] of one step, for a move f32[M] in [-1, 1]."""

    @abc.abstractmethod
    def observe(self, now: Physics) -> jax.Array:
        """The agent's observation of a state, f32[O]."""

    def reset(self, rng: jax.Array) -> base.State:
        start_key, goal_key = jax.random.split(base.typed(rng))
        start = self.sample_start(start_key)
        return self.first_state(base.PipelineState(start, self.sample_goal(goal_key)), self.observe(start))

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        """The engine's positions at `start`, at rest. Override it where a start says less, or more."""
        physics = self.engine.start(start)
        return now.replace(physics=physics), self.observe(physics)

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        move, valid = action_sets.moves(self.spec.action, action, self._num_moves)
        now: Any = state.pipeline_state
        after = self.engine.substeps(now.physics, self.controls(now.physics, move))
        return self.next_state(state, base.PipelineState(after, now.goal), self.observe(after), valid)

    def scenery(self) -> rendering.Scene | None:
        """The model's geoms that no joint moves."""
        return self.engine.scenery()

    @checks.validated(_validation.check_state)
    def bodies(self, state: base.State) -> rendering.Scene:
        """The model's geoms that joints move."""
        now: Any = state.pipeline_state
        return self.engine.bodies(now.physics.qpos)


@numerics.steady
def held(control: jax.Array, num_substeps: int) -> jax.Array:
    """The same control f32[U] in every substep, f32[S, U].

    >>> held(jnp.ones(1), 3)[:, 0].tolist()
    [1.0, 1.0, 1.0]
    """
    return jnp.broadcast_to(control[None], (num_substeps, *control.shape))


@numerics.steady
def straight(start: jax.Array, end: jax.Array, num_substeps: int) -> jax.Array:
    """The controls f32[S, U] of a straight line at a constant speed, from `start` (left out) to `end` f32[U].

    >>> straight(jnp.zeros(1), jnp.ones(1), 4)[:, 0].tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    part = jnp.arange(1, num_substeps + 1, dtype=jnp.float32)[:, None] / num_substeps
    return start[None] + part * (end - start)[None]
