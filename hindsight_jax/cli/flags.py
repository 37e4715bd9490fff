"""The flags, by absl: one for every field of a run, and those that say what to do. Every refusal is one UsageError.

absl splits the command line and finds each argument's flag; values are typed and checked here, through `fields`. Its
global FLAGS is never touched, and its --flagfile is not read.
"""

import decimal
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, cast

from absl import flags

from hindsight_jax import fields, presets
from hindsight_jax.runs.config_file import GRID_EXAMPLE

HELP = f"See {fields.COMMAND} --help."
_NUMBER = re.compile(r"[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)([eE][+-]?\d{1,6})?", re.ASCII)
_INFINITY = {"inf": float("inf"), "+inf": float("inf"), "-inf": float("-inf")}
_BOOLEANS = {"true": True, "True": True, "1": True, "false": False, "False": False, "0": False}


class UsageError(ValueError):
    """The command line cannot be followed: the message says where, what was got, the rule, and the remedy."""


class Text(flags.ArgumentParser):
    """Any text that is not empty."""

    def parse(self, argument: str) -> str:
        if not argument:
            raise ValueError("it is empty.")
        return argument


class Whole(flags.ArgumentParser):
    """An integer in [low, high]."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def parse(self, argument: str) -> int:
        value = _number(argument, whole=True)
        if not isinstance(value, int) or not self.low <= value <= self.high:
            raise ValueError(f"got {short(argument)}, but it must be an integer in [{self.low}, {self.high}].")
        return value


class HostPort(flags.ArgumentParser):
    """HOST:PORT; a host that is an IPv6 address stands in brackets."""

    def parse(self, argument: str) -> str:
        if not re.fullmatch(r"[^\s:]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}", argument):
            raise ValueError(f"got {short(argument)}, but it must be HOST:PORT of process 0.")
        return argument


class Switch(flags.ArgumentParser):
    """Nothing, or true or false."""

    def parse(self, argument: str) -> bool:
        if argument not in _BOOLEANS:
            raise ValueError(f"got {short(argument)}, but it takes true, false or nothing.")
        return _BOOLEANS[argument]


class Listed(flags.ArgumentParser):
    """What to list: nothing, a task, an algorithm, or all."""

    def parse(self, argument: str) -> str:
        known = (*presets.ENVIRONMENTS, *presets.ALGORITHMS, "all")
        if argument not in ("true", *known):
            near = fields.did_you_mean(argument, known)
            raise ValueError(f"got {short(argument)}, but it must be a task, an algorithm or all. {near}".rstrip())
        return "" if argument == "true" else argument


class FieldValue(flags.ArgumentParser):
    """A value in the type and the range of a field."""

    def __init__(self, field: str) -> None:
        self.field = field

    def parse(self, argument: str) -> fields.Value:
        default = fields.FIELDS[self.field].default
        value: Any = argument
        if isinstance(default, bool):
            value = _BOOLEANS.get(argument, argument)
        elif isinstance(default, tuple):
            inner = re.fullmatch(r"\((.*)\)|\[(.*)\]|([^()\[\]]*)", argument, re.DOTALL)
            parts = "".join(inner.groups("")).removesuffix(",").split(",") if inner else [argument]
            numbers = tuple(_number(part.strip(), whole=True) for part in parts)
            value = argument if any(isinstance(number, str) for number in numbers) else numbers
        elif not isinstance(default, str):
            value = _number(argument, whole=isinstance(default, int))
        try:
            return fields.checked(self.field, value)
        except ValueError as error:
            raise UsageError(f"--config.{error}") from None  # which names the field and has its remedy


class Flag(flags.Flag):
    """A flag whose value is given once; equal repetitions are one."""

    def __init__(self, name: str, parser: flags.ArgumentParser, help: str, example: str = "", **options: Any) -> None:
        super().__init__(parser, None, name, None, help, **options)
        self.example = f"--{name}={example}" if example else f"--{name}"

    def parse(self, argument: str) -> None:
        if argument.startswith("--"):  # the next flag
            raise missing(self)
        try:
            value: Any = self.parser.parse(argument)
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"--{self.name}: {error} Write {self.example}.") from None
        before: Any = self.value
        if self.present and value != before:
            both = f"{short(fields.text(before))} and {short(fields.text(value))}"
            raise UsageError(f"--{self.name}: got both {both}, but it has one value. Leave one out.")
        self.value, self.present = value, 1


class Repeated(Flag):
    """A flag with a value for each time that it is given."""

    def parse(self, argument: str) -> None:
        before, self.present = self.value or [], 0
        super().parse(argument)
        self.value = [*before, self.value]


class Flags(flags.FlagValues):
    """absl's parser for these flags alone."""

    def __init__(self, defined: Iterable[Flag]) -> None:
        super().__init__()
        self.set_gnu_getopt(True)  # flags may stand in any order
        for flag in defined:
            self[flag.name] = flag

    def read_flags_from_files(self, argv: Sequence[str], force_gnu: bool = True) -> list[str]:
        """The arguments as they are, without files' contents."""
        return list(argv)

    def given(self) -> dict[str, Any]:
        """Flag -> value, of those that the command line had."""
        return {self[name].name: self[name].value for name in self if self[name].present}

    def parse(self, argv: Sequence[str]) -> list[str]:
        """Sets the flags. Returns the arguments that belong to none of them, which `refuse` is for.

        Raises UsageError: a value that its flag does not take, or a flag without its value.
        """
        try:
            return self([fields.COMMAND, *argv], known_only=True)[1:]
        except UsageError:
            raise
        except ValueError as error:  # '--noresume=x does not take an argument'
            return [str(error).partition(" ")[0]]
        except flags.Error:  # the last flag lacks its value
            last = argv[-1].lstrip("-")
            if last in self:
                raise missing(cast(Flag, self[last])) from None
            return [argv[-1]]  # --undefok, which absl takes for its own


