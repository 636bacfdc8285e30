"""How every subcommand speaks: results and JSON on stdout, all else on stderr, typed exit codes.

0    done
1    failed; the same command may work later or elsewhere
2    the input, an option or a setting can never work
130  stopped by Ctrl-C, SIGTERM or the end of the terminal
"""

from __future__ import annotations

import codecs
import io
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import click

from consumer.faults import Fault
from schemas.codes import ErrorCode, Stage
from schemas.render import ErrorFacts

Handler = Callable[[int, FrameType | None], Any]
OK, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130

_STEERING = (
    *(code for code in range(0x20) if chr(code) not in "\n\t"),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
)
"""Controls (ISO/IEC 6429), and letters that turn the direction of those beside them (UAX #9)."""
_ESCAPES = {code: f"\\u{code:04x}" for code in _STEERING}

_NEVER_WORKS = frozenset(
    {
        ErrorCode.INVALID_REQUEST,
        ErrorCode.INPUT_NOT_FOUND,
        ErrorCode.INPUT_FORBIDDEN,
        ErrorCode.INPUT_TOO_LARGE,
        ErrorCode.INPUT_UNREADABLE,
        ErrorCode.MEDIA_LIMIT,
        ErrorCode.NO_VIDEO,
        ErrorCode.NO_AUDIO,
        ErrorCode.NO_FACE,
        ErrorCode.UNKNOWN_ENGINE,
    }
)


class CommandError(Fault):
    """A subcommand failed in a way that was foreseen; `main` prints it and ends the process."""

    def __str__(self) -> str:
        return self.error.message

    @classmethod
    def usage(cls, message: str, **detail: Any) -> CommandError:
        """An option or a setting that can never work; the message says what to do itself."""
        return cls.plain(ErrorCode.INVALID_REQUEST, Stage.ADMIT, message, **detail)


def exit_on_sigterm() -> None:
    """End with 0 when SIGTERM comes before a service listens for it: nothing was taken yet.

    At once, and not by SystemExit: imports run callbacks whose exceptions Python drops, and one
    start in thirty that was told to go within them went on for ever.
    """
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    os._exit(0)


@contextmanager
def exiting_on_sigterm() -> Iterator[None]:
    """The same, inside."""
    with _handling({signal.SIGTERM: _leave}):
        yield


@contextmanager
def loading() -> Iterator[None]:
    """Inside, code is loaded: Ctrl-C and its like end the process at once, with 130 and no word.

    There is nothing to tidy yet, and an exception in the midst of an import is printed from
    there, or dropped by one of its callbacks: the command went on as if nobody had asked.
    """
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in asked if signal.getsignal(number) is not signal.SIG_IGN]
    with _handling(dict.fromkeys(heard, lambda *_: os._exit(STOPPED))):
        yield


@contextmanager
def stoppable() -> Iterator[None]:
    """Have SIGTERM end the command as Ctrl-C does: by KeyboardInterrupt, through every `finally`.

    So does SIGHUP, of a terminal that is closed; where it is ignored, as by nohup, it stays so.
    A shell that starts a command in the background has SIGINT ignored; here it counts again, as
    all signals take one way, which is also asyncio's: it cancels the running task.
    """

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.raise_signal(signal.SIGINT)

    taken = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: stop}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        taken[signal.SIGHUP] = stop
    with _handling(taken):
        yield


@contextmanager
def _handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Inside, signals go to these; then to whom they went before."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn what a Kafka client raises into an error for people and scripts."""
    from aiokafka.errors import KafkaError

    from consumer.kafka.connecting import ClientFailed
    from consumer.kafka.connection_errors import told

    try:
        yield
    except (ClientFailed, KafkaError, TimeoutError) as error:
        raise CommandError.of(ErrorCode.BROKER_UNAVAILABLE, Stage.ANNOUNCE, told(error)) from error


@contextmanager
def embedded_errors() -> Iterator[None]:
    """Turn what the embedded servers and the service's start raise into an error to read."""
    from consumer.local.embedded import EmbeddedFailed, ExtraMissing, NoRoom

    try:
        yield
    except ExtraMissing as error:
        raise CommandError.usage(str(error)) from error
    except NoRoom as error:
        raise CommandError.plain(ErrorCode.SCRATCH_FULL, Stage.ADMIT, str(error)) from error
    except EmbeddedFailed as error:
        raise CommandError.of(ErrorCode.INTERNAL, Stage.ADMIT, str(error)) from error


def exit_code(code: ErrorCode) -> int:
    """2 when the input can never work, else 1."""
    return BAD_INPUT if code in _NEVER_WORKS else FAILED


def program() -> str:
    """This command as the reader's shell finds it, whatever the folders on the way are called."""
    if shutil.which("face2face"):
        return "face2face"
    return shlex.quote(str(Path(sys.executable).parent / "face2face"))


def shown(text: str) -> str:
    """A text in which nothing steers the terminal: names of files and of others hold what they do.

    Such letters come as JSON writes them, `\\u001b`, which leaves a line of JSON what it is.
    """
    return text.translate(_ESCAPES)


def emit(value: Any) -> None:
    """Write one JSON object as one line to stdout, at once."""
    tell(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str))  # and flushes


def tell(text: str) -> None:
    """Write a line of the result to stdout."""
    click.echo(shown(text))


def say(text: str = "") -> None:
    """Write a line for people to stderr."""
    click.echo(shown(text), err=True)


def show_error(error: ErrorFacts, as_json: bool) -> int:
    """Print an error on the stream where it belongs, behind the log; return the exit code."""
    _end_log()
    if as_json:
        keys = {"code", "stage", "message", "detail"}
        emit({"error": error.model_dump(mode="json", include=keys)})
    say(f"{error.code.value} ({error.stage.value}): {error.message}")
    return exit_code(error.code)


def _end_log() -> None:
    """Let lines of the log that another thread still writes come first: why it ended is last."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def allow_any_letter() -> None:
    """Write letters that the terminal's encoding lacks as JSON does, `\\u2192`: no answer is lost.

    Locales other than UTF-8 are rare and legal; an arrow must not end a command there.
    """

    def escape(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        return json.dumps(error.object[error.start : error.end])[1:-1], error.end

    codecs.register_error("face2face", escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="face2face")


def give_up_stdout() -> None:
    """Send to nowhere what is still kept for stdout: at its exit Python would try that again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)


def install_last_resort(as_json: bool) -> None:
    """Have a defect, too, end as one JSON object: `sys.excepthook` runs for what nobody caught."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _end_log()
        traceback.print_exception(kind, error, trace)
        if as_json:
            text = f"{kind.__name__}: {error}"
            show_error(CommandError.of(ErrorCode.INTERNAL, Stage.ADMIT, text).error, True)

    sys.excepthook = hook
