"""Agents that see images: what they are shown, what they learn from it, and what they refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, types

PIXELS, SIZE = 36, 8
FLAT, ARM = types.Discrete(1, 2), types.Box(1)
SETS = {"q_learning": FLAT, "imitation": ARM, "actor_critic": ARM}
every_agent = pytest.mark.parametrize("name", SETS)
goals_of_both_kinds = pytest.mark.parametrize("goals", [False, True], ids=["numbers", "images"])


def spec(action, goals=False, frames=1, pixels=PIXELS):
    """Goals of 2 numbers in [-1, 1]."""
    shape, goal = (pixels, pixels, 3 * frames), types.Range((-1.0,) * 2, (1.0,) * 2)
    return types.EnvSpec(shape, (2,), action, 50, 0.05, False, None, goal, types.Images(pixels, frames, goals))


def made(name, goals=False, frames=1, pixels=PIXELS, **options):
    more = {"distance": lambda a, b: jnp.sum(jnp.abs(a - b))} if name == "q_learning" else {}
    seen = spec(SETS[name], goals, frames, pixels)
    return getattr(agents, name)(seen, hidden_sizes=(16,), **more, **options)


def make_batch(name, goals=False, frames=1, seed=0):
    """Random transitions between random images."""
    generator = np.random.default_rng(seed)
    image = lambda channels: generator.integers(0, 256, (SIZE, PIXELS, PIXELS, channels), np.uint8)
    return reference.transitions(SETS[name], seed, size=SIZE)._replace(
        observation=image(3 * frames),
        next_observation=image(3 * frames),
        goal_image=image(3) if goals else None,
    )


@every_agent
@pytest.mark.parametrize("goals", [pytest.param(False, marks=pytest.mark.seldom), True], ids=["numbers", "images"])
def test_every_input_that_an_agent_is_shown_matters(name, goals):
    """The observation, with each of its frames; the goal as shown; s' where a target looks at it."""
    agent = made(name, goals, frames=2)
    init, act, update = jax.jit(agent.init), jax.jit(agent.act, static_argnums=4), jax.jit(agent.update)
    state, batch, key = init(jax.random.key(0)), make_batch(name, goals, frames=2), jax.random.key(1)
    goal = batch.seen_goal[0]
    assert act(state, batch.observation[0], goal, key, False).shape == (1,)

    loss = lambda batch: float(update(state, batch, key)[1]["loss"])
    losses = [loss(batch)]
    for frame in (batch.observation[..., :3], batch.observation[..., 3:]):
        frame[:] = 255 - frame
        losses.append(loss(batch))
    batch.seen_goal[:] = batch.seen_goal[::-1]
    losses.append(loss(batch))
    batch.next_observation[:] = 255 - batch.next_observation
    losses.append(loss(batch))
    different = 4 if name == "imitation" else 5  # it does not look at what comes after
    assert len(set(losses)) == different
    if goals and name != "q_learning":  # its metric of distance does
        assert loss(batch._replace(goal=batch.goal + 1)) == losses[-1]


@every_agent
def test_an_update_moves_every_kernel_of_every_encoder(name):
    agent = made(name, goals=True)
    state = jax.jit(agent.init)(jax.random.key(0))
    moved, _ = jax.jit(agent.update)(state, make_batch(name, goals=True), jax.random.key(1))
    flat = lambda state: jax.tree_util.tree_leaves_with_path(state.params)
    kernels = {
        jax.tree_util.keystr(path): float(jnp.abs(new - old).max())
        for (path, old), (_, new) in zip(flat(state), flat(moved), strict=True)
        if "encoder" in jax.tree_util.keystr(path)
    }
    assert len(kernels) == 6 * (2 if name == "actor_critic" else 1)
    assert all(step > 0 for step in kernels.values())


