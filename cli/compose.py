"""Builds a session's setup from the command line and the configuration: where a terminal's parts meet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.permissions import Mode, Policy, Rule
from agent.rules import RuleBook
from agent.tools.toolbox import Toolbox
from agent.workspace import Workspace
from cli.config import Config
from cli.failure import UsageProblem
from cli.options import Options
from cli.place import Place
from providers.types import Parameters
from sessions.setup import Limits, Setup


def compose(place: Place, options: Options, config: Config) -> Setup:
    """The setup of a session in `place`. Nobody can be asked yet: a front end with a person replaces `ask`.

    Raises UsageProblem for options that name nothing.
    """
    workspace = Workspace.at(place.project, *(_folder(path) for path in options.add_dir or ()))
    toolbox = Toolbox.standard()
    allow = config.allow_tools | frozenset(options.allow_tool or ())
    deny = config.deny_tools | frozenset(options.deny_tool or ())
    known = tuple(spec.name for spec in toolbox.specs)
    for text in sorted(allow | deny):
        _check_rule(text, known)
    policy = Policy(
        mode=options.permission_mode or config.permission_mode or Mode.ASK,
        workspace=workspace,
        rules=RuleBook(place.home).load(workspace.root),
        allow=allow,
        deny=deny,
        home=place.home,
    )
    return Setup(
        home=place.home,
        workspace=workspace,
        providers=lambda name, encoder="": place.provider(name, config, encoder),
        toolbox=toolbox,
        policy=policy,
        environ=_without(place.environ, config.key_variables.difference(config.pass_env)),
        pass_env=config.pass_env,
        secrets=config.secrets,
        rates=config.prices,
        parameters=_parameters(options, config),
        keep_warm=options.keep_warm or config.keep_warm is True,
        auto_compact=config.auto_compact is not False,
        limits=Limits(
            max_cost=options.max_cost,
            max_turns=options.max_turns,
            allow_unknown_cost=options.allow_unknown_cost,
            max_missed_tokens=options.max_missed_tokens,
            min_hit_rate=options.min_hit_rate,
        ),
    )


def _without(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    """The environment without keys that the configuration read from it: no child process needs them."""
    return {name: value for name, value in environ.items() if name not in names}


def _folder(path: Path) -> Path:
    folder = path.expanduser()
    if not folder.is_dir():
        raise UsageProblem(f"There is no folder {folder}. --add-dir wants one that exists.")
    return folder


def _check_rule(text: str, known: tuple[str, ...]) -> None:
    try:
        rule = Rule.parse(text)
    except ValueError as error:
        raise UsageProblem(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    if rule.tool not in known:
        raise UsageProblem(f"No tool named '{rule.tool}'. The tools are: {', '.join(known)}")


def _parameters(options: Options, config: Config) -> Parameters:
    effort = options.effort or config.effort
    return Parameters(
        effort=effort.level if effort else None,
        cache_ttl=options.cache_ttl.value if options.cache_ttl else config.cache_ttl or "auto",
    )
