"""Helpers shared by agents: action sets, encoders, an Adam step with a traced learning rate, target networks.

Dimension key: B batch, D action dims.
"""

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.fields import Allowed, Need

# Hyper-parameters that several agents declare.
LearningRate = Annotated[Any, Allowed("step size of Adam, per update", 0.0, 1.0)]
Gamma = Annotated[Any, Allowed("discount per env step", 0.0, 1.0)]
Epsilon = Annotated[Any, Allowed("probability of a uniform action while exploring", 0.0, 1.0)]
CONTINUOUS = Need({"env.actions": ("continuous",)})
Noise = Annotated[
    Any,
    Allowed("std of Gaussian noise on a continuous action in [-1, 1] while exploring", 0.0, 1e6, needs=(CONTINUOUS,)),
]
Exploration = Annotated[Literal["mode", "sample"], Allowed("action that the noise is added to")]
Std = Annotated[
    float,
    Allowed(
        "standard deviation of the policy over continuous actions; 0: one is learnt",
        0.0,
        1e6,
        needs=(CONTINUOUS,),
    ),
]
TargetRate = Annotated[Any, Allowed("target network's step towards the online one; 1 copies it", 0.0, 1.0)]
TargetPeriod = Annotated[Any, Allowed("updates between two such steps", 1, 2**24)]
HiddenSizes = Annotated[tuple[int, ...], Allowed("units of the hidden layers, such as 400,300", 1, 65536)]
LayerNorm = Annotated[bool, Allowed("layer normalisation before each ReLU")]
COORDINATES = Need({"env.goals": ("state", None)})  # a goal of coordinates, not an image
ScaleInputs = Annotated[bool, Allowed("map observation and goal from their ranges to [-1, 1]", needs=(COORDINATES,))]
_PIXELS = Need({"env.pixels": (0,)}, differs=True)
LastStride = Annotated[int, Allowed("stride of the encoder's last convolution; hEM's is 2", 1, 2, needs=(_PIXELS,))]
SpatialSoftmax = Annotated[bool, Allowed("features are each map's mean place, not the map", needs=(_PIXELS,))]

ADAM = optax.scale_by_adam()


def discrete(spec: types.EnvSpec, who: str) -> types.Discrete:
    """The action set, which must be discrete."""
    if isinstance(spec.action, types.Discrete):
        return spec.action
    remedy = "Make the environment with actions='discrete', or take an agent for continuous actions."
    checks.fail("spec.action", spec.action, f"{who} needs a Discrete action set", remedy)


def continuous(spec: types.EnvSpec, who: str) -> types.Box:
    """The action set, which must be continuous."""
    if isinstance(spec.action, types.Box):
        return spec.action
    remedy = "Make the environment with actions='continuous', or take an agent for discrete actions."
    checks.fail("spec.action", spec.action, f"{who} needs a Box of actions", remedy)


def encoder(spec: types.EnvSpec, last_stride: int, spatial_softmax: bool) -> networks.ImageEncoder | None:
    """The encoder of a network for this spec; None, if its observations are no images.

    Raises ValueError for options of an encoder that is none.
    """
    if spec.images is not None:
        return networks.ImageEncoder(last_stride, spatial_softmax)
    for name, value, default in (("last_stride", last_stride, 1), ("spatial_softmax", spatial_softmax, False)):
        if value != default:
            remedy = "Leave it out, or make the environment with pixels=48, say."
            checks.fail(name, value, "it is an option of networks for images, and spec.images is None", remedy)
    return None


def example_inputs(spec: types.EnvSpec) -> tuple[jax.Array, jax.Array]:
    """Zeros [1, *O] and [1, *G], as a policy is shown them, for the initialisation of a network."""
    images = spec.images
    return (
        jnp.zeros((1, *spec.observation_shape), jnp.float32 if images is None else jnp.uint8),
        jnp.zeros((1, *spec.seen_goal_shape), jnp.uint8 if images is not None and images.goals else jnp.float32),
    )


def clipped(spec: types.EnvSpec, action: jax.Array) -> jax.Array:
    """An action of the set: [-1, 1] in each dimension of a Box; a Discrete one as it is. [D]"""
    return jnp.clip(action, -1.0, 1.0) if isinstance(spec.action, types.Box) else action


def or_uniform(spec: types.EnvSpec, key: jax.Array, epsilon: jax.Array, action: jax.Array) -> jax.Array:
    """With probability `epsilon` a uniform action of the set, else `action`. [D]"""
    key_uniform, key_action = jax.random.split(key)
    uniform = jax.random.uniform(key_uniform) < epsilon
    return jnp.where(uniform, spec.action.sample(key_action), action)


def td_towards(value: jax.Array, target: jax.Array) -> jax.Array:
    """`losses.td` of values [B] towards whole targets [B], which get no gradient."""
    zero = jnp.zeros_like(target)
    return jax.vmap(losses.td)(value, target, zero, zero)


def arrives(transition: types.Transition) -> jax.Array:
    """Whether s' is the goal, by index or since its reward is that of success, of rewards of -1 and 0."""
    return transition.is_next | (transition.reward >= 0.0)


def made_progress(v: jax.Array, v_next: jax.Array, transition: types.Transition, hparams: Any) -> jax.Array:
    """`losses.progress_indicator` of one transition by `hparams.progress`; none that starts at its goal arrives."""
    there = (transition.start_reward >= 0.0) | jnp.all(transition.achieved_goal == transition.goal)
    comes = arrives(transition) & ~there
    return losses.progress_indicator(v, v_next, gamma=hparams.gamma, steps=hparams.progress, arrives=comes)


def adam_step(params: Any, adam: Any, gradient: Any, learning_rate: jax.Array) -> tuple[Any, Any]:
    """(params, Adam's state) after one step, p - learning_rate m / (sqrt(v) + 1e-8).

    m and v are the bias-corrected moments of optax.scale_by_adam, with its constants. The rate is traced, so that the
    members of a population may differ in it.
    """
    direction, adam = ADAM.update(gradient, adam)
    return jax.tree.map(lambda p, d: p - learning_rate * d, params, direction), adam


def target_step(target: Any, online: Any, updates: jax.Array, rate: jax.Array, period: jax.Array) -> Any:
    """The target network after update number u: theta' + 1[u mod period = 0] rate (theta - theta').

    Between the steps the rate is 0, rather than a cond: under vmap a cond would compute both sides and copy.
    """
    due = updates % period.astype(jnp.int32) == 0
    step = jnp.where(due, rate, 0.0)
    return jax.tree.map(lambda t, p: t + step * (p - t), target, online)
