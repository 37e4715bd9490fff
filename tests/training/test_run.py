"""Runs on a chain whose values are known: learning, the warm-up, help and refusals."""

import inspect
import pydoc

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import scipy.stats
from chain_runs import assert_close, law_of, make_on_policy, make_run, member, started, stub, tiny

from hindsight_jax import agents, relabel, training

FAST = {"learning_rate": 3e-3, "target_rate": 0.05, "target_period": 1.0, "gamma": 0.9}


# Learning


def learner(env, **options):
    agent = agents.q_learning(
        env.spec, distance=env.distance, hidden_sizes=(64,), hparams=agents.QLearningHparams(**FAST), **options
    )
    return agent, {
        "num_envs": 4,
        "updates_per_epoch": 50,
        "batch_size": 64,
        "warmup_trajectories": 100,
        "capacity": 400,
    }


def test_her_and_hdm_learn_the_chain():
    """Two seeds of each reach and keep every goal. Without the goal, no policy reaches more than one in five."""
    env = probes.Chain()
    agent, sizes = learner(env)
    run = make_run(env, agent, evaluation_episodes=200, **sizes)
    population, keys = training.make_population(run), training.member_keys(0, 4)
    state = population.init(keys, {"agent.gamma_hdm": jnp.array([0.0, 0.0, 0.85, 0.85])})  # 0 is HER
    before = population.evaluate(state, keys)
    state = population.advance(state, 40)
    after = population.evaluate(state, keys)
    assert np.all(before["success_end"] < 0.8)
    np.testing.assert_array_equal(after["success_end"], 1.0)
    np.testing.assert_array_equal(after["success_any"], 1.0)
    np.testing.assert_array_equal(after["distance_end"], 0.0)
    cell, goal = np.divmod(np.arange(25), 5)
    for i in range(4):
        move = np.argmax(q_values(env, member(state.members.agent, i)), axis=-1) - 1
        np.testing.assert_array_equal(np.clip(cell + move, 0, 4), cell + np.sign(goal - cell))


def test_learnt_values_are_the_exact_ones_for_each_gamma():
    """Episodes of two steps never see a goal four cells away: only a bootstrap beyond the last step finds its value.

    If the last step counted as terminal, half of all rows would end in V = 0: far below the exact -3.4 of gamma 0.9.
    """
    env, gammas = probes.Chain(horizon=2), (0.0, 0.5, 0.9)
    agent, sizes = learner(env, imitation="none")
    law = relabel.mixture((0.5, relabel.behaviour()), (0.5, relabel.future()))
    run = make_run(env, agent, law, env.reward_by_success, **sizes)
    population = training.make_population(run)
    values = {"agent.gamma": jnp.array(gammas), "agent.epsilon": jnp.ones(len(gammas))}
    state = population.init(training.member_keys(0, len(gammas)), values)
    state = population.advance(state, 60)
    for i, gamma in enumerate(gammas):
        learnt = q_values(env, member(state.members.agent, i))
        np.testing.assert_allclose(learnt, np.reshape(env.exact_q(gamma), (25, 3)), atol=0.15)


def q_values(env, state):
    """Q of every (cell, goal) and action, [25, 3]."""
    dense = jax.tree.map(np.asarray, state.params["params"]["MLP_0"])
    one_hot = np.eye(env.num_cells)
    x = np.array([[*one_hot[cell], *one_hot[goal]] for cell in range(5) for goal in range(5)])
    hidden = np.maximum(x @ dense["Dense_0"]["kernel"] + dense["Dense_0"]["bias"], 0)
    return hidden @ dense["Dense_1"]["kernel"] + dense["Dense_1"]["bias"]


# Counts and seeds


@pytest.mark.seldom
def test_the_run_alone_equals_its_member():
    """The population adds nothing to `Run`: init and epochs of one member, jitted without vmap."""
    run, (state, _) = make_run(), started(4)
    epoch, alone = jax.jit(run.epoch), jax.jit(run.init)(jax.random.key(2))
    state = tiny().advance(state, 2)
    for _ in range(2):
        alone, _ = epoch(alone)
    assert_close(member(state.members, 2), alone, 1e-5)


