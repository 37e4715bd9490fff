"""Every agent: members, one trace, donated states, compiled and not, and the ranges of its hyper-parameters."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, types

FLAT, ARM, HORIZON = types.Discrete(1, 5), types.Box(2), 4
HPARAMS = {
    "q_learning": agents.QLearningHparams,
    "imitation": agents.ImitationHparams,
    "actor_critic": agents.ActorCriticHparams,
    "implicit_value": agents.ImplicitValueHparams,
    "policy_gradient": agents.PolicyGradientHparams,
    "soft_actor_critic": agents.SoftActorCriticHparams,
    "contrastive": agents.ContrastiveHparams,
    "density_ratio": agents.DensityRatioHparams,
}
MEMBERS = {  # hyper-parameters in which two members differ
    "q_learning": {
        "learning_rate": (0.01, 0.002),
        "gamma_hdm": (0.6, math.inf),
        "gamma": (0.5, 0.9),
        "beta": (0.5, 2.0),
        "imitation_weight": (0.0, 3.0),
        "target_rate": (0.1, 1.0),
        "target_period": (1.0, 2.0),
    },
    "imitation": {"learning_rate": (0.01, 0.002)},
    "actor_critic": {
        "learning_rate": (0.01, 0.002),
        "gamma": (0.5, 0.9),
        "target_rate": (0.1, 1.0),
        "target_period": (1.0, 2.0),
        "action_l2": (0.0, 2.0),
    },
    "implicit_value": {
        "learning_rate": (0.01, 0.002),
        "gamma": (0.5, 0.9),
        "expectile": (0.5, 0.9),
        "progress": (0.0, 0.5),
        "target_rate": (0.1, 1.0),
    },
    "policy_gradient": {"learning_rate": (0.01, 0.002)},
    "soft_actor_critic": {
        "learning_rate": (0.01, 0.002),
        "gamma": (0.5, 0.9),
        "target_rate": (0.1, 1.0),
        "target_period": (1.0, 2.0),
        "target_entropy": (-0.5, 0.2),
        "initial_temperature": (0.1, 2.0),
    },
    "contrastive": {
        "learning_rate": (0.01, 0.002),
        "logsumexp_weight": (0.0, 1.0),
        "target_entropy": (-0.5, 0.2),
        "initial_temperature": (0.1, 2.0),
    },
    "density_ratio": {
        "learning_rate": (0.01, 0.002),
        "gamma": (0.5, 0.9),
        "temperature": (0.5, 2.0),
        "largest_ratio": (2.0, 50.0),
        "target_rate": (0.1, 1.0),
        "target_period": (1.0, 2.0),
    },
}


def made(name, **options):
    success = lambda achieved, goal: jnp.all(achieved == goal)
    if name == "q_learning":
        distance = lambda achieved, goal: jnp.sum(jnp.abs(achieved - goal))
        return agents.q_learning(reference.spec(FLAT), distance=distance, hidden_sizes=(), **options)
    if name == "density_ratio":
        return agents.density_ratio(reference.spec(FLAT), hidden_sizes=(), num_others=3, **options)
    if name == "imitation":
        return agents.imitation(reference.spec(ARM), hidden_sizes=(), **options)
    if name in ("actor_critic", "implicit_value", "soft_actor_critic", "contrastive"):
        return getattr(agents, name)(reference.spec(ARM), hidden_sizes=(), **options)
    spec = reference.spec(FLAT, HORIZON)
    return agents.policy_gradient(spec, success=success, hidden_sizes=(), num_goals=2, baseline=True, **options)


@functools.cache
def shared(name):
    """(agent, its jitted init, its jitted update that takes the state's memory)."""
    agent = made(name)
    return agent, jax.jit(agent.init), jax.jit(agent.update, donate_argnums=0)


def make_batch(name, seed=0):
    if name == "policy_gradient":
        return reference.trajectories(FLAT, (4, 2, 4), HORIZON, seed)
    return reference.transitions(FLAT if name in ("q_learning", "density_ratio") else ARM, seed)


every_agent = pytest.mark.parametrize("name", HPARAMS)


@every_agent
def test_members_equal_a_loop_and_trace_once(name):
    """Members have numbers, keys and batches of their own; a state that comes out has the types of the one put in."""
    agent, init, update = shared(name)
    keys, traces = jax.random.split(jax.random.key(4), 2), []

    @jax.jit
    def update_together(states, batches, keys):
        traces.append(None)
        return jax.vmap(agent.update)(states, batches, keys)

    own = [{number: jnp.float32(pair[i]) for number, pair in MEMBERS[name].items()} for i in range(2)]
    members = [init(key, hparams) for key, hparams in zip(keys, own, strict=True)]
    together = jax.tree.map(lambda *x: jnp.stack(x), *members)
    for step in range(2):
        batches = [make_batch(name, seed=10 * step + i) for i in range(2)]
        stacked = jax.tree.map(lambda *x: np.stack(x), *batches)
        update_keys = jax.random.split(jax.random.key(step), 2)
        together, metrics = update_together(together, stacked, update_keys)
        alone = [update(*arguments) for arguments in zip(members, batches, update_keys, strict=True)]
        members = [state for state, _ in alone]
        for i in range(2):
            reference.close(jax.tree.map(lambda x, i=i: x[i], (together, metrics)), alone[i], rtol=2e-5, atol=2e-6)
    assert len(traces) == 1
    biases = [jax.tree.leaves(state.params)[0] for state in members]
    assert not np.allclose(*biases)


@pytest.mark.seldom
@every_agent
def test_compiled_or_not(name):
    agent, init, update = shared(name)
    expected = agent.update(init(jax.random.key(0)), make_batch(name), jax.random.key(1))
    reference.close(update(init(jax.random.key(0)), make_batch(name), jax.random.key(1)), expected, rtol=2e-5)


@every_agent
def test_a_state_begins_with_its_key_and_its_hyper_parameters(name):
    init = shared(name)[1]
    one, same, other = (init(jax.random.key(seed)) for seed in (0, 0, 1))
    reference.same_bits(one, same)
    assert not np.allclose(*(jax.tree.leaves(state.params)[0] for state in (one, other)))
    assert reference.numbers_of(one) == pytest.approx(HPARAMS[name]()._asdict())
    assert int(one.updates) == 0
    assert made(name).batch == ("trajectories" if name == "policy_gradient" else "transitions")


OUT_OF_RANGE = {
    "learning_rate": (-1e-3, 1.5),
    "epsilon": (1.5, -0.1),
    "noise": (-0.1, math.inf),
    "gamma": (1.01, -0.1),
    "gamma_hdm": (-0.1, -math.inf),
    "beta": (-1.0, math.inf),
    "imitation_weight": (-1.0, math.inf),
    "temperature": (0.0, math.inf),
    "target_rate": (-0.1, 2.0),
    "target_period": (0.0, 0.5),
    "action_l2": (-1.0, math.inf),
    "target_noise": (-0.1, math.inf),
    "target_noise_clip": (-0.1, math.inf),
    "q_weight": (-0.1, math.inf),
    "percentile_rate": (-0.1, 101.0),
    "progress": (-math.inf, math.inf),
    "expectile": (-0.1, 1.5),
    "advantage_scale": (-0.1, math.inf),
    "target_entropy": (0.7, -math.inf),
    "initial_temperature": (0.0, math.inf),
    "logsumexp_weight": (-1.0, math.inf),
    "largest_ratio": (1.0, math.inf),
    "noise_ratio": (0.0, math.inf),
    "normaliser_weight": (-1.0, math.inf),
}


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, kind in HPARAMS.items() for n in kind._fields])
def test_numbers_out_of_range_are_refused_wherever_they_come_in(name, number):
    """As defaults by the constructor; as a member's own by `init`, compiled or not, and by `check`, among others."""
    agent, key = shared(name)[0], jax.random.key(0)
    for value in (*OUT_OF_RANGE[number], math.nan):
        calls = [
            lambda value=value: made(name, hparams=HPARAMS[name](**{number: value})),
            lambda value=value: agent.init(key, {number: value}),
            lambda value=value: jax.jit(lambda key: agent.init(key, {number: value}))(key),
            lambda value=value: agent.check({number: np.array([1.0, value])}),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=rf"^hparams\.{number}: got .* must lie in .* It is: .* Default"):
                call()


@every_agent
def test_refusals_say_how_to_map_and_where_batches_come_from(name):
    agent, init, _ = shared(name)
    state, key = init(jax.random.key(0)), jax.random.key(0)
    with pytest.raises(ValueError, match=r"^observation: got .*vmap"):
        agent.act(state, jnp.zeros((4, 3)), jnp.zeros((4, 2)), key, True)
    source = "training.rollout" if name == "policy_gradient" else "Replay.sample"
    with pytest.raises(ValueError, match=rf"^batch.*: got .*{source}"):
        agent.update(state, jax.tree.map(lambda x: x[:0], make_batch(name)), key)


def test_a_batch_of_another_horizon_is_refused():
    agent, init, _ = shared("policy_gradient")
    batch = reference.trajectories(FLAT, (3, 2), HORIZON - 1)
    with pytest.raises(ValueError, match=r"^batch\.observation: got .*, but its shape must be \[2, 5, 3\]"):
        agent.update(init(jax.random.key(0)), batch, jax.random.key(0))
