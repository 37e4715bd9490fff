"""A run's directory: strict JSON, exact resumption, several processes, and what is refused."""

import json
import math
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from evaluations import evaluation, record
from PIL import Image

from hindsight_jax.runs import records, strict_json, workdir
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir


def index(data):
    return [(entry["member"], entry["env_steps"]) for entry in data]


def strict(path):
    def refuse(word):
        raise AssertionError(f"not JSON: {word}")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_config_holds_values_and_provenance_but_no_folder_of_this_machine(run):
    text = (run.path / "config.json").read_text()
    config = run.read_config()
    assert config["config"] == {"seed": 7, "agent": {"gamma_hdm": math.inf}}
    assert config["name"] == "hdm_push"
    assert config["arguments"] == ["--workdir=first"]
    assert set(config) >= {"format", "versions", "device", "precision", "commit", "dirty"}
    assert str(run.path) not in text
    assert os.getcwd() not in text
    assert f'"{socket.gethostname()}"' not in text
    json.loads(text, parse_constant=lambda word: pytest.fail(word))


def test_records_come_back_in_order_with_nan_and_the_time(run):
    run.append_records([record(0, 100, math.nan, loss=math.inf), record(1, 100, 0.25)])
    run.append_records([record(0, 200)])
    raw = strict(run.path / "metrics.jsonl")
    assert [entry["success_end"] for entry in raw] == ["NaN", 0.25, 0.5]
    back = run.read_records()
    assert index(back) == [(0, 100), (1, 100), (0, 200)]
    assert math.isnan(back[0]["success_end"])
    assert back[0]["loss"] == math.inf
    assert all(entry["unix_seconds"] > 1.7e9 for entry in back)
    assert records.without_clock(back[2]) == record(0, 200)


def test_records_are_on_disk_when_append_returns(run, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(workdir.os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size) or real(fd))
    run.append_records([record()])
    size = (run.path / "metrics.jsonl").stat().st_size
    assert size in synced
    assert size > 0


def test_resume_drops_exactly_what_came_after_the_checkpoint(run):
    run.append_records(evaluation(100))
    expected = (run.path / "metrics.jsonl").read_bytes()
    run.append_records(evaluation(200))
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(b'{"member": 0, "seed": 7, "env_st')  # killed while writing
    again = WorkDir.open(run.path)
    assert index(again.read_records()) == [(m, s) for s in (100, 200) for m in range(3)]
    again.rewind(100, 3)
    assert (run.path / "metrics.jsonl").read_bytes() == expected
    again.append_records(evaluation(200))
    again.append_records(evaluation(300))
    assert index(again.read_records()) == [(m, s) for s in (100, 200, 300) for m in range(3)]


def test_resume_from_the_start_drops_everything(run):
    run.append_records(evaluation(100))
    again = WorkDir.open(run.path)
    again.rewind(0, 0)
    assert again.read_records() == []
    assert list((run.path / "tensorboard").rglob("*tfevents*")) == []
    again.append_records(evaluation(100))
    assert len(again.read_records()) == 3


