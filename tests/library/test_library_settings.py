"""Settings, lists and files from Python, where they meet the disk, the keyring and the network."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

import llmtools
from llmtools.errors import NoKeyError, UnavailableError
from llmtools.providers import keychain
from support.server import Server

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMTOOLS_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("LLMTOOLS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LLMTOOLS_MODEL", raising=False)
    return tmp_path / "config.toml"


def test_settings_are_those_of_the_commands(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert llmtools.get_default_model() is None, "there is no file yet"
    llmtools.set_default_model("echo")
    llmtools.set_alias("first", "echo")
    llmtools.set_alias("second", "first")
    assert settings.read_text() == 'default_model = "echo"\n\n[aliases]\nfirst = "echo"\nsecond = "echo"\n'
    assert llmtools.get_model().prompt("hi").text() == "hi"
    llmtools.set_default_model(None)
    assert llmtools.get_default_model(default="x") == "x"
    monkeypatch.setenv("LLMTOOLS_MODEL", "echo")
    assert llmtools.get_default_model() == "echo"
    assert llmtools.user_dir() == settings.parent


def test_a_key_by_the_name_under_which_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keychain, "key_names", lambda: ["mine"])
    monkeypatch.setattr(keychain, "get_key", lambda name: (f"key of {name}", "a keyring"))
    monkeypatch.setenv("MY_KEY", "of the environment")
    assert llmtools.get_key(input="mine") == llmtools.get_key(None, "mine", "MY_KEY") == "key of mine"
    assert llmtools.get_key(alias="other", env="MY_KEY") == "of the environment"
    assert llmtools.get_key(input="sk-1", alias="mine") == "sk-1"
    assert llmtools.get_key() is None

    def locked(name: str) -> None:
        raise keychain.KeyringError("the keyring is locked")

    monkeypatch.setattr(keychain, "get_key", locked)
    with pytest.raises(NoKeyError, match="locked"):
        llmtools.get_key(alias="mine")


def test_a_list_that_fails_is_a_warning(settings: Path) -> None:
    settings.write_text('[providers.away]\nbase_url = "http://127.0.0.1:9/v1"\n')
    with pytest.warns(UserWarning, match="away: "):
        models = llmtools.get_models()
    assert "echo" in [model.model_id for model in models]
    with pytest.warns(UserWarning, match="away: "):
        assert all(isinstance(model, llmtools.AsyncModel) for model in llmtools.get_async_models())


def test_the_file_at_a_url() -> None:
    page = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 8\r\n\r\n" + PNG
    with Server([page], [page], [page]) as server:
        url = llmtools.Attachment(url=f"{server.origin}/a")
        assert (url.content_bytes(), url.base64_content(), url.resolve_type()) == (PNG, "iVBORw0KGgo=", "image/png")
        assert (url.content, url.path, url.type) == (None, None, None)
    with pytest.raises(UnavailableError):
        url.content_bytes()


def test_a_file_and_what_becomes_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    file = llmtools.Attachment(path=tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    assert (file.path, file.content, file.content_bytes()) == (str(tmp_path / "a.png"), None, PNG)
    assert str(tmp_path) not in str(llmtools.user("hi", file).to_dict()), "a path is not sent"
    assert repr(file) == f"<Attachment type='image/png' path={file.path!r} content=8 bytes>"
    reference = llmtools.Attachment.from_dict({"path": "/none", "sha256": hashlib.sha256(PNG).hexdigest()})
    assert (reference.path, reference.content) == ("/none", None)


def test_a_dict_that_may_be_awaited() -> None:
    async def run() -> None:
        response = llmtools.get_async_model("echo").prompt("hi")
        first = await response.to_dict()
        again = response.to_dict()
        assert first == again == await again and again["model"] == "echo"

    asyncio.run(run())
