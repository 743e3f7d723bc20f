"""What is secret in a URL is masked, remembered here and in child processes, and sent nowhere else."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkgan_core.errors import StorageError
from mkgan_core.machine import secrets
from mkgan_core.machine.secrets import hide, is_masked, mask, reveal
from mkgan_core.machine.storage import Store


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secrets.MEMORY, "")
    monkeypatch.setattr(secrets, "_own", {})


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("http://alice:secretpw@h:1/x?sig=abc", "http://***@h:1/x?sig=***"),
        ("https://ghp_token@h/x", "https://***@h/x"),
        ("http://alice:p@ss@h/x", "http://***@h/x"),
        ("http://alice:pa/ss@h/x", "http://***@h/x"),
        ("http://alice:p?s#s@h/x", "http://***@h/x"),
        ("ftp://alice:pw@[::1]:21/x", "ftp://***@[::1]:21/x"),
        ("https://h/c/im.png?sv=1&sig=ab%2Fc%3D&e", "https://h/c/im.png?sv=***&sig=***&***"),
        ("simplecache::http://a:b::c@h/x?t=1", "simplecache::http://***@h/x?t=***"),
        ("zip://im.png::https://u:p@h/x.zip", "zip://im.png::https://***@h/x.zip"),
        ("S3://key:secret@bucket/x", "S3://***@bucket/x"),
        ("az://c/x?sp=r&sig=abc", "az://c/x?sp=***&sig=***"),
    ],
)
def test_masked_and_opened(url: str, masked: str) -> None:
    assert hide(url) == hide(masked) == hide(hide(url)) == masked
    assert reveal(masked) == url
    assert is_masked(masked)
    assert not is_masked(reveal(masked))
    assert not mask(f"cannot read {url}: 404").count(url)


@pytest.mark.parametrize(
    "place",
    [
        "data/set",
        "/data/a@b:c/x?sig=1",
        "file:///data/a@b/what?sig=1.png",
        "memory://x/a?b=c",
        "s3://bucket/DIV2KRK v2/",
        "abfs://container@account.dfs.core.windows.net/x",
        "sftp://login@host/x",
        "http://h:8080/a@b:c/x",
        "http://[::1]:8080/a@b",
        "C:\\data\\set",
        "C://data",
        "\\\\server\\share",
        "sample",
        "",
        "://",
        "http://",
        "http://@h/?=&",
        "::",
        "a\0b",
        "\udcff",
    ],
)
def test_nothing_secret_stays_as_it_is(place: str) -> None:
    assert hide(place) == reveal(place) == place
    assert not os.environ[secrets.MEMORY]


def test_files_below_a_masked_folder() -> None:
    root = hide("http://alice:secretpw@h:1/set")
    assert reveal(f"{root}/gt/im_1.png") == "http://alice:secretpw@h:1/set/gt/im_1.png"
    root = hide("http://h/set?sig=a/b")
    assert reveal(f"{root}/gt/im_1.png") == "http://h/set?sig=a/b/gt/im_1.png"
    assert hide(reveal(f"{root}/gt/im_1.png")) == f"{root}/gt/im_1.png"


def test_different_secrets_stay_apart() -> None:
    urls = [f"http://alice:pw{n}@h/x?sig=s{n % 2}" for n in range(5)]
    masked = [hide(url) for url in urls]
    assert len(set(masked)) == 5
    assert [reveal(shown) for shown in masked] == urls
    assert hide("http://bob:pw@other/x") == "http://***@other/x"


def test_a_mask_means_nothing_elsewhere() -> None:
    """A stranger's file cannot have a password sent to his host, nor in the clear."""
    hide("https://alice:secretpw@h/x?sig=abc")
    for url in ("https://***@evil/x", "http://***@h/x", "https://evil/x?sig=***", "https://***@h:81/x"):
        assert reveal(url) == url


def test_nobody_knows() -> None:
    with pytest.raises(StorageError, match=r"http://\*\*\*@h/x"):
        Store("http://***@h/x")


