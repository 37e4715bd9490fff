"""Every wrong call of an agent's constructor and of its three functions is refused by name."""

import math

import jax
import jax.numpy as jnp
import pytest
import reference
import wrong_arguments
import wrong_calls
from wrong_arguments import (
    JUNK,
    Argument,
    alike,
    count,
    flag,
    floats,
    key,
    option,
    optional,
    plain_number,
    record,
    thing,
)
from wrong_calls import door

from hindsight_jax import agents, types

NAN, INF = math.nan, math.inf
FLAT, ARM, HORIZON = types.Discrete(1, 5), types.Box(2), 4
MAKERS = {
    "q_learning": (agents.q_learning, agents.QLearningHparams, FLAT),
    "actor_critic": (agents.actor_critic, agents.ActorCriticHparams, ARM),
    "implicit_value": (agents.implicit_value, agents.ImplicitValueHparams, ARM),
    "imitation": (agents.imitation, agents.ImitationHparams, FLAT),
    "policy_gradient": (agents.policy_gradient, agents.PolicyGradientHparams, FLAT),
    "soft_actor_critic": (agents.soft_actor_critic, agents.SoftActorCriticHparams, ARM),
    "contrastive": (agents.contrastive, agents.ContrastiveHparams, ARM),
    "density_ratio": (agents.density_ratio, agents.DensityRatioHparams, FLAT),
}
KEY = jax.random.key(0)


def distance(a, b):
    return jnp.linalg.norm(a - b)


def success(a, b):
    return distance(a, b) < 0.05


SIZES = Argument(
    (4,),
    {},
    {label: value for label, value in JUNK.items() if label not in ("tuple", "list")}
    | {"zero": (0,), "negative": (-1,), "a half": (4.5,), "a string in it": ("4",), "None in it": (None,)},
)


def whole(right, *good):
    """An integer, or a float that is one; `good` are labels of `count` that are no mistakes."""
    good = ("float", "NumPy float", *good)
    return count(right)._replace(static={label: v for label, v in count().static.items() if label not in good})


def no_deviation():
    """A number >= 0, and 0 alone for the discrete actions that `imitation` is tried with."""
    return plain_number(0.0, 0.5, -1.0, 1e7)


OPTIONS = {
    "q_learning": {
        "distance": thing(distance),
        "scale_inputs": flag(),
        "backup": option("double"),
        "imitation": option("indicator"),
        "next_state": option("relabel"),
        "bounded": flag(),
        "hindsight_bound": flag(),
        "evaluated": option("online"),
    },
    "actor_critic": {
        "normalise_inputs": flag(),
        "clip_targets": flag(),
        "num_critics": whole(2),
        "smooth_targets": flag(),
        "policy_period": whole(2),
        "hindsight_bound": flag(),
        "gate": option("progress"),
        "scale_q": flag(),
    },
    "implicit_value": {
        "scale_inputs": flag(),
        "weighting": option("advantage"),
        "num_values": whole(2),
        "bounded": flag(),
        "hindsight_bound": flag(),
        "exploration": option("mode"),
        "std": plain_number(0.2, -1.0, 1e7),
    },
    "soft_actor_critic": {"scale_inputs": flag()},
    "contrastive": {"scale_inputs": flag(), "representation_size": whole(4), "symmetric": flag()},
    "imitation": {
        "scale_inputs": flag(),
        "exploration": option("mode"),
        "acting": option("mode"),
        "std": no_deviation(),
        "averaging": whole(0, "0", "NumPy 0"),
    },
    "policy_gradient": {
        "success": thing(success),
        "scale_inputs": flag(),
        "goals": option("own"),
        "num_goals": whole(3),
        "group_size": whole(2, "0", "NumPy 0"),
        "baseline": flag(),
        "activation": option("tanh"),
        "first_weights": option("small"),
    },
    "density_ratio": {
        "scale_inputs": flag(),
        "family": option("nce"),
        "f": option("kl"),
        "num_others": whole(3),
    },
}
BAD_HPARAMS = {
    "unknown": {"gama": 0.9},
    "NaN": {"learning_rate": NAN},
    "negative": {"learning_rate": -1.0},
    "infinite": {"learning_rate": INF},
    "above 1": {"epsilon": 1.5},
    "a batch": {"learning_rate": jnp.ones(2)},
    "a string": {"learning_rate": "1e-3"},
    "None": {"learning_rate": None},
    "a boolean": {"learning_rate": True},
    "a list": {"learning_rate": [1e-3]},
    "a number for a name": {3: 1.0},
}
OVERRIDES = optional(Argument(None, {}, {k: v for k, v in JUNK.items() if k != "dict"} | BAD_HPARAMS))


