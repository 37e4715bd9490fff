"""Environments that reset themselves are refused by what their `step` does; honest tasks and wrappers are not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as brax_wrappers
from flax import struct
from probes import Chain, Disguised, Position
from registering import tables_restored

from hindsight_jax import envs, presets, study, training
from hindsight_jax.envs import base, continuity

RIGHT = lambda observation, goal, key: jnp.array([2], jnp.int32)
choose = lambda condition, yes, no: jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


class Around(base.Wrapper):
    """A user's wrapper: whatever it lacks, its task has."""

    def after(self, state, action):
        return self.env.step(state, action)

    def step(self, state, action):
        return self.after(state, action)


class Delegating:
    """The same, without any base class."""

    def __init__(self, task):
        self._inner = task

    def __getattr__(self, name):
        return getattr(self._inner, name)


@struct.dataclass
class Two:
    cell: jax.Array
    goal: jax.Array
    next_goal: jax.Array


class Heir(Chain):
    """A subclass of a task whose step takes a fresh episode after a success, and says nothing of it."""

    def step(self, state, action):
        after = super().step(state, action)
        fresh = self.reset(jax.random.key(0))
        return jax.lax.cond(after.reward > 0, lambda: after.replace(pipeline_state=fresh.pipeline_state), lambda: after)


class Fresh(Delegating):
    """A fresh state under done, from a key in info."""

    def reset(self, key):
        state = self._inner.reset(key)
        return state.replace(info={**state.info, "rng": jax.random.fold_in(key, 1)})

    def step(self, state, action):
        key, later = jax.random.split(state.info["rng"])
        after = self._inner.step(state, action)
        new = self._inner.reset(key).replace(info=after.info)
        return choose(after.done > 0, new, after).replace(info={"rng": later})


class Cached(Around):
    """The first state again, kept in info, after four steps."""

    def reset(self, rng):
        state = self.env.reset(rng)
        return state.replace(info={"start": (state.pipeline_state, state.obs), "t": jnp.zeros((), jnp.int32)})

    def step(self, state, action):
        after = self.env.step(state, action)
        over = after.info["t"] >= 3
        carried, obs = choose(over, after.info["start"], (after.pipeline_state, after.obs))
        info = {"start": after.info["start"], "t": jnp.where(over, 0, after.info["t"] + 1)}
        return after.replace(pipeline_state=carried, obs=obs, info=info)


class BeforeStep(Around):
    """Gymnasium's other mode: the step after an end begins the next episode."""

    def step(self, state, action):
        fresh = self.env.reset(jax.random.key(3))
        return self.env.step(choose(state.done > 0, fresh, state), action)


class ByArithmetic(Around):
    """done * first + (1 - done) * now."""

    def step(self, state, action):
        after, fresh = self.env.step(state, action), self.env.reset(jax.random.key(3))
        blend = lambda a, b: (after.done * a + (1.0 - after.done) * b).astype(jnp.asarray(b).dtype)
        return after.replace(obs=jax.tree.map(blend, fresh.obs, after.obs))


class SameGoal(Around):
    """Another start for the same goal, after a success."""

    def step(self, state, action):
        after, fresh = self.env.step(state, action), self.env.reset(jax.random.key(3))
        mine = choose(after.done > 0, fresh.pipeline_state.cell, after.pipeline_state.cell)
        cell = self.env.one_hot(mine)
        obs = {**after.obs, "observation": cell, "achieved_goal": cell}
        return after.replace(pipeline_state=after.pipeline_state.replace(cell=mine), obs=obs)


class LateStart(Around):
    """Another start for the same goal, which the step after it observes first."""

    def reset(self, rng):
        return self.env.reset(rng).replace(info={"t": jnp.zeros((), jnp.int32)})

    def step(self, state, action):
        after, t = self.env.step(state, action), state.info["t"] + 1
        cell = jnp.where(t % 4 == 0, 0, after.pipeline_state.cell)
        return after.replace(pipeline_state=after.pipeline_state.replace(cell=cell), info={"t": t})


class EarlyStart(Around):
    """Another start for the same goal, at the step after an end."""

    def step(self, state, action):
        cell = jnp.where(state.done > 0, 0, state.pipeline_state.cell)
        return self.env.step(state.replace(pipeline_state=state.pipeline_state.replace(cell=cell)), action)


class NextGoal(Chain):
    """The next goal, drawn ahead, once this one is reached; its start is where the last episode ended."""

    def reset(self, rng):
        first = super().reset(rng)
        carried = first.pipeline_state
        return first.replace(pipeline_state=Two(carried.cell, carried.goal, carried.goal[::-1]))

    def step(self, state, action):
        old = state.pipeline_state
        after = super().step(state.replace(pipeline_state=Position(old.cell, old.goal)), action)
        goal = jax.lax.select(after.reward > 0, old.next_goal, old.goal)
        return after.replace(pipeline_state=Two(after.pipeline_state.cell, goal, old.next_goal))


