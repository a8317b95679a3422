"""The real program on Bedrock: AWS's own variables, and everything booked as it was billed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bedrock_server import MODEL, BedrockServer, text, tool_use
from tests.support.program import program_in

pytestmark = pytest.mark.slow


def test_a_turn_on_bedrock_is_booked_as_it_was_billed_and_audited(tmp_path: Path) -> None:
    answers = [(text("Looking."), tool_use("tooluse_1", "glob", {"pattern": "*"})), (text("Nothing there."),)]
    with BedrockServer(answers) as server:
        agent = program_in(
            tmp_path,
            AWS_ENDPOINT_URL_BEDROCK_RUNTIME=server.url,
            AWS_ACCESS_KEY_ID="AKIDEXAMPLE",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_REGION="us-east-1",
            AWS_EC2_METADATA_DISABLED="true",
        )
        ran = agent.ask("What is here?", "-m", f"bedrock/{MODEL}")
        audit = agent("stats", "--verify")
    assert ran.code == 0, ran.err
    first, second = server.billed
    usage = ran.json["usage"]
    assert ran.json["result"] == "Nothing there."
    assert usage["cache_write_tokens"] == first["cacheWriteInputTokens"] + second["cacheWriteInputTokens"]
    assert usage["cache_read_tokens"] == second["cacheReadInputTokens"] == first["cacheWriteInputTokens"]
    assert usage["output_tokens"] == first["outputTokens"] + second["outputTokens"]
    assert usage["cache_reported"] is True
    assert ran.json["cost_usd"] > 0
    assert audit.code == 0, audit.out


def test_without_credentials_one_line_says_how_to_get_some(tmp_path: Path) -> None:
    with BedrockServer([]) as server:
        agent = program_in(
            tmp_path,
            AWS_ENDPOINT_URL_BEDROCK_RUNTIME=server.url,
            AWS_REGION="us-east-1",
            AWS_EC2_METADATA_DISABLED="true",
        )
        ran = agent.ask("hi", "-m", f"bedrock/{MODEL}")
    assert ran.code == 2
    assert "aws configure" in ran.complaint
