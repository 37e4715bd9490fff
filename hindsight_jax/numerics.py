"""Numbers that do not depend on JAX's global settings: float32 throughout, and keys of one generator.

`steady` goes in front of what users call: tasks, agents, rings, laws, runs and pictures. Losses and networks have none,
since they keep the dtype of what they are given.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

GENERATOR = "threefry2x32"  # of every key here: what it draws for one member does not depend on the others
_NARROW = {"float64": jnp.float32, "int64": jnp.int32, "uint64": jnp.uint32, "complex128": jnp.complex64}

F = TypeVar("F", bound=Callable[..., Any])


def steady(function: F, kept: tuple[type, ...] = ()) -> F:
    """A decorator: the function computes the same numbers whatever JAX's global settings are.

    Where `jax_enable_x64`, a stricter `jax_numpy_dtype_promotion` or another `jax_default_prng_impl` is set, it runs as
    if they were not: what it makes is of 32 bits, and so are its arguments' arrays, as JAX makes them without x64. Keys
    of another generator become threefry's (`threefry`). Around the function the settings stay. Arguments of the types
    `kept` are passed as they are.

    >>> with jax.enable_x64(True):
    ...     steady(lambda x: x + jnp.zeros(2))(jnp.ones(2)).dtype
    dtype('float32')
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _unset() if _are_set() else contextlib.nullcontext():
            args, kwargs = _converted((args, kwargs), kept)
            return function(*args, **kwargs)

    call.is_steady = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def steady_methods(kind: type, kept: tuple[type, ...] = ()) -> None:
    """Makes the constructor and the public methods that a class itself defines `steady`; `kept` as there."""
    for name, method in list(vars(kind).items()):
        own = inspect.isfunction(method) and not hasattr(method, "is_steady")  # one of another class stays that one
        if own and (name == "__init__" or not name.startswith("_")):
            setattr(kind, name, steady(method, kept))


@contextlib.contextmanager
def made_once() -> Iterator[None]:
    """Around the making of arrays that are kept: they are plain numbers wherever they are made first.

    Inside of `jax.jit` they would be traced, and inside of `jax.shard_map` they would belong to its mesh.

    >>> made = []
    >>> def function(x):
    ...     with made_once():
    ...         made.append(jnp.ones(2))
    ...     return x
    >>> _ = jax.jit(function)(0.0)
    >>> made[0].tolist()
    [1.0, 1.0]
    """
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())), jax.ensure_compile_time_eval():
        yield


@steady
def key(seed: Any) -> jax.Array:
    """jax.random.key(seed) of threefry, whatever `jax_default_prng_impl` is. `seed` is an integer or i32[].

    >>> jax.random.key_impl(key(0))
    'threefry2x32'
    """
    return jax.random.key(seed, impl=GENERATOR)


def threefry(bits: jax.Array) -> jax.Array:
    """The threefry key of the first two words of a raw key u32[2] (threefry) or u32[4] (rbg, unsafe_rbg).

    A key of rbg holds threefry's key of the same seed twice, and is split and folded as that is. So a program that
    makes its keys from seeds draws the same numbers whatever `jax_default_prng_impl` is.

    >>> bits = jax.random.key_data(jax.random.split(jax.random.key(7, impl="rbg"))[1])
    >>> bool(threefry(bits) == jax.random.split(jax.random.key(7, impl="threefry2x32"))[1])
    True
    """
    return jax.random.wrap_key_data(bits[..., :2], impl=GENERATOR)


def _are_set() -> bool:
    """Whether a setting of JAX would change what we compute."""
    config = jax.config
    return (
        config.jax_enable_x64
        or config.jax_numpy_dtype_promotion != "standard"
        or config.jax_default_prng_impl != GENERATOR
    )


@contextlib.contextmanager
def _unset() -> Iterator[None]:
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.default_prng_impl(GENERATOR):
        yield


def _converted(tree: Any, kept: tuple[type, ...]) -> Any:
    """The tree, of which wide arrays and foreign keys are converted; the very same object if there are none."""
    is_leaf = lambda node: isinstance(node, kept)
    if not any(map(_is_foreign, jax.tree.leaves(tree, is_leaf=is_leaf))):
        return tree
    return jax.tree.map(lambda leaf: _convert(leaf) if _is_foreign(leaf) else leaf, tree, is_leaf=is_leaf)


def _is_foreign(leaf: Any) -> bool:
    """Whether the leaf is a JAX array of 64 bits, or of keys of another generator."""
    if not isinstance(leaf, jax.Array):
        return False
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(jax.random.key_impl(leaf)) != GENERATOR
    return str(leaf.dtype) in _NARROW


def _convert(leaf: jax.Array) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return threefry(jax.random.key_data(leaf))
    return leaf.astype(_NARROW[str(leaf.dtype)])
