"""The requests by which `agent doctor cache` tries an endpoint's prompt cache."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Literal

from agent.prompt import SYSTEM
from agent.tools.toolbox import Toolbox
from providers.call import new_id
from providers.pricing import Quote
from providers.types import Message, ModelRef, Parameters, Prefix, Request, Text

TOKENS = 5_000
"""What a request should hold: above 4,096, the highest minimum that a provider is known to ask for."""
FEWER = 1_000
"""What is enough where a cache keeps every token, as llama.cpp's does; reading a prompt takes long there."""
EVERY_TOKEN = frozenset({"local", "ollama"})
"""The wires of such servers."""
CHARACTERS = 4
"""To a token, roughly; more in some languages and tokenizers."""
ROOM = 0.7
"""The share of a small context window that a request may fill."""
ANSWER = 32
"""Tokens that an answer may have."""
REQUESTS = 3
MARGIN = 1.5
"""What our count of the tokens may be too low by; the embedded model's is a third higher."""
MILLION = 1_000_000

ASK = "That was only filler. Use no tool. Answer with one word: ready"
GO_ON = "Thank you. Once more, without any tool, one word: ready"

FILLER = (
    "A prompt cache keeps what the model made of the beginning of a prompt, so that the next request which "
    "begins with the very same bytes need not have it read again. It is worth most where a long beginning "
    "stays as it is while a short end grows, as in a conversation with an agent that works through the files "
    "of a project. Whatever changes near the front, a clock or a path or the order of two tools, makes all "
    "that follows it new, and new words are paid in full.\n\n"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One conversation that was never sent before: a random line stands wherever a wire may begin."""

    prefix: Prefix
    prompt: Message
    tokens: int
    """Roughly what a request holds."""

    @classmethod
    def fresh(
        cls, model: ModelRef, encoder: str, *, window: int | None, ttl: Literal["5m", "1h"] = "5m"
    ) -> Probe:
        """A probe for a model whose context window has so many tokens, as far as that is known."""
        tag = f"Probe {secrets.token_hex(8)}.\n"
        first, *others = Toolbox.standard().specs
        prefix = Prefix(
            model=model,
            system=tag + SYSTEM,
            tools=(replace(first, description=tag + first.description), *others),
            parameters=Parameters(max_output_tokens=ANSWER, cache_ttl=ttl),
            encoder=encoder,
            affinity_key=f"doctor-{secrets.token_hex(8)}",
        )
        wanted = FEWER if encoder.partition("/")[0] in EVERY_TOKEN else TOKENS
        tokens = wanted if window is None else min(wanted, int(window * ROOM))
        room = max(tokens * CHARACTERS - _length(prefix), 0)
        filler = (FILLER * (room // len(FILLER) + 1))[:room]
        prompt = Message(new_id("msg"), "user", (Text(f"{filler}\n\n{ASK}"),))
        return cls(prefix, prompt, (_length(prefix) + room) // CHARACTERS)

    def first(self) -> Request:
        return Request(prefix=self.prefix, messages=(self.prompt,))

    def again(self) -> Request:
        """The same request, as the one that follows it."""
        return Request(prefix=self.prefix, messages=(self.prompt,), previous_end=self.prompt.id)

    def longer(self, answer: str) -> Request:
        """What follows in a conversation: the answer that came, and one more message."""
        said = Message(new_id("msg"), "assistant", (Text(answer if answer.strip() else "ready"),))
        more = Message(new_id("msg"), "user", (Text(GO_ON),))
        return Request(prefix=self.prefix, messages=(self.prompt, said, more), previous_end=self.prompt.id)

    def most(self, quote: Quote | None) -> float | None:
        """US dollars that all requests cost if nothing is read from a cache; None where no price is known."""
        if quote is None:
            return None
        rates = quote.rates
        long = self.prefix.parameters.cache_ttl == "1h"
        written = (rates.cache_write_1h if long else None) or rates.cache_write or rates.input
        prompts = REQUESTS * self.tokens * MARGIN * max(rates.input, written)
        return (prompts + REQUESTS * ANSWER * rates.output) / MILLION


def _length(prefix: Prefix) -> int:
    """Characters of what stands before the conversation."""
    tools = (len(tool.name) + len(tool.description) + len(tool.parameters) for tool in prefix.tools)
    return len(prefix.system) + sum(tools)
