"""Each rule of `_onnx_graph` computes what JAX does, in onnxruntime, for batches of any length."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from hindsight_jax.interop import _equations, _onnx_graph  # noqa: E402 - they need onnx

SHAPE = (2, 3)


def played(function, *columns):
    """The function's values by onnxruntime for arrays [B, ...] in the place of its arguments."""
    inputs = {f"input_{i}": jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for i, x in enumerate(columns)}
    model = _onnx_graph.build(function, inputs, "output", "test")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["output"], dict(zip(inputs, columns, strict=True)))[0]


def assert_same(function, *examples, primitives):
    """Equal in shape and dtype, and to float32's rounding in value, for a row and for five."""
    found = [equation.primitive for equation in _equations.flatten(function, examples).equations]
    assert set(primitives) <= set(found), found
    for rows in (1, 5):
        columns = [draw(example, rows, seed) for seed, example in enumerate(examples)]
        expected = np.asarray(jax.vmap(function)(*columns))
        np.testing.assert_allclose(played(function, *columns), expected, rtol=2e-6, atol=1e-6, strict=True)


def draw(example, rows, seed):
    """Numbers in (0.1, 1.9), which every function here takes; bytes; booleans."""
    generator, shape = np.random.default_rng(seed), (rows, *example.shape)
    if np.issubdtype(example.dtype, np.floating):
        return generator.uniform(0.1, 1.9, shape).astype(np.float32)
    high = {np.dtype(bool): 2, np.dtype(np.uint8): 256}.get(np.dtype(example.dtype), 3)
    return generator.integers(0, high, shape).astype(example.dtype)


