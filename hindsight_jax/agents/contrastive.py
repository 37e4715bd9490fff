"""Contrastive RL: a critic that tells the goals that follow (s, a) from those of other rows, and a soft actor on it.

Dimension key: B batch, O observation dims, G goal dims, D action dims, R representation dims.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _soft_actor, _validation, flops
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed

SMALLEST_SQUARE = 1e-6  # added under the square root, whose slope is infinite at 0

LogsumexpWeight = Annotated[Any, Allowed("weight of the squared log-sum-exp of each row of energies", 0.0, 1e6)]
RepresentationSize = Annotated[int, Allowed("numbers in the representations of (s, a) and of a goal", 1, 65536)]
Symmetric = Annotated[bool, Allowed("InfoNCE of goals against (s, a) as well, added to that of (s, a) against goals")]


class ContrastiveHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them.

    The defaults are those of JaxGCRL (Bortkiewicz et al., 2024, arXiv:2408.11052).
    """

    learning_rate: _common.LearningRate = 3e-4  # of actor, encoders and temperature
    logsumexp_weight: LogsumexpWeight = 0.1
    target_entropy: _soft_actor.TargetEntropy = -0.5
    initial_temperature: _soft_actor.InitialTemperature = 1.0


class ContrastiveParams(NamedTuple):
    """All parameters: one Adam steps them together, as it would apart, coordinate by coordinate."""

    actor: Any
    log_temperature: jax.Array  # f32[]
    encoders: Any


class ContrastiveState(NamedTuple):
    """Everything that an update reads or writes."""

    params: ContrastiveParams
    adam: Any
    updates: jax.Array  # i32[]
    hparams: ContrastiveHparams


@_validation.constructor
def contrastive(
    spec: types.EnvSpec,
    *,
    hparams: ContrastiveHparams = ContrastiveHparams(),
    hidden_sizes: _common.HiddenSizes = (256, 256),
    layer_norm: _common.LayerNorm = True,
    scale_inputs: _common.ScaleInputs = False,
    representation_size: RepresentationSize = 64,
    symmetric: Symmetric = False,
) -> Agent:
    """Contrastive RL (Eysenbach et al., 2022), for a Box of actions: no rewards, no targets, no discount.

    The goal of each row must be a later state of its own trajectory; those of the other rows are its negatives. With
    the energy f(s, a, g) = -|phi(s, a) - psi(g)|_2 and l_ij = f(s_i, a_i, g_j):

        encoders: InfoNCE of l, and logsumexp_weight mean_i (log sum_j exp l_ij)^2
        actor: alpha log pi(a | s, g) - f(s, a, g), a drawn at (s, g), whose gradient goes to the actor alone
        temperature: -log alpha sg(log pi(a | s, g) + D target_entropy)

    Where the first is least, exp f is p(g | s, a) / p(g) up to a factor of each (s, a), p the law of goals: with goals
    by `relabel.geometric(discount)`, the discounted visits. Exploration draws an action; without it the action is
    tanh(mean).

    * layer_norm: of the actor and of both encoders.
    * scale_inputs: observation and goal are mapped from the ranges that the spec declares to [-1, 1].
    * symmetric: adds InfoNCE of the transposed l, in which each goal is told by its (s, a).

    Metrics, each the mean over the batch: loss (of all three), contrastive_loss (InfoNCE), contrastive_accuracy (rows
    whose own goal has the highest energy), energy_mean (f of the rows' own goals), actor_loss, entropy (-log pi of the
    draws), temperature.

    Raises ValueError if the action set is discrete, the spec has images or an argument is not as declared; `init` for
    an unknown name in `hparams` or a number out of its range; `act` and `update` for wrong shapes and for a batch of
    fewer than two rows.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Box(3), 50, 0.05, False, box, box)
    >>> agent = agents.contrastive(spec, hidden_sizes=(64, 64))
    >>> state = agent.init(jax.random.key(0), {"target_entropy": -1.0})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (3,)
    """
    options = _Options(
        spec=spec,
        actor=_soft_actor.network(spec, "contrastive RL", hidden_sizes, layer_norm, scale_inputs),
        encoders=networks.ContrastiveEncoders(
            hidden_sizes, representation_size, layer_norm, *_soft_actor.ranges(spec, scale_inputs)
        ),
        symmetric=symmetric,
    )
    return Agent(
        init=checks.bind(_init, options, hparams),
        act=checks.bind(_act, options),
        update=checks.bind(_update, options),
        flops=functools.partial(_flops, options),
    )


class _Options(NamedTuple):
    """The static arguments."""

    spec: types.EnvSpec
    actor: Any  # networks.TanhGaussianPolicy
    encoders: Any  # networks.ContrastiveEncoders
    symmetric: bool


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: ContrastiveHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> ContrastiveState:
    """The state of a new agent, with parameters drawn by `key`.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    key_actor, key_encoders = jax.random.split(key)
    inputs = _common.example_inputs(options.spec)
    params = ContrastiveParams(
        actor=options.actor.init(key_actor, *inputs),
        encoders=options.encoders.init(key_encoders, *inputs, jnp.zeros((1, options.spec.action.num_dims))),
        log_temperature=jnp.log(numbers.initial_temperature),
    )
    return ContrastiveState(params, _common.ADAM.init(params), jnp.zeros((), jnp.int32), numbers)


@checks.validated(_validation.act(ContrastiveState))
def _act(
    options: _Options, state: ContrastiveState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    """The actor's action f32[D] for observation [*O] and goal [*G]; exploring, a draw."""
    return _soft_actor.act(options.actor, state.params.actor, observation, goal, key, explore)


