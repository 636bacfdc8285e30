"""The command `face2face`. Each subcommand is imported only when it is called.

`face2face run` must join its consumer group within a second and a half, so nothing here may import
torch, numpy, av, rich or the servers of the demo.
"""

from __future__ import annotations

import errno
import io
import sys
from difflib import get_close_matches
from importlib import import_module

import click

from consumer.faults import Fault
from consumer.local.console import (
    BAD_INPUT,
    FAILED,
    STOPPED,
    CommandError,
    allow_any_letter,
    give_up_stdout,
    install_last_resort,
    say,
    show_error,
)
from schemas.codes import ErrorCode, Stage

_COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run:run", "Run the service: take requests from Kafka until SIGTERM."),
    "gateway": ("gateway:gateway", "Serve the HTTP bridge: jobs, the old call, and a page."),
    "submit": ("submit:submit", "Upload speech and a reference, send a request, fetch the MP4."),
    "render": ("render:render", "Render one MP4 from local files, without Kafka and S3."),
    "inspect": ("inspect:inspect", "Draw a contact sheet of an MP4 and print its quality figures."),
    "evaluate": ("evaluate:evaluate", "Measure an MP4 from files alone, and draw a report."),
    "detect": ("detect:detect", "Say which labels a file carries, and which job made it."),
    "engines": ("engines:engines", "List the engines of this machine."),
    "weights": ("weights:weights", "Pull or verify model files."),
    "demo": ("demo:demo", "Show the main job end to end on an embedded broker and store."),
    "dev": ("dev:dev", "Start broker, store, service and gateway to play with."),
    "topics": ("topics:topics", "Make the topics of deploy/topics.yaml."),
    "lifecycle": (
        "lifecycle:lifecycle",
        "Apply, show or check the bucket's expiry rules, or sweep.",
    ),
    "replay": ("replay:replay", "Send requests or dead letters of the past once more."),
    "doctor": ("doctor:doctor", "Say what this machine has, what is missing and what to do."),
}
"""Name → (module:function in consumer.commands, one line of help)."""


_SPEAK_FOR_THEMSELVES = ("run", "gateway", "doctor")
"""Commands that say in their logs, or among what they found, which names set nothing."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed without import."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the story."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command; None for an unknown name."""
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(f"consumer.commands.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the name that may be meant where there is none of this one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], _COMMANDS, 1)
            if not near:
                raise
            text = f"{error.message} Is {near[0]!r} meant?"
            raise click.UsageError(text, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="face2face", prog_name="face2face")
@click.pass_context
def cli(context: click.Context) -> None:
    """Speech and a reference video of a face in, a lip-synced MP4 and one Kafka outcome out.

    Exit codes: 0 done; 1 failed; 2 the input, an option or a setting can never work; 130 stopped.
    Every command takes --json: results on stdout as JSON, everything for people on stderr.
    """
    from consumer.local.file_limit import provide_open_files
    from consumer.settings.names import unknown_names

    provide_open_files()
    if context.invoked_subcommand not in _SPEAK_FOR_THEMSELVES:
        for line in unknown_names():
            say(f"warning: {line}")


def main() -> None:
    """Entry point of the console script: one place where errors become output and exit codes."""
    as_json = "--json" in sys.argv[1:]
    allow_any_letter()
    install_last_resort(as_json)
    sys.exit(_run(as_json))


def _run(as_json: bool) -> int:
    from consumer.settings import SettingsError

    try:
        code = cli.main(prog_name="face2face", standalone_mode=False)
    except click.UsageError as error:
        return _usage(error, as_json)
    except click.ClickException as error:
        error.show()
        return FAILED
    except Fault as error:
        return show_error(error.error, as_json)
    except SettingsError as error:
        facts = CommandError.usage(f"settings that cannot work:\n{error}").error
        return show_error(facts, as_json)
    except (click.Abort, KeyboardInterrupt):
        return STOPPED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _full(error, as_json)
    return code if isinstance(code, int) else 0


def _full(error: OSError, as_json: bool) -> int:
    """A disk without room; without a file's name it is the one that stdout goes to."""
    if not error.filename:
        give_up_stdout()
    where = repr(error.filename) if error.filename else "the output"
    full = CommandError.of(
        ErrorCode.SCRATCH_FULL, Stage.STORE, f"no room for {where}: {error.strerror}"
    )
    return show_error(full.error, as_json and bool(error.filename))


def _usage(error: click.UsageError, as_json: bool) -> int:
    if as_json:
        return show_error(CommandError.usage(error.format_message()).error, as_json)
    text = io.StringIO()
    error.show(text)  # with what was typed
    say(text.getvalue().rstrip("\n"))
    return BAD_INPUT


if __name__ == "__main__":
    main()
