"""Pictures of brax's systems: the geoms of their MuJoCo model, where the links are.

Dimension key: L links, N geoms.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from brax import math

from hindsight_jax import rendering

_DRAWN = (rendering.PLANE, rendering.SPHERE, rendering.CAPSULE, rendering.CYLINDER, rendering.BOX)


def rows_of(system: Any, hidden: Sequence[str], moving: bool) -> np.ndarray:
    """Indices of the geoms that are drawn: those of links, or those of the world. i32[N]

    Meshes, height fields, ellipsoids and geoms of alpha 0 are left out, and so are the links that are called `hidden`.
    """
    model = system.mj_model
    links = model.geom_bodyid - 1  # body 0 is the world, and the others are the links
    unseen = [i for i, name in enumerate(system.link_names) if name in hidden]
    shown = (model.geom_rgba[:, 3] > 0) & np.isin(model.geom_type, _DRAWN) & ~np.isin(links, unseen)
    return np.flatnonzero(shown & ((links >= 0) == moving))


def scene_of(system: Any, rows: np.ndarray, links: Any = None) -> rendering.Scene:
    """The scene of these geoms, of links at `links` (a brax Transform of L), or of the world's."""
    model = system.mj_model
    position, turned = jnp.asarray(model.geom_pos[rows]), jnp.asarray(model.geom_quat[rows])
    if links is not None:
        of = model.geom_bodyid[rows] - 1
        position = links.pos[of] + jax.vmap(math.rotate)(position, links.rot[of])
        turned = jax.vmap(math.quat_mul)(links.rot[of], turned)
    rest = position, jax.vmap(math.quat_to_3x3)(turned), model.geom_size[rows], model.geom_rgba[rows]
    kinds = tuple(int(kind) for kind in model.geom_type[rows])
    return rendering.Scene(kinds, *(jnp.asarray(array, jnp.float32) for array in rest))
