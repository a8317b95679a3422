"""`agent demo`: the main job from end to end in a scratch project, played by a scripted model and checked."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text

from agent.permissions import Mode
from checkpoint.types import Snapshot
from cli import demo_script as script
from cli import figures
from cli.compose import compose
from cli.config import Config
from cli.failure import ExitCode
from cli.footer import footer, text
from cli.options import Options
from cli.paint import Painter
from cli.place import Place
from cli.screen import Screen
from cli.stats import print_statistics
from cli.vitals import vitals
from providers.errors import CachetError
from providers.scripted import ScriptedProvider
from providers.types import ModelRef
from sessions import begin
from sessions.session import Session
from sessions.setup import Setup
from sessions.stats import collect, summarise

WIDTH = 80
"""Cells, where there is no terminal to ask."""


class DemoFailed(CachetError):
    """Something did not come out as the demo says it does."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The scratch folder, which stays, and the screen."""

    scratch: Path
    screen: Screen
    width: int

    @property
    def project(self) -> Path:
        return self.scratch / "project"

    @property
    def home(self) -> Path:
        return self.scratch / "cachet-home"

    def write_script(self, *, rewound: bool) -> None:
        (self.scratch / script.MODEL).write_text(script.script(rewound=rewound))

    def tests_pass(self) -> bool:
        """Run the project's tests, not through the agent."""
        command = [sys.executable, *script.TEST.split()[1:]]
        return subprocess.run(command, cwd=self.project, capture_output=True, check=False).returncode == 0

    def heading(self, words: str) -> None:
        self.screen.print(Text(f"── {words} ".ljust(self.width, "─"), "bold cyan"))

    def say(self, words: str) -> None:
        self.screen.print(Text(words))

    def show(self, words: str) -> None:
        """Words that are never wrapped, such as a path to copy."""
        _print(f"\n{words}\n")

    def must(self, so: bool, what: str) -> None:
        """Raise DemoFailed unless it is so."""
        if not so:
            raise DemoFailed(f"The demo went wrong: {what}. What there is lies in {self.scratch}")


def demo() -> int:
    """Play the demo; the exit code. Raises DemoFailed when something is not as it is told."""
    stage = set_up(Path(tempfile.mkdtemp(prefix="cachet-demo-")), os.environ)
    asyncio.run(_play(stage))
    return ExitCode.DONE


def set_up(scratch: Path, environ: Mapping[str, str]) -> Stage:
    """Lay out the project and the script in an empty folder."""
    on_screen = sys.stdout.isatty()
    width = min(os.get_terminal_size().columns, 100) if on_screen else WIDTH
    painter = Painter(lambda: width, environ if on_screen else {"TERM": "dumb"})
    stage = Stage(scratch.resolve(), Screen(painter, _print), width)
    for name, content in script.PROJECT.items():
        file = stage.project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    stage.write_script(rewound=False)
    return stage


def _print(ansi: str) -> None:
    sys.stdout.write(ansi)
    sys.stdout.flush()


