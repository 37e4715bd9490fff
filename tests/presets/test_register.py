"""A user's own algorithms: their names, fields and numbers, what they build, and refusals without a trace."""

import functools
import inspect
import textwrap
from typing import Annotated

import numpy as np
import probes
import pytest
import registering
from registering import HPARAMS, Hparams, averaging, register_averaging

import hindsight_jax as hj
from hindsight_jax import agents, fields, presets
from hindsight_jax.fields import Allowed


@pytest.fixture(autouse=True)
def _restored():
    with registering.tables_restored():
        yield


# An algorithm with an agent of the package


def test_another_definition_of_a_kind_of_agent():
    """Of HDM's numbers, task by task, all but the redefined one."""
    names = set(presets.names())
    presets.register_algorithm(
        "hdm_future", agent="q_learning", help="of the future alone", config={"relabel.next_state": 0}, like="hdm"
    )
    tasks = [task for task, entry in presets.ENVIRONMENTS.items() if "discrete" in entry.actions]
    assert set(presets.names()) - names == {f"hdm_future_{task}" for task in tasks}
    for task in tasks:
        own, hdm = presets.config(f"hdm_future_{task}"), presets.config(f"hdm_{task}")
        assert repr(own) == repr(hdm | {"relabel.next_state": 0.0}), task
    assert presets.split("hdm_future_push") == ("hdm_future", "push", False)
    assert presets.describe("hdm_future_push").endswith(": of the future alone")
    assert presets.build("hdm_future_flip_bit", presets.config("hdm_future_flip_bit")).agent.batch == "transitions"


def test_the_example_of_the_docstring_runs():
    text = textwrap.dedent(inspect.getdoc(presets.register_algorithm).partition("for example")[2].partition(":\n")[2])
    found = {"presets": presets}
    exec(text, found)
    assert found["setup"].env.spec.horizon == 50


def test_no_name_follows_a_paper():
    presets.register_algorithm("hdm_future", agent="q_learning", help="of the future alone", like="hdm")
    assert not [name for name in presets.names() if name.startswith("hdm_future") and name.endswith("_paper")]
    with pytest.raises(ValueError, match=r"no paper has the pair.* Take hdm_future_push\.$"):
        presets.config("hdm_future_push_paper")


def test_config_comes_after_what_is_tuned_and_schedule_before():
    tuned = presets.config("her_push")["agent.learning_rate"]
    numbers = {"agent.learning_rate": 0.25, "agent.target_rate": 0.125}
    presets.register_algorithm("mild", agent="q_learning", help="of its schedule", schedule=numbers)
    presets.register_algorithm("strict", agent="q_learning", help="of its config", config=numbers)
    read = lambda name: tuple(presets.config(f"{name}_push")[field] for field in numbers)
    assert read("mild") == (tuned, 0.125)  # push tunes the learning rate, and not the target's
    assert read("strict") == (0.25, 0.125)


def test_an_algorithm_may_be_like_one_that_is_registered():
    presets.register_algorithm("one", agent="q_learning", help="first", like="hdm", schedule={"agent.beta": 0.5})
    presets.register_algorithm("two", agent="q_learning", help="second", like="one")
    assert presets.config("two_push") == presets.config("one_push") == presets.config("hdm_push") | {"agent.beta": 0.5}


def test_actions_say_which_tasks_fit_and_which_kind_is_preferred():
    presets.register_algorithm("either", agent="imitation", help="both", actions=("continuous", "discrete"))
    assert presets.config("either_navigation")["env.actions"] == "continuous"
    assert "either_flip_bit" in presets.names()
    presets.register_algorithm("smooth", agent="actor_critic", help="one", actions=["continuous"])
    assert "smooth_flip_bit" not in presets.names()
    assert presets.ALGORITHMS["smooth"].actions == ("continuous",)


# An algorithm with an agent of one's own


def test_a_constructor_declares_the_fields_of_its_runs():
    before = set(presets.all_fields())
    register_averaging()
    known = presets.fields_of("averaging_flip_bit")
    own = {field: spec for field, spec in known.items() if field.startswith("agent.")}
    assert own == {
        "agent.learning_rate": fields.Field(0.5, "step size", 0.0, 10.0),
        "agent.pull": fields.Field(3.0, "strength", 0.0, 1e3),  # of the constructor's default
        "agent.hidden_sizes": fields.Field((4,), "units", 1, 64),
        "agent.rule": fields.Field("mean", "how to pool", options=("mean", "sum")),
        "agent.batch_size": presets.all_fields()["agent.batch_size"],
        "agent.updates_per_epoch": presets.all_fields()["agent.updates_per_epoch"],
    }
    assert set(presets.all_fields()) - before == {"agent.pull", "agent.rule"}
    assert "agent.pull" in presets.population_fields()
    assert "agent.rule" not in presets.population_fields()
    assert "relabel.rewards" in known
    with pytest.raises(ValueError, match=r"^agent\.learning_rate: got 10\.5, but it must be a number in \[0, 10\]"):
        presets.complete("averaging_push", presets.config("averaging_push") | {"agent.learning_rate": 10.5})


