"""A damaged manifest is one line with its name; the names in it stay inside the data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkgan_core.datasets import manifest
from mkgan_core.datasets.check import check
from mkgan_core.datasets.manifest import Manifest, read_manifest
from mkgan_core.errors import DatasetError
from mkgan_core.machine.storage import Store, scratch

DAMAGED = {
    "nothing": b"",
    "half of it": b'{"images": [{"files"',
    "not in UTF-8": b"\xff\xfe{}",
    "very deep": b"[" * 100_000,
    "a list": b"[]",
    "null": b"null",
    "images that are no list": b'{"images": 3}',
    "an image that is no object": b'{"images": ["im_1"]}',
    "files that are no object": b'{"images": [{"files": []}]}',
    "a hash that is a number": b'{"images": [{"files": {"gt/im_1.png": 1}}]}',
    "noise in words": b'{"noise": "much"}',
    "noise that is negative": b'{"noise": -3}',
    "noise without end": b'{"noise": 1e999}',
    "JPEG as a list": b'{"jpeg": [90]}',
    "an absolute name": b'{"images": [{"files": {"/etc/passwd": "0"}}]}',
    "a name above": b'{"images": [{"files": {"gt/../../x.png": "0"}}]}',
    "a URL": b'{"images": [{"files": {"http://host/x.png": "0"}}]}',
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_manifest_is_named(dataset_folder: Path, what: str) -> None:
    (dataset_folder / "manifest.json").write_bytes(DAMAGED[what])
    with pytest.raises(DatasetError, match=r"tiny/manifest\.json") as caught:
        list(check(str(dataset_folder)))
    assert "\n" not in str(caught.value)


def test_what_a_manifest_says(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_manifest(store) == Manifest()
    said = {"images": [{"files": {"gt/a.png": "12"}}, {"name": "of the sample"}], "noise": 2.5, "jpeg": None}
    store.write_json(manifest.NAME, said)
    assert read_manifest(store) == Manifest({"gt/a.png": "12"}, 2.5, 0)


keys = st.sampled_from(["images", "noise", "jpeg", "files", "gt/a.png"])
anything = st.recursive(
    st.sampled_from([None, True, 0.5, -1, 1e300, float("inf"), float("nan"), 10**30, "", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
document = st.dictionaries(keys, st.lists(st.dictionaries(keys, anything, max_size=2), max_size=2) | anything)


@given(document.map(lambda content: json.dumps(content).encode()) | st.binary(max_size=40))
def test_whatever_it_holds_it_is_read_or_refused(data: bytes) -> None:
    with scratch() as store:
        store.write(manifest.NAME, data)
        try:
            found = read_manifest(store)
        except DatasetError:
            return
    assert all(isinstance(digest, str) for digest in found.hashes.values())
    assert 0 <= found.noise <= 255