def example(shape=SHAPE, dtype=np.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def of_both_signs(operation, x):
    return operation(x - 1.0)


def of_floors(operation, x, y):
    """Of 0 and 1, some of them equal."""
    return operation(lax.floor(x), lax.floor(y))


X, FLAGS = example(), example(dtype=bool)
OF_ONE = ("neg", "floor", "ceil", "exp", "log", "sqrt", "rsqrt", "square", "sin", "cos", "tanh", "logistic", "erf")
OF_SIGNS = ("abs", "sign")
OF_TWO = ("add", "sub", "mul", "div", "max", "min", "pow")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
RULES = {name: (getattr(lax, name), X) for name in OF_ONE}
RULES |= {name: (functools.partial(of_both_signs, getattr(lax, name)), X) for name in OF_SIGNS}
RULES |= {name: (getattr(lax, name), X, X) for name in OF_TWO}
RULES |= {name: (functools.partial(of_floors, getattr(lax, name)), X, X) for name in COMPARISONS}
RULES |= {
    "not": (jnp.logical_not, FLAGS),
    "and": (jnp.logical_and, FLAGS, FLAGS),
    "or": (jnp.logical_or, FLAGS, FLAGS),
    "integer_pow": (lambda x: x**3, X),
    "clamp": (lambda x: lax.clamp(0.5, x, 1.0), X),
    "select_n": (jnp.where, FLAGS, X, X),
    "convert_element_type": (lambda x: x.astype(jnp.float32), example(dtype=np.uint8)),
    "stop_gradient": (lax.stop_gradient, X),
    "optimization_barrier": (lambda x, y: sum(lax.optimization_barrier((x, y))), X, X),
    "copy": (lambda x: jnp.array(x, copy=True), X),
    "reduce_sum": (functools.partial(jnp.sum, axis=0), X),
    "reduce_max": (functools.partial(jnp.max, axis=(0, 1)), X),
    "reduce_min": (functools.partial(jnp.min, axis=-1), X),
    "argmax": (lambda x: jnp.argmax(x, axis=-1).astype(jnp.int32), X),
    "argmin": (lambda x: jnp.argmin(x, axis=0).astype(jnp.int32), X),
    "reshape": (lambda x: x.reshape(3, 2), X),
    "squeeze": (lambda x: jnp.squeeze(x, 1), example((2, 1, 3))),
    "transpose": (lambda x: jnp.transpose(x, (2, 0, 1)), example((2, 3, 4))),
    "concatenate": (lambda x, y: jnp.concatenate([x, y, x], axis=-1), X, X),
    "slice": (lambda x: x[1:4:2, :2], example((5, 3))),
    "broadcast_in_dim": (lambda x: jnp.broadcast_to(x[:, None, :], (2, 4, 3)), X),
    "dot_general": (lambda x: x @ jnp.arange(12.0).reshape(3, 4), X),
    "conv_general_dilated": (
        lambda x: lax.conv_general_dilated(
            x[None], jnp.arange(2.0 * 2 * 3 * 4).reshape(2, 2, 3, 4), (2, 1), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )[0] / 100.0,
        example((5, 6, 3)),
    ),
}  # fmt: skip


@pytest.mark.seldom
@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_computes_what_jax_does(rule):
    function, *examples = RULES[rule]
    assert_same(function, *examples, primitives=[rule])


def test_no_rule_is_left_out():
    assert set(_onnx_graph.RULES) == set(RULES)


@pytest.mark.parametrize(
    ("sum_over", "shapes"),
    [("ij,jk->ik", ((2, 3), (3, 4))), ("bij,bjk->bik", ((5, 2, 3), (5, 3, 4))), ("ij,ij->", ((2, 3), (2, 3)))],
)
def test_products_of_two_inputs(sum_over, shapes):
    function = lambda x, y: jnp.einsum(sum_over, x, y)
    assert_same(function, *map(example, shapes), primitives=["dot_general"])


@pytest.mark.parametrize(("kind", "kernel"), [("rows", (4, 3)), ("columns", (3, 4))])
def test_a_layer_is_one_matrix_product(kind, kernel):
    weights = np.arange(12.0, dtype=np.float32).reshape(kernel)
    axis = 1 if kind == "rows" else 0
    layer = lambda x: lax.dot_general(x, weights, (((0,), (axis,)), ((), ())))
    model = _onnx_graph.build(layer, {"x": example((3,))}, "y", "layer")
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Identity"]
    assert_same(layer, example((3,)), primitives=["dot_general"])


def test_a_constant_is_repeated_for_each_row():
    assert_same(lambda x: jnp.full((4,), 7.0), X, primitives=["broadcast_in_dim"])


def test_an_image_of_which_a_constant_part_is_seen():
    """A slice that cuts nothing, of steps of 1, is none."""
    assert_same(lambda x: lax.slice(x, (0, 0), SHAPE) + 1.0, X, primitives=["add"])


def test_types_that_onnx_has_not_are_refused():
    """Its And is of booleans."""
    with pytest.raises(
        ValueError, match=r"^policy: got one that ONNX cannot hold \(.*\), but its types must be ONNX's"
    ):
        _onnx_graph.build(lambda x: x & 1, {"x": example(dtype=np.int32)}, "y", "bits")


def test_equals_go_to_the_first():
    """0, 2, 2, 1: the greatest is first at 1, as in JAX; the least of 2, 0, 0 at 1."""
    found = played(lambda x: jnp.argmax(x), np.array([[0.0, 2.0, 2.0, 1.0]], np.float32))
    assert found.tolist() == [1]
    found = played(lambda x: jnp.argmin(x), np.array([[2.0, 0.0, 0.0]], np.float32))
    assert found.tolist() == [1]


def test_inputs_that_nothing_reads_stay():
    model = _onnx_graph.build(lambda x, y: y, {"x": X, "y": X}, "z", "second")
    assert [value.name for value in model.graph.input] == ["x", "y"]
    rows = np.arange(12, dtype=np.float32).reshape(2, *SHAPE)
    np.testing.assert_array_equal(played(lambda x, y: y, -rows, rows), rows)


def test_equal_constants_are_stored_once():
    weights = jnp.arange(9.0).reshape(3, 3)
    twice = lambda x, y: x @ weights + y @ (weights + 0.0)
    model = _onnx_graph.build(twice, {"x": X, "y": X}, "z", "shared")
    assert [tuple(constant.dims) for constant in model.graph.initializer].count((3, 3)) == 1
    assert_same(twice, X, X, primitives=["dot_general"])


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (jnp.sort, "one that computes 'sort'"),
        (lambda x: lax.fori_loop(0, 3, lambda i, x: x * 2.0, x), "one that computes 'scan'"),
        (lambda x: lax.select_n(x[0, 0].astype(jnp.int32), x, x, x), "one that selects by an integer"),
        (lambda x: lax.conv_transpose(x[None, None], jnp.ones((1, 2, 3, 1)), (2, 2), "SAME"), "a transposed conv"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(function, got):
    with pytest.raises(ValueError, match=rf"^policy: got {got}.*, but a file can only hold"):
        _onnx_graph.build(function, {"x": X}, "y", "refused")