class TimeLimit(Around):
    """Ends an episode after three steps, and begins none."""

    def reset(self, rng):
        return self.env.reset(rng).replace(info={"t": jnp.zeros((), jnp.int32)})

    def step(self, state, action):
        after, t = self.env.step(state, action), state.info["t"] + 1
        return after.replace(done=jnp.where(t >= 3, 1.0, after.done), info={"t": t})


class Truncated(TimeLimit):
    """The same, by `or`: truncated is not also terminated."""

    def step(self, state, action):
        after, t = self.env.step(state, action), state.info["t"] + 1
        truncated = (t >= 3) & ~(after.done > 0)
        return after.replace(done=((after.done > 0) | truncated).astype(jnp.float32), info={"t": t})


class Larger(TimeLimit):
    """The same, by a maximum."""

    def step(self, state, action):
        after, t = self.env.step(state, action), state.info["t"] + 1
        return after.replace(done=jnp.maximum(after.done, (t >= 3).astype(jnp.float32)), info={"t": t})


class Patrol(Around):
    """Back and forth: at the goal, the opposite cell is the next."""

    def step(self, state, action):
        after = self.env.step(state, action)
        goal = jnp.where(after.reward > 0, after.pipeline_state.goal[::-1], after.pipeline_state.goal)
        carried = after.pipeline_state.replace(goal=goal)
        return after.replace(pipeline_state=carried, obs={**after.obs, "desired_goal": goal})


class Product(Around):
    """The first cell again, for the same goal, after a success: (1 - done) * now."""

    def step(self, state, action):
        after = self.env.step(state, action)
        cell = (1 - after.done.astype(jnp.int32)) * after.pipeline_state.cell
        carried, seen = after.pipeline_state.replace(cell=cell), self.env.one_hot(cell)
        return after.replace(pipeline_state=carried, obs={**after.obs, "observation": seen, "achieved_goal": seen})


class Repeated(brax_wrappers.EpisodeWrapper):
    """An heir of brax's, under another name."""


ENDS = Chain(ends_at_success=True)
RESETTING = {
    "AutoReset": (envs.AutoReset(Chain()), "another goal .*info.reset_key"),
    "AutoReset at success": (envs.AutoReset(ENDS), "another goal"),
    "AutoReset in images": (envs.AutoReset(envs.make("flip_bit", size=3)), "another goal"),
    "brax AutoReset": (brax_wrappers.AutoResetWrapper(brax_wrappers.EpisodeWrapper(Chain(), 5, 1)), "another goal"),
    "brax AutoReset alone": (brax_wrappers.AutoResetWrapper(ENDS), "another goal"),
    "brax Episode": (brax_wrappers.EpisodeWrapper(Chain(), 5, 1), "can end an episode after some steps"),
    "brax Episode at success": (Repeated(ENDS, 5, 2), "can end an episode after some steps .done .* info.steps"),
    "brax Vmap": (brax_wrappers.VmapWrapper(Chain()), "reset takes a batch of keys"),
    "brax Vmap of four": (brax_wrappers.VmapWrapper(Chain(), 4), "reset returns a batch"),
    "brax wrap": (brax_wrappers.wrap(Chain(), 5), "reset takes a batch of keys"),
    "inside": (Around(envs.AutoReset(Chain())), "another goal"),
    "an heir": (Heir(), "another goal in place of the episode's .pipeline_state.goal"),
    "a fresh state": (Fresh(ENDS), "another goal"),
    "the first state": (Cached(Chain()), "another goal"),
    "at the next step": (BeforeStep(ENDS), "another goal"),
    "by arithmetic": (ByArithmetic(ENDS), "another goal"),
    "the same goal": (SameGoal(ENDS), "another state in place of the episode's"),
    "a late start": (LateStart(Chain()), "another state"),
    "an early start": (EarlyStart(ENDS), "another state"),
    "the next goal": (NextGoal(), "another goal"),
    "a time limit": (TimeLimit(ENDS), "can end an episode"),
    "a time limit alone": (TimeLimit(Chain()), "can end an episode"),
    "a time limit by or": (Truncated(ENDS), "can end an episode"),
    "a time limit by max": (Larger(ENDS), "can end an episode"),
    "the goal turned": (Patrol(Chain()), "another goal"),
    "by a product": (Product(ENDS), "another state"),
}


@pytest.mark.parametrize(("env", "fault"), RESETTING.values(), ids=RESETTING)
def test_an_environment_that_resets_itself_is_refused(env, fault):
    for entry in (training.example_trajectory, lambda env: training.rollout(env, RIGHT, jax.random.key(0), 2)):
        with pytest.raises(
            ValueError, match=rf"^env: got {type(env).__name__}, whose .*{fault}.* Pass the task itself"
        ):
            entry(env)


