"""Which runs a report or a comparison reads, how they are named, and whether they are done."""

import pytest
from one_record import record
from shown_runs import make_run

from hindsight_jax.runs import sources
from hindsight_jax.runs.lock import Lock
from hindsight_jax.runs.workdir import WorkDir


def labels(*arguments):
    return [source.label for source in sources.read([str(argument) for argument in arguments])]


def test_runs_go_by_their_name_and_by_their_folder_where_two_have_one(tmp_path):
    first, second, third = (make_run(tmp_path / name) for name in ("a", "b", "c"))
    other = make_run(tmp_path / "d", "her_push")
    assert labels(first, other) == ["hdm_push", "her_push"]
    assert labels(first, second, f"mine={third}") == ["hdm_push (a)", "hdm_push (b)", "mine"]


def test_a_folder_of_runs_is_all_of_them_by_their_paths(tmp_path):
    for path in ("study/b", "study/a", "study/deep/c"):
        make_run(tmp_path / path)
    assert labels(tmp_path / "study") == ["a", "b", "deep/c"]
    assert labels(f"all={tmp_path / 'study'}") == ["all a", "all b", "all deep/c"]


def test_a_folder_of_programs_is_its_programs(tmp_path):
    """A grid that changes shapes has a config and an empty metrics.jsonl above the programs' folders."""
    whole = make_run(tmp_path / "grid", curves=((), ()), finished=False)
    make_run(whole / "agent.hidden_sizes=8")
    make_run(whole / "agent.hidden_sizes=4,4")
    assert labels(whole) == ["agent.hidden_sizes=4,4", "agent.hidden_sizes=8"]
    assert labels(whole / "agent.hidden_sizes=8") == ["hdm_push"]  # its name is no label


def test_what_is_no_run_or_named_twice_is_refused(tmp_path):
    run = make_run(tmp_path / "a")
    with pytest.raises(ValueError, match=r"^DIR: got '.*nowhere', but it must be the directory of a run"):
        labels(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"each run is shown once"):
        labels(run, f"again={run}")


def test_lines_are_settings(tmp_path):
    run = make_run(tmp_path / "a", curves=((), ()), finished=False)
    WorkDir.open(run).append_records([record(m, **{"agent.beta": 1.0 + m}) for m in (0, 1)])
    assert [line.label for line in sources.lines(sources.read([run]))] == ["beta 1", "beta 2"]
    both = sources.lines(sources.read([run, make_run(tmp_path / "b", "her_push")]))
    assert [line.label for line in both] == ["hdm_push: beta 1", "hdm_push: beta 2", "her_push"]
    assert [line.setting for line in both] == [{"agent.beta": 1.0}, {"agent.beta": 2.0}, {}]


def test_members_without_a_common_evaluation_are_read(tmp_path):
    """As where one of two processes has written, and the other not yet."""
    run = make_run(tmp_path / "a", curves=((), ()), finished=False)
    WorkDir.open(run).append_records([record(0, 100), record(1, 200)])
    (source,) = sources.read([run])
    assert source.state == "stopped"


def test_the_state_of_a_run(tmp_path):
    """Finished: it has a summary, and took all steps. Its total may grow later, by --resume."""
    states = lambda *paths: [source.state for source in sources.read(paths)]
    finished, stopped = make_run(tmp_path / "a"), make_run(tmp_path / "b", finished=False)
    longer = make_run(tmp_path / "c", total=300)
    assert states(finished, stopped, longer) == ["finished", "stopped", "stopped"]
    with Lock(longer):
        assert states(longer) == ["going on"]
