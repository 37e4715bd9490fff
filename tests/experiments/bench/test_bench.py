"""The bench: what it counts, by arithmetic; how it times, with a clock of ours; and small runs of its measures."""

import json
import math
import types

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench import epoch, measure, picture, ring, scaling, timing, update_cost
from hindsight_jax import presets, relabel, replay, training
from hindsight_jax.runs import jax_flags

VALUES = {
    "agent.updates_per_epoch": 2,
    "agent.backup": "double",
    "agent.imitation": "indicator",
    "agent.next_state": "relabel",
    "agent.batch_size": 8,
    "agent.hidden_sizes": (8, 8),
    "env.num_envs": 1,
    "env.horizon": 5,
    "relabel.behaviour": 0.15,
    "relabel.next_state": 0.2,
}


@pytest.mark.slow
def test_the_costs_of_updates_agree_with_one_another(monkeypatch):
    small = {"agent.hidden_sizes": (8,), "env.num_envs": 2}
    config = presets.config
    monkeypatch.setattr(presets, "config", lambda name: config(name) | small)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(timing, "SIDE", 64)
    costs = update_cost.measure(["gcsl_flip_bit", "reinforce_flip_bit"], 2)
    assert list(costs) == ["gcsl_flip_bit", "reinforce_flip_bit"]
    for name, cost in costs.items():
        positive(cost._asdict())
        np.testing.assert_allclose(cost.ratio, cost.milliseconds / cost.milliseconds_at_peak)
        assert cost.useful_gflop == presets.build(name, presets.config(name)).flops_per_update / 1e9


