"""make, names and register: which names are known, and which calls are refused."""

import functools
import inspect

import jax
import jax.numpy as jnp
import pytest

from hindsight_jax import envs, types
from hindsight_jax.envs import _check_task, action_sets, base, host, images, physics, registry, wrappers


def test_names_are_sorted_and_all_can_be_made():
    assert list(envs.names()) == sorted(envs.names())
    for name in envs.names():
        assert isinstance(envs.make(name), envs.GoalEnv)


def test_every_task_of_the_table_is_named():
    assert set(envs.names()) >= {"flip_bit", "grid_four_rooms", "navigation", "push"}


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"name: got 'pusch', but it must be one of .*push.*\. Did you mean 'push'\?"):
        envs.make("pusch")
    with pytest.raises(ValueError, match=r"name: got 'zzz', .*\. Add a task of your own with envs\.register\."):
        envs.make("zzz")
    with pytest.raises(ValueError, match="name: got 3"):
        envs.make(3)


def test_an_unknown_override_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"override of push: got 'horizons', .*Did you mean 'horizon'\?"):
        envs.make("push", horizons=20)


def test_overrides_reach_the_spec():
    for name in envs.names():
        spec = envs.make(name, horizon=7, threshold=0.01).spec
        assert (spec.horizon, spec.threshold) == (7, 0.01)


def test_actions_are_continuous_by_default_where_the_paper_s_are():
    """hEM's tasks but flip_bit and its grid have numbers as actions; HDM's have a few values of each."""
    kinds = {name: type(envs.make(name).spec.action) for name in registry.OF_PAPERS}
    continuous = {name for name, kind in kinds.items() if kind is types.Box}
    assert continuous == {"fetch_reach", "navigation", "point_mass", "reacher", "sawyer_reach"}


def test_the_package_knows_its_names():
    assert {"make", "names", "register", "GoalEnv", "AutoReset"} <= set(dir(envs))
    with pytest.raises(AttributeError, match=r"it has AutoReset, .*GoalEnv, .*make, .*register"):
        _ = envs.mak


def test_what_a_task_of_ones_own_needs_is_exported():
    homes = {
        _check_task: ("check_task",),
        action_sets: ("action_set", "choice", "moves"),
        base: ("GoalEnv", "PipelineState", "PureTask", "State", "typed"),
        host: ("HostEnv",),
        physics: ("Engine", "PhysicsTask", "held", "straight"),
        images: ("ImageEnv",),
        wrappers: ("AutoReset",),
    }
    exported = {name: getattr(home, name) for home, members in homes.items() for name in members}
    assert {name: getattr(envs, name) for name in exported} == exported
    assert {*exported, "make", "names", "register"} == set(envs.__all__)


class Line(envs.PureTask):
    """A point on a line of integers, written with exported names alone."""

    def __init__(self, horizon=5, threshold=0.5, step=1.0):
        line = types.Range((-9.0,), (9.0,))
        self._spec = types.EnvSpec((1,), (1,), types.Discrete(1, 3), horizon, threshold, True, line, line)
        self.length = step

    def distance(self, achieved, desired):
        return jnp.abs(achieved - desired)[..., 0]

    def sample_goal(self, key):
        return jax.random.randint(key, (1,), 1, 4).astype(jnp.float32)

    def reset(self, rng):
        start = jnp.zeros(1)
        return self.first_state(envs.PipelineState(start, self.sample_goal(envs.typed(rng))), start)

    def step(self, state, action):
        move, valid = envs.moves(self.spec.action, action, 1)
        now = state.pipeline_state
        point = now.physics + self.length * move
        return self.next_state(state, envs.PipelineState(point, now.goal), point, valid)


@pytest.fixture
def own(monkeypatch):
    """No registered tasks; those that a test registers are gone after it."""
    monkeypatch.setattr(registry, "_REGISTERED", {})