# What a run asks of its agent


def test_the_warm_up_is_uniform():
    run = make_run(probes.Chain(horizon=8), capacity=1000, warmup_trajectories=1000)
    stored = jax.jit(run.init)(jax.random.key(0)).replay.trajectories
    counts = np.bincount(np.ravel(stored.action), minlength=3)
    assert counts.sum() == 8000
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    steps = np.asarray(stored.action)[..., 0]
    table = np.zeros((3, 3))
    np.add.at(table, (steps[:, :-1].ravel(), steps[:, 1:].ravel()), 1)
    assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


# On policy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"warmup_trajectories": 1},
            r"^sizes\.warmup_trajectories: got 1, but it must be 0 for an agent that learns",
        ),
        ({"warmup_trajectories": None}, r"^sizes\.warmup_trajectories: got None, but it must be 0"),
        ({"updates_per_epoch": 2}, r"^sizes\.updates_per_epoch: got 2, but it must be 1 for an agent that learns"),
        ({"updates_per_epoch": 0}, r"^sizes\.updates_per_epoch: got 0, but it must be 1"),
        ({"capacity": 2}, r"^sizes\.num_envs: got 3.*capacity, 2"),
        ({"capacity": 4}, r"^ring\.capacity: got 4, but it must hold the trajectories of one collection, 3\. Make"),
        ({"num_envs": 2}, r"^ring\.capacity: got 3, but it must hold the trajectories of one collection, 2\. Make"),
        ({"num_envs": 0}, r"^sizes\.num_envs: got 0"),
        ({"evaluation_episodes": 0}, r"^sizes\.evaluation_episodes: got 0"),
        (
            {"law": relabel.future()},
            r"^law: got .*, but the agent learns from trajectories\. Pass a goal law for an agent",
        ),
        ({"law": law_of}, r"^law: got .*, but the agent learns from trajectories\."),
    ],
)
def test_sizes_that_are_not_on_policy_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_on_policy(**arguments)


def test_an_agent_of_transitions_needs_a_law_and_a_warm_up():
    with pytest.raises(ValueError, match=r"^law: got None, but the agent learns from transitions\. Pass a goal law"):
        make_run(law=None)
    with pytest.raises(ValueError, match=r"^sizes\.warmup_trajectories: got 0"):
        make_run(warmup_trajectories=0)


def test_numbers_of_a_law_are_refused_on_policy():
    with pytest.raises(ValueError, match="numbers of the law may be given only if"):
        jax.eval_shape(make_on_policy().init, jax.random.key(0), {"relabel.next_state": 0.5})


# Help and refusals


@pytest.mark.parametrize("make", [lambda: tiny(), make_run, lambda: make_run().spec.ring])
def test_help_describes_every_function(make):
    """Each has a docstring of its own, and takes no bound argument."""
    functions = [value for value in make() if callable(value)]
    assert len({pydoc.getdoc(function) for function in functions}) == len(functions)
    for function in functions:
        text = pydoc.render_doc(function, renderer=pydoc.plaintext)
        assert function.__doc__.splitlines()[0] in text
        assert not {"run", "ring", "programs", "population"} & set(inspect.signature(function).parameters)


def test_numbers_of_a_fixed_law_are_refused():
    with pytest.raises(ValueError, match="law"):
        make_run(law=relabel.future()).init(jax.random.key(0), {"relabel.next_state": 0.3})


def test_the_law_that_was_passed_outlives_the_donated_state():
    law, env = relabel.hindsight(0.15, 0.2), probes.Disguised(horizon=4)
    state = make_run(env, stub(env, num_updates=2, batch_size=8), law).init(jax.random.key(0))
    jax.jit(lambda state: state._replace(updates=state.updates + 1), donate_argnums=0)(state)
    assert state.law.weights.is_deleted()
    assert not law.weights.is_deleted()