def bright(name, goals):
    """(batch, greedy actions): the left or right half of the image is bright, and says which way to go.

    Goals, of both kinds, say nothing. From each of four states a step went right and a step went left, with a reward of
    0 for the way that the image says, else -1; for imitation both went that way.
    """
    generator = np.random.default_rng(0)
    batch, count = make_batch(name, goals), SIZE
    right = np.arange(count) % 2 == 0
    image = generator.integers(0, 60, (count, PIXELS, PIXELS, 3), np.uint8)
    image[right, :, PIXELS // 2 :] += 190
    image[~right, :, : PIXELS // 2] += 190
    twice = np.arange(count) % (count // 2)
    went_right = right if name == "imitation" else np.arange(count) < count // 2
    action = (went_right if SETS[name] == FLAT else 2.0 * went_right - 1)[:, None].astype(batch.action.dtype)
    reward = np.where(went_right == right, 0.0, -1.0).astype(np.float32)
    batch = batch._replace(observation=image, action=action, reward=reward, discount=np.zeros(count, np.float32))
    same = {name: getattr(batch, name)[twice] for name in ("observation", "goal", *(["goal_image"] if goals else []))}
    return batch._replace(**same), right


LEARNING = {
    "q_learning": {"imitation": "none", "hparams": agents.QLearningHparams(learning_rate=2e-3)},
    "imitation": {"hparams": agents.ImitationHparams(learning_rate=2e-3), "std": 0.5},
    "actor_critic": {"hparams": agents.ActorCriticHparams(learning_rate=1e-3, action_l2=0.1)},
}


@pytest.mark.seldom
@every_agent
@goals_of_both_kinds
def test_agents_learn_to_do_what_an_image_says(name, goals):
    agent = made(name, goals, **LEARNING[name])
    batch, right = jax.tree.map(jnp.asarray, bright(name, goals))
    step = lambda state, key: (agent.update(state, batch, key)[0], None)
    learn = jax.jit(lambda state: jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 80))[0])
    state = learn(jax.jit(agent.init)(jax.random.key(0)))
    act = lambda observation, goal: agent.act(state, observation, goal, jax.random.key(2), False)[0]
    actions = jax.jit(jax.vmap(act))(batch.observation, batch.seen_goal)
    middle = 0.5 if SETS[name] == FLAT else 0.0
    np.testing.assert_array_equal(actions > middle, right)


# Normalised and scaled inputs


@pytest.mark.seldom
@goals_of_both_kinds
def test_images_are_not_normalised(goals):
    """Goals of numbers have running statistics; images pass as they are."""
    agent = made("actor_critic", goals)
    state, batch = jax.jit(agent.init)(jax.random.key(0)), make_batch("actor_critic", goals)
    state, _ = jax.jit(agent.update)(state, batch, jax.random.key(1))
    assert state.normaliser.observation is None
    if goals:
        assert state.normaliser.goal is None
    else:
        np.testing.assert_allclose(state.normaliser.goal.mean, batch.goal.mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.seldom
@goals_of_both_kinds
def test_scaling_looks_at_goals_of_numbers_alone(goals):
    """In [-1, 1] it changes nothing: so the ranges are those of another box."""
    params = jax.jit(made("imitation", goals).init)(jax.random.key(0)).params
    batch, wide = make_batch("imitation", goals), types.Range((-2.0,) * 2, (2.0,) * 2)
    readings = []
    for scale_inputs in (False, True):
        agent = agents.imitation(
            spec(ARM, goals)._replace(goal_range=wide), hidden_sizes=(16,), scale_inputs=scale_inputs
        )
        state = jax.jit(agent.init)(jax.random.key(0))._replace(params=params)
        readings.append(float(jax.jit(agent.update)(state, batch, jax.random.key(1))[1]["loss"]))
    assert (readings[0] == readings[1]) == goals


# Options and refusals


@every_agent
def test_options_of_the_encoder(name):
    """52 pixels: 3 x 3 places of 64 maps, 2 x 2 with the paper's last stride; or two numbers for each map."""
    features = {}
    for options in ({}, {"last_stride": 2}, {"spatial_softmax": True}):
        state = jax.eval_shape(made(name, pixels=52, **options).init, jax.random.key(0))
        params = state.params.actor if name == "actor_critic" else state.params
        features[tuple(options)] = params["params"]["MLP_0"]["Dense_0"]["kernel"].shape[0] - 2
    assert features == {(): 9 * 64, ("last_stride",): 4 * 64, ("spatial_softmax",): 2 * 64}


@every_agent
@pytest.mark.parametrize(("option", "value"), [("last_stride", 2), ("spatial_softmax", True)])
def test_options_of_an_encoder_need_images(name, option, value):
    more = {"distance": jnp.add} if name == "q_learning" else {}
    with pytest.raises(ValueError, match=rf"^{option}: got {value}, but .* spec.images is None. .* pixels"):
        getattr(agents, name)(reference.spec(SETS[name]), **{option: value}, **more)


def test_policy_gradients_and_soft_actors_refuse_images():
    calls = (
        lambda: agents.policy_gradient(spec(FLAT), success=jnp.equal),
        lambda: agents.soft_actor_critic(spec(ARM)),
        lambda: agents.contrastive(spec(ARM)),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"^spec.images: got Images\(.* Take another agent"):
            call()


@functools.cache
def shown(goals):
    agent = made("imitation", goals)
    return agent, jax.jit(agent.init)(jax.random.key(0))


@pytest.mark.parametrize(
    ("goals", "change", "message"),
    [
        (False, {"observation": np.float32}, r"^batch.observation: got float32\[8, 36, 36, 3\], .* uint8"),
        (False, {"next_observation": np.float32}, "^batch.next_observation: got .* uint8"),
        (False, {"goal_image": np.uint8}, "^batch.goal_image: got .* must be None"),
        (True, {"goal_image": np.float32}, "^batch.goal_image: got .* uint8"),
        (True, {"goal_image": None}, "^batch.goal_image: got None"),
        (True, {"goal": np.uint8}, r"^batch.goal: got uint8\[8, 36, 36, 3\], but its shape must be \[8, 2\]"),
    ],
)
def test_batches_that_the_spec_does_not_describe_are_refused(goals, change, message):
    agent, state = shown(goals)
    image = np.zeros((SIZE, PIXELS, PIXELS, 3))
    wrong = {name: None if dtype is None else image.astype(dtype) for name, dtype in change.items()}
    with pytest.raises(ValueError, match=message):
        agent.update(state, make_batch("imitation", goals)._replace(**wrong), jax.random.key(0))


@pytest.mark.parametrize(
    ("goals", "observation", "goal", "message"),
    [
        (False, np.zeros((36, 36, 3)), np.zeros(2), r"^observation: got float64\[36, 36, 3\], .* uint8"),
        (False, np.zeros((36, 36, 6), np.uint8), np.zeros(2), r"^observation: got .* shape must be \[36, 36, 3\]"),
        (False, np.zeros((36, 36, 3), np.uint8), np.zeros((36, 36, 3), np.uint8), r"^goal: got .* must be \[2\]"),
        (True, np.zeros((36, 36, 3), np.uint8), np.zeros(2, np.float32), r"^goal: got .* must be \[36, 36, 3\]"),
        (True, np.zeros((36, 36, 3), np.uint8), np.zeros((36, 36, 3), np.float32), r"^goal: got .* must be uint8"),
    ],
)
def test_inputs_that_the_spec_does_not_describe_are_refused(goals, observation, goal, message):
    agent, state = shown(goals)
    with pytest.raises(ValueError, match=message):
        agent.act(state, observation, goal, jax.random.key(0), False)
