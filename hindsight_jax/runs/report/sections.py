"""The parts of a report that are text, tables and videos, as HTML. Whatever comes from a run is escaped."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hindsight_jax import fields, presets
from hindsight_jax.runs import comparison, config_file, glossary, summary
from hindsight_jax.runs.comparison import LAST, spread
from hindsight_jax.runs.progress import duration
from hindsight_jax.runs.sources import Line, Source

MAX_VIDEO_BYTES = 1_500_000  # of all videos together, before they grow by a third as text
MAX_COMPARED = 40  # lines in the table of differences


def state(sources: Sequence[Source], lines: Sequence[Line]) -> str:
    """A sentence for each line, and what went wrong or is not done yet."""
    sentences = [_sentence(line) for line in lines] if len(lines) <= 12 else [_whole(lines)]
    troubles = [trouble for source in sources for trouble in _troubles(source)]
    found = [f"<p>{html.escape(text)}</p>" for text in sentences]
    found += [f'<p class="bad">{html.escape(text)}</p>' for text in troubles]
    return "\n".join(found)


def results(lines: Sequence[Line]) -> str:
    """A row for each line."""
    if not lines:
        return ""
    head = (
        "run",
        "seeds",
        "env steps",
        "success at the end",
        f"mean of the last {LAST}",
        "at any step",
        "best of each seed",
    )
    rows = [_result(line) for line in lines]
    note = "In parentheses the 95 % interval over seeds, in brackets each seed. Best is chosen in hindsight."
    return f"<h2>Results</h2>{_table(head, rows)}<p class='soft'>{note}</p>"


def differences(lines: Sequence[Line]) -> str:
    """How far the best line of each task is above each other one."""
    tables = [_against_best(group) for group in comparison.by_task(lines) if 1 < len(group) <= MAX_COMPARED]
    note = (
        "The line with the highest mean of its last evaluations, chosen in hindsight, is compared with each other one "
        "of its task. The probability of improvement counts seeds: 0.5 means that neither is better; an interval that "
        "holds 0.5 settles nothing."
    )
    return f"<h2>Differences</h2>{''.join(tables)}<p class='soft'>{note}</p>" if any(tables) else ""


def _against_best(lines: Sequence[Line]) -> str:
    best = comparison.best(lines)
    if best is None:
        return ""
    found = [comparison.difference(best, line) for line in lines if line is not best]
    head = (f"{best.label} above", "at the end", f"mean of the last {LAST}", "probability that it is better", "paired")
    numbers = [(spread(each.last), spread(each.recent), spread(each.improvement, 2)) for each in found]
    pairs = ["seed by seed" if each.paired else "no" for each in found]
    return _table(head, [(each.other, *row, pair) for each, row, pair in zip(found, numbers, pairs, strict=True)])


def videos(sources: Iterable[Source]) -> str:
    """policy.gif of each run, and what `hindsight-jax evaluate --video` left in its folder videos."""
    figures, left, left_out = [], MAX_VIDEO_BYTES, []
    for source in sources:
        for path in [source.path / "policy.gif", *sorted((source.path / "videos").glob("*.gif"))]:
            if not path.is_file():
                continue
            if path.stat().st_size > left:
                left_out.append(f"{source.label}: {path.name}")
                continue
            data = path.read_bytes()
            left -= len(data)
            figures.append(_video(_video_caption(source, path), data))
    if not figures and not left_out:
        return ""
    note = (
        f"<p class='soft'>Left out, to keep the page small: {html.escape('; '.join(left_out))}.</p>" if left_out else ""
    )
    words = "<p class='soft'>A frame turns green while the state is a success.</p>"
    return f'<h2>Policies at play</h2>{words}<div class="videos">{"".join(figures)}</div>{note}'


def what_differs(sources: Sequence[Source]) -> str:
    """The fields in which the runs differ, with what each is; then every value of every run, folded away."""
    values = [_flat(source.document["config"]) for source in sources]
    names = list(dict.fromkeys(name for each in values for name in each))
    differing = [name for name in names if len({each.get(name, "-") for each in values}) > 1]
    known = presets.all_fields()
    helps = {name: known[name].help if name in known else "" for name in names}
    parts = ["<h2>Configuration</h2>"]
    if len(sources) > 1:
        head = ("field", *(source.label for source in sources), "what it is")
        rows = [(name, *(each.get(name, "-") for each in values), helps[name]) for name in differing]
        parts.append(_table(head, rows) if rows else "<p>The runs have equal values.</p>")
    for source, each in zip(sources, values, strict=True):
        rows = [(name, value, helps[name]) for name, value in each.items()]
        rows += [(name, fields.text(axis), "values of the grid") for name, axis in _grid(source).items()]
        whole = _table(("field", "value", "what it is"), rows)
        parts.append(f"<details><summary>every value of {html.escape(source.label)}</summary>{whole}</details>")
    return "\n".join(parts)


def origins(sources: Iterable[Source]) -> str:
    """Command, commit, device, versions, time, and what changed when the run was resumed."""
    return "<h2>Where they come from</h2>" + "\n".join(_origin(source) for source in sources)


def glossary_of_columns() -> str:
    """The columns of metrics.jsonl that have no chart."""
    rows = [*glossary.COLUMNS.items(), ("frozen", glossary.meaning("frozen"))]
    table = _table(("column", "what it is"), rows)
    return f"<details><summary>other columns of metrics.jsonl</summary>{table}</details>"


def _sentence(line: Line) -> str:
    found = comparison.standing(line)
    if not found.env_steps:
        return f"{line.label}: no evaluation yet."
    count, where = len(found.seeds), f"after {found.env_steps:,} env steps"
    seeds = "one seed, so no interval" if count == 1 else f"mean and 95 % interval over {count} seeds"
    return f"{line.label}: success {spread(found.last)} at the end of an episode, {seeds}, {where}."


def _whole(lines: Sequence[Line]) -> str:
    best = comparison.best(lines)
    if best is None:
        return f"{len(lines)} lines, none with an evaluation that is finite for all seeds."
    end = spread(comparison.standing(best).last)
    return f"{len(lines)} lines. The best at the end, chosen in hindsight: {best.label}, with a success of {end}."


def _troubles(source: Source) -> list[str]:
    """What a reader must know before the numbers."""
    total = source.document["config"]["total_steps"]
    reached = summary.table(source.records, "env_steps").values
    now = int(reached[:, -1].min()) if reached.size else 0
    words = f"{source.label}: {source.state}, at {now:,} of {total:,} env steps."
    found = [] if source.state == "finished" else [words]
    frozen = {record["seed"]: record for record in reversed(source.records) if record.get("frozen")}
    for seed, record in sorted(frozen.items()):
        words = f"seed {seed} was frozen before {record['env_steps']:,} env steps: its numbers stopped being finite"
        found.append(f"{source.label}: {words}, so its line has no mean from there on.")
    return found


def _result(line: Line) -> tuple[str, ...]:
    end, anywhere = comparison.standing(line), comparison.standing(line, "success_any")
    best = summary.summarise(line.records)
    best = best["settings"][0]["best"] if "settings" in best else best["best"]
    chosen = "-" if best is None else f"{best['success_end']['mean']:.3f}"
    each = " ".join(f"{value:.2f}" for value in end.per_seed) if 1 < len(end.per_seed) <= 10 else ""
    shown = f"{spread(end.last)} [{each}]" if each else spread(end.last)
    counts = (str(len(end.seeds)), f"{end.env_steps:,}")
    return line.label, *counts, shown, spread(end.recent), spread(anywhere.last), chosen


def _video(caption: str, data: bytes) -> str:
    text = html.escape(caption)
    image = f'<img alt="{text}" src="data:image/gif;base64,{base64.b64encode(data).decode()}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _video_caption(source: Source, path: Path) -> str:
    if path.name != "policy.gif":
        return f"{source.label}: {path.stem}"
    seed, setting = source.summary.get("policy_seed"), source.summary.get("policy_setting") or {}
    which = f", {presets.label(setting)}" if setting else ""
    return f"{source.label}: the median seed{'' if seed is None else f', {seed}'}{which}, at the end of the run"


def _origin(source: Source) -> str:
    document = source.document
    commit = f"{document['commit']}{', with changes that were not committed' if document['dirty'] else ''}"
    device = document["device"]
    machine = ", ".join(device[part] for part in ("processor", "system") if part in device)  # earlier versions: without
    seconds = {key: source.summary[key] for key in source.summary if key.startswith("seconds_")}
    rows = [
        ("folder", source.path.name),
        ("arguments", " ".join(document["arguments"])),
        ("commit", commit),
        ("device", f"{device['count']} x {device['kind']}{f' ({machine})' if machine else ''}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in document["versions"].items())),
        (
            "time",
            ", ".join(f"{key.removeprefix('seconds_')} {duration(value)}" for key, value in seconds.items()) or "-",
        ),
        *(("resumed", f"at {entry['env_steps']:,} env steps") for entry in document.get("resumed", [])),
    ]
    return f"<h3>{html.escape(source.label)}</h3>{_table(('', ''), rows)}"


def _grid(source: Source) -> Mapping[str, Any]:
    return source.document.get("grid", {})


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Dotted field -> text of its value."""
    text = lambda value: fields.text(tuple(value) if isinstance(value, list) else value)
    return {name: text(value) for name, value in config_file.dotted(config).items()}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = lambda row, tag: "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row)
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    top = f"<thead><tr>{cells(head, 'th')}</tr></thead>" if any(head) else ""
    return f'<div class="wide"><table>{top}<tbody>{body}</tbody></table></div>'
