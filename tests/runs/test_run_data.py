"""Runs with a data set in their work directory: resumed to the bit, other data refused, loaded without them."""

import json

import jax
import numpy as np
import pytest
import tiny

import hindsight_jax
from hindsight_jax import datasets, envs, presets
from hindsight_jax.cli import arguments, main
from hindsight_jax.runs import config_file, estimate, records, refusals, session, summary, video
from hindsight_jax.runs.signals import GracefulExit

NAME = "gcsl_flip_bit"
TINY = {field: value for field, value in tiny.VALUES.items() if not field.startswith("replay.")}
TINY |= {"seeds": 2, "checkpoint.seconds": 1e9}
COLLECTS = {field: value for field, value in tiny.VALUES.items() if field.startswith("replay.")}


@pytest.fixture(scope="module", autouse=True)
def _blank_video():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "record_video", lambda *arguments: np.zeros((1, 8, 8, 3), np.uint8))
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.npz"
    env = envs.make("flip_bit", size=3)
    datasets.save(path, datasets.collect(env, None, jax.random.key(0), 10))
    return path


def values(file, share, **more):
    own = TINY | ({} if share == 1.0 else COLLECTS) | {"data.file": str(file), "data.share": share, "total_steps": 36}
    return config_file.resolve(NAME, own | more)


def trained(config, path, resume=False):
    """The leaves of the last state, and the records without their clock."""
    with session.session(NAME, dict(config), {}, path, resume=resume) as run:
        assert run.train(GracefulExit()) == 0
        leaves = jax.tree.leaves(run.state)
    lines = (path / "metrics.jsonl").read_text().splitlines()
    is_key = lambda x: jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key)
    bits = [np.asarray(jax.random.key_data(x) if is_key(x) else x) for x in leaves]
    return bits, [records.without_clock(records.decode(line)) for line in lines]


@pytest.fixture(scope="module")
def offline(file, tmp_path_factory):
    """(work directory, leaves, records) of an offline run of six epochs."""
    path = tmp_path_factory.mktemp("offline") / "run"
    return path, *trained(values(file, 1.0), path)


@pytest.mark.seldom
def test_records_say_that_no_env_step_was_taken(offline):
    _, _, table = offline
    assert [record["env_steps"] for record in table] == [12, 12, 24, 24, 36, 36]
    assert [record["updates"] for record in table] == [4, 4, 8, 8, 12, 12]
    assert {record["env_steps_taken"] for record in table} == {0}
    assert "collect_success_end" not in table[0]
    assert "env_steps_taken" not in summary.diagnostics(table)  # a constant, which no curve shows


