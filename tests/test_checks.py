"""Checks: each message says the argument, what was got, the rule and the remedy; tracers' values are not looked at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import checks


def message(check, *arguments):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        check(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    ("check", "arguments", "expected"),
    [
        (checks.fail, ("a", 1, "it must be 2", "Add 1."), "a: got 1, but it must be 2. Add 1."),
        (
            checks.shape,
            ("a", np.zeros((3, 4), np.float32), (4, 3), "Transpose it."),
            "a: got float32[3, 4], but its shape must be [4, 3]. Transpose it.",
        ),
        (checks.shape, ("a", 1.5, (1,), "Wrap it."), "a: got 1.5, but its shape must be [1]. Wrap it."),
        (
            checks.rank,
            ("a", np.zeros(2, np.int32), 0),
            "a: got int32[2], but it must have rank 0. Map it over the batch with jax.vmap.",
        ),
        (checks.rank, ("a", 1, 1, "Use many."), "a: got 1, but it must have rank 1. Use many."),
        (
            checks.floating,
            ("a", np.zeros(2, np.int32)),
            "a: got int32[2], but its dtype must be floating. Cast it with .astype(jnp.float32).",
        ),
        (checks.floating, ("a", 1, "Write 1.0."), "a: got 1, but its dtype must be floating. Write 1.0."),
        (
            checks.integer,
            ("a", np.zeros((), np.float32)),
            "a: got float32[], but its dtype must be an integer. Cast it with .astype(jnp.int32).",
        ),
        (
            checks.pixels,
            ("a", np.zeros((4, 4, 3), np.float32)),
            "a: got float32[4, 4, 3], but its dtype must be uint8. Pass pixels of 0 to 255 as they are.",
        ),
        (checks.integer, ("a", True, "Use 1."), "a: got True, but its dtype must be an integer. Use 1."),
        (
            checks.array,
            ("a", [1.0, 2.0]),
            "a: got [1.0, 2.0], but it must be an array or a number. Make it an array with jnp.asarray.",
        ),
        (checks.real, ("a", True), "a: got True, but it must be a real number. Write it as a float such as 1.0."),
        (checks.real, ("a", None, "Give 1."), "a: got None, but it must be a real number. Give 1."),
        (checks.instance, ("a", 1, str, "Quote it."), "a: got int, but its type must be str. Quote it."),
        (checks.instance, ("a", str, str, "Make one."), "a: got the class str, but its type must be str. Make one."),
        (checks.in_range, ("a", 1.5, 0.0, 1.0, "Lower it."), "a: got 1.5, but it must lie in [0.0, 1.0]. Lower it."),
        (checks.positive_int, ("a", 0, "Use 1."), "a: got 0, but it must be an integer >= 1. Use 1."),
        (
            checks.typed_key,
            ("a", np.zeros(2, np.uint32)),
            "a: got uint32[2], but it must be one typed key. Make it with jax.random.key(seed).",
        ),
    ],
)
def test_messages_say_name_got_rule_and_remedy(check, arguments, expected):
    assert message(check, *arguments) == expected


def test_shapes_and_ranks():
    checks.shape("a", np.zeros((2, 0)), [2, 0], "")
    checks.shape("a", 3, (), "")
    checks.rank("a", np.zeros((2, 3)), 2)
    checks.rank("a", 3.0, 0)
    for expected in ((2,), (0, 2), (2, 0, 1), ()):
        message(checks.shape, "a", np.zeros((2, 0)), expected, "")


@pytest.mark.parametrize(
    "value", [1.0, np.float32(1), np.zeros(2, np.float16), jnp.zeros(2), jnp.zeros(2, jnp.bfloat16)]
)
def test_floating_values(value):
    checks.floating("a", value)
    message(checks.integer, "a", value)


@pytest.mark.parametrize("value", [1, np.int8(1), np.zeros(2, np.uint32), jnp.zeros(2, jnp.int32)])
def test_integer_values(value):
    checks.integer("a", value)
    message(checks.floating, "a", value)


@pytest.mark.parametrize("value", [True, np.zeros(2, bool), jnp.array(True), 1j])
def test_neither_floating_nor_integer(value):
    message(checks.floating, "a", value)
    message(checks.integer, "a", value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "1",
        b"1",
        [1.0],
        (1.0,),
        {},
        object(),
        float,
        np.float32,
        np,
        np.array("1"),
        np.array([None]),
        np.longdouble(1),
    ],
)
def test_whatever_is_no_array_is_refused_by_every_check_of_arrays(value):
    arguments = {
        checks.array: (),
        checks.shape: ((), ""),
        checks.rank: (0,),
        checks.floating: (),
        checks.integer: (),
        checks.real: (),
        checks.in_range: (0, 1, ""),
    }
    for check, rest in arguments.items():
        assert message(check, "a", value, *rest).startswith(f"a: got {checks.describe(value)}, but it must be a")


@pytest.mark.parametrize("value", [True, 1, 1.0, 1j, np.float32(1), np.zeros(0), jnp.bfloat16(1), jax.random.key(0)])
def test_arrays_and_numbers(value):
    checks.array("a", value)


def test_shapes_without_values_are_checked_too():
    checks.shape("a", jax.ShapeDtypeStruct((2,), jnp.float32), (2,), "")
    checks.floating("a", jax.ShapeDtypeStruct((2,), jnp.float32))


@pytest.mark.parametrize("value", [0, 0.0, 1, 0.5, np.array([0.0, 1.0]), jnp.array([[0.25]]), np.zeros(0)])
def test_values_in_range_both_ends_included(value):
    checks.in_range("a", value, 0.0, 1.0, "")


@pytest.mark.parametrize(
    "value",
    [-1e-9, 1.0000001, float("nan"), float("inf"), np.array([0.5, 2.0]), np.array([0.5, np.nan]), jnp.array(-1)],
)
def test_one_entry_out_of_range_is_enough_and_nan_is_out(value):
    assert message(checks.in_range, "a", value, 0.0, 1.0, "Clip it.").endswith("it must lie in [0.0, 1.0]. Clip it.")


def test_infinite_ends_are_open_to_infinity_but_not_to_nan():
    checks.in_range("a", float("inf"), 0.0, float("inf"), "")
    message(checks.in_range, "a", float("nan"), float("-inf"), float("inf"), "")


@pytest.mark.parametrize("value", [1, 2**31 - 1, np.int64(3)])
def test_positive_integers(value):
    checks.positive_int("a", value, "")


@pytest.mark.parametrize("value", [0, -1, True, False, 1.0, "1", None, np.float32(2), np.int32(0), (1,)])
def test_whatever_is_no_positive_integer(value):
    assert f"got {value!r}, " in message(checks.positive_int, "a", value, "")


def test_keys():
    checks.typed_key("key", jax.random.key(0))
    checks.typed_key("key", jax.random.split(jax.random.key(0))[1])
    batch = jax.random.split(jax.random.key(0), 3)
    for bad in (jax.random.PRNGKey(0), batch, 0, None, np.uint32(1)):
        message(checks.typed_key, "key", bad)
    assert "[3]" in message(checks.typed_key, "key", batch)


@pytest.mark.parametrize(
    ("value", "text"),
    [(np.zeros((2, 3), np.int8), "int8[2, 3]"), (1.5, "1.5"), ("x", "'x'"), (np.float32(1), "float32[]")],
)
def test_arrays_are_described_by_dtype_and_shape(value, text):
    assert checks.describe(value) == text


def test_inside_of_a_transformation_shapes_are_checked_and_values_are_not():
    seen = []

    def function(x):
        seen.append(checks.is_concrete(x))
        checks.in_range("x", x, 0.0, 1.0, "")
        checks.floating("x", x)
        checks.rank("x", x, 0)
        return x

    assert float(jax.make_jaxpr(function)(5.0).out_avals[0].ndim) == 0
    np.testing.assert_array_equal(jax.vmap(function)(jnp.array([5.0, jnp.nan])), [5.0, jnp.nan])
    assert float(jax.grad(function)(7.0)) == 1.0
    assert seen == [False, False, False]
    assert checks.is_concrete(1.0)
    assert checks.is_concrete(jnp.ones(2))
    with pytest.raises(ValueError, match=r"x: got float32\[2\], but it must have rank 0"):
        jax.make_jaxpr(function)(jnp.zeros(2))
    with pytest.raises(ValueError, match=r"x: got int32\[\], but its dtype must be floating"):
        jax.make_jaxpr(function)(jnp.int32(0))
    with pytest.raises(ValueError, match=r"key: got .*one typed key"):
        jax.make_jaxpr(lambda key: checks.typed_key("key", key))(jnp.zeros(2, jnp.uint32))
    jax.make_jaxpr(lambda key: checks.typed_key("key", key))(jax.random.key(0))
