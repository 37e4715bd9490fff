"""Every wrong call of the rendering room is refused by name: no NaN is drawn, and no shape is broadcast."""

import dataclasses
import math

import jax.numpy as jnp
import pytest
import wrong_calls
from wrong_arguments import JUNK, Argument, count, flag, floats, optional, thing
from wrong_calls import door

from hindsight_jax import rendering

NAN, INF = math.nan, math.inf
RED = (1.0, 0.0, 0.0, 1.0)


def vector(*right, bad=()):
    """A vector of numbers, as a sequence or as an array."""
    count = len(right)
    wrong = {
        "a number more": (*right, 0.5),
        "a number less": right[:-1],
        "nested": [list(right)],
        "a column": jnp.zeros((count, 1)),
        "a scalar": 0.5,
        "NaN": (*right[:-1], NAN),
        "infinity": (*right[:-1], INF),
        "None in it": (*right[:-1], None),
        "text": ("0",) * count,
        "complex": (1j,) * count,
        "booleans": (True,) * count,
        "ragged": [[0.0], [0.0, 1.0], 0.0, 0.0],
    }
    right_here = ("NumPy array", "JAX array", "range", *(["list"] if count == 2 else []))
    junk = {label: value for label, value in JUNK.items() if label not in right_here}
    return Argument(right, {}, junk | wrong | {f"{value}": value for value in bad})


def length(right=0.5, *bad):
    """One number >= 0."""
    wrong = {"[1]": jnp.ones(1), "[2]": [0.5, 0.5], "NaN": NAN, "infinity": INF, "-1": -1.0, "-inf": -INF}
    junk = {label: value for label, value in JUNK.items() if label not in ("integer", "float", "NaN")}
    return Argument(right, {}, junk | wrong | {f"{value}": value for value in bad})


PLACE, COLOUR = vector(0.0, 0.0, 0.0), vector(*RED, bad=[(2.0, 0.0, 0.0, 1.0), (255, 0, 0, 255), (-0.1, 0, 0, 1)])
ROTATION = optional(Argument(jnp.eye(3), {}, vector(0.0, 0.0, 1.0).known | {"a vector": jnp.ones(3)}))
SIDES = vector(1.0, 1.0, 1.0, bad=[(1.0, 1.0, -1.0)])
VIEW = {
    "position": vector(0.0, -1.0, 1.0),
    "target": vector(0.0, 0.0, 0.0),
    "up": vector(0.0, 0.0, 1.0, bad=[(0, -1, 1)]),
}
BALL = rendering.sphere((0, 0, 0), 0.5, RED)
CAMERA = rendering.pinhole((0, -1, 1), (0, 0, 0), (0, 0, 1), 45.0)
SCENE = thing(
    BALL,
    unknown_kind=dataclasses.replace(BALL, kinds=(99,)),
    no_kinds=dataclasses.replace(BALL, kinds=()),
    two_kinds=dataclasses.replace(BALL, kinds=(2, 2)),
    no_positions=dataclasses.replace(BALL, position=None),
    flat_sizes=dataclasses.replace(BALL, size=jnp.zeros(3)),
    integers=dataclasses.replace(BALL, rgba=jnp.ones((1, 4), jnp.int32)),
    camera=CAMERA,
)
GAP = count(2)._replace(static={k: v for k, v in count().static.items() if k not in ("0", "NumPy 0")})
PICTURES = Argument(
    jnp.zeros((2, 4, 4, 3)),
    {},
    JUNK
    | {
        "one": jnp.zeros((4, 4, 3)),
        "of an animation": jnp.zeros((2, 2, 4, 4, 3)),
        "bytes of them": jnp.zeros((2, 4, 4, 3), jnp.uint8),
        "none of them": jnp.zeros((0, 4, 4, 3)),
        "grey": jnp.zeros((2, 4, 4, 1)),
    },
)


def room_of(**arguments):
    blames = ("size", "scenes[0]", "scenes[1]", "scene.kinds", "scene", "bodies.kinds", "bodies", "scenery.kinds")
    return {"any_blamed": True, "blames": blames, **arguments}


def composed(first, second):
    return rendering.compose(first, second)


def observed(scenery, camera, bodies, pixels):
    return rendering.observer(scenery, camera, pixels, antialias=1)(bodies)


DOORS = {
    "sphere": door(rendering.sphere, **room_of(position=PLACE, radius=length(), rgba=COLOUR)),
    "capsule": door(
        rendering.capsule,
        **room_of(position=PLACE, radius=length(), half_length=length(), rgba=COLOUR, rotation=ROTATION),
    ),
    "capsule_between": door(
        rendering.capsule_between, **room_of(a=PLACE, b=vector(0.0, 0.0, 1.0), radius=length(), rgba=COLOUR)
    ),
    "cylinder": door(
        rendering.cylinder,
        **room_of(position=PLACE, radius=length(), half_height=length(), rgba=COLOUR, rotation=ROTATION),
    ),
    "box": door(rendering.box, **room_of(position=PLACE, half_extents=SIDES, rgba=COLOUR, rotation=ROTATION)),
    "plane": door(
        rendering.plane, **room_of(position=PLACE, rgba=COLOUR, half_extents=vector(1.0, 1.0), rotation=ROTATION)
    ),
    "yaw": door(rendering.yaw, angle=length()._replace(known={k: v for k, v in length().known.items() if k != "-1"})),
    "orthographic": door(rendering.orthographic, **room_of(**VIEW, height=length(1.0, 0.0))),
    "pinhole": door(rendering.pinhole, **room_of(**VIEW, fov_degrees=length(45.0, 0.0, 180.0))),
    "compose": door(composed, **room_of(first=thing(BALL), second=thing(BALL))),
    "render": door(
        rendering.render,
        **room_of(
            scene=SCENE,
            camera=thing(CAMERA, scene=BALL),
            width=count(4),
            height=count(4),
            antialias=count(1),
            shadows=flag(True),
            light=vector(0.0, 0.0, 1.0),
            background=Argument(jnp.zeros((2, 3)), {}, vector(0.0, 0.0, 1.0).known),
        ),
    ),
    "observer": door(
        observed, **room_of(scenery=optional(SCENE), camera=thing(CAMERA, scene=BALL), bodies=SCENE, pixels=count(4))
    ),
    "to_uint8": door(rendering.to_uint8, image=floats(2, 2, 3)._replace(static=floats().static, sizes={})),
    "contact_sheet": door(rendering.contact_sheet, images=PICTURES, columns=count(), gap=GAP),
}
ANY_SHAPE = ("[1]", "[1, 1]", "[3]", "[0]")
DOORS["to_uint8"] = DOORS["to_uint8"]._replace(
    wrong=[wrong for wrong in DOORS["to_uint8"].wrong if not wrong.label.endswith(ANY_SHAPE)]
)


@pytest.mark.parametrize("name", DOORS)
def test_the_right_call_works_and_every_wrong_one_is_refused(name):
    DOORS[name].right_call()
    assert wrong_calls.thin({name: DOORS[name]}) == {}
    assert wrong_calls.complaints(DOORS[name]) == {}


def test_every_public_function_is_tried():
    assert wrong_calls.missing(rendering, DOORS, others=["Camera", "Scene"]) == set()
