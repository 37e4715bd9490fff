"""All that a CPU computes otherwise than other devices do: which choices there are, and how each is made.

Products have the precision that JAX is set to, float32 for the commands (`runs.jax_flags`), on every device.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

# choice -> (on a CPU, elsewhere); the comments say why they differ
CHOICES: dict[str, tuple[str, str]] = {
    # a convolution in a scan is many times slower on a CPU than the products of its patches
    "convolutions": ("matrix products", "convolutions"),
    # XLA's CPU computes the gradient of a kernel [inputs, few outputs] slowly
    "last layers": ("products with transposed kernels", "products"),
    # a batch of pictures leaves a CPU's cache; few rays start too little on other devices
    "images": ("one after another", "a batch at once"),
    # elsewhere LAPACK's counterparts are calls of a library, or loops, which nothing is fused with
    "small linear systems": ("LAPACK", "written out"),
    # a core's cache holds the parameters and moments of a member or two
    "members that learn": ("one after another, where a core is a device", "all at once"),
}


def choose(*inputs: Any, cpu: Callable[..., Any], elsewhere: Callable[..., Any]) -> Any:
    """`cpu(*inputs)` in a program that is lowered for a CPU, and `elsewhere(*inputs)` in one for another device.

    >>> float(choose(1.0, cpu=lambda x: x + 1.0, elsewhere=lambda x: x * 3.0))
    2.0
    """
    return jax.lax.platform_dependent(*inputs, cpu=cpu, default=elsewhere)


def is_cpu(devices: Sequence[Any]) -> bool:
    """Whether the devices are a CPU's, or its cores.

    >>> is_cpu(jax.devices("cpu"))
    True
    """
    return devices[0].platform == "cpu"


def cores_are_devices(devices: Sequence[Any]) -> bool:
    """Whether each device is a core of a CPU.

    >>> cores_are_devices(jax.devices("cpu")[:1])
    False
    """
    return is_cpu(devices) and len(devices) > 1


def describe() -> dict[str, str]:
    """What is chosen on JAX's devices. Starts its backend.

    >>> describe()["small linear systems"]
    'LAPACK'
    """
    return {choice: ways[not is_cpu(jax.devices())] for choice, ways in CHOICES.items()}
