"""Every wrong call of a loss is refused at its door: by name, with the rule and a remedy, and never broadcast."""

import math

import jax.numpy as jnp
import pytest
import wrong_calls
from wrong_arguments import JUNK, floats, index, integer, mask, number, of_any_size, optional, thing
from wrong_calls import door

from hindsight_jax import losses

NAN, INF = math.nan, math.inf
KL = losses.DIVERGENCES["kl"]
scalar = floats
DISCOUNT = number(0.9, 0.0, 1.1, -0.5, NAN)
TD = {name: scalar() for name in ("q_tm1", "r_t", "discount_t", "v_t")} | {"upper": optional(number(0.0, NAN))}


def positional(function, *names):
    """The function, whose arguments must be given by position, with names for them."""
    return lambda **arguments: function(*[arguments.pop(name) for name in names], **arguments)


def of_factorised(primitive, **arguments):
    names = [name for name, argument in arguments.items() if not isinstance(argument.value, float)]
    called = {name: f"factorised argument {position}" for position, name in enumerate(names)}
    return door(
        positional(losses.factorised(primitive), *names), called=called, any_blamed=True, blames=("q", "a"), **arguments
    )


DOORS = {
    "action_value": door(losses.action_value, q=of_any_size(floats(3)), a=index(3)),
    "greedy_value": door(losses.greedy_value, q=of_any_size(floats(3))),
    "double_value": door(losses.double_value, q=floats(3), selector=floats(3)),
    "mellow_value": door(
        losses.mellow_value, q=of_any_size(floats(3)), temperature=number(0.2, 0.0, -1.0, NAN, INF, -INF)
    ),
    "factorised": door(losses.factorised, primitive=thing(losses.greedy_value)),
    "log_prob": door(losses.log_prob, logits=of_any_size(floats(3)), a=index(3)),
    "gaussian_log_prob": door(losses.gaussian_log_prob, mean=floats(2), log_std=floats(2), a=floats(2)),
    "behaviour_cloning": door(losses.behaviour_cloning, log_prob_tm1=scalar()),
    "td_error": door(losses.td_error, **TD),
    "td": door(losses.td, **TD),
    "hdm_indicator": door(
        losses.hdm_indicator, q_tm1=scalar(), v_t_online=scalar(), gamma_hdm=number(0.5, -0.1, -INF, NAN)
    ),
    "hdm": door(
        losses.hdm,
        q_tm1=scalar(),
        log_prob_tm1=scalar(),
        r_t=scalar(),
        discount_t=scalar(),
        v_t=scalar(),
        v_t_online=scalar(),
        gamma_hdm=number(0.5, -0.1, -INF, NAN),
        beta=number(1.0, -0.1, -INF, INF, NAN),
        upper=optional(number(0.0, NAN)),
    ),
    "next_state": door(
        losses.next_state,
        q_next_goal=scalar(),
        gamma_hdm=number(0.5, -0.1, INF, NAN),
        beta=number(1.0, -0.1, INF, NAN),
    ),
    "m_step": door(losses.m_step, log_prob=floats(4), mask=mask(4)),
    "e_step": door(losses.e_step, log_prob=floats(3), q=floats(3), temperature=number(1.0, 0.0, -1.0, INF, NAN)),
    "hindsight_policy_gradient": door(
        losses.hindsight_policy_gradient,
        log_prob=floats(2, 3),
        log_prob_behaviour_goal=floats(2, 3),
        reward=floats(2, 3),
        mask=mask(2, 3),
    ),
    "dpg_actor": door(
        losses.dpg_actor, q=scalar(), action=of_any_size(floats(2)), l2=number(1.0, -0.1, -INF, INF, NAN)
    ),
    "divergence": door(
        losses.divergence,
        residual=scalar(),
        q_policy=scalar(),
        next_v=scalar(),
        discount=scalar(),
        f=thing("kl", unknown="kullback", capitals="KL", hollow=KL._replace(conjugate=None)),
        r=number(-1.0, INF, -INF, NAN),
    ),
    "steps_to_goal": door(losses.steps_to_goal, v=scalar(), gamma=DISCOUNT),
    "progress": door(losses.progress, v_tm1=scalar(), v_t=scalar(), gamma=DISCOUNT),
    "progress_indicator": door(
        losses.progress_indicator, v_tm1=scalar(), v_t=scalar(), gamma=DISCOUNT, steps=number(0.5, NAN)
    ),
    "q_filter": door(losses.q_filter, q_tm1=scalar(), q_policy=scalar()),
    "advantage_weight": door(
        losses.advantage_weight,
        advantage=scalar(),
        scale=number(1.0, -0.1, INF, NAN),
        largest=number(10.0, -0.1, INF, NAN),
    ),
    "wgcsl_weight": door(
        losses.wgcsl_weight,
        advantage=scalar(),
        offset=integer(2),
        gamma=DISCOUNT,
        cutoff=number(0.0, NAN),
        largest=number(10.0, -0.1, INF, NAN),
        smallest=number(0.05, -0.1, INF, NAN),
    ),
    "expectile": door(losses.expectile, error=scalar(), tau=number(0.7, -0.1, 1.1, NAN)),
    "up_to_ratio": door(
        losses.up_to_ratio,
        f=thing("kl", unknown="kullback", capitals="KL", hollow=KL._replace(conjugate=None)),
        largest=number(20.0, 1.0, 0.5, INF, -INF, NAN),
    ),
    "info_nce": door(losses.info_nce, logits=floats(3, 3)),
    "logsumexp_penalty": door(losses.logsumexp_penalty, logits=floats(3, 3)),
    "tanh_gaussian_log_prob": door(losses.tanh_gaussian_log_prob, mean=floats(2), log_std=floats(2), u=floats(2)),
    "soft_value": door(losses.soft_value, q=scalar(), log_prob=scalar(), temperature=number(0.5, -0.1, INF, NAN)),
    "soft_actor": door(losses.soft_actor, q=scalar(), log_prob=scalar(), temperature=number(0.5, -0.1, INF, NAN)),
    "temperature_loss": door(
        losses.temperature_loss,
        log_temperature=scalar(),
        log_prob=scalar(),
        target_entropy=number(-0.5, INF, -INF, NAN),
    ),
    "nce": door(
        losses.nce,
        positive=scalar(),
        negatives=of_any_size(floats(3)),
        k=number(2.0, 0.0, -1.0, INF, NAN),
    ),
    "energy_weight": door(
        losses.energy_weight,
        q=floats(3),
        q_next=floats(3, 2)._replace(sizes={"axis 0 longer": jnp.zeros((6, 2))}),
        discount=scalar(),
    ),
    "factorised: greedy_value": of_factorised(losses.greedy_value, heads=of_any_size(floats(2, 3))),
    "factorised: double_value": door(
        positional(losses.factorised(losses.double_value), "heads"),
        called={"heads": "factorised argument 0"},
        any_blamed=True,
        blames=("q", "factorised argument selector"),
        heads=floats(2, 3),
        selector=floats(2, 3),
    ),
    "factorised: action_value": of_factorised(
        losses.action_value,
        heads=floats(2, 3)._replace(sizes={"axis 0 longer": jnp.zeros((4, 3))}),
        a=floats(2, value=jnp.array([0, 1]))._replace(static=index(3).static),
    ),
}