@pytest.mark.usefixtures("own")
def test_a_registered_class_is_named_made_and_played():
    built_in = envs.names()
    envs.register("line", Line)
    assert envs.names() == tuple(sorted((*built_in, "line")))
    env = envs.make("line", step=3.0)
    assert type(env) is Line
    state = jax.jit(env.step)(jax.jit(env.reset)(jax.random.key(0)), jnp.array([2]))
    assert state.obs["observation"].tolist() == [3.0]
    assert float(state.reward) == float(state.obs["desired_goal"][0] == 3.0)


@pytest.mark.usefixtures("own")
def test_overrides_of_a_registered_task_are_checked_by_its_signature():
    envs.register("line", Line)
    assert envs.make("line", horizon=7, threshold=0.1).spec.horizon == 7
    with pytest.raises(
        ValueError, match=r"override of line: got 'horizons', .* horizon, threshold, step\. Did you mean"
    ):
        envs.make("line", horizons=7)
    with pytest.raises(ValueError, match=r"override of line: got 'self', but it must .*\. Leave it out\."):
        envs.make("line", **{"self": 1})
    envs.register("fixed", lambda: Line())
    with pytest.raises(ValueError, match=r"override of fixed: got 'horizon', but the task has no overrides\. Leave it"):
        envs.make("fixed", horizon=7)


@pytest.mark.usefixtures("own")
def test_a_function_that_takes_any_keyword_checks_them_itself():
    envs.register("bits", functools.partial(envs.make, "flip_bit", size=3))
    assert envs.make("bits").spec.goal_shape == (3,)
    assert envs.make("bits", horizon=7).spec.horizon == 7
    with pytest.raises(ValueError, match="override of flip_bit: got 'horizons'"):
        envs.make("bits", horizons=7)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    "name", ["", "Maze", "my task", "my-task", "2d", "_maze", "maze\n", "mäze", "a.b", 3, None, b"maze"]
)
def test_a_name_that_is_no_lower_case_identifier_is_refused(name):
    with pytest.raises(ValueError, match=r"^name: got .*, but it must be a lower-case identifier\. Use .*'my_task'"):
        envs.register(name, Line)
    assert registry._REGISTERED == {}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("replace", [False, True])
def test_a_built_in_task_is_not_replaced(replace):
    with pytest.raises(ValueError, match=r"^name: got 'push', but it must not be .* built-in .*\. Use .* 'my_push'\."):
        envs.register("push", Line, replace=replace)
    assert type(envs.make("push")).__name__ == "Push"


@pytest.mark.usefixtures("own")
def test_a_registered_task_is_replaced_only_if_asked():
    envs.register("line", Line)
    longer = functools.partial(Line, horizon=9)
    with pytest.raises(
        ValueError, match=r"^name: got 'line', but it must not be registered already\. Pass replace=True"
    ):
        envs.register("line", longer)
    assert envs.make("line").spec.horizon == 5
    envs.register("line", longer, replace=True)
    assert envs.make("line").spec.horizon == 9
    assert envs.names().count("line") == 1


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("argument", ["pixels", "frames", "goals"])
def test_an_argument_of_make_itself_is_refused_of_a_task(argument):
    class Taken(Line):
        def __init__(self, **arguments):
            super().__init__()

    own = inspect.Parameter(argument, inspect.Parameter.KEYWORD_ONLY, default=1)
    Taken.__signature__ = inspect.Signature([own])
    with pytest.raises(ValueError, match=f"^make: got a function with an argument '{argument}', but envs.make has"):
        envs.register("line", Taken)
    assert "line" not in envs.names()


@pytest.mark.usefixtures("own")
def test_what_cannot_be_called_is_refused():
    with pytest.raises(ValueError, match=r"^make: got .*, but it must be a function\. Pass a subclass of GoalEnv"):
        envs.register("line", Line())
    assert "line" not in envs.names()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("make", [dict, lambda: 3, lambda: envs.AutoReset(Line())])
def test_what_makes_no_task_is_refused_when_made(make):
    envs.register("strange", make)
    with pytest.raises(ValueError, match=r"^task made as 'strange': got .*, but its type must be GoalEnv\. Register"):
        envs.make("strange")
