# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store


def test_the_directories_it_makes_are_for_root_only(store: Store) -> None:
    os.umask(0)
    store.write_json(store.migration("id-1") / "record.json", {"a": 1})
    made = [store.root, store.root / "migrations", store.migration("id-1")]
    assert [one.stat().st_mode & 0o777 for one in made] == [0o700] * 3
    assert (store.migration("id-1") / "record.json").stat().st_mode & 0o777 == 0o600


def test_json_is_read_back(store: Store) -> None:
    path = store.root / "x.json"
    data = {"text": "ä\n", "list": [1, 2.5, None, True], "inner": {"a": {}}}
    store.write_json(path, data)
    assert store.read_json(path) == data
    assert store.read_json(store.root / "y.json") is None


def test_what_is_not_json_is_an_error(store: Store) -> None:
    store.make(store.root)
    (store.root / "x.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="Expecting"):
        store.read_json(store.root / "x.json")


def test_migrations_are_those_with_a_directory(store: Store) -> None:
    assert store.migrations() == []
    for one in ("b", "a"):
        store.make(store.migration(one))
    (store.root / "migrations" / "stray").write_text("", encoding="utf-8")
    assert store.migrations() == ["a", "b"]
