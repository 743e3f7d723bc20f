from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mkgan_core.errors import StorageError
from mkgan_core.machine.storage import Store, content_key


@pytest.fixture(scope="module")
def s3_options():
    """A real S3 protocol over HTTP: moto's server on a free loopback port."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    names = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    import s3fs

    s3fs.S3FileSystem().mkdir("mkgan-test")
    yield
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture(params=["file", "path", "memory", "s3"])
def store(request, tmp_path: Path) -> Store:
    if request.param == "s3":
        request.getfixturevalue("s3_options")
        return Store(f"s3://mkgan-test/{request.node.name.replace('[', '-').strip(']')}")
    places = {"file": tmp_path.as_uri(), "path": str(tmp_path), "memory": f"memory://{tmp_path.name}"}
    return Store(places[request.param])


def test_round_trip(store: Store) -> None:
    assert store.list("a") == []
    assert not store.exists("a/b.json")
    uri = store.write_json("a/b.json", {"x": 1})
    assert "://" in uri
    assert store.exists("a/b.json")
    assert store.exists(uri)
    assert Store(uri.rsplit("/", 1)[0]).read_json("b.json") == {"x": 1}
    assert store.read_json("a/b.json") == {"x": 1}
    store.write("a/b.json", b"{}")
    assert store.read(uri) == b"{}"
    assert store.list("a") == ["b.json"]
    store.check_writable()
    assert store.list("a") == ["b.json"]


def test_a_missing_file_is_named(store: Store) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        store.read("nowhere.png")


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        store.write("deep/file.bin", b"half")
    assert store.list("deep") == []


def test_concurrent_writers_leave_one_whole_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    contents = [bytes([i]) * 200_000 for i in range(8)]
    threads = [threading.Thread(target=store.write, args=("file.bin", data)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("file.bin") in contents
    assert store.list("") == ["file.bin"]


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="--store"):
        Store(str(tmp_path / "file")).check_writable()


def test_an_unknown_protocol() -> None:
    with pytest.raises(StorageError, match="nosuch"):
        Store("nosuch://place")


def test_keys_depend_on_content_only() -> None:
    assert content_key({"a": 1, "b": [1.5, None]}) == content_key({"b": [1.5, None], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})


@pytest.mark.parametrize("root", ["/", "file:///", "memory://"])
def test_the_root_of_a_file_system_is_a_place_like_others(root: str) -> None:
    store = Store(root)
    assert Store(store.uri).uri == store.uri
    assert Store(store.uri_of("tmp")).uri == store.uri_of("tmp")
    assert store.path(store.uri_of("a/b")).lstrip("/") == "a/b"
