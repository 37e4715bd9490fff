"""A user's own tasks: their names, fields and numbers, what they build, and refusals without a trace."""

import functools
from typing import Annotated, Literal

import probes
import pytest
import registering

from hindsight_jax import envs, fields, presets, types
from hindsight_jax.fields import Allowed


@pytest.fixture(autouse=True)
def _restored():
    with registering.tables_restored():
        yield


class Cells(probes.Chain):
    """A chain that takes what the command line can set."""

    def __init__(
        self,
        horizon: int = 8,
        threshold: float = 0.25,
        friction: Annotated[float, Allowed("of the floor", 0.0, 2.0)] = 0.5,
        kind: Annotated[Literal["ice", "sand"], Allowed("of the floor")] = "ice",
        verbose: bool = False,
    ):
        super().__init__(horizon=horizon)
        self.friction, self.kind = friction, kind
        self._spec = self._spec._replace(threshold=threshold)


def test_a_tasks_signature_becomes_its_fields():
    presets.register_environment("cells", Cells, help="cells in a row", config={"total_steps": 50_000})
    known = presets.fields_of("her_cells")
    assert {field: spec for field, spec in known.items() if field.startswith("env.")} == {
        "env.num_envs": presets.all_fields()["env.num_envs"],
        "env.horizon": presets.all_fields()["env.horizon"],
        "env.threshold": presets.all_fields()["env.threshold"]._replace(default=0.25),
        "env.friction": fields.Field(0.5, "of the floor", 0.0, 2.0),
        "env.kind": fields.Field("ice", "of the floor", options=("ice", "sand")),
        "env.pixels": presets.all_fields()["env.pixels"],
    }
    assert {"env.friction", "env.kind"} <= set(presets.all_fields())
    config = presets.config("her_cells")
    assert (config["env.friction"], config["env.horizon"]) == (0.5, 0)
    assert repr(config["total_steps"]) == "50000"
    assert presets.horizon("her_cells", config) == 8
    changed = config | {"env.friction": 1, "env.kind": "sand", "env.horizon": 5, "env.threshold": 0.125}
    env = presets.build("her_cells", changed | {"replay.warmup": 2}).env
    assert isinstance(env, Cells)
    assert (env.friction, env.kind, env.spec.horizon, env.spec.threshold) == (1.0, "sand", 5, 0.125)
    assert envs.make("cells", friction=2.0).friction == 2.0


def test_the_bound_of_hindsight_is_refused_where_a_task_says_that_luck_decides():
    presets.register_environment("cells", Cells, help="cells in a row")
    bound = {"agent.hindsight_bound": True}
    presets.check("hdm_cells", presets.config("hdm_cells", bound))
    presets.register_environment("cells", Cells, help="cells in a row", random=True, replace=True)
    with pytest.raises(ValueError, match=r"^agent\.hindsight_bound: got true, but the task's dynamics are random"):
        presets.check("hdm_cells", presets.config("hdm_cells", bound))


def test_a_task_has_a_name_with_every_algorithm_that_fits():
    names = set(presets.names())
    presets.register_environment("cells", Cells, help="cells in a row")
    discrete = [name for name, entry in presets.ALGORITHMS.items() if "discrete" in entry.actions]
    assert set(presets.names()) - names == {f"{algorithm}_cells" for algorithm in discrete}
    assert presets.describe("hem_cells").startswith("cells in a row: ")
    registering.register_averaging()
    assert "averaging_cells" in presets.names()
    assert not [name for name in presets.names() if name.endswith("cells_paper")]


def test_a_horizon_that_is_not_in_the_signature_is_an_argument():
    presets.register_environment("short", lambda: probes.Chain(horizon=5), help="short", horizon=5)
    config = presets.config("hpg_short")
    assert "env.horizon" not in config
    assert presets.build("hpg_short", config).env.spec.horizon == 5
    presets.register_environment("lying", lambda: probes.Chain(horizon=5), help="lying", horizon=6)
    with pytest.raises(ValueError, match=r"^spec\.horizon of lying: got 5, but it is registered with 6\. Register the"):
        presets.build("hpg_lying", presets.config("hpg_lying"))


