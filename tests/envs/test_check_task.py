"""A task of a user's own that checks no arguments: what does not fit the contract is named, and never broadcast."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import struct

from hindsight_jax import envs, training, types

SQUARE, LINE = types.Range((-1.0, -1.0), (1.0, 1.0)), types.Range((-1.0,), (1.0,))


class Slide(envs.GoalEnv):
    """A bead on a wire: state (x, v), goal x. No method is decorated, as a user writes it."""

    spec = types.EnvSpec(
        observation_shape=(2,),
        goal_shape=(1,),
        action=types.Box(1),
        horizon=5,
        threshold=0.1,
        ends_at_success=False,
        observation_range=SQUARE,
        goal_range=LINE,
    )

    def achieved_goal(self, observation):
        return observation[..., :1]

    def distance(self, achieved, desired):
        return jnp.abs(achieved - desired)[..., 0]

    def sample_goal(self, key):
        return jax.random.uniform(key, (1,), minval=-1.0)

    def reset(self, rng):
        rest = jnp.zeros(2)
        return self.first_state(envs.PipelineState(rest, self.sample_goal(envs.typed(rng))), rest)

    def step(self, state, action):
        move, valid = envs.moves(self.spec.action, action, 1)
        position, speed = state.pipeline_state.physics
        now = jnp.stack([position + 0.1 * speed, speed + move[0]])
        return self.next_state(state, envs.PipelineState(now, state.pipeline_state.goal), now, valid)


@struct.dataclass
class Goalless:
    physics: Any


def slide(**methods):
    """A Slide with other methods."""
    return type("Slide", (Slide,), methods)()


def spec(**entries):
    return slide(spec=Slide.spec._replace(**entries))


def hand_written_reset(self, rng):
    """A state without `first_state`, and what it carries is no PipelineState."""
    x = jnp.zeros(2)
    obs = {"observation": x, "achieved_goal": x[:1], "desired_goal": self.sample_goal(rng)}
    return envs.State({"physics": x}, obs, jnp.float32(0.0), jnp.float32(0.0), {})


def resets_to(change):
    return slide(reset=lambda self, rng: change(Slide.reset(self, rng)))


def steps_to(change):
    return slide(step=lambda self, state, action: change(Slide.step(self, state, action)))


def carrying(state, physics):
    return state.replace(pipeline_state=state.pipeline_state.replace(physics=physics))


WRONG_SPECS = {
    "a dict": (slide(spec={}), r"Slide\.spec: got dict, .* EnvSpec"),
    "a number for a shape": (spec(observation_shape=2), r"Slide\.spec\.observation_shape: got 2, "),
    "an empty axis": (spec(goal_shape=(0,)), r"Slide\.spec\.goal_shape: got \(0,\), "),
    "a tuple for a range": (spec(goal_range=((-1.0,), (1.0,))), r"Slide\.spec\.goal_range: got tuple, .* Range"),
    "another length": (spec(observation_range=LINE), r"Slide\.spec\.observation_range: .* 2 finite numbers each"),
    "no width": (spec(goal_range=types.Range((0.0,), (0.0,))), r"Slide\.spec\.goal_range: .* low < high"),
    "NaN": (spec(goal_range=types.Range((0.0,), (jnp.nan,))), r"Slide\.spec\.goal_range: .* finite"),
    "text in a range": (spec(goal_range=types.Range(("a",), ("b",))), r"Slide\.spec\.goal_range: .* finite"),
    "no action set": (spec(action=9), r"Slide\.spec\.action: got 9, .*action_set"),
    "no dimension": (spec(action=types.Discrete(0, 3)), r"Slide\.spec\.action\.num_dims: got 0, "),
    "no horizon": (spec(horizon=0), r"Slide\.spec\.horizon: got 0, "),
    "no threshold": (spec(threshold=0.0), r"threshold: got 0\.0, "),
    "a number for a flag": (spec(ends_at_success=1), r"Slide\.spec\.ends_at_success: got 1, "),
}

WRONG_TASKS = {
    "no task": (3, r"env: got int, .*GoalEnv"),
    "a class": (Slide, r"env: got the class Slide, .* make one"),
    "a vector of distances": (
        slide(distance=lambda self, a, b: jnp.abs(a - b)),
        r"Slide\.distance: got float32\[1\], but its shape must be \[\]\. .*axis=-1",
    ),
    "a distance over the batch": (
        slide(distance=lambda self, a, b: jnp.linalg.norm(a - b)),
        r"Slide\.distance: got float32\[\], but its shape must be \[7\]\. .*leading axes stay",
    ),
    "a success of its own over the batch": (
        slide(success=lambda self, a, b: jnp.all(a == b)),
        r"Slide\.success: got bool\[\], but its shape must be \[7\]\. ",
    ),
    "a success that is a number": (
        slide(success=lambda self, a, b: 1.0 * (jnp.abs(a - b) < 0.1)[..., 0]),
        r"Slide\.success: got float32\[\], but its dtype must be bool",
    ),
    "an integer distance": (
        slide(distance=lambda self, a, b: jnp.sum(a != b, axis=-1)),
        r"Slide\.distance: got int32\[\], but its dtype must be floating",
    ),
    "the whole observation as its goal": (
        slide(achieved_goal=lambda self, s: s),
        r"Slide\.achieved_goal: got float32\[2\], but its shape must be \[1\]",
    ),
    "the first of a batch as its goal": (
        slide(achieved_goal=lambda self, s: s[:1]),
        r"Slide\.achieved_goal: got float32\[1, 2\], but its shape must be \[7, 1\]",
    ),
    "a scalar goal": (
        slide(sample_goal=lambda self, key: jax.random.uniform(key)),
        r"Slide\.sample_goal: got float32\[\], but its shape must be \[1\]",
    ),
    "a goal that is reachable by degrees": (
        slide(reachable=lambda self, goal: goal[0]),
        r"Slide\.reachable: got float32",
    ),
    "a start that is good by degrees": (
        slide(reachable_from=lambda self, start, goal: start[0] - goal[0]),
        r"Slide\.reachable_from: got float32",
    ),
    "nothing carried": (slide(reset=hand_written_reset), r"pipeline_state: got dict, .* field `goal`. Pass envs\.Pip"),
    "no goal carried": (
        slide(reset=lambda self, rng: self.first_state(Goalless(jnp.zeros(2)), jnp.zeros(2))),
        r"pipeline_state: got Goalless, .* field `goal`",
    ),
    "two goals carried": (
        slide(reset=lambda self, rng: self.first_state(envs.PipelineState(0.0, jnp.zeros(2)), jnp.zeros(2))),
        r"pipeline_state\.goal: got float32\[2\], but its shape must be \[1\]. .*goal_shape of Slide",
    ),
    "text carried": (
        slide(reset=lambda self, rng: self.first_state(envs.PipelineState("x", jnp.zeros(1)), jnp.zeros(2))),
        r"pipeline_state\.physics: got 'x', but it must be an array",
    ),
    "no state": (slide(reset=lambda self, rng: jnp.zeros(2)), r"Slide\.reset: got .*, but its type must be State"),
    "another observation": (
        slide(reset=lambda self, rng: self.first_state(envs.PipelineState(0.0, jnp.zeros(1)), jnp.zeros(3))),
        r"observation: got float32\[3\], but its shape must be \[2\]. .*observation_shape of Slide",
    ),
    "one entry observed": (
        resets_to(lambda state: state.replace(obs={"observation": jnp.zeros(2)})),
        r"Slide\.reset's obs: got \['observation'\], but it must be a dict of observation, achieved_goal, desired_goal",
    ),
    "observed without names": (
        resets_to(lambda state: state.replace(obs=jnp.zeros(2))),
        r"Slide\.reset's obs: got float",
    ),
    "integer bits observed": (
        resets_to(lambda state: state.replace(obs={**state.obs, "observation": jnp.zeros(2, int)})),
        r"Slide\.reset's obs\['observation'\]: got int32\[2\], but its dtype must be floating",
    ),
    "a vector of rewards": (
        steps_to(lambda state: state.replace(reward=jnp.zeros(1))),
        r"Slide\.step's reward: got float32\[1\], but its shape must be \[\]",
    ),
    "an end that is no number": (
        resets_to(lambda state: state.replace(done=state.done > 0)),
        r"Slide\.reset's done: got bool\[\], but its dtype must be floating",
    ),
    "more metrics later": (
        steps_to(lambda state: state.replace(metrics={**state.metrics, "energy": jnp.zeros(())})),
        r"Slide\.step: got State, .* differ in \.metrics\['energy'\]",
    ),
    "other physics later": (
        steps_to(lambda state: carrying(state, jnp.zeros(3))),
        r"Slide\.step\.pipeline_state\.physics: got float32\[3\], but its shape must be \[2\]",
    ),
    "another dtype later": (
        steps_to(lambda state: carrying(state, jnp.zeros(2, int))),
        r"Slide\.step\.pipeline_state\.physics: got int32\[2\], but its dtype must be float32",
    ),
}


def test_good_tasks_pass():
    envs.check_task(Slide())
    for name in ("flip_bit", "navigation", "grid_four_rooms", "push"):
        envs.check_task(envs.make(name))


@pytest.mark.parametrize(("env", "message"), (WRONG_SPECS | WRONG_TASKS).values(), ids=WRONG_SPECS | WRONG_TASKS)
def test_the_first_thing_that_does_not_fit_is_named(env, message):
    with pytest.raises(ValueError, match=f"^{message}") as error:
        envs.check_task(env)
    assert str(error.value).endswith(".")  # a remedy


# What a user meets without `check_task`: the first rollout.
@pytest.mark.parametrize(
    "label",
    [
        "a vector of distances",
        "the whole observation as its goal",
        "a scalar goal",
        "another observation",
        "no goal carried",
    ],
)
def test_a_rollout_names_it_too(label):
    env, _ = WRONG_TASKS[label]
    named = r"^(Slide\.(distance|achieved_goal)|pipeline_state(\.goal)?|observation): got .*, but .*\. [A-Z].*\."
    with pytest.raises(ValueError, match=named):
        training.rollout(env, lambda observation, goal, key: jnp.zeros(1), jax.random.key(0), 2)


def test_an_undecorated_task_is_not_broadcast():
    """A batch, another task's state, or goals of two shapes are refused by `success`, `reset` and `step`."""
    env = Slide()
    state = env.reset(jax.random.key(0))
    batch = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2))
    with pytest.raises(ValueError, match=r"^pipeline_state\.(physics|goal): got float32\[2, "):
        env.step(batch, jnp.zeros(1))
    with pytest.raises(ValueError, match=r"^desired: got float32\[2, 1\], but its shape must be \[1\]"):
        env.success(state.obs["achieved_goal"], batch.obs["desired_goal"])
    with pytest.raises(ValueError, match=r"^valid: got bool\[2\], but its shape must be \[\]"):
        env.next_state(state, state.pipeline_state, state.obs["observation"], jnp.ones(2, bool))
    with pytest.raises(ValueError, match=r"^valid: got float32\[\], but its dtype must be bool"):
        env.next_state(state, state.pipeline_state, state.obs["observation"], jnp.ones(()))
    with pytest.raises(ValueError, match=r"^state: got dict, but it must be a State"):
        env.next_state(state.obs, state.pipeline_state, state.obs["observation"], True)
    after = env.next_state(state, state.pipeline_state, state.obs["observation"], True)
    assert after.metrics["invalid_action"] == 0.0
