"""The released simulators, on stand-ins of their files: what is read, and what a step does."""

import math
import types

import mujoco
import numpy as np
import pytest

from experiments.environments import released

JOINTS = "".join(
    f'<body pos="{i} 0 0"><joint name="j{i}" damping="10"/><geom size="0.1" mass="0.01"/></body>' for i in range(9)
)
SERVOS = "".join(f'<position joint="j{i}" kp="100"/>' for i in range(9))


@pytest.fixture
def robel(tmp_path):
    """Nine joints that follow their servos, and a valve that nothing touches, in files that include one another."""
    folder = (tmp_path / released.CLAW).parent
    folder.mkdir(parents=True)
    (folder / "arm.xml").write_text(f"<!-- a licence -->\n<?xml version='1.0'?><mujocoinclude>{JOINTS}</mujocoinclude>")
    (folder / "overlay.xml").write_text("<mujocoinclude><body><joint/></body></mujocoinclude>")
    (tmp_path / released.CLAW).write_text(
        '<mujoco><option timestep="0.0025" gravity="0 0 0"/><compiler angle="radian"/>'
        '<asset><mesh name="m" file="nowhere.stl"/></asset><default><geom material="wood" type="mesh"/></default>'
        '<worldbody><geom mesh="m"/><include file="arm.xml"/><include file="overlay.xml"/>'
        '<body><joint name="valve" axis="0 0 1"/><geom type="sphere" size="0.1" pos="0.2 9 0"/></body></worldbody>'
        f"<actuator>{SERVOS}</actuator></mujoco>"
    )
    return tmp_path


def test_a_model_is_read_without_looks(robel):
    model = mujoco.MjModel.from_xml_string(released.read(robel / released.CLAW))
    assert model.nq == 10  # the overlay's joint is not there
    assert model.ngeom == 10
    assert model.nmesh == 0


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dclaw3xh_valve3_v0\.xml: it is not there"):
        released.Claw(tmp_path)
    assert released.main([f"--gcsl={tmp_path}"]) == 2


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--door-run=nowhere", "give --gcsl, too"),
        ("--episodes=0", "at least 1"),
        ("--output=nowhere/file.json", "make it first"),
    ],
)
def test_wrong_arguments_are_refused(robel, capsys, argument, says):
    with pytest.raises(SystemExit) as ended:
        released.main([f"--robel={robel}", argument])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_runs_that_cannot_play_are_named_before_anything_plays(robel, capsys, monkeypatch):
    monkeypatch.setattr(released, "measure", None)
    assert released.main([f"--robel={robel}", "--claw-run=nowhere"]) == 2
    assert "nowhere/config.json: cannot be read" in capsys.readouterr().err
    other = types.SimpleNamespace(name="hdm_push")
    monkeypatch.setattr(released.hindsight_jax, "load", lambda run, which: other)
    assert released.main([f"--robel={robel}", "--claw-run=push"]) == 2
    assert "got a run of hdm_push, but it must be one of claw" in capsys.readouterr().err


def test_a_claw_goes_towards_its_targets_at_its_speed_limit(robel):
    """The knuckles are at -pi/3 and told to go to pi/3: they are led 0.2094 rad on the way; the others stay."""
    simulator = released.Claw(robel)
    simulator.reset()
    first = np.array((0.0, -math.pi / 3, math.pi / 3) * 3)
    np.testing.assert_allclose(simulator.observation(), [*first, 1.0, 0.0], atol=1e-6)
    simulator.step(np.array([0.0, 1.0, 2 / 3] * 3))
    target = first + np.array((0.0, 0.2094, 0.0) * 3)
    np.testing.assert_allclose(simulator.data.ctrl, target, atol=1e-6)
    assert np.all(np.abs(simulator.observation()[:9] - target) < np.abs(first - target) + 1e-3)
    assert simulator.angle() == 0.0


def test_episodes_keep_every_angle_from_the_start_on():
    class Counter:
        """Its angle is the number of steps since the reset, times the move."""

        num_moves = 1

        def reset(self):
            self.sum = 0.0

        def step(self, move):
            self.sum += float(move[0])

        def observation(self):
            return np.array([self.sum])

        def angle(self):
            return self.sum

    angles = released.played(Counter(), lambda observation, goal: goal + observation, np.array([[1.0], [0.5]]), 3)
    np.testing.assert_allclose(angles, [[0, 1, 3, 7], [0, 0.5, 1.5, 3.5]])
