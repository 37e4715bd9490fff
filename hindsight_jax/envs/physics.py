"""MJX behind a small door: a model from an asset, a state of three vectors, and `substeps`.

Dimension key: V degrees of freedom (slides and hinges only, so positions count the same), U actuators, S substeps.

`mjx.Data` holds some hundred arrays, many of zero size, and all but three are computed anew in each step. So the three
are the state: a scan carries less, a checkpoint holds no empty arrays, and XLA drops what nobody reads.
"""

import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax.envs import quiet

with quiet.without_warp_message():
    import mujoco
    from mujoco import mjx


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

    def start(self, qpos: jax.Array) -> Physics:
        """The state at rest in the positions `qpos`, f32[V]."""
        zeros = jnp.zeros(self.model.nv, jnp.float32)
        return Physics(qpos.astype(jnp.float32), zeros, zeros)

    def substeps(self, state: Physics, controls: jax.Array) -> Physics:
        """The state after S substeps of the model's timestep with the controls f32[S, U], which must be finite."""
        with jax.numpy_rank_promotion("allow"):
            return jax.lax.scan(self._substep, state, controls)[0]

    def _substep(self, state: Physics, control: jax.Array) -> tuple[Physics, None]:
        data = self._blank.replace(qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.warmstart, ctrl=control)
        data = mjx.step(self._mjx_model, data)
        return Physics(data.qpos, data.qvel, data.qacc_warmstart), None