class Clock:
    """Time passes only in calls, each with a list of durations."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def call(self, name, durations):
        left = iter(durations)

        def tick():
            self.order.append(name)
            self.now += next(left)
            return jnp.zeros(())

        return tick


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_the_best_of_the_rounds_taken_in_turn_without_the_first(clock, monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 3)
    best = timing.best_of(clock.call("a", [0.5, 4.0, 2.0, 3.0]), clock.call("b", [9.0, 8.0, 16.0, 8.5]))
    assert best == [2.0, 8.0]  # a's 0.5 was its warm-up
    assert clock.order == ["a", "b"] * 4


def test_nothing_to_time_is_nothing():
    assert timing.best_of() == []


def test_a_first_call_is_timed_by_name(clock):
    seconds = {"before": 1.0}
    result = timing.timed_first(seconds, "init", clock.call("init", [0.25]))
    assert result.shape == ()
    assert seconds == {"before": 1.0, "init": 0.25}


def test_stacked_trajectories_are_of_full_length(chain):
    example = training.example_trajectory(chain)
    many = ring.stacked(example, 3, 5)
    assert many.length.tolist() == [5, 5, 5]
    assert many.length.dtype == jnp.int32
    shapes = jax.tree.map(lambda one, all_: all_.shape == (3, *one.shape) and all_.dtype == one.dtype, example, many)
    assert all(jax.tree.leaves(shapes))


def test_the_learner_does_its_updates_in_one_call(chain, experiment):
    example = training.example_trajectory(chain)
    buffer = replay.make_ring(example, 3)
    learn = ring.learner(experiment.agent, buffer, relabel.hindsight(0.15, 0.2), count=7, batch=4)
    stored = buffer.add(buffer.init(), ring.stacked(example, 3, 5))
    state = experiment.agent.init(jax.random.key(0))
    after = jax.eval_shape(learn, state, stored, jax.random.key(1))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    scans = [e for e in jax.make_jaxpr(learn)(state, stored, jax.random.key(1)).eqns if e.primitive.name == "scan"]
    assert 7 in [scan.params["length"] for scan in scans]


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(ring, "SIZES", (10_000, 20_000))
    monkeypatch.setattr(measure, "ENV_BATCH", 2)


def positive(figures):
    assert all(math.isfinite(value) and value > 0.0 for value in figures.values()), figures


@pytest.mark.slow
def test_rings_are_compared_by_their_quotient(experiment, short):
    figures = ring.measure("hdm_push", experiment, VALUES, 1)
    positive(figures)
    small, large = figures["microseconds_per_update_1e4"], figures["microseconds_per_update_2e4"]
    np.testing.assert_allclose(figures["ratio"], max(small, large) / small)


def test_the_matrix_product_counts_every_device(monkeypatch):
    monkeypatch.setattr(timing, "SIDE", 3)
    product, operations = timing.matrix_product()
    assert operations == 2 * 27 * jax.local_device_count()
    assert product().tolist() == [[[3.0] * 3] * 3] * jax.local_device_count()


def test_programs_are_counted_by_name():
    with timing.compilations("wanted") as found:

        def wanted(x):
            return x + 1

        compiled = jax.jit(wanted)
        compiled(jnp.ones(3)), compiled(jnp.zeros(3)), compiled(jnp.ones(4)), jax.jit(lambda x: x - 1)(jnp.ones(5))
    assert found == ["wanted"] * 2


class Population:
    """Counts its epochs; time passes by the members and rows of an update."""

    def __init__(self, clock, made, values):
        self.clock, self.made, self.values = clock, made, values

    def init(self, keys, own=None):
        self.made.append((len(keys), self.values, own))
        return types.SimpleNamespace(members=types.SimpleNamespace(updates=keys), epochs=0)

    def advance(self, state, epochs):
        self.clock.now += 1e-6 * epochs * 50 * len(state.members.updates) * self.values["agent.batch_size"]
        return types.SimpleNamespace(members=state.members, epochs=state.epochs + epochs)


@pytest.fixture
def made(clock, monkeypatch):
    """What is built instead of populations: (members, values, own numbers) each."""
    made = []
    build = lambda name, values: types.SimpleNamespace(run=values)
    monkeypatch.setattr(presets, "build", build)
    monkeypatch.setattr(training, "make_population", lambda values, devices: Population(clock, made, values))
    return made


def test_curves_are_microseconds_per_update_of_a_member(made):
    figures = scaling.measure("hdm_push", 4)
    assert {name: list(curve) for name, curve in figures.items()} == {
        "seeds": ["1", "4", "16", "64"],
        "batch": ["64", "256", "1024"],
        "environments": ["1", "4", "16"],
        "devices": ["1"],
        "grid": ["seeds", "settings", "ratio", "programs"],
    }
    for name in ("seeds", "environments", "devices"):  # a microsecond a row
        np.testing.assert_allclose(list(figures[name].values()), 256.0)
    np.testing.assert_allclose(list(figures["batch"].values()), [64.0, 256.0, 1024.0])
    np.testing.assert_allclose([figures["grid"]["ratio"], figures["grid"]["programs"]], [1.0, 0])  # nothing compiles


def test_populations_are_built_once_for_every_point_and_a_grid_differs_in_its_settings_alone(made):
    scaling.measure("hdm_push", 4)
    *points, one, other = made
    assert [count for count, _, _ in points] == [1, 4, 16, 64, 4, 4, 4, 4]  # 256 rows, 4 environments: the seeds' own
    changes = [(values["agent.batch_size"], values["env.num_envs"]) for _, values, _ in points]
    assert changes == [(256, 4)] * 4 + [(64, 4), (1024, 4), (256, 1), (256, 16)]
    assert one[:2] == other[:2]
    assert one[0] == 48
    assert len(set(one[2]["agent.learning_rate"].tolist())) == 1
    settings = other[2]["agent.learning_rate"].reshape(12, 4)
    assert len(set(settings[:, 0].tolist())) == 12
    assert (settings == settings[:, :1]).all()


FIGURES = {
    "config": "hdm_push",
    "seeds": 4,
    "ring": {"microseconds_per_update_1e4": 2.0, "microseconds_per_update_1e6": 2.5, "ratio": 1.25},
    "scaling": {"seeds": {"1": 3.0, "4": 2.0}, "grid": {"seeds": 2.0, "settings": 2.1, "ratio": 1.05, "programs": 1}},
}


def test_the_picture_has_a_panel_for_each_curve_that_was_measured():
    data = picture.draw(FIGURES)
    assert data.startswith(b"\x89PNG")
    assert 5_000 < len(data) < 300_000
    assert list(picture.curves_of(FIGURES)) == ["seeds", "ring"]
    only_ring = {name: value for name, value in FIGURES.items() if name != "scaling"}
    assert picture.draw(only_ring) != data


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="figures: got no curve"):
        picture.draw({"config": "hdm_push", "seeds": 4})


@pytest.mark.slow
def test_a_run_is_measured_with_its_parts(experiment, short):
    """Figures agree with one another; what they are depends on the machine."""
    figures = epoch.measure("hdm_push", experiment, VALUES, 2)
    positive(figures)
    np.testing.assert_allclose(figures["useful_gflop_per_update"], experiment.flops_per_update / 1e9)
    for name in ("learner", "whole_run"):
        quotient = figures[f"{name}_gflops"] / figures["matmul_peak_gflops"]
        np.testing.assert_allclose(figures[f"{name}_share_of_peak"], quotient)
    # two updates for five env steps of either member
    rates = [figures[f"{name}_per_second_all_members"] for name in ("updates", "env_steps")]
    np.testing.assert_allclose(rates[0] / rates[1], 2 / 5)
    assert figures["share_evaluate"] < 1.0


@pytest.mark.slow
def test_the_whole_bench_prints_its_tables_and_writes_its_figures(short, monkeypatch, tmp_path, capsys):
    tiny = {"replay.warmup": 2, "replay.capacity": 8, "env.horizon": 5, "evaluation.episodes": 2}
    tiny |= {"agent.batch_size": 4, "agent.updates_per_epoch": 2, "agent.hidden_sizes": (4,)}
    config = presets.config
    monkeypatch.setattr(presets, "config", lambda name: config(name) | tiny)
    path = tmp_path / "bench.json"
    monkeypatch.setattr(jax_flags, "configure_jax", lambda seeds: None)  # of the whole process
    arguments = ["--config=her_push", "--seeds=2", f"--output={path}", f"--picture={tmp_path / 'bench.png'}"]
    assert commands.run("experiments.bench", [*arguments, "--parts", "environment", "ring", "run"]) == 0
    assert (tmp_path / "bench.png").stat().st_size > 5_000
    figures = json.loads(path.read_text())
    assert (figures["config"], figures["seeds"]) == ("her_push", 2)
    assert "commit" in figures
    output = capsys.readouterr().out
    for title in ("environment", "ring", "run"):
        positive(figures[title])
        assert all(name in output for name in figures[title])


@pytest.fixture
def parts(monkeypatch):
    """Two parts that measure nothing, in place of all; the arguments that they are called with."""
    calls = []
    one = measure.OneTable(lambda *arguments: calls.append(arguments) or {"small": 1.23456, "large": 1234567.8})
    several = measure.SeveralTables(lambda *arguments: calls.append(arguments) or {"first": {"x": 2.0}, "second": {}})
    monkeypatch.setattr(measure, "PARTS", {"one": one, "several": several, "ring": one})
    monkeypatch.setattr(jax_flags, "configure_jax", lambda seeds: None)
    return calls


def test_the_command_measures_the_parts_asked_for_prints_and_writes(parts, tmp_path, capsys):
    path = tmp_path / "figures.json"
    arguments = ["--config=her_push", "--seeds=3", f"--output={path}", "--parts", "one", "several"]
    assert commands.run("experiments.bench", arguments) == 0
    assert [call[0] for call in parts] == ["her_push"] * 2
    assert [call[-1] for call in parts] == [3, 3]
    figures = json.loads(path.read_text())
    assert figures["one"] == {"small": 1.23456, "large": 1234567.8}
    assert figures["several"] == {"first": {"x": 2.0}, "second": {}}
    output = capsys.readouterr().out
    for text in ("1.235", "1,234,568", "several: first", "several: second"):
        assert text in output


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--config=hdm_psh"], "invalid choice: 'hdm_psh'"),
        (["--seeds=0"], "--seeds: got 0, but it must be at least 1"),
        (["--seeds=-1"], "--seeds: got -1, but it must be at least 1"),
        (["--seeds=two"], "invalid int value: 'two'"),
        (["--config=hpg_push"], "invalid choice: 'hpg_push'"),  # on policy: it has no ring to measure
        (["--picture=x.png", "--parts", "run"], "--picture: it draws the parts ring and scaling"),
        (["--parts", "rings"], "invalid choice: 'rings'"),
        (["--rounds=3"], "unrecognized arguments: --rounds=3"),
        (["hdm_push"], "unrecognized arguments: hdm_push"),
    ],
)
def test_bad_arguments_end_with_2_before_anything_is_measured(argv, said, capsys, monkeypatch):
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("it measured"))
    assert commands.run("experiments.bench", argv) == 2
    assert said in capsys.readouterr().err


def test_help_names_every_argument(capsys):
    assert commands.run("experiments.bench", ["--help"]) == 0
    output = capsys.readouterr().out
    assert all(part in output for part in measure.PARTS)
    assert all(flag in output for flag in ("--config", "--seeds", "--parts", "--output", "--picture"))
