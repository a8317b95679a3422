"""Keys reach no child process, no model and no journal; ordinary text passes unchanged."""

from __future__ import annotations

import asyncio
import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.secrets import MASK, PIECE, Redactor, child_environment

PLAIN = Redactor.of({})
PEM_LINES = [base64.b64encode(bytes(range(n, n + 48))).decode() for n in (0, 50, 100)]


@pytest.mark.parametrize(
    "name",
    [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "OPENROUTER_API_KEY",
        "XAI_API_KEY",
    ],
)
def test_a_provider_key_stays_out_of_child_processes(name: str) -> None:
    assert child_environment({name: "k" * 20, "PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_named_key_goes_through() -> None:
    environ = {"OPENAI_API_KEY": "a", "GROQ_API_KEY": "b"}
    assert child_environment(environ, pass_env=("OPENAI_API_KEY",)) == {"OPENAI_API_KEY": "a"}


def test_the_rest_of_the_environment_goes_through() -> None:
    environ = {
        "HOME": "/h",
        "AWS_ACCESS_KEY_ID": "x",
        "GITHUB_TOKEN": "y",
        "ANTHROPIC_BASE_URL": "z",
        "GPG_KEY": "w",
    }
    assert child_environment(environ) == environ


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-" + "aB3_" * 20,
        "sk-proj-" + "x1Y2" * 12,
        "sk-" + "0123456789abcdef" * 2,
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "11ABCDEFG0" * 5,
        "AKIA" + "IOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefghij",
        "AIza" + "Sy1234567890abcdefghijklmnopqrstuvw",
        "gsk_" + "a1" * 20,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3.SflKxwRJSMeKKF2QT4",
    ],
)
def test_a_secret_is_known_by_its_form(secret: str) -> None:
    assert PLAIN.redact(f'key = "{secret}"\nnext') == f'key = "{MASK}"\nnext'


def test_a_bearer_token_is_masked() -> None:
    assert PLAIN.redact("Authorization: Bearer abcdef0123456789abcdef") == f"Authorization: Bearer {MASK}"


@pytest.mark.parametrize("joint", ["\n", "\\n", "\n12\t"])
@pytest.mark.parametrize("ended", [True, False])
def test_a_private_key_is_masked_whole(joint: str, ended: bool) -> None:
    lines = [
        "-----BEGIN RSA PRIVATE KEY-----",
        *PEM_LINES,
        *(["-----END RSA PRIVATE KEY-----"] if ended else []),
    ]
    masked = PLAIN.redact("before\n" + joint.join(lines) + "\nafter it")
    assert masked == f"before\n{MASK}\nafter it"


def test_code_that_only_mentions_a_private_key_stays() -> None:
    text = 'if "-----BEGIN PRIVATE KEY-----" in text:\n    raise ValueError("no keys, please")\n' * 3
    assert PLAIN.redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "commit 3fb4ba2c9d1e8f7a6b5c4d3e2f1a0b9c8d7e6f5a",
        "sha256:" + "ab12" * 16,
        str(uuid.UUID(int=2**100)),
        "class sk-folding-cube-container-with-long-name",
        "task-runner risk-assessment-0123456789abcdefghij",
        "the bearer of this letter may pass unharmed",
        "Authorization: Bearer <your-token-goes-here>",
        "AKIA is a prefix",
    ],
)
def test_hashes_uuids_and_prose_stay(text: str) -> None:
    assert PLAIN.redact(text) == text


def test_the_exact_value_of_a_key_is_masked_wherever_it_stands() -> None:
    redactor = Redactor.of(
        {"MISTRAL_API_KEY": "plainlooking", "DB_PASSWORD": "correct-horse-battery"}, extra=("configured-key",)
    )
    assert redactor.redact("xplainlookingx correct-horse-battery configured-key") == f"x{MASK}x {MASK} {MASK}"


def test_a_short_or_wordy_value_garbles_nothing() -> None:
    redactor = Redactor.of(
        {"OPENAI_API_KEY": "test", "APP_SECRET": "development", "GH_TOKEN": ""}, extra=("", "none")
    )
    assert redactor.redact("test development none") == "test development none"


def test_the_longer_of_two_overlapping_values_goes_first() -> None:
    redactor = Redactor.of({}, extra=("abcdefgh", "abcdefgh-more"))
    assert redactor.redact("abcdefgh-more") == MASK


@given(st.text(alphabet="sk-antghp_ AKIBearerxo0123456789\n=+/", max_size=200))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert PLAIN.redact(PLAIN.redact(text)) == PLAIN.redact(text)


BEGIN, RUN = "-----BEGIN PRIVATE KEY-----", "A" * 16


@pytest.mark.parametrize(
    "text",
    [
        f"{BEGIN}\n{RUN}" + "\n" * 200_000 + "x",
        f"{BEGIN}\n{RUN}" + "\n+1\t1\t" * 100_000 + "x",
        f"x: {BEGIN}\n" * 30_000 + "!",
        f"{BEGIN}\nx: y\n" * 30_000 + "!",
    ],
    ids=["gap", "odd gap", "begins in headers", "begins between headers"],
)
def test_no_text_takes_for_ever(text: str) -> None:
    """A pattern that can be read in more than one way takes hours for each of these."""
    masked = PLAIN.redact(text)
    assert masked == text.replace(f"{BEGIN}\n{RUN}", MASK)


def test_a_short_last_line_and_headers_are_part_of_the_key() -> None:
    headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0F-1\n"
    for last in ("A" * 5, "+A1", "12", ""):
        key = f"{BEGIN}\n{headers}\n{PEM_LINES[0]}\n{last}\n-----END PRIVATE KEY-----"
        assert PLAIN.redact(f"a {key} b") == f"a {MASK} b"


VALUE = "correct;horse battery"
SECRETS = (
    "sk-proj-" + "x1Y2" * 12,
    "Bearer abcdef0123456789abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    VALUE,
    "configured-key",
)
KEY = "\n".join((BEGIN, *PEM_LINES, "AB==", "-----END PRIVATE KEY-----"))
KEY_PARTS = (
    KEY,
    f"{KEY}x{KEY}",
    BEGIN,
    *PEM_LINES,
    "-----END PRIVATE KEY-----",
    "Proc-Type: 4,ENCRYPTED\n",
    "1\t",
    "\\n",
    "AB==",
)
SMALL = st.lists(
    st.sampled_from((*SECRETS, *KEY_PARTS, "\n", "\n", ";", ",", " ", "{", '"', "x", "-", "a: ")), max_size=60
)


@given(SMALL, st.integers(1, 60))
def test_a_text_that_is_masked_in_pieces_is_masked_the_same(parts: list[str], size: int) -> None:
    """With pieces as small as may be: each place where one ends stands for many in a long text."""
    text = "".join(parts)
    for redactor in (PLAIN, Redactor.of({"DB_PASSWORD": "correct-horse-battery"}, (VALUE, "configured-key"))):
        assert asyncio.run(redactor.redact_aside(text, size)) == redactor.redact(text)


def test_a_key_that_begins_where_another_ends_is_in_one_piece_too() -> None:
    text = f"{'word ' * 9}\n{KEY}x{KEY}\nend"
    for size in range(1, len(text)):
        assert asyncio.run(PLAIN.redact_aside(text, size)) == f"{'word ' * 9}\n{MASK}x{MASK}\nend"


async def test_others_go_on_while_a_long_text_is_masked() -> None:
    masking = asyncio.ensure_future(PLAIN.redact_aside("nothing to see here\n" * 20 * (PIECE // 20)))
    turns = 0
    while not masking.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 2 * 20
