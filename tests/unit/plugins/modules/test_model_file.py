"""A model file is verified before it is used, read once, and never overwritten while a server has it open."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.aigo.onprem.plugins.module_utils import _model_file
from ansible_collections.aigo.onprem.plugins.modules import model_file


def gguf(path: Path, content: bytes = b"weights") -> tuple[Path, str]:
    path.write_bytes(b"GGUF" + content)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the module in process on a directory of its own; returns its result."""
    monkeypatch.setattr("os.chown", lambda *_: None)

    def execute(check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"directory": str(tmp_path / "models"), **options, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            model_file.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return execute


def test_an_absent_file_is_asked_for_and_installed(run: Any, tmp_path: Path) -> None:
    source, digest = gguf(tmp_path / "small model.gguf")
    asked = run(src=str(source), sha256=digest)
    assert (asked["changed"], asked["upload"]) == (True, True)
    done = run(src=str(source), sha256=digest, uploaded=str(source))
    installed = Path(done["path"])
    assert (done["changed"], done["upload"], done["size_mb"]) == (True, False, 1)
    assert installed.name == f"small_model-{digest[:12]}.gguf"
    assert installed.stat().st_mode & 0o777 == 0o644
    again = run(src=str(source), sha256=digest)
    assert (again["changed"], again["upload"]) == (False, False)


def test_a_verified_file_is_not_read_again_until_it_is_touched(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest = gguf(tmp_path / "a.gguf")
    run(path=str(path), sha256=digest)
    reads: list[Path] = []

    def counted(read: Path) -> str:
        reads.append(read)
        return hashlib.sha256(read.read_bytes()).hexdigest()

    monkeypatch.setattr(_model_file, "file_digest", counted)
    assert run(path=str(path), sha256=digest)["changed"] is False
    assert reads == []
    path.write_bytes(b"GGUFother")
    assert "has the SHA-256" in run(path=str(path), sha256=digest)["msg"]
    assert reads == [path]


def test_a_damaged_copy_is_brought_again(run: Any, tmp_path: Path) -> None:
    source, digest = gguf(tmp_path / "a.gguf")
    installed = Path(run(src=str(source), sha256=digest, uploaded=str(source))["path"])
    installed.write_bytes(b"GGUFdamaged")
    assert run(src=str(source), sha256=digest)["upload"] is True


def test_the_file_before_stays_and_older_ones_go(run: Any, tmp_path: Path) -> None:
    kept = []
    for number in range(3):
        source, digest = gguf(tmp_path / f"m{number}.gguf", bytes([number]))
        done = run(src=str(source), sha256=digest, uploaded=str(source))
        kept.append(done["path"])
    assert done["removed"] == [kept[0]]
    assert sorted(str(path) for path in (tmp_path / "models").glob("*.gguf")) == sorted(kept[1:])


def test_check_mode_writes_nothing(run: Any, tmp_path: Path) -> None:
    source, digest = gguf(tmp_path / "a.gguf")
    assert run(check=True, src=str(source), sha256=digest)["changed"] is True
    assert run(check=True, path=str(source), sha256=digest)["changed"] is False
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sha256": "abc"}, "sha256 is 'abc': give the 64 hexadecimal digits"),
        ({"sha256": "0" * 64}, "correct the digest"),
        ({"sha256": "0" * 64, "path": "/nonexistent.gguf"}, "/nonexistent.gguf can't be read"),
    ],
)
def test_a_mistake_is_named_with_its_mend(run: Any, tmp_path: Path, options: dict[str, str], message: str) -> None:
    path, _unused = gguf(tmp_path / "a.gguf")
    result = run(**{"path": str(path), **options})
    assert result["failed"] is True
    assert message in result["msg"]


def test_a_file_that_is_no_model_is_refused(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    digest = hashlib.sha256(b"hello").hexdigest()
    assert "no GGUF file" in run(path=str(path), sha256=digest)["msg"]


def test_an_upload_of_the_wrong_content_is_not_installed(run: Any, tmp_path: Path) -> None:
    source, _unused = gguf(tmp_path / "a.gguf")
    result = run(src=str(source), sha256="1" * 64, uploaded=str(source))
    assert result["failed"] is True
    assert not list((tmp_path / "models").glob("*.gguf"))
