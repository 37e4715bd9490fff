"""A policy's file gives the actions of its `act` without JAX, and says how to feed it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from golden import GOLDEN
from named_runs import FEW

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from hindsight_jax import envs, presets, training  # noqa: E402
from hindsight_jax.interop import export as exporting  # noqa: E402 - it needs onnx
from hindsight_jax.interop.export import agreement, export, read_metadata  # noqa: E402
from hindsight_jax.runs import load  # noqa: E402

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = {"agent.hidden_sizes": (24, 16)}
IMAGE_GOALS = {"env.goals": "image", "env.frames": 2, "agent.spatial_softmax": True}
ROWS = {  # name -> values beside SMALL; what differs between the rows is what `act` does
    "hdm_push": {},  # Q-learning, a flat action set
    "hdm_claw": {},  # nine dimensions
    "hdm_four_rooms": {"agent.evaluated": "target"},
    "her_push": {"agent.layer_norm": True},
    "hem_flip_bit": {},  # a softmax; averaged weights
    "hem_reacher": {},  # a Gaussian, clipped
    "her_ddpg_reacher": {},  # an actor with normalised inputs
    "td3_her_reacher": {},  # several critics, which a file does not need
    "hdm_v_reacher": {},  # a policy beside a critic of states
    "hdm_v_push": {},
    "sac_her_reacher": {},  # a Gaussian under a tanh
    "crl_reacher": {},
    "hpg_flip_bit": {},
    "nce_flip_bit": {},
    "hpg_navigation": {},
    "hpg_flip_bit_paper": {},  # tanh
    "hem_fetch_reach_pixels": {},
    "hdm_push_pixels": {},
    "her_ddpg_reacher_pixels": {},  # normalises its goals alone
    "gcsl_push_pixels": IMAGE_GOALS,
}
DEFAULT = ("hdm_push", "hem_reacher")  # values and a Gaussian; the others are seldom run


def trained(name, overrides):
    """A run of two members, each number of whose agents is one of its own, as training would leave them."""
    config = presets.config(name, FEW.get(presets.split(name)[1], {}) | overrides)
    setup = presets.build(name, config)
    agents = jax.vmap(setup.agent.init)(jax.random.split(jax.random.key(0), 2))
    generator = np.random.default_rng(0)
    moved = lambda x: x * generator.uniform(0.8, 1.2, x.shape) + generator.uniform(-0.05, 0.05, x.shape)
    steeper = lambda x: moved(x) * {2: 0.2, 3: 2.0}.get(x.ndim, 1.0)  # biases [M, O] and kernels: inputs must matter
    is_number = lambda x: np.issubdtype(x.dtype, np.floating)
    agents = jax.tree.map(lambda x: steeper(x).astype(x.dtype) if is_number(x) else x, agents)
    members = training.Members((3, 4), ({"agent.gamma": 0.5}, {"agent.gamma": 0.75}))
    return load.Saved(name, setup, members, agents, np.array([100, 200]), config)


@pytest.fixture
def of_run(monkeypatch, tmp_path):
    """A function: exports member 1 of a run that `trained` makes."""

    def write(name, overrides, member=1, which="last", document={"commit": COMMIT}):  # noqa: B006 - it is only read
        run = trained(name, overrides)
        monkeypatch.setattr(load, "load", lambda workdir, which: run)
        (tmp_path / "config.json").write_text(json.dumps(document))
        return run, export(tmp_path, tmp_path / "policy.onnx", member=member, which=which)

    return write


def smallest_gap(exported, inputs):
    """The least gap between the best and the second of the values that an argmax is over, in units of the largest."""
    model = onnx.load(exported.path)
    (node,) = [node for node in model.graph.node if node.op_type == "ArgMax"]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.input[0]))
    (values,) = onnxruntime.InferenceSession(model.SerializeToString()).run([node.input[0]], inputs)
    second, best = np.moveaxis(np.sort(values, axis=-1)[..., -2:], -1, 0)
    return float((best - second).min() / np.abs(values).max())


@pytest.mark.parametrize(
    "name", [name if name in DEFAULT else pytest.param(name, marks=pytest.mark.seldom) for name in ROWS]
)
def test_onnxruntime_gives_the_same_action_on_each_of_1000_inputs(name, of_run):
    """Where actions are an argmax, none of these inputs is a near-tie, which rounding could decide either way.

    In units of the largest value float32 rounds by 1e-7 and sums of two dozen terms by a few of these; the best action
    is ahead by more than 1e-6, which the file's own values say, whichever runtime computes them.
    """
    _, exported = of_run(name, SMALL | ROWS[name])
    assert agreement(exported) == 1000
    assert len(np.unique(actions_of(exported, 1000))) > 1
    if exported.metadata["outputs"]["action"]["dtype"] == "int32":
        generator = np.random.default_rng(0)
        for _ in range(1000 // exporting.ROWS):
            assert smallest_gap(exported, drawn(exported, generator, exporting.ROWS)) > 1e-6


def drawn(exported, generator, rows):
    return {key: exporting._draw(generator, rows, part) for key, part in exported.metadata["inputs"].items()}


def actions_of(exported, rows):
    session = onnxruntime.InferenceSession(exported.path)
    (actions,) = session.run(["action"], drawn(exported, np.random.default_rng(1), rows))
    action = exported.metadata["outputs"]["action"]
    assert actions.dtype == action["dtype"]
    assert actions.shape == (rows, *action["shape"][1:])
    assert actions.min() >= action["low"]
    assert actions.max() <= action["high"]
    return actions


def test_a_file_takes_batches_of_any_length(of_run):
    """And acts on each row alone."""
    _, exported = of_run("hdm_claw", SMALL)
    session = onnxruntime.InferenceSession(exported.path)
    inputs = drawn(exported, np.random.default_rng(0), 7)
    (together,) = session.run(["action"], inputs)
    for row in range(7):
        (alone,) = session.run(["action"], {name: value[row : row + 1] for name, value in inputs.items()})
        np.testing.assert_array_equal(alone[0], together[row])


def test_agreement_counts_what_differs(of_run, monkeypatch):
    """The file of member 1 against the policy of member 0, and against one of another shape."""
    run, exported = of_run("hdm_push", SMALL)
    assert agreement(exported, 150) == 150  # a chunk and a half
    assert 0 < agreement(exported._replace(policy=run.policy(0)), 150) < 150
    assert agreement(exported._replace(policy=lambda *inputs: exported.policy(*inputs)[0]), 150) == 0
    for name, wrong in (("count", {"count": 0}), ("seed", {"seed": -1})):
        with pytest.raises(ValueError, match=f"^{name}: got "):
            agreement(exported, **wrong)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"^agreement needs onnxruntime: pip install onnxruntime"):
        agreement(exported)


def test_the_same_continuous_action_is_one_to_1e_5():
    """In each dimension: 0 and 9e-6 are the same, 0 and 2e-5 are not, nor are numbers of other dtypes."""
    rows = np.array([[0.0, 0.0], [0.0, 0.0]], np.float32)
    assert exporting._same(rows, np.array([[0.0, 9e-6], [0.0, 2e-5]], np.float32)).tolist() == [True, False]
    assert exporting._same(rows, rows.astype(np.int32)).tolist() == [False, False]


# Metadata -------------------------------------------------------------------------------------------------------------


def test_metadata_say_who_acts_and_on_what(of_run):
    run, exported = of_run("hdm_push", SMALL)
    found = read_metadata(exported.path)
    assert found == exported.metadata == read_metadata(str(exported.path))
    spec = run.setup.env.spec
    expected = {
        "format": 1,
        "name": "hdm_push",
        "task": "push",
        "member": 1,
        "seed": 4,
        "setting": {"agent": {"gamma": 0.75}},
        "which": "last",
        "env_steps": 200,
        "commit": COMMIT,
        "horizon": 50,
        "threshold": 0.05,
        "ends_at_success": False,
    }
    assert {key: found[key] for key in expected} == expected
    assert found["inputs"]["observation"]["shape"] == ["batch", 4]
    for name, bounds in (("observation", spec.observation_range), ("goal", spec.goal_range)):
        part = found["inputs"][name]
        assert (part["dtype"], part["low"], part["high"]) == ("float32", list(bounds.low), list(bounds.high))
    action = found["outputs"]["action"]
    assert (action["shape"], action["dtype"], action["low"], action["high"]) == (["batch", 1], "int32", 0, 8)
    assert found["config"]["agent"]["hidden_sizes"] == [24, 16]
    assert "(hand x, hand y, puck x, puck y) in metres" in found["description"]  # of the module
    assert "one integer 3 i + j of the moves" in found["description"]  # of the class
    assert ">>>" not in found["description"]


def test_metadata_of_images_and_of_continuous_actions():
    env = envs.make("push", pixels=48, frames=3, goals="image", actions="continuous")
    inputs = exporting._inputs(env.spec)
    assert [inputs[name]["shape"] for name in inputs] == [["batch", 48, 48, 9], ["batch", 48, 48, 3]]
    assert {inputs[name]["dtype"] for name in inputs} == {"uint8"}
    assert "the 3 newest frames" in inputs["observation"]["meaning"]
    assert "A hand pushes a puck" in exporting._description(env)  # of the task, not of its images
    action = exporting._action(env.spec.action)
    assert (action["shape"], action["dtype"], action["low"], action["high"]) == (["batch", 2], "float32", -1, 1)
    goal = exporting._inputs(envs.make("push", pixels=48).spec)["goal"]
    assert (goal["shape"], goal["dtype"]) == (["batch", 4], "float32")


def test_the_commit_is_that_of_the_process_that_trained_last(of_run):
    older = {"commit": "f" * 40}
    assert of_run("hpg_flip_bit", SMALL, document=older | {"resumed": []})[1].metadata["commit"] == "f" * 40
    resumed = older | {"resumed": [{"commit": None}, {"commit": COMMIT}]}
    assert of_run("hpg_flip_bit", SMALL, document=resumed)[1].metadata["commit"] == COMMIT
    assert of_run("hpg_flip_bit", SMALL, document={})[1].metadata["commit"] is None


def test_a_policy_is_read_from_its_work_directory(tmp_path):
    """The golden run's, best and last, each with its member's env steps; another file at the place is replaced."""
    for which, steps in (("best", 18), ("last", 30)):  # env_steps of the rows of its metrics.jsonl
        exported = export(GOLDEN, tmp_path / "policy.onnx", member=np.int64(1), which=which)
        assert exported.metadata["env_steps"] == steps
    assert agreement(exported, 100) == 100
    assert [path.name for path in tmp_path.iterdir()] == ["policy.onnx"]
    assert read_metadata(tmp_path / "policy.onnx")["which"] == "last"


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "rule"),
    [
        ("policy.pt", "its name must end in .onnx"),
        ("missing/policy.onnx", "there is no directory"),
        ("folder.onnx", "it is a directory"),
        ("", "it must be a path"),
        (3, "it must be a path"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_at_once(output, rule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder.onnx").mkdir()
    with pytest.raises(ValueError, match=rf"^output: got .*, but {rule}"):
        export("no_run", output)
    assert os.listdir() == ["folder.onnx"]


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    (tmp_path / "policy.onnx").write_text("before")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        export(GOLDEN, tmp_path / "policy.onnx")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"policy.onnx": "before"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"member": 2}, "^member: got 2, but it must be an integer: there are 2 members"),
        ({"which": "newest"}, "^which: got 'newest', but it must be best or last"),
        ({"workdir": "no_run"}, r"^no_run.config\.json: cannot be read"),
    ],
)
def test_what_load_refuses_is_refused(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export(**{"workdir": GOLDEN, "output": tmp_path / "policy.onnx"} | wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_draws_its_actions_is_refused(of_run, tmp_path):
    rule = (
        "^policy: got one that draws its actions at random, but a file holds a function of observation and goal alone"
    )
    with pytest.raises(ValueError, match=rule):
        of_run("hem_flip_bit", SMALL | {"agent.acting": "sample"})
    assert not (tmp_path / "policy.onnx").exists()


def test_a_file_of_another_kind_has_no_metadata(tmp_path):
    text, model = tmp_path / "text.onnx", tmp_path / "model.onnx"
    text.write_text("not a model")
    with pytest.raises(ValueError, match=r"^path: got .*text\.onnx, but it is no ONNX file"):
        read_metadata(text)
    with pytest.raises(ValueError, match=r"^path: got .*missing\.onnx, but it is no ONNX file \(FileNotFoundError"):
        read_metadata(tmp_path / "missing.onnx")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), model)
    with pytest.raises(ValueError, match=r"^path: got .*model\.onnx, but it has no metadata 'hindsight_jax'"):
        read_metadata(model)
    with pytest.raises(ValueError, match=r"^path: got 3, but it must be a path"):
        read_metadata(3)


# Without JAX ----------------------------------------------------------------------------------------------------------

STRANGER = """
import json, sys
for name in ("jax", "jaxlib", "flax", "hindsight_jax", "onnx"):
    sys.modules[name] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("policy.onnx")
about = json.loads(session.get_modelmeta().custom_metadata_map["hindsight_jax"])
inputs = {name: np.zeros((2, *part["shape"][1:]), part["dtype"]) for name, part in about["inputs"].items()}
print(about["task"], session.run(["action"], inputs)[0].shape)
"""


def test_a_stranger_plays_it_without_jax(tmp_path):
    export(GOLDEN, tmp_path / "policy.onnx")
    command = [sys.executable, "-c", STRANGER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("flip_bit (2, 1)\n", "")