def rows(batch):
    """A batch of the ring or of a rollout, and wrong ones by each of its fields."""
    fields = {}
    for name, value in batch._asdict().items():
        if value is None:  # the image of a goal that has none
            fields[name] = Argument(None, {"an image": jnp.zeros((len(batch.action), 36, 36, 3), jnp.uint8)})
            continue
        other_kinds = {
            label: wrong
            for label, wrong in alike(value).static.items()
            if not label.startswith("dtype") or _kind(wrong.dtype) != _kind(jnp.asarray(value).dtype)
        }
        fields[name] = Argument(jnp.asarray(value), other_kinds)
    empty = jax.tree.map(lambda x: x[:0], batch)
    alone = jax.tree.map(lambda x: x[0], batch)
    return record(batch, **fields)._replace(sizes={"empty": empty, "one alone": alone})


def _kind(dtype):
    kinds = (jnp.bool_, jnp.integer, jnp.floating)
    return next((kind for kind in kinds if jnp.issubdtype(dtype, kind)), None)


def doors_of(name):
    """The doors of a constructor and of the agent that it makes."""
    make, hparams, action = MAKERS[name]
    spec = reference.spec(action, HORIZON)
    other_set = reference.spec(FLAT if action is ARM else ARM, HORIZON)
    unfit = {"another action set": other_set} if name not in ("imitation", "implicit_value", "policy_gradient") else {}
    arguments = {
        "spec": thing(spec, a_tuple=tuple(spec), a_class=types.EnvSpec, **unfit),
        "hparams": thing(hparams(), a_class=hparams, a_tuple=tuple(hparams()), a_dict=hparams()._asdict()),
        "hidden_sizes": SIZES,
        "layer_norm": flag(),
        **OPTIONS[name],
    }
    right = {argument: kind.value for argument, kind in arguments.items()}
    agent = make(**right)
    state = wrong_arguments.zeros_like(jax.eval_shape(agent.init, KEY))
    batch = jax.tree.map(
        jnp.asarray,
        reference.trajectories(FLAT, (4, 2, 4, 1), HORIZON)
        if agent.batch == "trajectories"
        else reference.transitions(action),
    )
    a_state = thing(state, a_tuple=tuple(state), parameters=state.params, hparams=state.hparams)
    inputs = {"observation": floats(*spec.observation_shape), "goal": floats(*spec.goal_shape)}
    inputs = {part: argument._replace(static=argument.static | argument.sizes) for part, argument in inputs.items()}
    return {
        "constructor": door(make, **arguments, blames=("spec.action",), any_blamed=True),
        "init": door(agent.init, key=key(), hparams=OVERRIDES),
        "act": door(agent.act, state=a_state, **inputs, key=key(), explore=flag(True)),
        "update": door(agent.update, state=a_state, batch=rows(batch), key=key(), any_blamed=True),
    }


@pytest.mark.parametrize("name", MAKERS)
def test_right_calls_work_and_wrong_ones_are_refused(name):
    doors = doors_of(name)
    assert wrong_calls.thin(doors) == {}
    for what, tried in doors.items():
        if what in ("constructor", "init", "act"):  # doors_of makes the agent; the other tests update it
            tried.right_call()
        assert wrong_calls.complaints(tried) == {}, what
        assert wrong_calls.complaints_when_traced(tried) == {}, what


OVERRIDE = door(
    agents.override,
    defaults=thing(agents.ImitationHparams(), of_strings=agents.ImitationHparams(epsilon="0"), a_dict={"epsilon": 0.0}),
    hparams=OVERRIDES,
    blames=("hparams.epsilon",),
    any_blamed=True,
)


def test_override_refuses_numbers_that_are_not_declared():
    OVERRIDE.right_call()
    assert wrong_calls.thin({"override": OVERRIDE}) == {}
    assert wrong_calls.complaints(OVERRIDE) == {}


def test_every_public_function_is_tried():
    """`constructor` has tests of its own, with `override`."""
    others = ["constructor", *(name for name in agents.__all__ if name[0].isupper())]
    assert wrong_calls.missing(agents, MAKERS, others=others) == {"override"}
