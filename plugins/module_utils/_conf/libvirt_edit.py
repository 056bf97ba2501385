# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.libvirt_conf) does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._conf import virconf
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.edit import Change, Edited, plan
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.libvirt_options import FILES
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.option import (
    Option,
    as_read_by,
    check_once,
    check_version,
    known,
    not_allowed,
    read,
    version_of,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.virconf import Value
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan


def work(context: Context) -> Plan:
    """The request is checked whole before the file is looked at."""
    params = context.params
    settings = wanted(params)
    unset = list(params["unset"])
    check_once(settings, unset)
    return plan(context, lambda text: edit(text, settings, unset))


def wanted(params: Mapping[str, Any]) -> dict[str, Value]:
    """The settings as values of libvirt's format.

    Raises Refused: CONF_UNKNOWN, OPTION_UNKNOWN, OPTION_VALUE, OPTION_NOT_HERE, OPTION_VERSION.
    """
    name = params["kind"] or os.path.basename(params["path"])
    if name not in FILES and not params["unmanaged"]:
        raise Refused(
            "CONF_UNKNOWN",
            name,
            "is none of the files whose options we know.",
            f"Give kind: one of {', '.join(FILES)}.",
        )
    options, version = FILES.get(name, {}), version_of(params["libvirt_version"])
    found = {}
    for option, value in params["settings"].items():
        if option not in options and params["unmanaged"]:
            found[option] = _unmanaged(option, value)
        else:
            rule = known(option, options, name)
            check_version(option, rule, version, "libvirt")
            found[option] = _managed(option, rule, value)
    for option in params["unset"]:
        if not params["unmanaged"]:
            known(option, options, name)
    return found


def _managed(name: str, option: Option, value: object) -> Value:
    found = read(name, option, value)
    return _checked(name, int(found) if isinstance(found, bool) else found)


def _unmanaged(name: str, value: object) -> Value:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (list, tuple)):
        return tuple(_unmanaged(name, one) for one in value)
    if not isinstance(value, (int, str)):
        raise not_allowed(name, value, "a whole number, a text, true or false, or a list of them")
    return _checked(name, value)


def _checked(name: str, value: Value) -> Value:
    with as_read_by("libvirt", name, value):
        virconf.parse(f"{name} = {virconf.render(value)}\n")
    return value


def edit(text: str, settings: Mapping[str, Value], unset: list[str]) -> Edited:
    """The text with the settings in it. Raises Syntax."""
    conf = virconf.parse(text)
    changes = []
    for name, value in settings.items():
        before = conf.get(name)
        if before != value:
            changes.append(Change(name, before, value))
        conf = conf.set(name, value)
    for name in unset:
        before = conf.get(name)
        if before is not None:
            changes.append(Change(name, before, None))
        conf = conf.unset(name)
    return Edited(conf.text, changes)
