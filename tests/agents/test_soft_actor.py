"""The soft actor that SAC and contrastive RL share: what it draws, how it acts, and its gradients."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.stats

import hindsight_jax as hj
from hindsight_jax import agents, types
from hindsight_jax.agents import _soft_actor

MEAN, STD = np.array([0.5, -1.0]), np.array([0.3, 0.8])
HEAD = (jnp.asarray(MEAN, jnp.float32), jnp.asarray(np.log(STD), jnp.float32))
both = pytest.mark.parametrize("name", ["soft_actor_critic", "contrastive"])


def known(name):
    """(agent, a state whose actor has this mean and deviation everywhere)."""
    agent = getattr(agents, name)(reference.spec(types.Box(2)), hidden_sizes=())
    state = agent.init(jax.random.key(0))
    raw = np.arctanh((np.log(STD) + 1.5) / 3.5)  # log std = -1.5 + 3.5 tanh(raw)
    actor = reference.without_hidden_layers(state.params.actor, np.zeros((5, 4)), np.concatenate([MEAN, raw]))
    return agent, state._replace(params=state.params._replace(actor=actor))


@both
def test_exploring_actions_are_squashed_gaussians_and_others_the_squashed_mean(name):
    agent, state = known(name)
    drawn = np.float64(reference.actions_of(agent, state, 10_000))
    assert np.abs(drawn).max() < 1
    for values, mean, std in zip(drawn.T, MEAN, STD, strict=True):
        assert scipy.stats.kstest(np.arctanh(values), "norm", (mean, std)).pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / math.sqrt(len(drawn))
    still = reference.actions_of(agent, state, 2, explore=False)
    np.testing.assert_allclose(still, np.broadcast_to(np.tanh(MEAN), (2, 2)), rtol=1e-5)


def test_log_probs_are_those_of_the_actions_that_are_drawn():
    head = jax.tree.map(lambda x: jnp.tile(x[None], (64, 1)), HEAD)
    action, log_prob = jax.jit(_soft_actor.draw)(head, jax.random.key(3))
    action = np.float64(action)
    expected = scipy.stats.norm(MEAN, STD).logpdf(np.arctanh(action)) - np.log(1 - action**2)
    np.testing.assert_allclose(log_prob, expected.sum(axis=1), rtol=1e-3, atol=1e-3)  # by float32 actions near 1


def test_golden_actor_losses():
    """alpha = 2, two dims, a target of -1 in all: 2 * 3 + 5 = 11; -log 2 * (3 - 1)."""
    drawn = _soft_actor.Drawn(jnp.zeros((1, 2)), jnp.array([3.0]))
    losses = _soft_actor.actor_losses(jnp.log(2.0), drawn, jnp.array([-5.0]), jnp.float32(-0.5))
    np.testing.assert_allclose(losses, [[11.0], [-2 * math.log(2)]], rtol=1e-6)


def test_each_loss_has_a_gradient_in_its_own_parameters_alone():
    def slopes(which):
        drawn = lambda log_prob: _soft_actor.Drawn(jnp.zeros((1, 2)), log_prob[None])
        loss = lambda log_temperature, log_prob: _soft_actor.actor_losses(
            log_temperature, drawn(log_prob), jnp.zeros(1), jnp.float32(-0.5)
        )[which][0]
        return [float(slope) for slope in jax.grad(loss, (0, 1))(jnp.log(2.0), jnp.float32(3.0))]

    assert slopes(0) == [0.0, pytest.approx(2.0)]  # alpha, to log pi
    assert slopes(1) == [-2.0, 0.0]  # -(3 - 1), to log alpha


@both
def test_the_first_temperature_is_the_one_asked_for(name):
    state = known(name)[0].init(jax.random.key(0), {"initial_temperature": 0.25})
    assert float(state.params.log_temperature) == pytest.approx(math.log(0.25))


@both
def test_a_discrete_action_set_is_refused(name):
    with pytest.raises(ValueError, match=r"^spec\.action: got .* needs a Box of actions"):
        getattr(agents, name)(reference.spec(types.Discrete(1, 3)))


@pytest.mark.slow  # a training
@pytest.mark.parametrize("name", ["sac_her_navigation", "crl_navigation"])
def test_both_learn_to_go_to_a_point(name):
    values = {"env.size": 2, "agent.batch_size": 256, "evaluation.every": 2_000}
    study = hj.train(name, seeds=[100], overrides=values, total_steps=60_000)
    assert study["success_end"][0, 0] < 0.5
    assert study["success_end"][0, -1] > 0.9
