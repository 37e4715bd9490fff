"""Event files are read back with their checksums, by a reader of our own."""

import math
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from hindsight_jax.runs.tensorboard import Events


def row(member, env_steps, **extra):
    indices = {"member": member, "seed": member + 7, "env_steps": env_steps, "updates": 3}
    return {**indices, "success_end": env_steps / 1000, "unix_seconds": 1e9 + env_steps, **extra}


def read(path):
    """Events of one file; fails on a wrong length or checksum."""
    data, events = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
        record, data = data[12 : 12 + length], data[12 + length :]
        assert struct.unpack("<I", data[:4])[0] == masked_crc32c(record)
        data = data[4:]
        events.append(Event.FromString(record))
    return events


def scalars(path):
    """[(step, wall time, {tag: value})] of one file, less its head."""
    head, *events = read(path)
    assert head.file_version == "brain.Event:2"
    return [(e.step, e.wall_time, {v.tag: v.simple_value for v in e.summary.value}) for e in events]


def test_rows_become_scalars_one_folder_per_member(tmp_path):
    events = Events(tmp_path)
    events.append([row(0, 100, q_mean=math.nan), row(1, 100)])
    events.append([row(0, 200, q_mean=-2.0), row(1, 200)])
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*tfevents*"))
    name = "events.out.tfevents.0000000001"
    assert files == [f"member_0_seed_7/{name}", f"member_1_seed_8/{name}"]
    first, second = scalars(tmp_path / files[0])
    assert first[:2] == (100, 1e9 + 100)
    assert math.isnan(first[2]["q_mean"])
    assert second == (200, 1e9 + 200, {"success_end": pytest.approx(0.2), "q_mean": -2.0})
    assert [step for step, _, _ in scalars(tmp_path / files[1])] == [100, 200]


def test_rewriting_leaves_only_the_rows_given_under_a_later_name(tmp_path):
    events = Events(tmp_path)
    events.append([row(0, 100), row(1, 100), row(0, 200)])
    events.rewrite([row(0, 100)])
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*tfevents*")]
    assert files == ["member_0_seed_7/events.out.tfevents.0000000002"]
    assert [step for step, _, _ in scalars(tmp_path / files[0])] == [100]
    Events(tmp_path).append([row(0, 200)])
    assert [step for step, _, _ in scalars(tmp_path / files[0])] == [100, 200]


def test_rewriting_nothing_leaves_nothing(tmp_path):
    events = Events(tmp_path)
    events.append([row(0, 100)])
    events.rewrite([])
    assert list(tmp_path.rglob("*tfevents*")) == []
