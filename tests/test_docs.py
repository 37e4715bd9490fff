"""The pages of docs do what they say: their Python runs from top to bottom, and what it computes is what they claim."""

import ast
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import registering

from hindsight_jax import envs, presets, rendering, training
from hindsight_jax.cli import arguments, help
from hindsight_jax.cli.flags import UsageError

ROOT = pathlib.Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "add_your_own.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
AGENT, TRAIN, OTHER, REGISTER, STUDY, TEST = range(6)  # what each block is for
COMMANDS = re.findall(r"^hindsight-jax (.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def page():
    """What the page's Python defines, all of it."""
    namespace = {"__name__": "my_run"}
    with registering.tables_restored():
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"add_your_own.md, Python block {number}", "exec"), namespace)
        yield namespace


def code_lines(text):
    """Lines of statements: no imports, docstrings, comments or blank ones."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    left_out = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    left_out += [node for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    skipped = {line for node in left_out for line in range(node.lineno, node.end_lineno + 1)}
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in skipped for n, line in lines)


def test_lines_are_counted_without_imports_and_docstrings():
    text = 'import jax\n\n\ndef f(x):\n    """One.\n\n    Two.\n    """\n    # three\n    return (\n        x\n    )\n'
    assert code_lines(text) == 4


def test_loss_agent_and_registration_are_fewer_than_40_lines():
    assert len(BLOCKS) == 6
    assert "fewer than 40 lines of code" in PAGE
    assert code_lines(BLOCKS[AGENT]) + code_lines(BLOCKS[REGISTER]) < 40


@pytest.mark.seldom
def test_the_loss_is_what_the_page_says(page):
    """gamma^(n - 1) times -log pi: 1, 1/2 and 1/4 of 2 nats at n = 1, 2, 3; at gamma 1 all the same."""
    loss = page["discounted_imitation"]
    assert [float(loss(-2.0, n, gamma=0.5)) for n in (1, 2, 3)] == [2.0, 1.0, 0.5]
    assert [float(loss(-2.0, n, gamma=1.0)) for n in (1, 2, 3)] == [2.0, 2.0, 2.0]


@pytest.mark.seldom
def test_both_members_learn(page):
    """From hardly any goal to nearly all."""
    untrained, trained = np.asarray(page["untrained"]), np.asarray(page["trained"])
    assert untrained.shape == trained.shape == (2,)
    assert untrained.max() < 0.1
    assert trained.min() > 0.8


@pytest.mark.seldom
def test_the_study_has_the_settings_and_seeds_of_the_page(page):
    assert page["success"].shape == (2, 2, len(page["study"]) // 4)
    assert page["study"].num_programs == 1


@pytest.mark.seldom
def test_the_algorithm_has_a_name_with_every_task_and_is_made_like_any_other(page):
    for environment in ("flip_bit", "navigation", "grid_four_rooms", "push"):
        assert f"discounted_gcsl_{environment}" in presets.names()
    config, gcsl = presets.config("discounted_gcsl_flip_bit"), presets.config("gcsl_flip_bit")
    assert (config["agent.gamma"], config["relabel.behaviour"], config["relabel.next_state"]) == (0.8, 0.0, 0.0)
    assert config.items() - {("agent.gamma", 0.8)} <= gcsl.items()
    assert "discounted_gcsl_flip_bit" in help.list_text("all")


@pytest.mark.seldom
def test_the_runs_read_what_the_page_says(page):
    """What its agent declares, and the fields of the ring; in the declared ranges, and with the declared help."""
    own = {field for field in presets.fields_of("discounted_gcsl_flip_bit") if field.startswith("agent.")}
    declared = {"agent.learning_rate", "agent.gamma", "agent.hidden_sizes"}
    assert own == declared | {"agent.batch_size", "agent.updates_per_epoch"}
    assert "discount of a goal, per step on the way to it" in help.help_text("discounted_gcsl_flip_bit")
    for argument in ("epsilon=0.5", "gamma=1.5", "hidden_sizes=5000"):
        with pytest.raises(UsageError, match=rf"^--config\.agent\.{argument.partition('=')[0]}: got "):
            arguments.parse(["--config=discounted_gcsl_flip_bit", f"--config.agent.{argument}"])


@pytest.mark.seldom
def test_the_other_algorithm_needs_no_agent(page):
    config, hdm = presets.config("hdm_future_push"), presets.config("hdm_push")
    assert config == hdm | {"relabel.next_state": 0.0}


@pytest.mark.seldom
def test_the_module_trains_from_the_command_line(tmp_path):
    """The page's second command, on a small task."""
    (tmp_path / "my_run.py").write_text("\n\n".join(BLOCKS[i] for i in (AGENT, REGISTER)))
    small = {"env.size": 3, "total_steps": 60, "replay.warmup": 2, "seeds": 2, "env.num_envs": 2}
    small |= {"agent.hidden_sizes": 8, "agent.updates_per_epoch": 2, "agent.batch_size": 8, "evaluation.episodes": 4}
    argv = [*COMMANDS[1].split(), "--workdir=run"]
    argv = [argument for argument in argv if "seeds" not in argument]
    argv += [f"--config.{field}={value}" for field, value in small.items()]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "hindsight_jax.cli.main", *argv]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"metrics.jsonl", "checkpoints", "curves.png", "summary.json"} <= left
    assert json.loads((tmp_path / "run" / "config.json").read_bytes())["imports"] == ["my_run"]


