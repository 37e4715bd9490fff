"""The part `accelerator`: what it finds out of a device, how its sections become a file, its miniature as a whole."""

import importlib.util
import json
import math
import types

import commands
import jax
import numpy as np
import pytest

from experiments.bench import accelerator, measure
from experiments.bench.sections import Bench, Deadline, Section
from hindsight_jax.runs import jax_flags


@pytest.fixture
def quiet(monkeypatch):
    """Settings of the whole process stay as they are."""
    monkeypatch.setattr(jax_flags, "configure_jax", lambda seeds: None)


def run(path, *arguments):
    return commands.run("experiments.bench", ["--parts", "accelerator", f"--output={path}", *arguments])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", False),
        ("--xla_gpu_deterministic_ops=true", True),
        ("--xla_a=1 --xla_gpu_deterministic_ops --xla_b=2", True),
        ("--xla_gpu_deterministic_ops=false", False),
        ("--xla_gpu_deterministic_ops_of_another_kind=true", False),
    ],
)
def test_the_flag_is_read_from_the_environment(monkeypatch, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert accelerator.deterministic_ops() is expected


def test_shares_of_peaks_without_members_are_refused_with_the_reason():
    bench = Bench(accelerator.MINIATURE, Deadline(60.0), {"members": {"error": "out of memory"}, "peaks": {}})
    with pytest.raises(RuntimeError, match="the section members has timed none"):
        next(accelerator.useful(bench))


def test_the_most_bytes_are_those_of_the_device_that_used_most(monkeypatch):
    of = lambda statistics: types.SimpleNamespace(memory_stats=lambda: statistics)
    monkeypatch.setattr(
        jax, "local_devices", lambda: [of({"peak_bytes_in_use": 7}), of(None), of({"peak_bytes_in_use": 9})]
    )
    assert list(accelerator.memory(None)) == [{"peak_bytes": 9, "of": "device"}]
    monkeypatch.setattr(jax, "local_devices", lambda: [of(None)])
    (of_process,) = accelerator.memory(None)
    assert of_process["of"] == "process"
    assert of_process["peak_bytes"] > 1e7


@pytest.mark.parametrize(
    ("runtime", "found", "said"),
    [
        ("cpu", True, "CUDA"),
        ("rocm 60", True, "CUDA"),
        ("PJRT C API\ncuda 12090", False, "pip install"),
        ("cuda", True, None),
    ],
)
def test_warp_is_compared_where_it_can_run(monkeypatch, runtime, found, said):
    device = types.SimpleNamespace(client=types.SimpleNamespace(platform_version=runtime))
    monkeypatch.setattr(jax, "devices", lambda: [device])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if found else None)
    reason = accelerator.why_no_warp()
    assert reason is None if said is None else said in reason


def test_sections_are_written_and_printed_and_an_error_is_the_exit_status(monkeypatch, quiet, tmp_path, capsys):
    path = tmp_path / "figures.json"
    written = []

    def good(bench):
        yield {"x": 2.0, "none": None, "list": [1.0]}
        written.append(json.loads(path.read_text())["accelerator"])

    def bad(bench):
        yield {"y": 3.0}
        raise RuntimeError("out of memory")

    monkeypatch.setattr(accelerator, "SECTIONS", (Section("good", 9.0, good),))
    assert run(path) == 0
    assert written == [{"sizes": "miniature", "good": {"x": 2.0, "none": None, "list": [1.0]}}]  # at once
    monkeypatch.setattr(accelerator, "SECTIONS", (Section("bad", 9.0, bad), Section("good", 9.0, good)))
    capsys.readouterr()
    assert run(path) == 1
    found = json.loads(path.read_text())
    assert "commit" in found
    assert list(found["accelerator"]) == ["sizes", "bad", "good"]
    assert found["accelerator"]["bad"]["error"] == "RuntimeError: out of memory"
    shown = capsys.readouterr()
    assert "accelerator: good" in shown.out
    assert "RuntimeError: out of memory" in shown.out
    assert "error: bad: RuntimeError: out of memory" in shown.err


def test_it_runs_only_if_it_is_asked_for(monkeypatch, quiet, capsys):
    asked = []
    monkeypatch.setattr(measure, "measure", lambda name, seeds, parts, *rest: asked.append(parts) or {})
    assert commands.run("experiments.bench") == 0
    assert asked == [[name for name in measure.PARTS if name not in ("accelerator", "jaxgcrl")]]


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("it measured"))
    assert run(tmp_path / "absent" / "figures.json") == 2
    assert "--output: there is no folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_miniature_as_a_whole(quiet, tmp_path):
    """Speeds are printed, and depend on the machine. A busy one may run out of a section's time, so limits are off."""
    path = tmp_path / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        unlimited = tuple(section._replace(seconds=math.inf) for section in accelerator.SECTIONS)
        patch.setattr(accelerator, "SECTIONS", unlimited)
        assert run(path) == 0
    found = json.loads(path.read_text())["accelerator"]
    assert list(found) == ["sizes", *(section.name for section in unlimited)]
    assert found.pop("sizes") == "miniature"
    print(sum(section["section_seconds"] for section in found.values()), "seconds")
    for section in found.values():
        assert not {"stopped", "error"} & section.keys()
        numbers = [value for value in section.values() if isinstance(value, (int, float))]
        assert numbers
        assert all(math.isfinite(number) and number >= 0 for number in numbers)
    assert found["push"]["env_steps_of_each_seed"] == found["push"]["of_env_steps"] == 3_000
    assert len(found["push"]["success_end_of_seeds"]) == 4
    assert [steps for steps, _ in found["push"]["success_over_env_steps"]] == [2_000, 3_000]  # 1,000 of warm-up
    assert found["bits"]["as_the_flags_are_equal"]  # a CPU computes in one order
    useful, updates = found["useful"], found["members"]["2_updates_per_second_all_members"]
    np.testing.assert_allclose(useful["whole_epochs_gflops"], 0.3206656 * updates, rtol=1e-6)
    share = useful["whole_epochs_gflops"] / found["peaks"]["float32_gflops"]
    devices = 1 if jax.local_device_count() == 1 else 2 / jax.local_device_count()
    np.testing.assert_allclose(useful["whole_epochs_share_of_float32_peak"] * devices, share, rtol=1e-6)
    for task in accelerator.TASKS:
        assert found["environments"][f"{task}_4_env_steps_per_second"] > 0
        assert found["environments"][f"{task}_4_mjx_warp_env_steps_per_second"] is None
    assert found["paper"]["goal_minutes"] == 15.0
    assert found["memory"]["peak_bytes"] > 1e8


@pytest.mark.slow
def test_what_a_device_lacks_leaves_the_other_implementation_its_figure(monkeypatch):
    monkeypatch.setattr(accelerator, "why_no_warp", lambda: None)
    monkeypatch.setattr(accelerator.env_speed, "STEPS", 2)
    if importlib.util.find_spec("warp") is not None:
        pytest.skip("Warp is installed")
    with jax.numpy_rank_promotion("allow"):
        figures = accelerator.implementations("point_mass", 2)
    assert figures["point_mass_2_mjx_jax_env_steps_per_second"] > 0
    assert figures["point_mass_2_mjx_warp_env_steps_per_second"] is None
    assert "warp" in figures["point_mass_2_mjx_warp_env_steps_per_second_reason"]
