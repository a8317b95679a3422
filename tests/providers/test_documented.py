"""What the page on providers says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from providers.pricing import context_window
from providers.registry import BUILT_IN, WIRES, open_provider
from providers.settings import KEY_VARIABLES, ProviderSettings
from providers.types import ModelRef
from providers.vendors import VENDORS
from tests.support.calls import played, request
from tests.support.openai_server import OpenAIServer

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
EXAMPLES = re.findall(rf"`((?:{'|'.join(BUILT_IN)})/[a-z0-9/.-]+\d[a-z0-9.-]*)`", PAGE)


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"scripted"}))
def test_every_provider_stands_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", sorted(KEY_VARIABLES))
def test_every_key_and_address_stands_on_the_page(name: str) -> None:
    assert f"`{KEY_VARIABLES[name]}`" in PAGE
    vendor = VENDORS.get(name)
    if vendor is not None and vendor.base_url_variable:
        assert f"`{vendor.base_url_variable}`" in PAGE
    if vendor is not None and not vendor.needs_key:
        assert f"`{vendor.base_url}`" in PAGE


def test_every_wire_and_every_quirk_of_a_vendor_stands_on_the_page() -> None:
    quirks = {quirk.partition(":")[0] for vendor in VENDORS.values() for quirk in vendor.quirks}
    assert [word for word in (*WIRES, *quirks) if not re.search(rf"`{word}[`:]", PAGE)] == []


def test_the_models_that_the_page_names_are_in_the_price_table() -> None:
    assert len(EXAMPLES) >= 8
    assert [model for model in EXAMPLES if context_window(ModelRef.parse(model)) is None] == []


async def test_the_page_s_example_of_a_package_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "acme_cachet.py").write_text(blocks[0])
    info = tmp_path / "acme_cachet-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-cachet\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cachet.providers]\nacme = acme_cachet:connect\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with OpenAIServer(["fine"]) as server:
        environ = {"ACME_URL": server.base_url, "ACME_TOKEN": "sk-acme"}
        provider = open_provider("acme", {"acme": ProviderSettings()}, environ, tmp_path)
        assert (await played(provider, request("acme/m"))).text == "fine"
        await provider.aclose()
    assert server.requests[0].headers["authorization"] == "Bearer sk-acme"