@pytest.mark.seldom
def test_the_commands_are_taken(page):
    """Without their --import: the page has registered the algorithm."""
    asked = [arguments.parse(command.split()[1:]) for command in COMMANDS]
    assert [command.split()[0] for command in COMMANDS] == ["--import=my_run"] * 2
    assert [one.name for one in asked] == ["discounted_gcsl_flip_bit"] * 2
    assert (asked[0].help, asked[1].config["seeds"]) == (True, 8)


def test_what_the_page_points_at_is_there():
    paths = set(re.findall(r"`((?:hindsight_jax|tests)/[\w/.]+)`", PAGE))
    assert "tests/agents/test_fixed_points.py" in paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


# add_your_own_task.md ------------------------------------------------------------------------------------------------

TASK_PAGE = (ROOT / "docs" / "add_your_own_task.md").read_text()
TASK_BLOCKS = re.findall(r"^```python\n(.*?)^```$", TASK_PAGE, re.DOTALL | re.MULTILINE)
DODGE, CHECK, CART, STUDY, LOAD = range(5)
TASK_COMMANDS = re.findall(r"^```sh\n(.*?)^```$", TASK_PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def tasks():
    """What the files of the page define; the tables are as they were afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envs.registry, "_REGISTERED", {})
        before = dict(presets.ENVIRONMENTS)
        namespace = {"__name__": "page"}
        try:
            for block in (DODGE, CHECK, CART):
                exec(compile(TASK_BLOCKS[block], f"add_your_own_task.md, Python block {block}", "exec"), namespace)
            yield namespace
        finally:
            presets.ENVIRONMENTS.clear()
            presets.ENVIRONMENTS.update(before)


def test_a_task_and_its_picture_are_42_lines_or_fewer():
    assert (len(TASK_BLOCKS), len(TASK_COMMANDS)) == (5, 2)
    assert "These are 42 lines of code or fewer, the picture included" in TASK_PAGE
    assert code_lines(TASK_BLOCKS[DODGE]) <= 42


def test_the_tasks_have_names_fields_and_help(tasks):
    for name in ("hdm_dodge", "her_ddpg_dodge", "gcsl_dodge", "hdm_cart", "hpg_cart"):
        assert name in presets.names()
    config = presets.config("hdm_dodge")
    assert (config["env.speed"], config["env.threshold"], config["env.actions"]) == (0.2, 0.15, "discrete")
    assert presets.config("her_ddpg_cart")["env.actions"] == "continuous"
    assert "radians that the disc moves on in a step" in help.help_text("hdm_dodge")


def test_the_disc_circles_and_stops_the_ball(tasks):
    """In 30 steps of 0.2 rad the disc goes round by 6 rad; the ball is never moved to within 0.3 of its centre."""
    env = tasks["Dodge"](speed=0.2)
    policy = lambda observation, goal, key: env.spec.action.sample(key)
    result = jax.jit(lambda key: training.rollout(env, policy, key, 64))(jax.random.key(0))
    state = np.asarray(result.trajectories.observation)
    ball, disc = state[..., :2], state[..., 2:]
    np.testing.assert_allclose(
        disc[:, 30], np.broadcast_to(0.5 * np.array([np.cos(6.0), np.sin(6.0)]), (64, 2)), atol=1e-5
    )
    moved = np.any(ball[:, 1:] != ball[:, :-1], axis=-1)
    gap = np.linalg.norm(ball - disc, axis=-1)[:, 1:]
    assert gap[moved].min() > 0.3
    assert gap.min() < 0.3  # a ball that stands still may be run over
    assert np.abs(ball).max() <= 1.0


def test_the_cart_follows_its_motor(tasks):
    env = tasks["Cart"]()
    state = jax.jit(env.reset)(jax.random.key(0))
    step = jax.jit(env.step)
    for action, sign in ((2, 1.0), (0, -1.0)):
        after = step(state, jnp.array([action]))
        assert sign * float(after.obs["achieved_goal"][0] - state.obs["achieved_goal"][0]) > 0.005
    kinds = jax.eval_shape(env.scene, after).kinds
    assert kinds == (rendering.CAPSULE, rendering.BOX, rendering.CAPSULE, rendering.BOX)  # the last marks the goal


def run_python(folder, *words):
    """A Python in that folder, which knows the package but for what lies there."""
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(folder / "cache"))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": cache, "MPLBACKEND": "Agg"}
    command = [sys.executable, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_values(command, **changed):
    """The command's words, with other values for these flags."""
    words = shlex.split(command.replace("\\\n", " "))
    kept = [word for word in words if word.partition("=")[0].removeprefix("--config.") not in changed]
    return [*kept, *(f"--config.{flag}={value}" for flag, value in changed.items())]


@pytest.mark.slow  # three processes, which compile
def test_a_task_in_a_folder_is_trained_resumed_filmed_and_loaded(tmp_path):
    (tmp_path / "dodge.py").write_text(TASK_BLOCKS[DODGE])
    small = {"replay.warmup": 2, "agent.updates_per_epoch": 2, "agent.batch_size": 8}
    small |= {"evaluation.episodes": 4, "evaluation.every": 90}
    first, resume = TASK_COMMANDS
    assert "--import" in first
    assert "--import" not in resume
    run_python(tmp_path, "-m", "hindsight_jax.cli.main", *with_values(first, **small, seeds=2, total_steps=180)[1:])
    left = {path.name for path in (tmp_path / "runs" / "dodge").iterdir()}
    assert {"metrics.jsonl", "curves.png", "summary.json", "checkpoints", "policy.gif"} <= left
    said = run_python(tmp_path, "-m", "hindsight_jax.cli.main", *with_values(resume, total_steps=270)[1:])
    assert "hdm_dodge" in said
    last = (tmp_path / "runs" / "dodge" / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["env_steps"] == 270
    study = TASK_BLOCKS[STUDY].replace("total_steps=60_000", "total_steps=180, seeds=2")
    page = 'overrides = {"agent.hidden_sizes": (64, 64)}'
    assert page in study
    study = study.replace(page, f"overrides = {small | {'agent.hidden_sizes': (8,)}}")
    checks = "assert study['success_end'].shape == (2, 2, 2), study\nassert action.shape == (1,)\n"
    (tmp_path / "page.py").write_text(study + TASK_BLOCKS[LOAD] + checks)
    assert "Interval" in run_python(tmp_path, "page.py")
