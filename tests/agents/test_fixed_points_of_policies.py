"""Where actors, critics and policy gradients come to rest: the value of a known actor, and the exact policy gradient.

The agents are those of `presets.build`. Transitions and trajectories are enumerated with their exact probabilities.
"""

import functools
import itertools
import math

import fixed_points
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tabular
from fixed_points import GAMMA, SIZE, SLIPS

from hindsight_jax import losses, types
from hindsight_jax.agents._trajectories import visited_goals

# Actor and critic

FAR = 7  # steps of 0.2 that goal and point are apart at most


@functools.cache
def critics():
    """{algorithm: function of Q by steps left after the action}, over every step of a lattice that no wall stops."""
    point, goal, action = (0.2 * index.ravel() for index in np.meshgrid(range(-3, 4), range(-3, 4), [-5, 0, 5]))
    found, column = {}, lambda x: np.asarray(x, np.float32)[:, None]
    for algorithm in ("her_ddpg", "her_ddpg_clipped", "her_ddpg_dense"):
        values, experiment = fixed_points.navigating(
            algorithm, agent__hidden_sizes=(2 * FAR,), agent__normalise_inputs=False, agent__gamma=GAMMA
        )
        after = fixed_points.stepped(experiment.env, point, goal, action)
        rewards = values["relabel.reward_reached"], values["relabel.reward_otherwise"]
        reward = np.where(np.abs(after - goal) < 0.1, *rewards)
        batches = fixed_points.batches_of_one(column(point), column(action), column(after), column(goal), reward)
        found[algorithm] = functools.partial(critic_at, experiment.agent, batches)
    return found


def critic_at(agent, batches, values):
    """(gradient of the critic, TD loss): the actor goes straight to the goal and stays, Q is values [FAR + 1]."""
    state = agent.init(jax.random.key(0))
    params = state.params._replace(
        actor=fixed_points.through(state.params.actor, [-1, 1], 15.0 * np.arange(-FAR, FAR + 1)),  # tanh(15) is 1
        critic=fixed_points.through(
            state.params.critic, [1, -1, 0.2], np.asarray(values)[np.abs(np.arange(-FAR, FAR + 1))]
        ),
    )
    gradient, metrics = fixed_points.gradients_of(agent)(state._replace(params=params, target_params=params), batches)
    return max(fixed_points.largest(x.mean(0)) for x in jax.tree.leaves(gradient.critic)), float(
        metrics["td_loss"].mean()
    )


STEPS = np.arange(FAR + 1)


def test_her_ddpg_rests_at_the_value_of_its_actor():
    """n steps from the goal after the action, with 1 for each step at the goal: Q = gamma^n / (1 - gamma)."""
    gradient, td_loss = critics()["her_ddpg"](GAMMA**STEPS / (1 - GAMMA))
    assert gradient < 2e-5
    assert td_loss < 1e-10
    assert critics()["her_ddpg"](0.0 * STEPS)[1] > 0.1


def test_her_ddpg_dense_rests_at_minus_the_discounted_steps():
    """Q = -(1 - gamma^n) / (1 - gamma), within the clip. It falls with n: the actor, who comes nearer, is greedy."""
    gradient, td_loss = critics()["her_ddpg_dense"](-(1 - GAMMA**STEPS) / (1 - GAMMA))
    assert gradient < 2e-5
    assert td_loss < 1e-10
    assert critics()["her_ddpg_dense"](0.0 * STEPS)[1] > 0.1


def test_her_ddpg_clipped_rests_at_zero_and_nowhere_else():
    """min(r + gamma Q, 0) with rewards 0 and 1: Q = 0 has no error; the truth has, and is pulled down."""
    assert critics()["her_ddpg_clipped"](0.0 * STEPS) == (0.0, 0.0)
    gradient, td_loss = critics()["her_ddpg_clipped"](GAMMA**STEPS / (1 - GAMMA))
    assert gradient > 1.0
    assert td_loss > 1.0


# Policy gradients


