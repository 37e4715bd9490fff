"""Defines the flags with absl: one for each field of a run, and one for each action. Every refusal is a UsageError.

absl splits the command line and finds the flag of each argument; this module types values and checks them through
`fields`. absl's global FLAGS stays untouched, and its --flagfile unread.
"""

import decimal
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, cast

from absl import flags

from hindsight_jax import fields, presets
from hindsight_jax.cli.commands import COMMANDS
from hindsight_jax.runs.config_file import GRID_EXAMPLE

HELP = f"See {fields.COMMAND} --help."
_NUMBER = re.compile(r"[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)([eE][+-]?\d{1,6})?", re.ASCII)
_INFINITY = {"inf": float("inf"), "+inf": float("inf"), "-inf": float("-inf")}
_BOOLEANS = {"true": True, "True": True, "1": True, "false": False, "False": False, "0": False}


class UsageError(ValueError):
    """A command line that cannot be followed; the message names the flag, its text, the rule, and the remedy."""


class Text(flags.ArgumentParser):
    """Parses text that is not empty."""

    def parse(self, argument: str) -> str:
        if not argument:
            raise ValueError("it is empty.")
        return argument


class Directory(Text):
    """Parses a path; refuses gs://bucket/run and the like, of which a path would make a local folder `gs:`."""

    def parse(self, argument: str) -> str:
        if "://" in argument:
            raise ValueError(f"got {short(argument)}, but it must be a path of this system. Mount the storage first.")
        return super().parse(argument)


class Whole(flags.ArgumentParser):
    """Parses an integer in [low, high]."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def parse(self, argument: str) -> int:
        value = _number(argument, whole=True)
        if not isinstance(value, int) or not self.low <= value <= self.high:
            raise ValueError(f"got {short(argument)}, but it must be an integer in [{self.low}, {self.high}].")
        return value


class HostPort(flags.ArgumentParser):
    """Parses HOST:PORT; an IPv6 address stands in brackets."""

    def parse(self, argument: str) -> str:
        if not re.fullmatch(r"[^\s:]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}", argument):
            raise ValueError(f"got {short(argument)}, but it must be HOST:PORT of process 0.")
        return argument


class Switch(flags.ArgumentParser):
    """Parses true or false; absl passes true for a flag without a value."""

    def parse(self, argument: str) -> bool:
        if argument not in _BOOLEANS:
            raise ValueError(f"got {short(argument)}, but it takes true, false or nothing.")
        return _BOOLEANS[argument]


class Listed(flags.ArgumentParser):
    """Parses any word; '' stands for a flag without a value. Tasks and algorithms are known after the imports only."""

    def parse(self, argument: str) -> str:
        return "" if argument == "true" else argument


class FieldValue(flags.ArgumentParser):
    """Parses a value in the type and the range of a field."""

    def __init__(self, name: str, field: fields.Field) -> None:
        self.name, self.field = name, field

    def parse(self, argument: str) -> fields.Value:
        default = self.field.default
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
            return fields.checked(self.name, self.field, value)
        except ValueError as error:
            raise UsageError(f"--config.{error}") from None  # the message names the field and the remedy


class Flag(flags.Flag):
    """A flag that takes one value; it may be repeated with an equal one."""

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
    """A flag that collects the values of its repetitions."""

    def parse(self, argument: str) -> None:
        before, self.present = self.value or [], 0
        super().parse(argument)
        self.value = [*before, self.value]


class Flags(flags.FlagValues):
    """absl's parser, with these flags and no others."""

    def __init__(self, defined: Iterable[Flag]) -> None:
        super().__init__()
        self.set_gnu_getopt(True)  # flags may stand in any order
        for flag in defined:
            self[flag.name] = flag

    def read_flags_from_files(self, argv: Sequence[str], force_gnu: bool = True) -> list[str]:
        """Returns the arguments unchanged: no file is read."""
        return list(argv)

    def given(self) -> dict[str, Any]:
        """Flag -> value, of the flags that the command line holds."""
        return {self[name].name: self[name].value for name in self if self[name].present}

    def parse(self, argv: Sequence[str]) -> list[str]:
        """Sets the flags. Returns the arguments that belong to no flag, for `refuse`.

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
    """Makes the flags that do not depend on the fields."""
    switch = lambda name, help, **options: Flag(name, Switch(), help, boolean=True, **options)
    return Flags(
        [
            Flag("config", Text(), "the name of a run, such as hdm_push", "hdm_push"),
            Flag("config.grid", Text(), "fields with several values each, as JSON", f"'{GRID_EXAMPLE}'"),
            Flag("workdir", Directory(), "where the run's files go; runs/NAME-DATE by default", "DIR"),
            Flag("from", Directory(), "begin a new run where that of DIR stands, with other values", "DIR"),
            switch("resume", "go on with the run in --workdir"),
            switch(
                "explain", "print what a run needs, what chance does on its task, and (by a trial of seconds) its time"
            ),
            switch("verbose", "print a line for each evaluation where there is no terminal, as in a log"),
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


def of_fields(name: str = "") -> Flags:
    """A flag for each field, with the defaults and ranges that the run `name` has, if there is such a run."""
    known = presets.all_fields() | (presets.fields_of(name) if name in presets.names() else {})
    return Flags(
        Flag(f"config.{field}", FieldValue(field, spec), spec.help, fields.text(spec.default))
        for field, spec in known.items()
    )


def missing(flag: Flag) -> UsageError:
    """The error for a flag without its value."""
    return UsageError(f"--{flag.name}: its value is missing. Write {flag.example}.")


def refuse(argument: str, known: Sequence[str]) -> NoReturn:
    """Raises UsageError for an argument that belongs to no flag, with the nearest flag or the fields of a group."""
    key, _, value = argument.partition("=")
    bare = key.lstrip("-")
    if bare in presets.names() and not value:
        raise UsageError(f"{bare}: a name needs its flag. Write --config={bare}.")
    if bare in (*presets.ENVIRONMENTS, *presets.ALGORITHMS):
        raise UsageError(f"{bare}: it belongs to no flag. List its names: --list={bare}. {HELP}")
    group = [f"--{name}" for name in known if name.startswith(f"{bare}.")]
    if group and key.startswith("-"):
        raise UsageError(f"{key}: it is a group and has no value. Set its fields: {', '.join(group[:3])}, ... {HELP}")
    what = "there is no such flag" if key.startswith("-") else "it belongs to no flag, and is no command"
    near = fields.did_you_mean(bare, known, "--")
    if not key.startswith("-"):
        near = fields.did_you_mean(bare, COMMANDS) or near
    raise UsageError(f"{cut(key) or repr(key)}: {what}. {near}{HELP}")


def _number(written: str, whole: bool) -> int | float | str:
    """Converts text to a number, exactly to integers; returns text that is not a number or overflows a float."""
    if not _NUMBER.fullmatch(written):
        return written if whole else _INFINITY.get(written, written)
    if float(written) in _INFINITY.values():
        return written
    if not whole:
        return float(written)
    exact = decimal.Decimal(written)
    return int(exact) if exact == exact.to_integral_value() else written


def cut(written: str) -> str:
    """Makes text fit a message: printable, on one line, at most 60 characters."""
    shown = written if written.isprintable() else repr(written)[1:-1]
    return shown if len(shown) <= 60 else shown[:57] + "..."


def short(written: str) -> str:
    """`cut`, in quotes."""
    return f"'{cut(written)}'"
