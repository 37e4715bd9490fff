"""Every wrong call of a goal law, a reward or a preference raises ValueError with name, rule and remedy."""

import math

import jax.numpy as jnp
import pytest
import wrong_arguments
import wrong_calls
from wrong_arguments import alike, count, flag, floats, integer, key, number, optional, thing
from wrong_calls import door

from hindsight_jax import relabel

NAN, INF = math.nan, math.inf
PROBABILITY = number(0.5, -0.1, 1.1, NAN, INF, -INF)
REWARD = number(-1.0, NAN, INF, -INF)
FLAG = alike(jnp.array(True))
PREFERENCE = relabel.prefer(lambda achieved, goal: jnp.any(achieved != goal), num_candidates=3)
SAMPLE = {"key": key(), "t": integer(2, -1, 3, 2**40), "length": integer(3, -1, 0, 2**40)}
PMF = {"t": SAMPLE["t"], "length": integer(3, -1, 0, 5, 2**40), "horizon": count(4)}
STEP = {"next_achieved_goal": floats(2), "goal": floats(2), "is_next": FLAG}
LAWS = {
    "behaviour": relabel.behaviour(),
    "next_state": relabel.next_state(),
    "future": relabel.future(),
    "final": relabel.final(),
    "episode": relabel.episode(),
    "Geometric": relabel.geometric(0.5),
    "Mixture": relabel.hindsight(0.2, 0.3),
}


def mixture(weight, law):
    return relabel.mixture((weight, law), (0.5, relabel.final()))


def mixture_with(component):
    return relabel.mixture((0.5, relabel.final()), component)


def any_dtype(argument):
    """Without the mistakes of dtype: goals may have any dtype."""
    kept = {label: value for label, value in argument.static.items() if label in wrong_arguments.NO_ARRAYS}
    ranks = {label: argument.static[label] for label in ("a leading axis", "a batch", "a trailing axis", "a scalar")}
    return argument._replace(static=kept, sizes=argument.sizes | ranks)


def rewards(reward_fn):
    """Of a `Step` whose parts are wrong one at a time; the messages call them step.NAME."""
    goal = any_dtype(floats(2))
    flags = dict.fromkeys(("is_next", "relabelled", "terminal"), FLAG)
    parts = {"next_achieved_goal": goal, "goal": goal} | flags
    called = {name: f"step.{name}" for name in parts}
    return door(lambda **step: reward_fn(relabel.Step(**step)), **parts, called=called)


def near(achieved, goal):
    return jnp.linalg.norm(achieved - goal) < 0.1


def always(value):
    return lambda achieved, goal: value


DOORS = {
    "geometric": door(relabel.geometric, discount=PROBABILITY),
    "mixture": door(
        mixture,
        weight=number(0.5, -0.1, 0.4, 0.6, 1.5, NAN, INF, -INF),
        law=thing(relabel.future(), constructor=relabel.future, a_class=relabel.Law),
        called={"law": "components"},
        blames=("weights",),
        any_blamed=True,
    ),
    "mixture: of components": door(
        mixture_with,
        component=thing(
            (0.5, relabel.future()),
            swapped=(relabel.future(), 0.5),
            three=(0.5, relabel.future(), relabel.final()),
            listed=[0.5, relabel.future()],
            alone=relabel.future(),
        ),
        called={"component": "components"},
    ),
    "hindsight": door(
        relabel.hindsight,
        behaviour_probability=PROBABILITY,
        next_state_ratio=PROBABILITY,
        rest=optional(thing(relabel.final(), constructor=relabel.final, pair=(1.0, relabel.final()))),
    ),
    "prefer": door(relabel.prefer, changed=thing(near), num_candidates=count(), probability=PROBABILITY),
    "Preference: choose": door(PREFERENCE.choose, key=key(), changed_flags=alike(jnp.array([False, True, False]))),
    "Preference: is_changed": door(
        lambda changed: relabel.prefer(changed).is_changed(jnp.zeros(2), jnp.zeros(2)),
        changed=wrong_arguments.Argument(
            near,
            {},
            {label: always(value) for label, value in FLAG.static.items()},
        ),
        blames=("changed(achieved_goal, goal)",),
        any_blamed=True,
    ),
    "reward_by_index": door(relabel.reward_by_index, reached=REWARD, otherwise=REWARD, absorbing=flag(False)),
    "reward_by_index: of a step": rewards(relabel.reward_by_index()),
    "reward_by_success": door(
        relabel.reward_by_success, success=thing(near), reached=REWARD, otherwise=REWARD, absorbing=flag(False)
    ),
    "reward_by_success: of a step": rewards(relabel.reward_by_success(near)),
}
DOORS |= {f"{name}: sample": door(law.sample, **SAMPLE) for name, law in LAWS.items()}
DOORS |= {f"{name}: pmf": door(law.pmf, **PMF) for name, law in LAWS.items()}


@pytest.mark.parametrize("name", DOORS)
def test_the_right_call_works_and_every_wrong_one_is_refused_at_the_door(name):
    DOORS[name].right_call()
    assert wrong_calls.complaints(DOORS[name]) == {}


@pytest.mark.parametrize("name", DOORS)
def test_wrong_shapes_and_dtypes_are_refused_inside_of_jit_and_vmap(name):
    assert wrong_calls.complaints_when_traced(DOORS[name]) == {}


def test_the_table_holds_every_public_function_with_twenty_wrong_calls():
    assert wrong_calls.missing(relabel, DOORS, others=["Law", "RewardFn", "Step"]) == set()
    assert wrong_calls.thin(DOORS) == {}
