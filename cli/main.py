"""The command line: which command runs, with which arguments, and how its failure is told."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

from typer import Argument, Context, Exit, Option, Typer

from cli.failure import ExitCode, UsageProblem, complain, exit_code, explain
from cli.group import Agent
from cli.options import Json, Options, with_options
from cli.serve_command import serve_app

app = Typer(
    cls=Agent,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="[PROMPT] | COMMAND [ARGS]...",
    help="A coding agent for the terminal that counts every token, cached ones too.",
    epilog="A first word that is a command's name is the command; [b]agent -- stats[/b] sends a prompt.",
)
sessions_app = Typer(no_args_is_help=True, help="List, show, import and remove sessions.")
models_app = Typer(invoke_without_command=True, help="The models within reach; fetching the embedded one.")
app.add_typer(sessions_app, name="sessions", rich_help_panel="Sessions")
app.add_typer(models_app, name="models", rich_help_panel="Set-up")
doctor_app = Typer(invoke_without_command=True, help="Look for what is in the way; try a prompt cache.")
app.add_typer(doctor_app, name="doctor", rich_help_panel="Set-up")
app.add_typer(serve_app, name="serve", rich_help_panel="Set-up")


@dataclass(frozen=True, slots=True)
class Program:
    """What every command may know of the program that runs it."""

    version: str


WHICH_SESSION = "Id, its unique beginning, title, or a file's path."
SessionWord = Annotated[str, Argument(metavar="SESSION", help=WHICH_SESSION)]
MaybeSession = Annotated[str | None, Argument(metavar="SESSION", help=WHICH_SESSION)]
Prompt = Annotated[str | None, Argument(metavar="PROMPT", help="Sent first.")]


def run(version: str) -> NoReturn:
    """Run the command line on `sys.argv` and exit with one of `failure.ExitCode`.

    An error is one line on stderr; `--debug`, anywhere before `--`, shows its traceback too.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a model's words may have no form in its encoding
    words, debug = _without_debug(sys.argv[1:])
    sys.exit(execute(words, version=version, debug=debug))


def execute(words: list[str], *, version: str, debug: bool = False) -> int:
    """Run one command line in this process; the exit code."""
    from typer._click.exceptions import ClickException

    try:
        # `agent` alone has nothing to parse, and building the parser is a fourth of the time to the prompt.
        outcome = (
            app(args=words, prog_name="agent", standalone_mode=False, obj=Program(version))
            if words
            else _open_chat()
        )
    except ClickException as error:
        # Pydantic, by which typer reads values, says so of an error that another raised.
        said = error.format_message().rstrip(".").replace(": Value error, ", ": ")
        complain(f"{said}. Try: agent --help")
        return ExitCode.USAGE
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            import traceback

            traceback.print_exc()
        complain(explain(error))
        return exit_code(error)
    return outcome if isinstance(outcome, int) else ExitCode.DONE


def _open_chat() -> int:
    from cli.launch import launch

    return launch(Options(), None, session=None, fork=False, environ=os.environ)


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return [*kept, *words[end:]], len(kept) < end


def _print_version(ctx: Context, value: bool) -> None:
    if value:
        print(f"cachet {ctx.find_root().obj.version}")
        raise Exit