def test_runs_that_read_no_rewards_have_no_fields_of_rewards():
    register_averaging(reads_rewards=False)
    assert not [field for field in presets.fields_of("averaging_push") if field.startswith("relabel.reward")]


def test_an_agent_that_sees_images_has_their_tasks_and_fields():
    register_averaging()
    assert "averaging_push_pixels" not in presets.names()
    assert "env.pixels" not in presets.fields_of("averaging_push")
    register_averaging(images=True, replace=True)
    assert presets.config("averaging_push_pixels")["env.pixels"] == 48
    seen = presets.changed("averaging_push", presets.config("averaging_push"), {"env.pixels": 40, "env.frames": 2})
    assert presets.build("averaging_push", seen).env.spec.observation_shape == (40, 40, 6)


def test_tuned_numbers_reach_a_constructor_that_has_the_fields():
    register_averaging(like="gcsl", config={"agent.pull": 1})
    gcsl = presets.config("gcsl_flip_bit")
    config = presets.config("averaging_flip_bit")
    shared = set(config) & set(gcsl) - {"relabel.behaviour", "relabel.next_state"}  # which gcsl's own config sets
    assert {field: config[field] for field in shared} == {field: gcsl[field] for field in shared}
    assert repr(config["agent.pull"]) == "1.0"


def test_it_trains_two_settings_in_one_program():
    """Rewards are -1 but for what is reached: the setting without pull stays at 0, and the other falls below."""
    register_averaging(config={"agent.rule": "sum"})
    small = {"env.size": 3, "env.num_envs": 2, "evaluation.episodes": 4, "evaluation.every": 12, "replay.warmup": 2}
    small |= {"agent.batch_size": 4, "agent.updates_per_epoch": 2, "replay.capacity": 10}
    study = hj.train("averaging_flip_bit", seeds=2, grid={"agent.pull": [0.0, 1.0]}, overrides=small, total_steps=18)
    assert study.num_programs == 1
    assert study.config["agent.rule"] == "sum"
    loss = study["loss"][..., -1]
    assert np.all(loss[0] == 0.0)
    assert np.all(loss[1] < 0.0)


def test_an_agent_of_trajectories_has_no_ring():
    def on_policy(spec, *, success, hparams=agents.PolicyGradientHparams()):  # noqa: B008
        return agents.policy_gradient(spec, success=success, hparams=hparams, goals="own")

    presets.register_algorithm("direct", agent=on_policy, help="on policy", batch="trajectories")
    config = presets.config("direct_flip_bit")
    assert not [field for field in config if field.startswith(("replay.", "relabel."))]
    assert presets.build("direct_flip_bit", config).agent.batch == "trajectories"
    presets.register_algorithm("wrong", agent=on_policy, help="it says transitions")
    with pytest.raises(ValueError, match=r"^agent\.batch: got trajectories, .* Register .* batch='trajectories'\.$"):
        presets.build("wrong_flip_bit", presets.config("wrong_flip_bit"))


def test_a_partial_of_a_constructor_has_its_defaults():
    partial = functools.partial(agents.q_learning, backup="max", hidden_sizes=(32,))
    presets.register_algorithm("greedy", agent=partial, help="plain maximum", reads_rewards=True)
    config = presets.config("greedy_flip_bit")
    assert (config["agent.backup"], config["agent.hidden_sizes"]) == ("max", (32,))
    presets.register_algorithm("softer", agent=functools.partial(agents.q_learning, backup="mellow"), help="another")
    assert presets.config("greedy_flip_bit")["agent.backup"] == "max"  # each has an agent of its own
    assert presets.build("greedy_flip_bit", config).env.spec.horizon == 25


def test_a_second_algorithm_may_take_the_first_ones_agent():
    register_averaging()
    presets.register_algorithm("pooling", agent="averaging", help="sums", config={"agent.rule": "sum"})
    assert presets.ALGORITHMS["pooling"].agent == "averaging"
    assert presets.config("pooling_push") == presets.config("averaging_push") | {"agent.rule": "sum"}


def test_what_was_registered_may_be_replaced():
    register_averaging()
    register_averaging(replace=True, help="again", config={"agent.pull": 7})
    assert presets.config("averaging_push")["agent.pull"] == 7.0
    assert presets.describe("averaging_push").endswith(": again")


# Refusals


def without_hparams(spec):
    raise AssertionError


def taking_the_runs_own(spec, *, hparams: Hparams = HPARAMS, batch_size: Annotated[int, Allowed("rows", 1)] = 8):
    raise AssertionError


def twice(spec, *, hparams: Hparams = HPARAMS, pull: Annotated[float, Allowed("again")] = 1.0):
    raise AssertionError