def test_tensorboard_follows_the_records_through_a_resume(run):
    from hindsight_jax.runs.tensorboard import Events

    run.append_records(evaluation(100))
    run.append_records(evaluation(200))
    again = WorkDir.open(run.path)
    again.rewind(100, 3)
    again.append_records(evaluation(200))
    direct = Events(run.path / "direct")
    direct.append(again.read_records())
    resumed = sorted((run.path / "tensorboard").rglob("*tfevents*"))
    written_once = sorted((run.path / "direct").rglob("*tfevents*"))
    assert len(resumed) == 3
    for one, other in zip(resumed, written_once, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_half_written_line_stops_appending_until_it_is_cut(run):
    run.append_records(evaluation(100))
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(b'{"member"')
    again = WorkDir.open(run.path)
    with pytest.raises(WorkDirError, match="was changed"):
        again.append_records(evaluation(200))
    again.rewind(100, 3)
    again.append_records(evaluation(200))
    assert len(again.read_records()) == 6


def test_a_record_twice_is_refused_and_nothing_of_its_batch_is_written(run):
    run.append_records(evaluation(100))
    before = (run.path / "metrics.jsonl").read_bytes()
    for bad in ([record(0, 200), record(1, 100)], [record(0, 200), record(0, 200)]):
        with pytest.raises(ValueError, match="one record per member"):
            run.append_records(bad)
    with pytest.raises(ValueError, match="one record per member"):
        WorkDir.open(run.path).append_records([record(2, 50)])
    partial = {key: value for key, value in record(1, 200).items() if key != "success_any"}
    with pytest.raises(ValueError, match="no success_any"):
        run.append_records([record(0, 200), partial])
    assert (run.path / "metrics.jsonl").read_bytes() == before
    run.append_records(evaluation(200))


def test_lost_and_surplus_records_are_refused(run):
    run.append_records(evaluation(100))
    before = (run.path / "metrics.jsonl").read_bytes()
    for env_steps, num_records in ((100, 6), (100, 2), (99, 3), (200, 6)):
        with pytest.raises(WorkDirError, match=f"records up to {env_steps} env steps, .* made at {num_records}"):
            run.rewind(env_steps, num_records)
    assert (run.path / "metrics.jsonl").read_bytes() == before


def split(path, evaluations, processes):
    """Each process writes its own members' records: 0 the first, 1 the second, the last one the rest."""
    first = WorkDir.open(path)
    parts = [first, *(WorkDir.join(path, process) for process in range(1, processes))]
    for steps in evaluations:
        for process, part in enumerate(parts):
            part.append_records([record(m, steps) for m in range(3) if min(m, processes - 1) == process])
    return parts


def test_processes_write_their_own_files_and_readers_see_one(run):
    split(run.path, (100, 200), processes=3)
    assert sorted(path.name for path in run.path.glob("metrics*")) == [
        "metrics-1.jsonl", "metrics-2.jsonl", "metrics.jsonl",
    ]  # fmt: skip
    assert index(WorkDir.open(run.path).read_records()) == [(m, s) for s in (100, 200) for m in range(3)]


def test_a_resumed_run_has_one_file_again_and_may_have_other_processes(run):
    split(run.path, (100, 200), processes=3)
    again = WorkDir.open(run.path)
    again.rewind(100, 3)
    assert [path.name for path in run.path.glob("metrics*")] == ["metrics.jsonl"]
    split(run.path, (200,), processes=2)
    assert index(WorkDir.open(run.path).read_records()) == [(m, s) for s in (100, 200) for m in range(3)]


def test_a_kill_while_the_files_become_one_leaves_no_record_twice(run, monkeypatch):
    split(run.path, (100, 200), processes=2)
    again = WorkDir.open(run.path)
    monkeypatch.setattr(workdir.Path, "unlink", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        again.rewind(200, 6)
    monkeypatch.undo()
    assert len(list(run.path.glob("metrics*.jsonl"))) == 2
    last = WorkDir.open(run.path)
    assert len(last.read_records()) == 6
    last.rewind(100, 3)
    assert index(last.read_records()) == [(m, 100) for m in range(3)]


def test_a_process_does_not_join_where_records_of_it_are(run):
    split(run.path, (100,), processes=2)
    with pytest.raises(WorkDirError, match=r"metrics-1\.jsonl: cannot be written"):
        WorkDir.join(run.path, 1)


def test_a_damaged_record_is_named_and_nothing_is_deleted(run):
    run.append_records(evaluation(100))
    path = run.path / "metrics.jsonl"
    damaged = path.read_bytes().replace(b'"member": 1', b'"mem\xffer": 1')
    path.write_bytes(damaged)
    with pytest.raises(WorkDirError, match="line 2"):
        WorkDir.open(run.path)
    with pytest.raises(WorkDirError, match="line 2"):
        run.rewind(100, 3)
    assert path.read_bytes() == damaged


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkDirError, match="is a file"):
        WorkDir.create(tmp_path / "file" / "first")
    with pytest.raises(WorkDirError, match="work directory"):
        WorkDir.create(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_used_directory_is_refused_and_left_alone(run, tmp_path):
    run.append_records(evaluation(100))
    with pytest.raises(WorkDirError, match=r"config\.json, metrics\.jsonl.*--resume"):
        WorkDir.create(run.path)
    assert len(run.read_records()) == 3
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("mine")
    with pytest.raises(WorkDirError, match=r"thesis\.tex"):
        WorkDir.create(tmp_path / "home")


def test_directories_that_are_made_at_once_are_different_ones(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: WorkDir.create_unused(tmp_path / "runs" / "a"), range(16)))
    names = ["a", *(f"a-{number}" for number in range(2, 17))]
    assert sorted(one.path.name for one in made) == sorted(names)


def test_a_relative_path_is_of_the_folder_where_it_was_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = WorkDir.create("run")
    monkeypatch.chdir("/")
    run.write_config({}, name="hdm_push")
    run.append_records(evaluation(100))
    assert (tmp_path / "run" / "config.json").exists()
    assert len(WorkDir.open(tmp_path / "run").read_records()) == 3


def test_an_empty_directory_or_a_start_that_was_killed_is_taken(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json.tmp").write_text("{")
    (tmp_path / "checkpoints").mkdir()
    WorkDir.create(tmp_path)
    WorkDir.create(tmp_path).write_config({}, name="hdm_push")


def test_a_checkpoint_without_its_config_is_no_empty_directory(tmp_path):
    (tmp_path / "checkpoints" / "step_000000000001").mkdir(parents=True)
    with pytest.raises(WorkDirError, match="holds checkpoints already"):
        WorkDir.create(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "metrics.jsonl", "everything"])
def test_nothing_to_resume(run, missing):
    if missing == "everything":
        shutil.rmtree(run.path)
    else:
        (run.path / missing).unlink()
    with pytest.raises(WorkDirError, match="no run to resume"):
        WorkDir.open(run.path)


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"format": 1', b"\xff\xfe"])
def test_a_damaged_config_is_named(run, damage):
    (run.path / "config.json").write_bytes(damage)
    with pytest.raises(WorkDirError, match=r"config\.json"):
        run.read_config()


def test_a_config_of_another_format_is_refused(run):
    (run.path / "config.json").write_text('{"format": 99}')
    with pytest.raises(WorkDirError, match="format 99"):
        run.read_config()


def test_resumptions_are_on_record(run):
    run.append_records(evaluation(100))
    again = WorkDir.open(run.path)
    again.note_resume({"total_steps": 500}, ["--resume"])
    again.note_resume({"total_steps": 700}, ["--resume", "--workdir=/a/b/c"])
    config = again.read_config()
    assert config["config"] == {"total_steps": 700}
    assert [entry["arguments"] for entry in config["resumed"]] == [["--resume"], ["--resume", "--workdir=c"]]
    assert config["resumed"][0]["env_steps"] == 100
    assert config["arguments"] == ["--workdir=first"]


def test_a_resume_names_the_settings_that_changed(run):
    run.append_records(evaluation(100))
    assert run.note_resume({}) == []
    with jax.threefry_partitionable(False), jax.default_prng_impl("rbg"), jax.disable_jit():
        changed = run.note_resume({})
        assert run.note_resume({}) == []
    assert changed == ["jax_default_prng_impl", "jax_threefry_partitionable", "jax_disable_jit"]
    assert run.note_resume({}) == changed  # and back


def test_pictures_and_summary(run):
    run.append_records(evaluation(100))
    run.append_records(evaluation(200))
    run.write_curves("hdm_push")
    frames = np.zeros((5, 32, 48, 3), np.uint8)
    frames[np.arange(5), 4 * np.arange(5)] = 255
    run.write_policy(frames, 20.0)
    summary = run.write_summary(num_episodes=200, seconds={"total": 12.5}, interrupted=True)
    with Image.open(run.path / "curves.png") as image:
        assert image.format == "PNG"
    with Image.open(run.path / "policy.gif") as image:
        assert image.n_frames == 5
    assert (run.path / "curves.png").stat().st_size < 300_000
    assert run.read_summary() == json.loads((run.path / "summary.json").read_text()) == strict_json.plain(summary)
    assert summary["name"] == "hdm_push"
    assert summary["seeds"] == [7, 8, 9]
    assert summary["success_end"]["per_seed"] == [0.0, 0.1, 0.2]
    assert (summary["seconds_total"], summary["num_episodes"], summary["interrupted"]) == (12.5, 200, True)
    assert summary["commit"] == run.read_config()["commit"]


def test_summary_of_a_nan_seed_is_strict_json(run):
    run.append_records([record(0, 100, math.nan), record(1, 100)])
    run.write_summary(num_episodes=200, seconds={})
    json.loads((run.path / "summary.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert math.isnan(run.read_summary()["success_end"]["mean"])
    assert run.read_summary()["failed_seeds"] == [7]
