"""What a key has used: `/v1/usage` for people and dashboards, `/metrics` for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from providers.types import Usage
from server.answers import Budget, KeyTotals, KeyUsage
from server.errors import bad_request
from server.keys import ClientKey
from server.ledger import Row, Sum
from server.parameters import SINCE, UNTIL
from server.purse import period_start
from server.service import Service
from server.turns import client
from server.usage import totals_of


class Accounts:
    """Tells each key what it has used, and nothing of the others."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/v1/usage", self.usage, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def usage(self, request: Request) -> Response:
        """The key's totals, and a line for each model and day, from `since` to `until`."""
        key = client(request)
        since, until = SINCE.read(request), UNTIL.read(request)
        if since is not None and until is not None and since > until:
            raise bad_request(f"since: {since} is after until, {until}.", "since")
        rows = [
            row
            for row in self._service.ledger.rows(key.id)
            if (since is None or row.day >= since) and (until is None or row.day <= until)
        ]
        whole = Sum()
        for row in rows:
            whole.merge(row.sum)
        used: KeyUsage = {
            "object": "usage",
            "key": key.name,
            "budget": self._budget(key),
            "total": _totals(whole),
            "data": [{"model": row.model, "day": row.day.isoformat(), **_totals(row.sum)} for row in rows],
        }
        return JSONResponse(used)

    async def metrics(self, request: Request) -> Response:
        """The same as Prometheus' text."""
        key = client(request)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Metrics(key, self._service))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_1_0_0)

    def _budget(self, key: ClientKey) -> Budget | None:
        if key.budget_usd is None:
            return None
        start = period_start(key.budget_period, time.time())
        spent = self._service.ledger.spent(key.id, start)
        return {"usd": key.budget_usd, "period": key.budget_period, "spent_usd": spent}


class _Metrics(Collector):
    """One key's metrics, read when Prometheus asks."""

    def __init__(self, key: ClientKey, service: Service) -> None:
        self._key = key
        self._service = service

    def collect(self) -> Iterator[Metric]:
        tokens = CounterMetricFamily(
            "cachet_tokens", "Tokens billed; the kinds are disjoint.", labels=("key", "model", "kind")
        )
        cost = CounterMetricFamily(
            "cachet_cost_usd", "US dollars of the calls with a known price.", labels=("key", "model")
        )
        calls = CounterMetricFamily("cachet_model_calls", "Model calls.", labels=("key", "model"))
        for model, total in _by_model(self._service.ledger.rows(self._key.id)).items():
            for kind, count in _kinds(total.usage).items():
                tokens.add_metric((self._key.name, model, kind), count)
            cost.add_metric((self._key.name, model), total.cost)
            calls.add_metric((self._key.name, model), total.calls)
        runs = GaugeMetricFamily("cachet_runs", "Runs under way.", labels=("key",))
        runs.add_metric((self._key.name,), self._service.at_work(self._key.id))
        yield from (tokens, cost, calls, runs)


def _by_model(rows: tuple[Row, ...]) -> dict[str, Sum]:
    found: dict[str, Sum] = {}
    for row in rows:
        found.setdefault(row.model, Sum()).merge(row.sum)
    return found


def _kinds(usage: Usage) -> dict[str, int]:
    return {
        "input": usage.input_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "output": usage.output_tokens,
    }


def _totals(total: Sum) -> KeyTotals:
    return {**totals_of(total.usage, total.cost, total.unknown_calls), "model_calls": total.calls}
