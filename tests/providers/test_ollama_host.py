"""`OLLAMA_HOST` as people write it."""

from __future__ import annotations

import pytest

from providers.errors import ConfigurationError
from providers.ollama_host import host_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("  ", "http://127.0.0.1:11434"),
        ("box", "http://box:11434"),
        ("box:8080", "http://box:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        ("[::]", "http://[::1]:11434"),
        ('"box:8080"', "http://box:8080"),
    ],
)
def test_a_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert host_url(host) == url


@pytest.mark.parametrize("host", ["box:many", "ftp://box", "http://[::1", "box:99999"])
def test_what_is_no_address_is_refused_by_name(host: str) -> None:
    with pytest.raises(ConfigurationError, match="OLLAMA_HOST"):
        host_url(host)