def gamma_as_an_option(spec, *, hparams: Hparams = HPARAMS, gamma: Annotated[float, Allowed("again")] = 1.0):
    raise AssertionError


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("Mine", {}, r"^name: got 'Mine', but it must be lower-case letters, digits and single underscores\. For"),
        ("my__own", {}, r"^name: got 'my__own', but it must be lower-case"),
        ("", {}, r"^name: got '', but it must be lower-case"),
        (3, {}, r"^name: got 3, but it must be lower-case"),
        ("my_paper", {}, r"^name: got 'my_paper', but names that end in paper are the papers' schedules"),
        ("paper", {}, r"^name: got 'paper', but names that end in paper"),
        ("her", {}, r"^name: got 'her', but the package has that name\. For example my_her\.$"),
        ("her", {"replace": True}, r"^name: got 'her', but the package has that name"),
        ("q_learning", {}, r"^name: got 'q_learning', but the package has that name"),
        ("push", {}, r"^name: got 'push', but the package has that name"),
        ("there", {}, r"^name: got 'there', but it is registered already\. .*replace=True"),
        ("cells", {}, r"^name: got 'cells', but an algorithm and a task must not share one"),
        (
            "hpg_grid",
            {},
            r"^name: got hpg_grid_four_rooms, but hpg_grid \+ four_rooms and hpg \+ grid_four_rooms would",
        ),
        ("mine", {"replace": 1}, r"^replace: got 1, but it must be True or False"),
        ("mine", {"help": ""}, r"^help: got '', but it must be one line of text"),
        ("mine", {"help": "two\nlines"}, r"^help: got 'two\\nlines', but it must be one line of text"),
        ("mine", {"help": None}, r"^help: got None"),
        ("mine", {"actions": ()}, r'^actions: got \(\), but it must be \("discrete",\), \("continuous",\) or both'),
        ("mine", {"actions": "discrete"}, r"^actions: got 'discrete'"),
        ("mine", {"actions": ("discrete", "discrete")}, r"^actions: got \('discrete', 'discrete'\)"),
        ("mine", {"actions": ("smooth",)}, r"^actions: got \('smooth',\)"),
        ("mine", {"like": "hmd"}, r"^like: got 'hmd', but it must be one of hdm, hdm_progress, hdm_printed, her"),
        ("mine", {"like": ["hdm"]}, r"^like: got \['hdm'\], but it must be one of"),
        ("there", {"like": "there", "replace": True}, r"^like: got 'there', but its numbers come from there itself"),
        ("there", {"like": "like_there", "replace": True}, r"^like: got 'like_there', but its numbers come from there"),
        (
            "mine",
            {"agent": "q_lerning"},
            r"^agent: got 'q_lerning', but it must be a constructor or one of q_learning, ",
        ),
        ("mine", {"agent": None}, r"^agent: got None, but it must be a function"),
        ("mine", {"batch": "trajectories"}, r"^batch: got 'trajectories', but only a constructor of your own has it"),
        ("mine", {"reads_rewards": True}, r"^reads_rewards: got True, but only a constructor of your own has it"),
        ("mine", {"agent": averaging, "batch": "rows"}, r"^batch: got 'rows', but it must be transitions or traj"),
        ("mine", {"agent": averaging, "reads_rewards": 1}, r"^reads_rewards: got 1, but it must be True or False"),
        ("mine", {"images": True}, r"^images: got True, but only a constructor of your own has it"),
        ("mine", {"agent": averaging, "images": 1}, r"^images: got 1, but it must be True or False"),
        ("mine", {"agent": without_hparams}, r"^agent: got .*must have a parameter `hparams` whose default is a Named"),
        (
            "mine",
            {"agent": taking_the_runs_own},
            r"^agent: got a declaration of batch_size, but the name is declared al",
        ),
        ("mine", {"agent": twice}, r"^agent: got a declaration of pull, but the name is declared already"),
        (
            "mine",
            {"agent": gamma_as_an_option},
            r"^agent\.gamma: got two meanings, but of some agents the entry of hpa",
        ),
        (
            "mine",
            {"config": {"agent.gama": 0.5}},
            r"^config\['agent\.gama'\]: got 0\.5, but no run of it .* agent\.gamma\?",
        ),
        (
            "mine",
            {"config": {"agent.noise": 0.5}},
            r"^config\['agent\.noise'\]: got 0\.5, but no run of it has such a f",
        ),
        (
            "mine",
            {"config": {"agent.gamma": 2}},
            r"^config\['agent\.gamma'\]: got 2, but it must be a number in \[0, 1\]",
        ),
        ("mine", {"schedule": {"agent.gamma": 2}}, r"^schedule\['agent\.gamma'\]: got 2, but it must be a number in"),
        ("mine", {"schedule": [3]}, r"^schedule: got \[3\], but it must map fields to values"),
    ],
)
def test_an_algorithm_is_refused_by_name_and_leaves_no_trace(name, changes, message):
    presets.register_algorithm("there", agent="q_learning", help="it is there", like="hdm")
    presets.register_algorithm("like_there", agent="q_learning", help="and one like it", like="there")
    presets.register_environment("cells", probes.Chain, help="cells in a row")
    before = [dict(table) for table in registering.TABLES]
    with pytest.raises(ValueError, match=message):
        presets.register_algorithm(name, **{"agent": "q_learning", "help": "mine"} | changes)
    assert [dict(table) for table in registering.TABLES] == before
