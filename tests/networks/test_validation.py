"""Every wrong call of a network is refused by name, when it is made or when it is first used."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import wrong_calls
from wrong_arguments import JUNK, NO_ARRAYS, Argument, count, flag, floats, option, optional, plain_number, thing
from wrong_calls import door

from hindsight_jax import networks, types

FLAT, ARM, BOX = types.Discrete(1, 3), types.Box(2), types.Range((0.0, -1.0), (1.0, 1.0))
BAD_RANGES = {
    "swapped": types.Range(BOX.high, BOX.low),
    "flat": types.Range((0.0, 0.0), (1.0, 0.0)),
    "short": types.Range((0.0,), (1.0,)),
    "ragged": types.Range((0.0, 0.0), (1.0,)),
    "NaN": types.Range((0.0, math.nan), (1.0, 1.0)),
    "strings": types.Range(("0", "0"), ("1", "1")),
    "None": types.Range((0.0, None), (1.0, 1.0)),
    "scalars": types.Range(0.0, 1.0),
    "plain tuple": tuple(BOX),
}
RANGE = thing(BOX, **BAD_RANGES)
NO_SIZES = {"a number": 4, "text": "44", "boolean": True, "zero": (0,), "negative": (-1,), "None": (None,)}
SIZES = Argument((4,), {}, NO_SIZES | {"a float": (4.0,), "a string": ("4",)})


def rows(width, *, alone=False):
    """Vectors [B, width], whose B another argument has, too."""
    argument = floats(2, width)
    static = {
        k: v for k, v in argument.static.items() if k not in ("a leading axis", "a batch", "none", "a trailing axis")
    }
    if alone:
        static = {k: v for k, v in static.items() if k != "an axis less"}
    sizes = {} if alone else {"axis 0 longer": argument.sizes["axis 0 longer"]}
    return argument._replace(static=static, sizes=sizes)


def used(kind, **inputs):
    """init of a network of this kind, as a function of its fields and of its inputs."""

    def function(**arguments):
        given = {name: arguments.pop(name) for name in inputs}
        wrong_calls.abstractly(kind(**arguments).init)(rngs=jax.random.key(0), **given)

    return function


PIXELS = np.zeros((2, 44, 44, 3), np.uint8)
NO_PIXELS = {f"dtype {kind}": jnp.asarray(PIXELS, kind) for kind in ("float32", "int32", "int8", "bool", "float16")}
SMALL = {
    "few": jnp.asarray(PIXELS[:, :35, :35]),
    "oblong": jnp.asarray(PIXELS[:, :40]),
    "flat": jnp.asarray(PIXELS[0, 0]),
}
IMAGE = Argument(jnp.asarray(PIXELS), NO_ARRAYS | NO_PIXELS | SMALL | {"no channels": jnp.asarray(PIXELS[..., :0])})
SITUATION = {"observation": rows(2), "goal": rows(2)}
HIDDEN = {"hidden_sizes": SIZES, "layer_norm": flag()}
NOT_STD = {label: value for label, value in JUNK.items() if label not in ("integer", "float")}
STD = Argument(0.01, {}, NOT_STD | {"zero": 0.0, "negative": -1.0, "infinite": math.inf, "text": "0.01"})
LAYERS = HIDDEN | {"activation": option("tanh"), "initial_std": optional(STD)}
RANGES = {"observation_range": optional(RANGE), "goal_range": optional(RANGE)}
BLAMES = ("bounds", "x", "action", "std")
WITH_ACTION = SITUATION | {"action": rows(2)}


def network(kind, inputs, **fields):
    return door(used(kind, **inputs), **fields, **inputs, blames=BLAMES, any_blamed=True)


def action(right, **wrong):
    return thing(
        right, a_class=type(right), no_dims=right._replace(num_dims=0), halves=right._replace(num_dims=0.5), **wrong
    )


ONE_ACTION = action(ARM, discrete=FLAT)
DOORS = {
    "uniform_fan_in": door(networks.uniform_fan_in, fan_in=count()),
    "small_normal": door(networks.small_normal, std=STD),
    "scale_to_range": door(networks.scale_to_range, x=rows(2, alone=True), bounds=RANGE, any_blamed=True),
    "check_hidden_sizes": door(
        networks.check_hidden_sizes,
        sizes=Argument((4,), {}, SIZES.known | {k: v for k, v in JUNK.items() if k != "tuple"}),
        called={"sizes": "hidden_sizes"},
    ),
    "joined": door(networks.joined, **SITUATION, **RANGES, blames=BLAMES, any_blamed=True),
    "ImageEncoder": network(
        networks.ImageEncoder,
        {"image": IMAGE},
        last_stride=Argument(1, {}, {k: v for k, v in JUNK.items() if k != "boolean"} | {"0": 0, "3": 3, "1.5": 1.5}),
        spatial_softmax=flag(False),
    ),
    "MLP": network(networks.MLP, {"x": rows(2, alone=True)}, num_outputs=count(), **LAYERS),
    "QNetwork": network(
        networks.QNetwork, SITUATION, action=action(FLAT, box=ARM, no_bins=types.Discrete(1, 0)), **LAYERS, **RANGES
    ),
    "GaussianPolicy": network(
        networks.GaussianPolicy, SITUATION, action=ONE_ACTION, std=plain_number(0.5, -1.0), **LAYERS, **RANGES
    ),
    "DeterministicPolicy": network(networks.DeterministicPolicy, SITUATION, action=ONE_ACTION, **HIDDEN),
    "TanhGaussianPolicy": network(networks.TanhGaussianPolicy, SITUATION, action=ONE_ACTION, **LAYERS, **RANGES),
    "ContrastiveEncoders": network(
        networks.ContrastiveEncoders, WITH_ACTION, representation_size=count(), **HIDDEN, **RANGES
    ),
    "Critic": network(networks.Critic, WITH_ACTION, **LAYERS, **RANGES),
}
DOORS["Critic"] = DOORS["Critic"]._replace(
    wrong=[wrong for wrong in DOORS["Critic"].wrong if wrong.label != "action: None"]  # it is a value of the state then
)


@pytest.mark.parametrize("name", DOORS)
def test_the_right_call_works_and_every_wrong_one_is_refused(name):
    DOORS[name].right_call()
    assert wrong_calls.thin(DOORS) == {}
    assert wrong_calls.complaints(DOORS[name]) == {}


def test_every_public_name_is_tried():
    assert set(networks.__all__) == set(DOORS)
