"""A JAX function as a graph of ONNX: an operation or a few for each equation.

Dimension key: B batch; N, C and spatial axes of a convolution as ONNX orders them.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import jax
import numpy as np

from hindsight_jax import checks
from hindsight_jax.interop import _equations
from hindsight_jax.interop._equations import Equation, Value, is_known

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError as error:
    remedy = "pip install onnx onnxruntime, or hindsight-jax with the extra export."
    raise ImportError(f"hindsight_jax.interop.export needs onnx: {remedy}") from error

OPSET = 18  # the first whose reductions all take axes as inputs
IR_VERSION = 8  # the format of files of that time, which older runtimes read, too

# An equation that is one operation of ONNX on the same operands.
ELEMENTWISE = {
    "abs": "Abs",
    "neg": "Neg",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "logistic": "Sigmoid",
    "erf": "Erf",
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "pow": "Pow",
    "not": "Not",
    "and": "And",
    "or": "Or",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}
REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}
SAME = ("copy", "stop_gradient", "optimization_barrier")


class Graph:
    """Nodes and constants of a graph under construction; every value has a name."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._name_of: dict[bytes, str] = {}  # of a constant
        self._names = dict(names)  # index of a Value -> its name
        self._batch_of = next(iter(names.values()))

    def name(self, value: Any) -> str:
        """The name of a Value, or of a constant, which is added unless there is an equal one, as of shared weights."""
        if isinstance(value, Value):
            return self._names[value.index]
        tensor = numpy_helper.from_array(np.asarray(value))
        content = tensor.SerializeToString()
        if content not in self._name_of:
            tensor.name = self._name_of[content] = f"constant_{len(self.constants)}"
            self.constants.append(tensor)
        return self._name_of[content]

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operation of one output, and returns the output's name."""
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def translate(self, equation: Equation) -> None:
        """Adds what an equation computes. Raises ValueError for one that has no rule."""
        if equation.primitive not in RULES:
            rule = f"a file can only hold these: {', '.join(sorted(RULES))}"
            remedy = "Write the agent's `act` in those, or run the policy in JAX."
            checks.fail("policy", f"one that computes {equation.primitive!r}", rule, remedy)
        outputs = RULES[equation.primitive](self, equation)
        names = [outputs] if isinstance(outputs, str) else outputs
        self._names |= dict(zip((value.index for value in equation.outputs), names, strict=True))

    def shape(self, sizes: Sequence[Any]) -> str:
        """The name of a shape i64[rank], of numbers behind B."""
        if str(sizes[0]) != "B" or not all(map(is_known, sizes[1:])):
            _refuse_batch()
        batch = self.node("Shape", self._batch_of, start=0, end=1)
        return self.node("Concat", batch, self.name(np.asarray(sizes[1:], np.int64)), axis=0)


def build(
    function: Callable[..., jax.Array], inputs: Mapping[str, jax.ShapeDtypeStruct], output: str, name: str
) -> onnx.ModelProto:
    """The model of `jax.vmap(function)`: each input and the output have the axis "batch" in front, of any length.

    Args:
      function: of one example, with one result.
      inputs: name -> shape and dtype of each argument, without the batch axis.
      output: the name of the result.
      name: of the graph.

    Raises ValueError for a function that computes what has no rule here, or that has no default for any platform.

    >>> model = build(lambda x: 2.0 * x, {"x": jax.ShapeDtypeStruct((3,), np.float32)}, "y", "doubled")
    >>> [node.op_type for node in model.graph.node]
    ['Mul', 'Identity']
    """
    flat = _equations.flatten(function, list(inputs.values()))
    graph = Graph({value.index: name for value, name in zip(flat.inputs, inputs, strict=True)})
    for equation in flat.equations:
        graph.translate(equation)
    graph.nodes.append(helper.make_node("Identity", [graph.name(flat.output)], [output], name=output))
    infos = [_info(name, value) for name, value in zip(inputs, flat.inputs, strict=True)]
    proto = helper.make_graph(graph.nodes, name, infos, [_info(output, flat.output)], graph.constants)
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="hindsight_jax"
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        why = str(error).splitlines()[0]
        checks.fail("policy", f"one that ONNX cannot hold ({why})", "its types must be ONNX's", "Run it in JAX.")
    return model