def test_texts_are_masked_in_every_form() -> None:
    hide("http://alice:s%40cret%2Fpw@h:1/x?sig=abcdefgh%3D&n=1&download=true")
    for form in (
        "alice:s%40cret%2Fpw@h",
        "s@cret/pw",
        "s%40cret%2Fpw",
        "YWxpY2U6c0BjcmV0L3B3",
        "abcdefgh%3D",
        "abcdefgh=",
    ):
        assert form not in mask(f"before {form} after")
    assert mask("1 image, download is true") == "1 image, download is true"
    assert mask("GET ftp://eve:pw@h/x, http://h/?X-Amz-Signature=ab&n=2 x") == (
        "GET ftp://***@h/x, http://h/?X-Amz-Signature=***&n=2 x"
    )
    assert mask("no file /here/ftp:/eve:pw@h/x") == "no file /here/ftp:/***@h/x"
    assert mask("user a@b.c at 10:30, see http://h:80/x") == "user a@b.c at 10:30, see http://h:80/x"


@given(st.text() | st.from_regex(r"[a-z]{1,5}://[^x]{0,20}@?[^x]{0,20}"))
def test_any_text_comes_back(text: str) -> None:
    """Odd strings raise nothing; what is hidden can be revealed, unless somebody calls himself ***."""
    shown = hide(text)
    if "***" not in text:
        assert reveal(shown) == text
    mask(text)
    os.environ[secrets.MEMORY] = ""


@pytest.mark.parametrize("garbage", ["{", "[]", "null", '{"a": 1}', "\udcff"])
def test_a_damaged_memory_is_none(monkeypatch: pytest.MonkeyPatch, garbage: str) -> None:
    monkeypatch.setenv(secrets.MEMORY, garbage)
    assert reveal("http://***@h/x") == "http://***@h/x"
    assert mask("text") == "text"
    assert reveal(hide("http://a:b@h/x")) == "http://a:b@h/x"


def test_so_many_secrets_that_no_process_could_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_SHARED_LETTERS", 500)
    urls = [f"https://h/{n}.png?sig={'s' * 50}{n}" for n in range(30)]
    masked = [hide(url) for url in urls]
    assert [reveal(shown) for shown in masked] == urls
    assert len(os.environ[secrets.MEMORY]) < 500


def test_processes_started_by_this_one_know() -> None:
    masked = hide("http://alice:secretpw@h/x")
    code = "import logging, sys; from mkgan_core.machine import secrets; logging.basicConfig(format='%(message)s')\n"
    code += "print(secrets.reveal(sys.argv[1])); logging.warning('of %s', secrets.reveal(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, masked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "http://alice:secretpw@h/x"
    assert done.stderr.strip() == "of http://***@h/x"


@pytest.mark.parametrize(
    "text", ["?key" * 20_000, "//a:" * 20_000, "//" + ":" * 80_000, "?" + "key" * 30_000, "&" * 80_000]
)
def test_no_text_takes_long(text: str) -> None:
    assert mask(f"{text}= @") == f"{text}= @"  # minutes, if a pattern went back and forth


def test_logs_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """The message, its arguments, and the texts of exceptions and of what caused them, whoever logs."""
    hide("http://alice:secretpw@h/x")
    log, handler = logging.getLogger("somebody.else"), logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    try:
        log.warning("1: %s", "http://alice:secretpw@h/x")
        try:
            try:
                raise OSError("http://alice:secretpw@h/x is gone")
            except OSError as fault:
                raise RuntimeError("secretpw") from fault
        except RuntimeError:
            log.exception("2: it failed")
        log.warning("3: %d of %s", 1, "two")
    finally:
        log.removeHandler(handler)
    err = capsys.readouterr().err
    assert "secretpw" not in err
    assert "1: http://***@h/x" in err
    assert "OSError: http://***@h/x is gone" in err
    assert "RuntimeError: ***" in err
    assert "3: 1 of two" in err


def test_the_memory_is_json_for_child_processes_only() -> None:
    hide("http://alice:secretpw@h/x")
    assert json.loads(os.environ[secrets.MEMORY]) == {"http://h @ ***": "alice:secretpw"}
    store = Store("http://alice:secretpw@h/x")
    assert store.uri == "http://***@h/x"
    assert b"secretpw" not in pickle.dumps(store.uri)