@pytest.mark.parametrize("name", DOORS)
def test_the_right_call_works_and_every_wrong_one_is_refused_at_the_door(name):
    DOORS[name].right_call()
    assert wrong_calls.complaints(DOORS[name]) == {}


@pytest.mark.parametrize("name", DOORS)
def test_wrong_shapes_and_dtypes_are_refused_inside_of_jit_and_vmap(name):
    assert wrong_calls.complaints_when_traced(DOORS[name]) == {}


def test_the_table_holds_every_public_function_with_twenty_wrong_calls():
    assert wrong_calls.missing(losses, DOORS, others=["Divergence"]) == set()
    assert wrong_calls.thin(DOORS) == {}
    assert len(JUNK) >= 20


ROW, GRID, ONE = jnp.arange(3.0), jnp.ones((2, 3)), jnp.int32(1)
REMEDIES = [
    (lambda: losses.action_value(GRID, ONE), r"q: .*rank 1.*jax\.vmap"),
    (lambda: losses.action_value(jnp.arange(3), ONE), r"q: .*floating.*astype"),
    (lambda: losses.mellow_value(ROW, temperature=0.0), r"temperature: got 0\.0.*greedy_value"),
    (lambda: losses.factorised(losses.mellow_value)(GRID, temperature=0.0), r"temperature: got 0\.0"),
    (lambda: losses.factorised(losses.greedy_value)(), "no array.*leading axis D"),
    (lambda: losses.factorised(losses.double_value)(GRID, selector=jnp.ones((3, 3))), "selector: .*argument 0, 2"),
    (lambda: losses.factorised(losses.greedy_value)(q=ROW[:0, None]), "argument q: .*not empty"),
    (lambda: losses.factorised(losses.action_value)(GRID, ONE), "argument 1: .*axis D"),
    (lambda: losses.m_step(ROW, jnp.ones(2)), r"mask: .*\[3\].*jnp\.arange"),
    (lambda: losses.e_step(ROW, ROW, temperature=0.0), r"temperature: got 0\.0.*greedy"),
    (lambda: losses.e_step(ROW, ROW, temperature=INF), r"temperature: got inf.*pi itself"),
    (lambda: losses.info_nce(ROW), "logits: .*rank 2.*columns"),
    (lambda: losses.nce(1.0, ROW, k=INF), "k: got inf.*info_nce"),
    (lambda: losses.divergence(-1.0, -1.0, -1.0, 0.9, f="KL", r=-1.0), "f: got .*one of kl, reverse_kl.*quadratic"),
]


@pytest.mark.parametrize(("call", "message"), REMEDIES)
def test_a_refusal_names_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()