# Honest tasks and wrappers


class Scaled(Around):
    """Observations times two."""

    def step(self, state, action):
        after = self.env.step(state, action)
        return after.replace(obs={**after.obs, "observation": 2.0 * after.obs["observation"]})


class Rewarded(Around):
    """A reward of another kind, and a sum of it in info."""

    def reset(self, rng):
        return self.env.reset(rng).replace(info={"sum": jnp.zeros(())})

    def step(self, state, action):
        after = self.env.step(state, action)
        reward = jnp.where(after.done > 0, 10.0, -1.0)
        return after.replace(reward=reward, info={"sum": state.info["sum"] + reward})


class Delayed(Around):
    """The action of the step before, from info."""

    def reset(self, rng):
        return self.env.reset(rng).replace(info={"action": jnp.zeros((1,), jnp.int32)})

    def step(self, state, action):
        return self.env.step(state, state.info["action"]).replace(info={"action": jnp.asarray(action, jnp.int32)})


class Placed(Chain):
    """An action is the next cell."""

    def step(self, state, action):
        old, cell = state.pipeline_state, jnp.asarray(action)[0]
        cell = jnp.where((cell >= 0) & (cell < 5), cell, old.cell)
        return self.next_state(state, old.replace(cell=cell), self.one_hot(cell), jnp.array(True))


class Frozen(Around):
    """Nothing moves after an end."""

    def step(self, state, action):
        return choose(state.done > 0, state, self.env.step(state, action))


class Blinking(Around):
    """Every third observation is lost, to the agent alone."""

    def reset(self, rng):
        return self.env.reset(rng).replace(info={"t": jnp.zeros((), jnp.int32)})

    def step(self, state, action):
        after, t = self.env.step(state, action), state.info["t"] + 1
        seen = jnp.where(t % 3 == 0, 0.0, after.obs["observation"])
        return after.replace(obs={**after.obs, "observation": seen}, info={"t": t})


class Trapdoor(Chain):
    """The last cell but one leads to the first: a part of the task, whose goal stays."""

    def step(self, state, action):
        old = state.pipeline_state
        moved = jnp.clip(old.cell + jnp.asarray(action)[0] - 1, 0, 4)
        cell = jnp.where(moved == 3, 0, moved)
        return self.next_state(state, old.replace(cell=cell), self.one_hot(cell), jnp.array(True))


@struct.dataclass
class Windy:
    cell: jax.Array
    goal: jax.Array
    key: Any
    t: jax.Array


class Wind(Chain):
    """Pushes at times and at random; the task carries its clock and its key."""

    def reset(self, rng):
        first = super().reset(rng)
        carried = first.pipeline_state
        wind = Windy(carried.cell, carried.goal, base.typed(rng), jnp.zeros((), jnp.int32))
        return first.replace(pipeline_state=wind)

    def step(self, state, action):
        old = state.pipeline_state
        key, now = jax.random.split(old.key)
        push = jnp.where((old.t % 4 == 0) | (jax.random.uniform(now) < 0.1), 1, 0)
        cell = jnp.clip(old.cell + jnp.asarray(action)[0] - 1 + push, 0, 4)
        observation = self.one_hot(cell)
        done = self.success(observation, old.goal).astype(jnp.float32)
        obs = {"observation": observation, "achieved_goal": observation, "desired_goal": old.goal}
        carried = old.replace(cell=cell, key=key, t=old.t + 1)
        return state.replace(pipeline_state=carried, obs=obs, done=jnp.where(done > 0, 1.0, 0.0), reward=done)


class TwoSubsteps(Around):
    """Every action twice, by a scan over the whole state."""

    def step(self, state, action):
        return jax.lax.scan(lambda state, _: (self.env.step(state, action), None), state, length=2)[0]


class UntilDone(Around):
    """Every action up to three times, until the end: a loop of unknown length."""

    def step(self, state, action):
        goes_on = lambda loop: (loop[0] < 3) & (loop[1].done == 0)
        return jax.lax.while_loop(goes_on, lambda loop: (loop[0] + 1, self.env.step(loop[1], action)), (0, state))[1]


@struct.dataclass
class Patrolled:
    cell: jax.Array
    goal: jax.Array
    t: jax.Array


class Guarded(Chain):
    """Ends where a guard, who walks by a timetable, meets the agent. It extends what another task carries."""

    def reset(self, rng):
        first = super().reset(rng)
        carried = Patrolled(first.pipeline_state.cell, first.pipeline_state.goal, jnp.zeros((), jnp.int32))
        return self.first_state(carried, first.obs["observation"])

    def step(self, state, action):
        old = state.pipeline_state
        cell = jnp.clip(old.cell + jnp.asarray(action)[0] - 1, 0, 4)
        after = self.next_state(state, old.replace(cell=cell, t=old.t + 1), self.one_hot(cell), jnp.array(True))
        return after.replace(done=jnp.where(cell == jnp.array([0, 2, 4])[old.t % 3], 1.0, after.done))


