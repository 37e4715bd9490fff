"""Fresh evaluations of saved policies: of the golden run, on new goals and on chosen ones; and the command for it."""

import io
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden import GOLDEN
from PIL import Image

import hindsight_jax
from hindsight_jax.cli import compare, evaluate, main
from hindsight_jax.runs import evaluation


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch):
    """JAX's options are the tests', whatever command runs."""
    for module in (compare, evaluate):
        monkeypatch.setattr(module, "configure_jax", lambda members: None)


@pytest.fixture(scope="module")
def saved():
    return hindsight_jax.load(GOLDEN, "last")


def test_members_share_starts_and_goals_and_do_not_depend_on_each_other(saved):
    both = evaluation.evaluate(saved, episodes=40, seed=3)
    again = evaluation.evaluate(saved, episodes=40, seed=3)
    np.testing.assert_array_equal(both, again)
    for values in both[:2]:
        np.testing.assert_allclose(values * 40, np.round(values * 40), atol=1e-9)  # whole episodes
    swapped = saved._replace(agents=jax.tree.map(lambda x: x[::-1], saved.agents))
    np.testing.assert_array_equal(evaluation.evaluate(swapped, episodes=40, seed=3).success_end, both.success_end[::-1])
    assert not np.array_equal(evaluation.evaluate(saved, episodes=40, seed=4).distance_end, both.distance_end)
    assert (both.success_end <= both.success_any).all()


def test_many_episodes_are_played_in_parts(saved, monkeypatch):
    """Means over all episodes, the last and smaller part included."""
    monkeypatch.setattr(evaluation, "_AT_ONCE", 30)
    found = evaluation.evaluate(saved, episodes=40)
    for values in found[:2]:
        np.testing.assert_allclose(values * 40, np.round(values * 40), atol=1e-5)


def test_a_chosen_goal_is_that_of_every_episode(saved):
    """A goal that lies where an episode may begin differs from random ones in its distance."""
    goal = np.zeros(saved.setup.env.spec.goal_shape)
    found = evaluation.evaluate(saved, episodes=8, goal=goal)
    assert found.distance_end.shape == (2,)
    far = evaluation.evaluate(saved, episodes=8, goal=goal + 100.0)
    assert (far.success_any == 0).all()
    assert (far.distance_end > found.distance_end).all()


def test_what_does_not_fit_is_refused(saved):
    with pytest.raises(ValueError, match=r"^goal: got .*, but the task's goals have shape"):
        evaluation.evaluate(saved, goal=[0.0] * 99)
    with pytest.raises(ValueError, match=r"^goal: got .*, but it must be finite"):
        evaluation.evaluate(saved, goal=jnp.full(saved.setup.env.spec.goal_shape, jnp.nan))
    with pytest.raises(ValueError, match=r"^episodes: got 0"):
        evaluation.evaluate(saved, episodes=0)
    with pytest.raises(ValueError, match=r"^seed: got -1"):
        evaluation.evaluate(saved, seed=-1)


def test_the_command_prints_a_row_for_each_setting_and_draws(tmp_path, capsys, saved):
    run = shutil.copytree(GOLDEN, tmp_path / "run")
    size = int(np.prod(saved.setup.env.spec.goal_shape))
    goal = ",".join(["0"] * size)
    video = run / "videos" / "zero.gif"
    assert main.main(["evaluate", str(run), "--episodes=8", f"--goal={goal}", f"--video={video}", "--member=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = evaluation.evaluate(saved, episodes=8, goal=np.zeros(size))
    assert lines[0] == f"goal {goal}"  # which some state achieves
    assert lines[2].endswith(" ".join(f"{value:.3f}" for value in found.success_end))
    assert lines[3] == f"seed {saved.members.seeds[1]}: {video}"
    with Image.open(io.BytesIO(video.read_bytes())) as gif:
        assert gif.n_frames > 1


def test_a_goal_that_no_state_achieves_is_said_to_be_one(saved, capsys):
    """A bit of a half."""
    goal = ",".join(["0.5"] * saved.setup.env.spec.goal_shape[0])
    assert main.main(["evaluate", str(GOLDEN), "--episodes=8", f"--goal={goal}"]) == 0
    assert capsys.readouterr().out.startswith(f"goal {goal}: no state of the task achieves it\n")


def test_compare_plays_the_last_policies_anew(saved, capsys):
    assert main.main(["compare", str(GOLDEN), "--fresh=40"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    found = evaluation.evaluate(saved, episodes=40).success_end
    assert "anew" in head.split()
    assert f"{found.mean():.3f} (" in row
    assert main.main(["compare", str(GOLDEN), "--fresh=0"]) == 2
    assert "episodes: got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--goal=0,x"], 2, "it must be numbers such as 0.5,1"),
        (["--goal=0"], 2, "goal: got "),
        (["--video=a.png"], 2, "--video: got 'a.png', but it must be a GIF"),
        (["--video=a.gif", "--member=7"], 2, "member: got 7"),
        (["--which=newest"], 2, "invalid choice: 'newest'"),
    ],
)
def test_arguments_that_do_not_fit_the_run_are_refused_before_it_plays(arguments, code, message, capsys):
    assert main.main(["evaluate", str(GOLDEN), *arguments]) == code
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_directory_without_a_run_or_a_checkpoint_is_named(tmp_path, capsys):
    assert main.main(["evaluate", str(tmp_path)]) == 2
    run = shutil.copytree(GOLDEN, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    assert main.main(["evaluate", str(run)]) == 1
    assert "the run has saved nothing yet" in capsys.readouterr().err
