# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._call import table

OURS = {"tls_directory", "identity_file", "known_hosts_file", "images_directory", "state_directory"}
"""Paths of hypervisors, which an operator writes."""


def paths(options: Mapping[str, Any]) -> Iterator[str]:
    """The options that Ansible takes for paths, those inside of others too."""
    for name, option in options.items():
        if "path" in (option.get("type"), option.get("elements")):
            yield name
        yield from paths(option.get("options", {}))


@pytest.mark.parametrize("name", table.NAMES)
def test_no_path_of_a_guest_is_one_of_ansibles(name: str) -> None:
    """Ansible expands ~ and ${HOME} in options of the type path: a guest's directory may be called just so."""
    assert set(paths(table.call(name).spec.options)) <= OURS