HONEST = {
    "a task": Disguised(),
    "that ends": ENDS,
    "delegating": Delegating(Chain()),
    "around": Around(ENDS),
    "scaled": Scaled(ENDS),
    "rewarded": Rewarded(ENDS),
    "delayed": Delayed(ENDS),
    "placed": Placed(),
    "placed late": Delayed(Placed(ends_at_success=True)),
    "frozen": Frozen(ENDS),
    "blinking": Blinking(ENDS),
    "a trapdoor": Trapdoor(ends_at_success=True),
    "wind": Wind(ends_at_success=True),
    "two substeps": TwoSubsteps(ENDS),
    "until done": UntilDone(ENDS),
    "a guard": Guarded(ends_at_success=True),
    "several": Rewarded(Scaled(Delegating(ENDS))),
    "jitted": Delegating(type("Jitted", (Chain,), {"step": jax.jit(Chain.step, static_argnums=0)})()),
}


@pytest.mark.parametrize("env", HONEST.values(), ids=HONEST)
def test_honest_tasks_and_wrappers_pass(env):
    assert training.example_trajectory(env).action.shape == (8, 1)
    assert training.rollout(env, RIGHT, jax.random.key(0), 2).success_end.shape == (2,)


def test_a_wrapped_task_gives_the_rollout_of_the_task():
    whole, wrapped = (training.rollout(env, RIGHT, jax.random.key(0), 8) for env in (ENDS, Around(ENDS)))
    jax.tree.map(np.testing.assert_array_equal, whole, wrapped)


def test_what_the_host_computes_is_seen_in_the_trajectories():
    """The program of such a step tells nothing, and the goals that it observes do."""

    class Host(Around):
        def step(self, state, action):
            after = self.env.step(state, action)
            turn, like = lambda x: np.roll(x, self.shift, -1), jax.ShapeDtypeStruct((5,), jnp.float32)
            goal = jax.pure_callback(turn, like, after.pipeline_state.goal, vmap_method="expand_dims")
            carried, obs = after.pipeline_state.replace(goal=goal), {**after.obs, "desired_goal": goal}
            return after.replace(pipeline_state=carried, obs=obs)

    still, turning = Host(Chain()), Host(Chain())
    still.shift, turning.shift = 0, 1
    training.rollout(still, RIGHT, jax.random.key(0), 2)
    with pytest.raises(ValueError, match=r"^env: got Host, whose step changed the goal within 2 of 2 episodes"):
        training.rollout(turning, RIGHT, jax.random.key(0), 2)


def test_what_the_host_computes_of_a_whole_state_passes():
    class Simulator(Chain):
        def step(self, state, action):
            like = jax.eval_shape(super().step, state, action)
            go = jax.jit(super().step)
            return jax.pure_callback(go, like, state, action, vmap_method="sequential")

    continuity.check_continues(Simulator())


def test_a_task_is_traced_once(monkeypatch):
    looks = []
    monkeypatch.setattr(continuity, "check_continues", looks.append)
    env = Chain()
    for _ in range(3):
        training.example_trajectory(env)
    training.example_trajectory(envs.make("flip_bit", size=3))  # tests have looked at those that ship
    assert looks == [env]
    changed = envs.make("flip_bit", size=3)
    changed.step = lambda state, action: changed.reset(jax.random.key(0))
    training.example_trajectory(changed)
    assert looks == [env, changed]


@pytest.mark.slow
@pytest.mark.parametrize("name", envs.names())
def test_the_tasks_that_ship_pass(name):
    for task in ({}, {"actions": "continuous"}, {"pixels": 48, "frames": 2}, {"pixels": 48, "goals": "image"}):
        try:
            env = envs.make(name, **task)
        except ValueError:
            assert task  # flip_bit has no other actions, and some draw no goals
            continue
        continuity.check_continues(env)
        with pytest.raises(ValueError, match="another goal"):
            continuity.check_continues(envs.AutoReset(env))


def test_no_run_of_such_a_task_begins():
    with pytest.raises(ValueError, match=r"^env: got AutoReset, whose step can put another goal"):
        training.make_run(envs.AutoReset(Chain()), None, None, None, None, None)
    with pytest.raises(ValueError, match=r"^env: got Heir, whose step can put another goal"):
        envs.check_task(Heir())
    with tables_restored():
        presets.register_environment("heir", Heir, help="begins anew after a success")
        with pytest.raises(ValueError, match=r"^env: got Heir, whose step can put another goal"):
            study.train("her_heir", seeds=1)
