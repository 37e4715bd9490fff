"""What `_equations.flatten` leaves of a function: what each call needs, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import by_device
from hindsight_jax.interop._equations import depends_on, flatten

VECTOR = jax.ShapeDtypeStruct((3,), np.float32)


def primitives(function, *examples):
    return [equation.primitive for equation in flatten(function, examples or [VECTOR]).equations]


@jax.custom_vjp
def doubled(x):
    return x + x


doubled.defvjp(lambda x: (doubled(x), None), lambda _, g: (2 * g,))


@pytest.mark.parametrize(
    "call", [jax.jit(jnp.sin), jax.checkpoint(jnp.sin), lambda x: jax.jit(jax.checkpoint(jax.jit(jnp.sin)))(x)]
)
def test_calls_are_opened(call):
    assert primitives(call) == ["sin"]


def test_so_are_functions_with_gradients_of_their_own():
    assert primitives(jax.nn.relu) == ["max"]
    assert primitives(doubled) == ["add"]


def test_a_jaxpr_that_is_called_twice_is_computed_twice():
    """The shared function's values are not mixed up: sin(sin(x)), each of one input."""
    twice = jax.jit(jnp.sin)
    flat = flatten(lambda x: twice(twice(x)), [VECTOR])
    first, second = flat.equations
    assert (first.inputs, second.inputs) == (flat.inputs, first.outputs)
    assert flat.output == second.outputs[0]


def test_of_two_ways_it_goes_that_of_other_devices():
    assert primitives(lambda x: by_device.choose(x, cpu=jnp.sin, elsewhere=jnp.cos)) == ["cos"]


def test_without_a_way_for_any_platform_there_is_none():
    with pytest.raises(ValueError, match=r"^function: got ways for .*, but it must have one for any platform"):
        flatten(lambda x: jax.lax.platform_dependent(x, cpu=jnp.sin, cuda=jnp.cos), [VECTOR])


def test_a_branch_that_is_known_is_taken_and_one_that_is_not_stays():
    branches = jnp.sin, jnp.cos, jnp.tanh
    assert primitives(lambda x: jax.lax.switch(jnp.int32(2), branches, x)) == ["tanh"]
    flag = jax.ShapeDtypeStruct((), np.int32)
    assert "select_n" in primitives(lambda i, x: jax.lax.switch(i, branches, x), flag, VECTOR)  # vmap computes all


def test_what_no_argument_enters_is_computed_now():
    """1 + 4 + 9 = 14."""
    flat = flatten(lambda x: x * jnp.sum(jnp.arange(1.0, 4.0) ** 2), [VECTOR])
    (equation,) = flat.equations
    (constant,) = [value for value in equation.inputs if value is not flat.inputs[0]]
    assert (equation.primitive, float(constant)) == ("mul", 14.0)


def test_what_is_not_used_is_left_out():
    assert primitives(lambda x: (jnp.sin(x), jnp.cos(x))[1]) == ["cos"]
    assert primitives(lambda x: jax.jit(lambda x: (jnp.sin(x), jnp.cos(x)))(x)[0]) == ["sin"]


def test_a_key_that_is_only_split_is_no_dependence():
    key = jax.eval_shape(lambda: jax.random.key(0))
    draws = lambda x, key: x + jax.random.normal(jax.random.split(key)[0])
    splits = lambda x, key: (x + 1.0, jax.random.split(key))[0]
    assert depends_on(flatten(draws, [VECTOR, key]), 1)
    assert not depends_on(flatten(splits, [VECTOR, key]), 1)
    with pytest.raises(ValueError, match=r"^argument: got 2, "):
        depends_on(flatten(splits, [VECTOR, key]), 2)