def _setup(stage: Stage) -> Setup:
    """A session's setup as for any project; only the model is played, and priced at the script's rates."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    place = Place(stage.home, stage.project, {**os.environ, "PATH": path})
    setup = compose(place, Options(permission_mode=Mode.AUTO), Config())
    rates = {str(_model()): script.RATES}
    return replace(setup, providers=lambda name, _="": ScriptedProvider(name, stage.scratch), rates=rates)


def _model() -> ModelRef:
    return ModelRef("scripted", script.MODEL)


async def _play(stage: Stage) -> None:
    _introduce(stage)
    setup = _setup(stage)
    session = await begin.start(setup, _model())
    try:
        await _fix(stage, session)
        await _clean_up_and_rewind(stage, session)
        before = session.usage
    finally:
        await session.close()
    await _resume(stage, setup, session)
    _add_up(stage, before=before.total_tokens)
    _bow(stage, session)


def _introduce(stage: Stage) -> None:
    stage.heading("Cachet's demo")
    stage.say(
        "The model here is a script: what it says, and how many tokens it says it used, was written down "
        "beforehand, and is priced at $3/$15 per million tokens. All else is real: the tools, the files, the "
        "checkpoints, the journal, the sums."
    )
    stage.show(f"Project  {stage.project}\nState    {stage.home} (yours stays as it is)")
    stage.must(not stage.tests_pass(), "the scratch project's test should fail at first")


async def _fix(stage: Stage, session: Session) -> None:
    stage.heading("1 · A failing test")
    await _turn(stage, session, script.FIX_IT)
    stage.must(stage.tests_pass(), "the tests should pass after the fix")
    stage.must(script.RIGHT in (stage.project / script.FIXED_FILE).read_text(), "the file should be fixed")
    stage.heading("2 · The checkpoint it left")
    snapshot = session.checkpoints()[-1]
    _show_checkpoint(stage, session, snapshot)


def _show_checkpoint(stage: Stage, session: Session, snapshot: Snapshot) -> None:
    """Show the checkpoint's file, and check it against the session's own count."""
    tokens = json.loads(snapshot.path.read_text())["token_snapshot"]
    shown = {name: tokens[name] for name in ("input", "output", "cache_read", "cache_write")}
    stage.show(f'{snapshot.path}\n"token_snapshot": {json.dumps(shown)}')
    usage = session.usage
    billed = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
    }
    stage.must(shown == billed, "the checkpoint should hold what was billed")


async def _clean_up_and_rewind(stage: Stage, session: Session) -> None:
    stage.heading("3 · A turn too far")
    await _turn(stage, session, script.CLEAN_UP)
    stage.must(not (stage.project / script.TESTS).exists(), "the shell should have removed the tests")
    stage.heading("4 · Rewind")
    plan = await session.preview_rewind(1)
    if plan.files_off:
        stage.say(f"Files are not kept here: {plan.files_off}. Only the conversation goes back.")
    stage.screen.diff(plan.patch)
    before = session.usage
    rewound = await session.rewind(1, files=not plan.files_off)
    stage.say(
        f"Back at checkpoint 1: {figures.plural(len(rewound.changed), 'file')} brought back that a shell "
        "command had deleted, and the conversation ends where it did. Nothing billed is refunded."
    )
    stage.must(bool(plan.files_off) or stage.tests_pass(), "the tests should be back, and pass")
    stage.must(session.usage == before, "a rewind should refund nothing")


async def _resume(stage: Stage, setup: Setup, old: Session) -> None:
    stage.heading("5 · Resume, as a new process would")
    stage.say(f"agent resume {old.id}")
    stage.write_script(rewound=True)
    session = await begin.resume(setup, old.path)
    try:
        stage.must(session.state.messages == old.state.messages, "the conversation should be the same")
        stage.must(session.prefix == old.prefix, "the prefix should be the same, or the cache would miss")
        stage.must(session.usage == old.usage, "the totals should be the same")
        await _turn(stage, session, script.LOOK_BACK)
    finally:
        await session.close()


def _add_up(stage: Stage, *, before: int) -> None:
    stage.heading("6 · What it cost: agent stats --by model")
    table = summarise(collect(stage.home), "model")
    _print("\n")
    print_statistics(table, stage.home)
    stage.must(table.total.usage.total_tokens > before, "the statistics should count all turns")
    stage.must(table.total.cost is not None, "every call should have a price")


def _bow(stage: Stage, session: Session) -> None:
    stage.heading("That was all of it")
    stage.say("Everything stays there for you to look at; delete the folder whenever you like.")
    stage.show(f"Journal   {session.path}\nSessions  CACHET_HOME={stage.home} agent sessions list --all")
    stage.say(
        "Next:\n"
        "  agent                        the chat, in a project of yours\n"
        "  agent models                 which models are within reach\n"
        '  agent -p "explain this"      one answer, without a terminal\n'
        "  agent --help                 everything else"
    )


async def _turn(stage: Stage, session: Session, prompt: str) -> None:
    """One prompt, shown as the chat shows it, with the footer as it stands after it."""
    stage.screen.prompt(prompt)
    async with aclosing(session.turn(prompt)) as events:
        async for event in events:
            stage.screen.show(event)
    window = await session.context_window()
    values = vitals(session, window=window, now=time.time())
    stage.screen.note(text(footer(values, stage.width)))