def _check_batch(spec: types.EnvSpec, batch: types.Transition) -> None:
    """A batch of transitions, two at least."""
    _validation.check_transitions(spec, batch)
    if batch.reward.shape[0] < 2:
        rule = "it must hold at least two rows, of which each has the other's goal as its negative"
        checks.fail("batch", "one row", rule, "Draw a larger one with Replay.sample.")


@checks.validated(_validation.update(ContrastiveState, _check_batch))
def _update(options: _Options, state: ContrastiveState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on all losses of the batch [B]."""
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(options, state.params, state.hparams, batch, key)
    params, adam = _common.adam_step(state.params, state.adam, gradient, state.hparams.learning_rate)
    return ContrastiveState(params, adam, state.updates + 1, state.hparams), metrics | {"loss": loss}


def _batch_loss(
    options: _Options, params: ContrastiveParams, hparams: ContrastiveHparams, batch: types.Transition, key: jax.Array
):
    """The sum of all losses, and the metrics."""
    encoders, observation, goal = options.encoders, batch.observation, batch.goal
    phi, psi = encoders.apply(params.encoders, observation, goal, batch.action)
    logits = energies(phi, psi)
    contrastive_loss = losses.info_nce(logits)
    if options.symmetric:
        contrastive_loss += losses.info_nce(logits.T)
    penalty = hparams.logsumexp_weight * losses.logsumexp_penalty(logits)

    drawn = _soft_actor.draw(options.actor.apply(params.actor, observation, goal), key)
    still, goal_of_actor = jax.lax.stop_gradient((params.encoders, psi))
    phi_drawn = encoders.apply(still, observation, drawn.action, method="phi")
    actor_loss, temperature_loss = _soft_actor.actor_losses(
        params.log_temperature, drawn, energy(phi_drawn, goal_of_actor), hparams.target_entropy
    )
    metrics = {
        "contrastive_loss": contrastive_loss,
        "contrastive_accuracy": jnp.mean(jnp.argmax(logits, axis=1) == jnp.arange(len(logits))),
        "energy_mean": jnp.mean(jnp.diagonal(logits)),
        "actor_loss": jnp.mean(actor_loss),
    }
    loss = contrastive_loss + penalty + jnp.mean(actor_loss + temperature_loss)
    return loss, metrics | _soft_actor.metrics(params.log_temperature, drawn)


def energy(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """-|phi - psi|_2 of each pair, [B, R] and [B, R] -> [B]; sqrt(1e-6) off at 0, so that it has a slope there.

    >>> import jax.numpy as jnp
    >>> print(f"{energy(jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 4.0]]))[0]:.4f}")
    -5.0000
    """
    return -jnp.sqrt(jnp.sum(jnp.square(phi - psi), axis=-1) + SMALLEST_SQUARE)


def energies(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """`energy` of every row of phi [B, R] with every row of psi [B, R]: [B, B], rows by phi.

    By |phi|^2 + |psi|^2 - 2 phi psi, one matrix product instead of B^2 R differences. Near pairs cancel, so the product
    keeps all digits on every device.

    >>> import jax.numpy as jnp
    >>> [[f"{x:.2f}" for x in row] for row in energies(jnp.array([[0.0], [1.0]]), jnp.array([[0.0], [3.0]]))]
    [['-0.00', '-3.00'], ['-1.00', '-2.00']]
    """
    square = lambda x: jnp.sum(jnp.square(x), axis=-1)
    product = jnp.matmul(phi, psi.T, precision=jax.lax.Precision.HIGHEST)
    squares = square(phi)[:, None] + square(psi)[None] - 2.0 * product
    return -jnp.sqrt(jnp.maximum(squares, 0.0) + SMALLEST_SQUARE)


def _flops(options: _Options, count: int) -> int:
    """The sum of the passes of each row, and the products of all pairs.

    Both encoders learn, through 2 B^2 R operations forward and twice as many backward; the actor learns, and its
    gradient passes through phi: forward, and backward to the action alone, since its weights stand still.
    """
    spec, sizes, size = options.spec, options.encoders.hidden_sizes, options.encoders.representation_size
    num_dims, (num_coordinates,) = spec.action.num_dims, spec.observation_shape
    actor = flops.network(spec, sizes, 2 * num_dims).whole
    phi, psi = flops.mlp(num_coordinates + num_dims, sizes, size), flops.mlp(spec.goal_shape[0], sizes, size)
    to_action = 2 * (phi.rest + num_dims * (*sizes, size)[0])
    rows = count * (phi.learn + psi.learn + actor.learn + phi.forward + to_action)
    return rows + 6 * count * count * size
