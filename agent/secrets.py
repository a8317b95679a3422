"""Keeps secrets out of child processes, out of what is sent to a model and out of the journal."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import coroutine

from providers.settings import KEY_VARIABLES

MASK = "[secret]"

VENDORS = (
    "ANTHROPIC|CLAUDE|OPENAI|AZURE_OPENAI|GEMINI|GOOGLE|GOOGLE_GENAI|GROQ|XAI|DEEPSEEK|MISTRAL|CODESTRAL|OPENROUTER|"
    "TOGETHER|TOGETHERAI|FIREWORKS|FIREWORKS_AI|CEREBRAS|COHERE|PERPLEXITY|PERPLEXITYAI|MOONSHOT|KIMI|ZAI|ZHIPUAI|"
    "DASHSCOPE|QWEN|MINIMAX|NVIDIA|NVIDIA_NIM|SAMBANOVA|HYPERBOLIC|DEEPINFRA|NOVITA|AI21|REPLICATE|HUGGINGFACE|"
    "LITELLM|OLLAMA|VENICE|CACHET"
)
PROVIDER_VARIABLE = rf"(?:{VENDORS})_(?:\w+_)?(?:KEY|TOKEN|SECRET)|AWS_BEARER_TOKEN_BEDROCK"
"""Names of variables that hold a model provider's credentials."""

SECRET_VARIABLE = r"(?:\w+_)?(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY)"
"""Names of variables that hold anybody's credentials."""

SHORTEST_PROVIDER_KEY = 8
SHORTEST_SECRET = 16
"""Characters. A shorter value may be a common word, and masking it would garble files."""

_BETWEEN = r"\\[nr]|[\s\"'+,>|]|\d+\t"
_HEADER = r"[A-Za-z-]+: (?:[^\n-]|-(?!----BEGIN ))*\n"
KEY_BEGINS = "-----BEGIN "
_BEGIN = rf"{KEY_BEGINS}(?:[A-Z0-9]+ ){{0,3}}PRIVATE KEY(?: BLOCK)?-----"
PRIVATE_KEY = (
    rf"{_BEGIN}(?:(?:{_BETWEEN}|{_HEADER})*[A-Za-z0-9+/=]{{16,}})+"
    rf"(?:(?:{_BETWEEN})*(?:(?!\d+\t)[A-Za-z0-9/=][A-Za-z0-9+/=]{{0,14}}(?:{_BETWEEN})*)?"
    r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"
)
"""The whole block, also where lines are numbered, newlines are escaped or the end is missing.

Whoever writes the text must not be able to make this slow: what stands between two lines can be read in one
way only, and no header goes on beyond the begin of another key.
"""

SHAPES = (
    r"sk-(?:ant|proj|svcacct|admin|or-v1|lf)-[A-Za-z0-9_-]{16,}",
    r"sk-(?=[a-zA-Z]*[0-9])[A-Za-z0-9]{20,}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"xapp-\d-[A-Za-z0-9-]{10,}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"gsk_[A-Za-z0-9]{20,}",
    r"xai-[A-Za-z0-9]{20,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{40,}",
    r"[sr]k_live_[A-Za-z0-9]{16,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
)
"""Tokens whose form alone tells that they are secret. Hashes and UUIDs have none of these forms."""

BEARER = r"(?i:\bbearer) +(?=[A-Za-z._~+/-]{0,200}[0-9])[A-Za-z0-9._~+/-]{20,}=*"


PIECE = 32_768
"""Characters that are masked at a time where others wait: 2 ms."""
_CUTS = '\n;,{}()"'
"""No secret but a whole private key goes on beyond one of these, or looks there; values may."""


def child_environment(environ: Mapping[str, str], *, pass_env: Iterable[str] = ()) -> dict[str, str]:
    """The person's environment for child processes, without any provider's credentials.

    `pass_env` names variables that go through all the same. AWS's own variables go through: they are no model
    provider's alone, and tools need them.
    """
    passed = frozenset(pass_env)
    return {name: value for name, value in environ.items() if name in passed or not is_provider_key(name)}


def is_provider_key(name: str) -> bool:
    return name in KEY_VARIABLES.values() or re.fullmatch(PROVIDER_VARIABLE, name, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces secrets by `[secret]`; the same text in gives the same text out."""

    _values: re.Pattern[str] | None
    _shapes: re.Pattern[str]
    _key: re.Pattern[str]
    _bearer: re.Pattern[str]
    _cut: re.Pattern[str] | None
    """Where a text may be cut so that no value is; None where any place may be within one."""

    @classmethod
    def of(cls, environ: Mapping[str, str], extra: Iterable[str] = ()) -> Redactor:
        """Masks the values of secret variables, the `extra` values, and what has a secret's form."""
        values = {value.strip() for value in extra if len(value.strip()) >= SHORTEST_PROVIDER_KEY}
        values |= {value for name, value in environ.items() if _is_secret(name, value)}
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        exact = re.compile("|".join(re.escape(value) for value in longest_first)) if values else None
        shapes = re.compile(f"{PRIVATE_KEY}|(?<![A-Za-z0-9_-])(?:{'|'.join(SHAPES)})")
        cuts = "".join(cut for cut in _CUTS if not any(cut in value for value in values))
        cut = re.compile(f"[{re.escape(cuts)}]") if cuts else None
        return cls(exact, shapes, re.compile(PRIVATE_KEY), re.compile(BEARER), cut)

    def redact(self, text: str) -> str:
        for secret, mask in self._steps():
            text = secret.sub(mask, text)
        return text

    async def redact_aside(self, text: str, piece: int = PIECE) -> str:
        """The same, a piece at a time: whatever else the event loop has to do is not held up meanwhile.

        `piece` is the characters of one. One with a private key in it, or no place to cut, may be longer.
        """
        for secret, mask in self._steps():
            masked = []
            for part in self._pieces(text, piece):
                masked.append(secret.sub(mask, part))
                await _others()
            text = "".join(masked)
        return text

    def _steps(self) -> Iterator[tuple[re.Pattern[str], str]]:
        """What is replaced, one after the other, and by what."""
        if self._values is not None:
            yield self._values, MASK
        yield self._shapes, MASK
        yield self._bearer, f"Bearer {MASK}"

    def _pieces(self, text: str, piece: int) -> Iterator[str]:
        """The text in pieces, so that each secret is in one of them."""
        start = 0
        while start < len(text):
            end, looked = self._place(text, start + piece), start
            while (reach := self._reach(text, looked, end)) > end:
                end, looked = self._place(text, reach), end
            yield text[start:end]
            start = end

    def _place(self, text: str, least: int) -> int:
        """Where to cut: behind the first place from there on that may be; at the end if there is none."""
        found = self._cut.search(text, least) if self._cut is not None else None
        return len(text) if found is None else found.end()

    def _reach(self, text: str, start: int, end: int) -> int:
        """Where the last private key ends that begins in there; `start` where none does."""
        reach = start
        while (begin := text.find(KEY_BEGINS, max(start, reach), end)) >= 0:
            key = self._key.match(text, begin)
            reach = key.end() if key is not None else begin + len(KEY_BEGINS)
        return reach


@coroutine
def _others() -> Generator[None]:
    """Let the event loop do what else there is: `asyncio.sleep(0)`, whose import the tools do without."""
    yield


def _is_secret(name: str, value: str) -> bool:
    if is_provider_key(name):
        return len(value) >= SHORTEST_PROVIDER_KEY
    named = re.fullmatch(SECRET_VARIABLE, name, re.IGNORECASE) is not None
    return named and len(value) >= SHORTEST_SECRET and not re.search(r"\s", value)