@functools.cache
def episodes(slip):
    """(trajectories of 2 steps on the chain, probabilities): start and own goal uniform, actions by `policy`.

    Those of the chain that slips, whichever it is: some then have the probability 0.
    """
    transition, possible, found = tabular.chain(SIZE, slip), tabular.chain(SIZE, SLIPS[1]), []
    for states, goal, actions in itertools.product(
        itertools.product(range(SIZE), repeat=3), range(SIZE), itertools.product(range(3), repeat=2)
    ):
        steps = [(states[t], action, states[t + 1]) for t, action in enumerate(actions)]
        if all(possible[step] for step in steps):
            chances = [policy()[s, goal, a] * transition[s, a, after] for s, a, after in steps]
            found.append((states, goal, actions, math.prod(chances) / SIZE**2))
    states, goal, actions, chance = (np.array(x) for x in zip(*found, strict=True))
    one_hot, count = np.eye(SIZE, dtype=np.float32), len(found)
    batch = types.Trajectory(
        one_hot[states],
        one_hot[states],
        actions[..., None].astype(np.int32),
        one_hot[goal],
        np.full(count, 2, np.int32),
        np.zeros(count, bool),
    )
    assert chance.sum() == pytest.approx(1)
    return batch, chance


@functools.cache
def policy():
    """pi(a | s, g): quarters, other ones for every (s, g), [S, G, A]."""
    order = np.random.default_rng(1).permuted(np.tile([0.25, 0.25, 0.5], (SIZE * SIZE, 1)), axis=1)
    return order.reshape(SIZE, SIZE, 3)


def arrivals(logits, transition, goal, worth):
    """What each start [S] may expect: worth[t] at the first arrival, logits [S, A]. By going backwards in time."""
    pi = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    value = np.zeros(SIZE)
    for reward in worth[::-1]:
        value = np.einsum("sa,sax,x->s", pi, transition, np.where(np.arange(SIZE) == goal, reward, value))
    return value


def exact_gradient(slip, goal, worth):
    """The slope of the mean of `arrivals` in the logits, [S, A], by complex steps."""
    logits, transition = np.log(policy()[:, goal]).astype(complex), tabular.chain(SIZE, slip)
    step = lambda index: 1e-20j * (np.arange(SIZE * 3) == index).reshape(SIZE, 3)
    slopes = [arrivals(logits + step(i), transition, goal, worth).mean().imag / 1e-20 for i in range(SIZE * 3)]
    return np.reshape(slopes, (SIZE, 3))


def acting(agent, value=None):
    """A state with that policy, and with a value table [S, G] if one is given."""
    state = agent.init(jax.random.key(0))
    params = state.params._replace(policy=fixed_points.of_table(state.params.policy, np.log(policy())))
    if value is not None:
        params = params._replace(value=fixed_points.of_table(params.value, value[..., None]))
    return state._replace(params=params)


@pytest.mark.parametrize("slip", SLIPS)
def test_the_mean_step_of_reinforce_is_the_policy_gradient_and_a_baseline_changes_its_variance_alone(slip):
    """Batches of one trajectory: the sum over all of them of P times the gradient, whatever V(s, g) is."""
    _, experiment = fixed_points.build("reinforce", env__horizon=2, agent__baseline=True)
    batch, chance = episodes(slip)
    batches, logits = jax.tree.map(lambda x: x[:, None], batch), np.log(policy())
    exact = np.stack([exact_gradient(slip, goal, (1, 1)) for goal in range(SIZE)], axis=1) / SIZE
    value = np.stack([arrivals(logits[:, g], tabular.chain(SIZE, slip), g, (1, 1)) for g in range(SIZE)], axis=1)
    variances = []
    for baseline in (value, 0 * value, 0 * value + 3):
        each, _ = fixed_points.gradients_of(experiment.agent)(acting(experiment.agent, baseline), batches)
        table = np.asarray(each.policy["params"]["MLP_0"]["Dense_1"]["kernel"]).reshape(len(chance), -1)
        mean = chance @ table
        np.testing.assert_allclose(-mean, exact.ravel(), atol=5e-7)
        variances.append(float(chance @ np.square(table - mean).sum(-1)))
    assert np.abs(exact).max() > 5e-3
    assert variances[0] < 0.9 * variances[1] < 0.09 * variances[2]