def _info(name: str, value: Value) -> onnx.ValueInfoProto:
    shape = [int(size) if is_known(size) else "batch" for size in value.shape]
    return helper.make_tensor_value_info(name, _dtype(value.dtype), shape)


def _dtype(dtype: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _refuse_batch() -> NoReturn:
    rule = "the rows of a file's batch have one axis of their own"
    checks.fail("policy", "one that lays out its batch along others", rule, "Run the policy in JAX.")


def _elementwise(graph: Graph, equation: Equation) -> str:
    return graph.node(ELEMENTWISE[equation.primitive], *map(graph.name, equation.inputs))


def _reduction(graph: Graph, equation: Equation) -> str:
    axes = graph.name(np.asarray(equation.params["axes"], np.int64))
    return graph.node(REDUCTIONS[equation.primitive], graph.name(equation.inputs[0]), axes, keepdims=0)


def _same(graph: Graph, equation: Equation) -> list[str]:
    return [graph.name(value) for value in equation.inputs]


def _not_equal(graph: Graph, equation: Equation) -> str:
    return graph.node("Not", graph.node("Equal", *map(graph.name, equation.inputs)))


def _square(graph: Graph, equation: Equation) -> str:
    x = graph.name(equation.inputs[0])
    return graph.node("Mul", x, x)


def _integer_power(graph: Graph, equation: Equation) -> str:
    exponent = graph.name(np.asarray(equation.params["y"], equation.outputs[0].dtype))
    return graph.node("Pow", graph.name(equation.inputs[0]), exponent)


def _reciprocal_root(graph: Graph, equation: Equation) -> str:
    return graph.node("Reciprocal", graph.node("Sqrt", graph.name(equation.inputs[0])))


def _clamp(graph: Graph, equation: Equation) -> str:
    low, x, high = map(graph.name, equation.inputs)
    return graph.node("Min", graph.node("Max", x, low), high)


def _select(graph: Graph, equation: Equation) -> str:
    which, *cases = equation.inputs
    if which.dtype != np.bool_:
        checks.fail("policy", "one that selects by an integer", "a file can only hold a choice of two", "Use a bool.")
    return graph.node("Where", *map(graph.name, (which, *reversed(cases))))  # case 0 is for False


def _convert(graph: Graph, equation: Equation) -> str:
    return graph.node("Cast", graph.name(equation.inputs[0]), to=_dtype(equation.outputs[0].dtype))


def _argument(graph: Graph, equation: Equation) -> str:
    """argmax and argmin, of equals the first, as JAX has it."""
    kind = {"argmax": "ArgMax", "argmin": "ArgMin"}[equation.primitive]
    (axis,) = equation.params["axes"]
    index = graph.node(kind, graph.name(equation.inputs[0]), axis=int(axis), keepdims=0)
    return graph.node("Cast", index, to=_dtype(equation.outputs[0].dtype))


def _reshape(graph: Graph, equation: Equation) -> str:
    return _reshaped(graph, graph.name(equation.inputs[0]), equation.outputs[0].shape)


def _reshaped(graph: Graph, name: str, sizes: Sequence[Any]) -> str:
    sizes = [int(size) if is_known(size) else -1 for size in sizes]
    if sizes.count(-1) > 1:
        _refuse_batch()
    return graph.node("Reshape", name, graph.name(np.asarray(sizes, np.int64)))


def _broadcast(graph: Graph, equation: Equation) -> str:
    """Axes of 1 where new ones are, and then each to its length."""
    (x, *_), sizes = equation.inputs, equation.outputs[0].shape
    kept = {int(axis): size for axis, size in zip(equation.params["broadcast_dimensions"], x.shape, strict=True)}
    with_ones = [kept.get(axis, 1) for axis in range(len(sizes))]
    name = _reshaped(graph, graph.name(x), with_ones)
    return name if with_ones == list(sizes) else graph.node("Expand", name, graph.shape(sizes))


def _transpose(graph: Graph, equation: Equation) -> str:
    return _transposed(graph, equation.inputs[0], equation.params["permutation"])


def _transposed(graph: Graph, value: Any, order: Sequence[int]) -> str:
    """A constant is transposed now."""
    order = [int(axis) for axis in order]
    if not isinstance(value, Value):
        return graph.name(np.transpose(np.asarray(value), order))
    name = graph.name(value)
    return name if order == sorted(order) else graph.node("Transpose", name, perm=order)


def _concatenate(graph: Graph, equation: Equation) -> str:
    return graph.node("Concat", *map(graph.name, equation.inputs), axis=int(equation.params["dimension"]))


def _slice(graph: Graph, equation: Equation) -> str:
    (x, *_), params = equation.inputs, equation.params
    strides = params["strides"] or (1,) * len(x.shape)
    bounds = zip(params["start_indices"], params["limit_indices"], range(len(x.shape)), strides, strict=True)
    cut = [bound for bound in bounds if bound[1] - bound[0] != x.shape[bound[2]] or bound[3] != 1]
    if not all(is_known(x.shape[axis]) for _, _, axis, _ in cut):
        _refuse_batch()
    if not cut:
        return graph.name(x)
    starts, limits, axes, steps = (graph.name(np.asarray(column, np.int64)) for column in zip(*cut, strict=True))
    return graph.node("Slice", graph.name(x), starts, limits, axes, steps)


def _product(graph: Graph, equation: Equation) -> str:
    """A matrix product, of layers; else a sum over named axes."""
    (x, y), ((x_summed, y_summed), (x_batch, y_batch)) = equation.inputs, equation.params["dimension_numbers"]
    rank = len(x.shape)
    if not x_batch and len(y.shape) == 2 and tuple(x_summed) == (rank - 1,):
        (rows,) = y_summed
        return graph.node("MatMul", graph.name(x), _transposed(graph, y, (rows, 1 - rows)))
    letters = iter(string.ascii_letters)
    of_x = [next(letters) for _ in x.shape]
    shared = dict(zip((*y_summed, *y_batch), (of_x[axis] for axis in (*x_summed, *x_batch)), strict=True))
    of_y = [shared.get(axis) or next(letters) for axis in range(len(y.shape))]
    free = [letter for axis, letter in enumerate(of_x) if axis not in (*x_summed, *x_batch)]
    free += [letter for axis, letter in enumerate(of_y) if axis not in shared]
    result = "".join([of_x[axis] for axis in x_batch] + free)
    return graph.node("Einsum", graph.name(x), graph.name(y), equation=f"{''.join(of_x)},{''.join(of_y)}->{result}")


def _convolution(graph: Graph, equation: Equation) -> str:
    """ONNX has the channels in front of the places."""
    params = equation.params
    if params["batch_group_count"] != 1 or set(params["lhs_dilation"]) - {1}:
        checks.fail("policy", "a transposed convolution", "a file can only hold plain ones", "Run it in JAX.")
    of_image, of_kernel, of_result = params["dimension_numbers"]
    before, after = zip(*params["padding"], strict=True)
    result = graph.node(
        "Conv",
        _transposed(graph, equation.inputs[0], of_image),
        _transposed(graph, equation.inputs[1], of_kernel),
        strides=list(map(int, params["window_strides"])),
        dilations=list(map(int, params["rhs_dilation"])),
        pads=list(map(int, (*before, *after))),
        group=int(params["feature_group_count"]),
    )
    return graph.node("Transpose", result, perm=[int(axis) for axis in np.argsort(of_result)])


RULES: dict[str, Callable[[Graph, Equation], str | list[str]]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(("reshape", "squeeze"), _reshape),
    **dict.fromkeys(("argmax", "argmin"), _argument),
    "ne": _not_equal,
    "square": _square,
    "integer_pow": _integer_power,
    "rsqrt": _reciprocal_root,
    "clamp": _clamp,
    "select_n": _select,
    "convert_element_type": _convert,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "slice": _slice,
    "dot_general": _product,
    "conv_general_dilated": _convolution,
}