@pytest.mark.seldom
def test_offline_runs_resume_to_the_bit(offline, file, tmp_path):
    """Stopped after two of three evaluations; with the same bytes at another place, in the end."""
    _, leaves, table = offline
    path = tmp_path / "run"
    trained(values(file, 1.0, total_steps=24), path)
    moved = tmp_path / "moved.npz"
    moved.write_bytes(file.read_bytes())
    asked = arguments.parse(["--resume", f"--workdir={path}", "--config.total_steps=36", f"--config.data.file={moved}"])
    found, again = trained(asked.config, path, resume=True)
    assert again == table
    for one, other in zip(found, leaves, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.seldom
def test_runs_with_a_share_resume_to_the_bit(file, tmp_path):
    leaves, table = trained(values(file, 0.5), tmp_path / "whole")
    trained(values(file, 0.5, total_steps=18), tmp_path / "run")
    found, again = trained(values(file, 0.5), tmp_path / "run", resume=True)
    assert again == table
    assert "env_steps_taken" not in table[0]
    for one, other in zip(found, leaves, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    held = datasets.from_ring(hindsight_jax.load_replay(tmp_path / "run"))
    assert held.length.shape == (2 * 10,)  # of both members, each with its ring of ten full
    without = config_file.resolve(NAME, TINY | COLLECTS | {"total_steps": 48})
    with (
        pytest.raises(refusals.SessionError, match=r"SHA-256 of data\.file: got '', but the checkpoint was made with"),
        session.session(NAME, without, {}, tmp_path / "run", resume=True),
    ):
        pass


@pytest.mark.seldom
def test_other_data_are_refused_at_resume(offline, file, tmp_path):
    """By the SHA-256 of their bytes, which the checkpoint holds."""
    path, _, _ = offline
    other = tmp_path / "other.npz"
    datasets.save(other, datasets.collect(envs.make("flip_bit", size=3), None, jax.random.key(1), 10))
    name, config, _ = config_file.load(path / "config.json")
    both = rf"SHA-256 of data\.file: got '{datasets.sha256(other)}', but the checkpoint was made with"
    with (
        pytest.raises(refusals.SessionError, match=rf"{both} '{datasets.sha256(file)}'\. Put the value back"),
        session.session(name, config | {"data.file": str(other), "total_steps": 48}, {}, path, resume=True),
    ):
        pass


@pytest.mark.seldom
def test_a_policy_plays_without_the_data(offline, file, tmp_path):
    """The run may have been moved to where the data are not; an offline run's rings are empty."""
    path, _, _ = offline
    document = json.loads((path / "config.json").read_text())
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "checkpoints").symlink_to(path / "checkpoints")
    document["config"]["data"]["file"] = "nowhere.npz"
    (gone / "config.json").write_text(json.dumps(document))
    run = hindsight_jax.load(gone)
    action = run.policy(0)(np.zeros(3, np.float32), np.ones(3, np.float32), jax.random.key(0))
    assert action.shape == (1,)
    played = datasets.collect(run.setup.env, run.policy(0, explore=True), jax.random.key(0), episodes=3)
    assert played.action.shape == (3, 3, 1)
    with pytest.raises(ValueError, match="state: got an empty ring"):
        datasets.save(tmp_path / "ring.npz", hindsight_jax.load_replay(gone))


def test_the_estimate_names_the_data_and_that_no_step_is_taken(file):
    config = values(file, 1.0)
    setup = presets.build(NAME, config)
    found = estimate.estimate_run(NAME, config, {}, setup)
    assert found.data == setup.run.spec.data.ring.num_bytes * found.devices
    text = "\n".join(estimate.size_lines(found, {}))
    assert "data set, of all members" in text
    assert "none is taken" in text
    lines = "\n".join(estimate.size_lines(estimate.estimate_run(NAME, tiny(), {}, presets.build(NAME, tiny())), {}))
    assert "data set" not in lines
    room = found.bytes_per_member * found.sharing + found.data
    estimate.check_memory(found._replace(free=room))
    with pytest.raises(estimate.MemoryRefusal, match="1 members fit"):
        estimate.check_memory(found._replace(free=room - 1))


def tiny():
    return config_file.resolve(NAME, TINY | COLLECTS | {"total_steps": 36})


@pytest.mark.seldom
def test_a_study_has_shares_as_an_axis_and_refuses_files_as_one(file):
    overrides = TINY | COLLECTS | {"data.file": str(file), "evaluation.every": 18}
    overrides = {field: value for field, value in overrides.items() if field != "seeds"}
    study = hindsight_jax.train(NAME, seeds=1, grid={"data.share": [0.5, 1.0]}, overrides=overrides, total_steps=36)
    assert study.num_programs == 2
    assert study["updates"][:, 0, -1].tolist() == [10, 12]  # of them the one has a warm-up of 6 env steps
    assert np.isnan(study["env_steps_taken"][0]).all()
    assert study["env_steps_taken"][1, 0].tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"grid\['data\.file'\]: .* a path is no name"):
        hindsight_jax.train(NAME, grid={"data.file": [str(file)]}, total_steps=36)


def test_what_does_not_fit_is_refused_before_anything_is_written(file, tmp_path, capsys):
    """A file that is not there, one of another task, fields without effect, images, and policy gradients."""
    argv = [f"--config={NAME}", f"--workdir={tmp_path / 'run'}", "--config.total_steps=60000"]
    absent = [f"--config.data.file={tmp_path / 'absent.npz'}"]
    for more, message in (
        (absent, "absent.npz: cannot be read (No such file or directory). Check the path."),
        ([f"--config.data.file={file}", "--config.env.size=4"], "data.npz: observation: got float32[40, 3], but of"),
        (["--config.data.share=1"], "--config.data.share: got 1.0, but it has no effect here: it needs data.file"),
        (["--config.data.file="], "--config.data.file: got '', but it has no effect here"),
        ([f"--config.data.file={file}", "--config.data.share=1", "--config.replay.warmup=9"],
         "--config.replay.warmup: got 9, but it has no effect here: it needs data.share other than 1"),
        ([f"--config.data.file={file}", "--config.data.share=0.001"],
         "data.share: got 0.001, but of agent.batch_size (256) it is 0 transitions"),
        ([f"--config.data.file={file}", "--config.env.pixels=48"], "it needs env.pixels=0"),
    ):  # fmt: skip
        assert main.main([*argv, *more]) != 0
        assert message in capsys.readouterr().err
    assert main.main(["--config=hpg_flip_bit", f"--config.data.file={file}"]) == 2
    assert "--config.data.file: got" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