def test_both_kinds_of_action_come_from_the_signature():
    def point(actions="continuous", size=3):
        return envs.make("navigation", actions=actions, size=size)

    presets.register_environment("point", point, help="a point", horizon=50)
    assert presets.ENVIRONMENTS["point"].actions == ("continuous", "discrete")
    for name, action in (("hem_point", types.Box(3)), ("her_point", types.Discrete(3, 3)), ("her_ddpg_point", None)):
        spec = presets.build(name, presets.config(name)).env.spec
        assert spec.action == (action or types.Box(3))
        assert "env.actions" in presets.config(name)
    presets.register_environment(
        "smooth", functools.partial(point, "continuous"), help="one", horizon=50, actions=("continuous",)
    )
    assert "her_smooth" not in presets.names()
    assert "env.actions" not in presets.config("hem_smooth")


def test_a_task_may_be_replaced():
    presets.register_environment("cells", Cells, help="cells in a row")
    presets.register_environment("cells", probes.Chain, help="again", replace=True)
    assert type(presets.build("hpg_cells", presets.config("hpg_cells")).env) is probes.Chain
    assert presets.describe("hpg_cells").startswith("again: ")


def sized(size):
    raise AssertionError


def of_negative_size(size=-1):
    raise AssertionError


@pytest.mark.parametrize(
    ("name", "make", "changes", "message"),
    [
        ("Mine", Cells, {}, r"^name: got 'Mine', but it must be lower-case"),
        ("grid_paper", Cells, {}, r"^name: got 'grid_paper', but names that end in paper"),
        ("push", Cells, {}, r"^name: got 'push', but the package has that name"),
        ("her", Cells, {}, r"^name: got 'her', but the package has that name"),
        ("there", Cells, {}, r"^name: got 'there', but it is registered already"),
        ("own", Cells, {}, r"^name: got 'own', but it must not be registered already\. Pass replace=True"),
        ("averaging", Cells, {}, r"^name: got 'averaging', but an algorithm and a task must not share one"),
        ("01_push", Cells, {}, r"^name: got '01_push'"),
        (
            "hbc_push",
            Cells,
            {},
            r"^name: got her_hbc_push, but her_hbc \+ push and her \+ hbc_push would have one name",
        ),
        ("mine", None, {}, r"^make: got None, but it must be a function\. Pass a subclass"),
        ("mine", Cells, {"help": 3}, r"^help: got 3"),
        ("mine", Cells, {"actions": ("up",)}, r"^actions: got \('up',\)"),
        ("mine", Cells, {"horizon": 0}, r"^horizon: got 0, but it must be the task's number of steps, an integer >= 1"),
        ("mine", Cells, {"horizon": True}, r"^horizon: got True"),
        (
            "mine",
            lambda: None,
            {},
            r"^horizon: got None, but .*\. Pass horizon=50, or give the task's parameter `horizon`",
        ),
        ("mine", sized, {"horizon": 5}, r"^make's size: got no default, but the parameter becomes the field env\.size"),
        ("mine", of_negative_size, {"horizon": 5}, r"^make's size: got -1, but it must be an integer in \[1, 10000\]"),
        (
            "mine",
            Cells,
            {"config": {"env.frictoin": 1}},
            r"^config\['env\.frictoin'\]: .* Did you mean env\.friction\?",
        ),
        (
            "mine",
            Cells,
            {"config": {"env.kind": "mud"}},
            r"^config\['env\.kind'\]: got 'mud', but it must be one of ice",
        ),
    ],
)
def test_a_task_is_refused_by_name_and_leaves_no_trace(name, make, changes, message):
    presets.register_environment("there", Cells, help="it is there")
    envs.register("own", Cells)
    registering.register_averaging()
    before = [dict(table) for table in registering.TABLES]
    with pytest.raises(ValueError, match=message):
        presets.register_environment(name, make, **{"help": "mine"} | changes)
    assert [dict(table) for table in registering.TABLES] == before
