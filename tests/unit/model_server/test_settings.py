"""A mistake in the model server's file must be named before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aigo_model_server.main import main
from aigo_model_server.settings import SettingsError, load

GOOD: dict[str, Any] = {
    "model": "/var/lib/aigo/models/a.gguf",
    "name": "a",
    "address": "192.0.2.1",
    "port": 8090,
    "certificate": "/c.pem",
    "key": "/k.pem",
    "api_key": "/a",
    "context": 4096,
    "parallel": 2,
    "threads": 1,
    "prompt_cache_mb": 0,
    "drain_seconds": 10,
}


def written(path: Path, **changes: Any) -> Path:
    values = {**GOOD, **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    settings = load(written(tmp_path / "model.json"))
    assert (settings.model, settings.context) == (Path("/var/lib/aigo/models/a.gguf"), 4096)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contxt": 1}, "unknown key 'contxt'"),
        ({"port": None}, "the key 'port' is missing"),
        ({"port": "8090"}, "port is '8090'; it must be of the type int"),
        ({"threads": True}, "threads is True"),
        ({"name": 5}, "name is 5; it must be of the type str"),
        ({"context": 0}, "context is 0; give a number from 1"),
        ({"parallel": 257}, "parallel is 257"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(written(tmp_path / "model.json", **changes))


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=str(path)):
        load(path)


def test_the_check_validates_without_loading_a_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "model.json")
    assert main(["--config", str(path), "--check"]) == 0
    written(path, port=0)
    assert main(["--config", str(path), "--check"]) == 2
    assert "port is 0" in caplog.text
