"""Decides whether a tool call may run, asking the person where the policy says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from agent.harmless import one_line
from agent.host import Verdict
from agent.permissions import Allowed, Denied, Policy, Rule
from agent.rules import RuleBook
from agent.tools.contract import Intent
from providers.types import ToolCall
from sessions.chronicle import Chronicle
from sessions.setup import Setup


@dataclass(slots=True)
class Gate:
    """The policy in force, which "always" widens: in the journal, and for later sessions of the project."""

    setup: Setup
    policy: Policy
    chronicle: Chronicle

    async def permit(self, call: ToolCall, intent: Intent, *, task: str = "") -> Verdict:
        """The answer for one call; `task` is what the sub-agent that made it works on."""
        decision = self.policy.decide(call, intent)
        if isinstance(decision, Allowed):
            return Verdict(True)
        if isinstance(decision, Denied):
            return Verdict(False, decision.reason)
        if task:
            decision = replace(decision, reason=f"{decision.reason}, for the task “{one_line(task)}”")
        answer = await self.setup.ask(decision)
        if not answer.allow:
            said = f" They said: {answer.feedback}" if answer.feedback else ""
            return Verdict(False, f"Permission to {intent.summary} was refused.{said}")
        if answer.remember and decision.rule is not None:
            await self._grant(decision.rule)
        return Verdict(True)

    async def _grant(self, rule: Rule) -> None:
        self.policy = self.policy.with_rule(rule)
        book = RuleBook(self.setup.home)
        await asyncio.to_thread(book.grant, self.setup.workspace.root, rule)
        await self.chronicle.note("rule", str(rule), {"tool": rule.tool, "words": list(rule.words)})
