# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task or an operator gave, by its type: Ansible types the options of a module, and none of an action plugin.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused

ALLOWED: Mapping[str, str] = {
    "bool": "true or false (also yes, no, on, off, 1, 0)",
    "int": "a whole number",
    "float": "a number",
}
"""The types that a string may stand for, and what is allowed."""


def typed(name: str, value: object, kind: str) -> Any:
    """*value* as a *kind* of ALLOWED. Raises Refused(VALUE_INVALID)."""
    found = ArgumentSpecValidator({name: {"type": kind}}).validate({name: value})
    if found.errors.errors:
        raise Refused("VALUE_INVALID", name, f"is {value!r}.", f"Give {ALLOWED[kind]}; leave it out for the default.")
    return found.validated_parameters[name]


def is_given(value: object) -> bool:
    """An answer that was left empty in a survey is none."""
    return value is not None and value != ""


def flag(arguments: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """An option that is on or off. Raises Refused(VALUE_INVALID)."""
    value = arguments.get(name)
    return bool(typed(name, value, "bool")) if is_given(value) else default


def whole(arguments: Mapping[str, Any], name: str, default: int) -> int:
    """An option that is a whole number. Raises Refused(VALUE_INVALID)."""
    value = arguments.get(name)
    return int(typed(name, value, "int")) if is_given(value) else default


def number(arguments: Mapping[str, Any], name: str, default: float) -> float:
    """An option that is a number. Raises Refused(VALUE_INVALID)."""
    value = arguments.get(name)
    return float(typed(name, value, "float")) if is_given(value) else default