def of_runs() -> Flags:
    """The flags that say what to do."""
    switch = lambda name, help, **options: Flag(name, Switch(), help, boolean=True, **options)
    return Flags(
        [
            Flag("config", Text(), "what to run, such as hdm_push", "hdm_push"),
            Flag("config.grid", Text(), "fields with several values each, as JSON", f"'{GRID_EXAMPLE}'"),
            Flag("workdir", Text(), "where the run's files go; runs/NAME-DATE by default", "DIR"),
            switch("resume", "go on with the run in --workdir"),
            switch("explain", "print what the run will need, try it for some seconds, and end"),
            Repeated("import", Text(), "a module of yours that registers algorithms or tasks; repeatable", "my_module"),
            Flag(
                "list",
                Listed(),
                "print the tasks and the algorithms; --list=push: the names of one of them; --list=all",
                "push",
                boolean=True,
            ),
            switch("help", "print this; with --config, the fields of one name", short_name="h"),
            switch("distributed", "one of several processes, which the cluster brings together"),
            Flag("coordinator", HostPort(), "where process 0 listens, HOST:PORT", "HOST:PORT"),
            Flag("processes", Whole(1, 4096), "how many processes there are", "2"),
            Flag("process", Whole(0, 4095), "which one this is, from 0", "0"),
        ]
    )


def of_fields() -> Flags:
    """A flag for each field."""
    return Flags(
        Flag(f"config.{field}", FieldValue(field), spec.help, fields.text(spec.default))
        for field, spec in fields.FIELDS.items()
    )


def missing(flag: Flag) -> UsageError:
    """A flag is given without its value."""
    return UsageError(f"--{flag.name}: its value is missing. Write {flag.example}.")


def refuse(argument: str, known: Sequence[str]) -> NoReturn:
    """UsageError for an argument that belongs to no flag: names the nearest one, or the fields of a group."""
    key, _, value = argument.partition("=")
    bare = key.lstrip("-")
    if bare in presets.names() and not value:
        raise UsageError(f"{bare}: a name alone is no argument. Write --config={bare}.")
    if bare in (*presets.ENVIRONMENTS, *presets.ALGORITHMS):
        raise UsageError(f"{bare}: it belongs to no flag. List its names: --list={bare}. {HELP}")
    group = [f"--{name}" for name in known if name.startswith(f"{bare}.")]
    if group and key.startswith("-"):
        raise UsageError(f"{key}: it is a group and has no value. Set its fields: {', '.join(group[:3])}, ... {HELP}")
    what = "there is no such flag" if key.startswith("-") else "it belongs to no flag"
    raise UsageError(f"{cut(key) or repr(key)}: {what}. {fields.did_you_mean(bare, known, '--')}{HELP}")


def _number(written: str, whole: bool) -> int | float | str:
    """The number that the text is, exactly for integers; the text itself if it is not a number or beyond the floats."""
    if not _NUMBER.fullmatch(written):
        return written if whole else _INFINITY.get(written, written)
    if float(written) in _INFINITY.values():
        return written
    if not whole:
        return float(written)
    exact = decimal.Decimal(written)
    return int(exact) if exact == exact.to_integral_value() else written


def cut(written: str) -> str:
    """Text for a message: printable, on one line, and no longer than fits."""
    shown = written if written.isprintable() else repr(written)[1:-1]
    return shown if len(shown) <= 60 else shown[:57] + "..."


def short(written: str) -> str:
    """The same in quotes."""
    return f"'{cut(written)}'"
