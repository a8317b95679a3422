"""Adds to what the loop tells what only the ledger knows: what a call missed, what a summary costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.events import CacheMissed, CallFinished, Compacted
from providers.pricing import Rates
from sessions.bill import cost_of
from sessions.outlook import Outlook
from sessions.records import CallLine


def missed(event: CallFinished, calls: Sequence[CallLine]) -> CacheMissed | None:
    """What to tell of a call that read less from the cache than it could have; `calls` is the ledger."""
    line = next((call for call in reversed(calls) if call.id == event.report.id), None)
    if line is None or line.miss is None:
        return None
    miss = line.miss
    return CacheMissed(miss.cause, miss.detail, miss.tokens, miss.cost)


def priced(
    event: Compacted, calls: Sequence[CallLine], next_call: Outlook, rates: Mapping[str, Rates]
) -> Compacted:
    """The event with US dollars. The first price that is asked for takes a moment.

    `next_call` is what the next call would find; of the messages that the summary left it finds nothing.
    """
    made = cost_of(call for call in calls if call.id in event.calls)
    anew = replace(next_call, prompt=event.anew, held=0)
    return replace(event, cost=made.exact, anew_cost=anew.cost(rates, time.time()))