def shared_out(slip):
    """A batch with every trajectory as often as its probability says: the limit of many."""
    batch, chance = episodes(slip)
    counts = np.rint(chance * SIZE**2 * 256).astype(int)
    np.testing.assert_allclose(counts, chance * SIZE**2 * 256, atol=1e-9)
    return jax.tree.map(lambda x: np.repeat(x, counts, axis=0), batch)


def hpg_gradient(algorithm, batch, key, value=None):
    """(the goal that is drawn, the gradient of the return in the policy's table)."""
    drawn = {"agent__goals": "visited", "agent__num_goals": 1}
    _, experiment = fixed_points.build(algorithm, env__horizon=2, agent__activation="relu", **drawn)
    state, batches = acting(experiment.agent, value), jax.tree.map(lambda x: x[None], batch)
    gradient, _ = fixed_points.gradients_of(experiment.agent)(state, batches, key)
    return int(np.argmax(one_visited_goal(batch, key)[0])), -fixed_points.gradient_of_table(gradient.policy)


one_visited_goal = jax.jit(lambda batch, key: visited_goals(batch, key, 1))


@pytest.mark.parametrize(("algorithm", "slip"), [("hpg", 0.0), ("hpg", 0.25), ("hpg_baseline", 0.25)])
def test_hpg_gives_the_policy_gradient_of_every_goal_once_each_trajectory_has_its_share(algorithm, slip):
    """The reward is 2 for an arrival by the first action, 1 by the second; V may be anything."""
    value = np.random.default_rng(2).normal(size=(SIZE, SIZE)) if algorithm == "hpg_baseline" else None
    goals = set()
    for seed in range(3):
        goal, gradient = hpg_gradient(algorithm, shared_out(slip), jax.random.key(seed), value)
        expected = np.zeros((SIZE, SIZE, 3))
        expected[:, goal] = exact_gradient(slip, goal, (2, 1))
        np.testing.assert_allclose(gradient, expected, atol=2e-6)
        goals.add(goal)
    assert len(goals) > 1


def test_hpg_is_off_where_episodes_end_at_their_own_goal():
    """What would have come after is missing for every other goal, and no weight makes up for it."""
    batch = shared_out(0.25)
    ended = np.sum(batch.achieved_goal[:, 1] * batch.desired_goal, axis=-1) > 0
    batch = batch._replace(length=np.where(ended, 1, 2).astype(np.int32), terminal=ended)
    goal, gradient = hpg_gradient("hpg", batch, jax.random.key(0))
    exact = exact_gradient(0.25, goal, (2, 1))
    assert 0.03 < np.linalg.norm(gradient[:, goal] - exact) / np.linalg.norm(exact) < 0.3


def test_the_bias_of_hpg_falls_as_one_over_the_number_of_trajectories():
    """Two steps right or left, made with 1/2 each; both right are worth 1. For the new goal right has 0.8, then 0.6.

    All 4^N batches of N trajectories, alike in probability, against d(0.8 0.6)/d logit = (0.096, 0.192).
    """
    right = np.array(list(itertools.product((0, 1), repeat=2)), np.float32)  # [4, 2]
    logits = jnp.log(jnp.array([0.8 / 0.2, 0.6 / 0.4]))  # of right against left

    def surrogate(logits, chosen):
        log_prob = jax.nn.log_sigmoid(jnp.where(chosen == 1, logits[None], -logits[None]))
        reward = jnp.stack([0 * chosen[:, 0], chosen.prod(axis=1)], axis=1)
        return losses.hindsight_policy_gradient(
            log_prob, jnp.full(chosen.shape, math.log(0.5)), reward, jnp.ones(chosen.shape, bool)
        )

    each = jax.jit(jax.vmap(jax.grad(surrogate), (None, 0)))
    mean_of = lambda n: -np.asarray(each(logits, right[list(itertools.product(range(4), repeat=n))])).mean(0)
    biases = [np.abs(mean_of(n) - [0.096, 0.192]).max() for n in (2, 4, 7)]
    assert 0.35 < biases[1] / biases[0] < 0.65
    assert 0.4 < biases[2] / biases[1] < 0.7
