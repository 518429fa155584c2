"""How the site's own model servers are described to the application."""

from __future__ import annotations

from ansible_collections.aigo.onprem.plugins.filter.local_models import local_models


def test_each_model_host_becomes_an_endpoint_under_a_name_that_the_application_takes() -> None:
    assert local_models([{"name": "GPU.1", "address": "192.0.2.30"}, {"name": "b", "address": "2001:db8::1"}]) == [
        {"name": "local-gpu-1", "kind": "openai", "base_url": "https://192.0.2.30:8090/v1", "model": "local"},
        {"name": "local-b", "kind": "openai", "base_url": "https://[2001:db8::1]:8090/v1", "model": "local"},
    ]
