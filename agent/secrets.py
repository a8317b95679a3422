"""Keeps secrets out of child processes, out of what is sent to a model and out of the journal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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

PRIVATE_KEY = (
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:\\[nr]|[\s\"'+,>|]|\d+\t|[A-Za-z-]+: [^\n]*\n)*[A-Za-z0-9+/=]{16,})+"
    r"(?:(?:\\[nr]|[\s\"'+,>|]|\d+\t)*[A-Za-z0-9+/=]{0,15}"
    r"(?:\\[nr]|[\s\"'+,>|]|\d+\t)*-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"
)
"""The whole block, also where lines are numbered, newlines are escaped or the end is missing."""

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

    @classmethod
    def of(cls, environ: Mapping[str, str], extra: Iterable[str] = ()) -> Redactor:
        """Masks the values of secret variables, the `extra` values, and what has a secret's form."""
        values = {value.strip() for value in extra if len(value.strip()) >= SHORTEST_PROVIDER_KEY}
        values |= {value for name, value in environ.items() if _is_secret(name, value)}
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        exact = re.compile("|".join(re.escape(value) for value in longest_first)) if values else None
        return cls(exact, re.compile(f"{PRIVATE_KEY}|(?<![A-Za-z0-9_-])(?:{'|'.join(SHAPES)})"))

    def redact(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(MASK, text)
        text = self._shapes.sub(MASK, text)
        return re.sub(BEARER, f"Bearer {MASK}", text)


def _is_secret(name: str, value: str) -> bool:
    if is_provider_key(name):
        return len(value) >= SHORTEST_PROVIDER_KEY
    named = re.fullmatch(SECRET_VARIABLE, name, re.IGNORECASE) is not None
    return named and len(value) >= SHORTEST_SECRET and not re.search(r"\s", value)
