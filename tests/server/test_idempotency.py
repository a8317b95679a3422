"""Which of two requests with one idempotency key came first, when the first one does not get far."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.errors import ApiError
from server.idempotency import Claims
from server.shelf import Shelf
from tests.support.asgi import PATIENCE


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(Shelf(tmp_path))


async def test_a_client_that_leaves_while_it_is_looked_up_keeps_nobody_waiting(claims: Claims) -> None:
    first = asyncio.create_task(claims.earlier("key_1", "once", "digest"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(PATIENCE):
        assert await claims.earlier("key_1", "once", "digest") is None


async def test_who_waited_for_a_first_request_that_never_began_may_ask_again(claims: Claims) -> None:
    assert await claims.earlier("key_1", "once", "digest") is None
    second = asyncio.create_task(claims.earlier("key_1", "once", "digest"))
    await asyncio.sleep(0)
    claims.release("key_1", "once")
    with pytest.raises(ApiError) as caught:
        await second
    assert (caught.value.status, caught.value.retry_after) == (409, 1)
    assert await claims.earlier("key_1", "once", "digest") is None


async def test_each_client_has_idempotency_keys_of_its_own(claims: Claims) -> None:
    assert await claims.earlier("key_1", "once", "digest") is None
    assert await claims.earlier("key_2", "once", "another") is None


async def test_another_request_under_the_same_key_is_refused_while_the_first_is_at_work(
    claims: Claims,
) -> None:
    assert await claims.earlier("key_1", "once", "digest") is None
    with pytest.raises(ApiError) as caught:
        await claims.earlier("key_1", "once", "another")
    assert (caught.value.status, caught.value.code) == (422, "idempotency_key_reused")