@app.callback()
@with_options
def chat(
    ctx: Context,
    *,
    options: Options,
    continue_: Annotated[
        bool, Option("--continue", "-c", metavar="", help="Go on with this folder's last session.")
    ] = False,
    debug: Annotated[bool, Option("--debug", metavar="", help="Show an error's traceback.")] = False,
    version: Annotated[
        bool,
        Option(
            "--version", "-V", metavar="", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> int | None:
    """A coding agent for the terminal that counts every token, cached ones too."""
    if ctx.invoked_subcommand is not None:
        return None
    from cli.launch import launch

    session = _latest_here(options.cwd) if continue_ else None
    prompt = ctx.args[0] if ctx.args else None
    return launch(options, prompt, session=session, fork=False, environ=os.environ)


def _latest_here(folder: Path | None) -> Path:
    from cli.which import Which

    return Which.of(os.environ).latest_here(folder)


@app.command(rich_help_panel="Sessions")
@with_options
def resume(
    ctx: Context,
    session: MaybeSession = None,
    prompt: Prompt = None,
    *,
    options: Options,
    last: Annotated[bool, Option("--last", metavar="", help="The session used last, in any folder.")] = False,
    fork: Annotated[
        bool, Option("--fork", metavar="", help="Go on in a copy; the session stays as it is.")
    ] = False,
    dry_run: Annotated[
        bool,
        Option("--dry-run", metavar="", help="Only say what is still cached, and what going on will cost."),
    ] = False,
    as_json: Json = False,
) -> int | None:
    """Go on with a session, exactly where it was: a picker when none is named."""
    from cli.launch import launch
    from cli.which import Which

    words = [word for word in (session, prompt) if word is not None]
    which = Which.of(os.environ)
    path = which.last() if last else which.named(words.pop(0)) if words else which.picked()
    if len(words) > 1:
        raise UsageProblem("--last takes the place of SESSION. Leave one of them out.")
    if path is None:
        return ExitCode.DONE
    if dry_run:
        from cli.cache import show

        show(path, options.cwd, os.environ, as_json=as_json)
        return ExitCode.DONE
    if as_json:
        raise UsageProblem("--json goes with --dry-run here. For a prompt's result: -p --output-format json")
    return launch(options, words[0] if words else None, session=path, fork=fork, environ=os.environ)


class By(StrEnum):
    """What statistics are grouped by."""

    SESSION = "session"
    DAY = "day"
    MODEL = "model"
    PROVIDER = "provider"
    PROJECT = "project"
    PURPOSE = "purpose"
    CAUSE = "cause"


Since = Annotated[str | None, Option(metavar="DATE", help="From this day on: 2026-11-22, or 7d for a week.")]
Until = Annotated[str | None, Option(metavar="DATE", help="Up to and including this day.")]


@app.command(rich_help_panel="Sessions")
def stats(
    ctx: Context,
    by: Annotated[By, Option(help="One row for each.")] = By.SESSION,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
    verify: Annotated[
        bool,
        Option("--verify", metavar="", help="Work out every booked call anew; exit with 1 if one disagrees."),
    ] = False,
) -> int | None:
    """Tokens, cache hit rate and cost of everything so far."""
    if verify:
        from cli.verify import verify as audit

        if (source := ctx.get_parameter_source("by")) and source.name == "COMMANDLINE":
            raise UsageProblem("--verify checks every call by itself, and --by groups them. Leave out one.")
        return audit(since=since, until=until, as_json=as_json)
    from cli.stats import show

    show(by.value, since=since, until=until, as_json=as_json)
    return None


@app.command(rich_help_panel="Sessions")
def checkpoints(session: MaybeSession = None, as_json: Json = False) -> None:
    """A session's checkpoints: the last session of this folder when none is named."""
    from cli.checkpoints import show

    show(session, as_json=as_json)


@app.command(rich_help_panel="Sessions")
def rewind(
    session: SessionWord,
    number: Annotated[
        int | None, Argument(metavar="N", help="The checkpoint; the one before the last turn if left out.")
    ] = None,
    files: Annotated[bool, Option("--files", metavar="", help="Only the files.")] = False,
    conversation: Annotated[
        bool, Option("--conversation", metavar="", help="Only the conversation.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", metavar="", help="Show what would change, and change nothing.")
    ] = False,
) -> None:
    """Bring files and conversation back to a checkpoint. What was billed stays booked."""
    from cli.checkpoints import rewind_to

    rewind_to(session, number, files=files, conversation=conversation, dry_run=dry_run)


@app.command(rich_help_panel="Sessions")
def diff(
    session: SessionWord,
    first: Annotated[int, Argument(metavar="N", help="A checkpoint's number.")],
    second: Annotated[
        int | None, Argument(metavar="M", help="Another one; the files as they are now if left out.")
    ] = None,
) -> None:
    """What changed in the files since a checkpoint, or between two."""
    from cli.checkpoints import show_diff

    show_diff(session, first, second)


@sessions_app.command("list")
def sessions_list(
    everywhere: Annotated[
        bool, Option("--all", "-a", metavar="", help="Of every folder, not only this one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """This folder's sessions, the last one first."""
    from cli.sessions import show_list

    show_list(everywhere=everywhere, as_json=as_json)


@sessions_app.command("show")
def sessions_show(session: SessionWord, as_json: Json = False) -> None:
    """One session: its conversation and what it was billed."""
    from cli.sessions import show_one

    show_one(session, as_json=as_json)


@sessions_app.command("import")
def sessions_import(
    path: Annotated[Path, Argument(metavar="PATH", help="A session file, older or another agent's.")],
    as_json: Json = False,
) -> None:
    """Make sessions of ours from a file; the file itself is never written."""
    from cli.sessions import import_file

    import_file(path, as_json=as_json)


@sessions_app.command("rm")
def sessions_remove(
    session: SessionWord,
    yes: Annotated[bool, Option("--yes", "-y", metavar="", help="Don't ask.")] = False,
) -> None:
    """Remove a session with its checkpoints. Its calls leave the statistics too."""
    from cli.sessions import remove

    remove(session, yes=yes)


@models_app.callback()
def models(ctx: Context, as_json: Json = False) -> None:
    """The models within reach: those of your keys, of a running Ollama, and the embedded one."""
    if ctx.invoked_subcommand is None:
        from cli.models import show

        show(as_json=as_json)


@models_app.command("pull")
def models_pull(
    model: Annotated[str, Argument(metavar="MODEL", help="local/smollm2, or ollama/NAME.")],
) -> None:
    """Fetch a model that runs on this machine."""
    from cli.models import pull

    pull(model)


@doctor_app.callback()
def doctor(ctx: Context, as_json: Json = False) -> int | None:
    """Look at everything Cachet needs, and say what is in the way. It sends no prompt and costs nothing."""
    if ctx.invoked_subcommand is not None:
        return None
    from cli.doctor import show

    return show(ctx.find_root().obj.version, as_json=as_json)


@doctor_app.command("cache")
def doctor_cache(
    ctx: Context,
    model: Annotated[
        str | None, Option("--model", "-m", metavar="PROVIDER/MODEL", help="The default model if left out.")
    ] = None,
    yes: Annotated[bool, Option("--yes", "-y", metavar="", help="Don't ask before it costs money.")] = False,
    as_json: Json = False,
) -> int:
    """Send a request twice, and a longer one: does the endpoint cache, and what does it report?"""
    from cli.doctor_cache import diagnose

    before = ctx.parent is not None and ctx.parent.params["as_json"]  # agent doctor --json cache
    return diagnose(model, yes=yes, as_json=as_json or before)


@app.command(rich_help_panel="Set-up")
def config(as_json: Json = False) -> None:
    """Where the configuration lies, and what it comes to; keys are masked."""
    from cli.config_view import show

    show(as_json=as_json)


@app.command(rich_help_panel="Set-up")
def demo() -> int:
    """The main job in a minute, in a scratch project: no key, no network, nothing of yours touched."""
    from cli.demo import demo as play

    return play()
