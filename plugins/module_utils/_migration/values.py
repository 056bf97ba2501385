# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single values as operators type them, read strictly. Pure.

Each raises Refused(VALUE_INVALID) whose subject is the variable, and which says what is allowed.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.whereabouts import did_you_mean
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def is_empty(value: Any) -> bool:
    """Whether it counts as not given."""
    return value is None or (isinstance(value, str) and not value.strip())


def invalid(variable: str, value: Any, allowed: str, hint: str = "") -> Refused:
    """The refusal of *value*."""
    message = f"the variable {variable} is {value!r}, which it cannot be."
    return Refused("VALUE_INVALID", variable, message, f"Allowed: {allowed}.{hint}")


def section(variable: str, value: Any, allowed: Sequence[str]) -> dict[str, Any]:
    """The given part of a mapping, without keys that are empty. An unknown key is a typing error, not a wish."""
    if not isinstance(value, Mapping):
        raise invalid(variable, value, f"a mapping with {', '.join(allowed)}")
    for key in value:
        if key not in allowed:
            raise invalid(
                f"{variable}.{key}", value[key], f"{variable} has {', '.join(allowed)}", did_you_mean(str(key), allowed)
            )
    return {str(key): one for key, one in value.items() if not is_empty(one)}


def choice(variable: str, value: Any, allowed: Sequence[str]) -> str:
    """One of the words *allowed*."""
    if not isinstance(value, str) or value.strip() not in allowed:
        raise invalid(variable, value, " or ".join(allowed), did_you_mean(str(value), allowed))
    return value.strip()


def optional_text(given: Mapping[str, Any], variable: str) -> str | None:
    """A name, or None where none is given."""
    value = given.get(variable)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(variable, value, "a name")
    return value.strip()


def optional_whole(given: Mapping[str, Any], variable: str, least: int) -> int | None:
    """A whole number, or None where none is given."""
    return whole(variable, given[variable], least) if variable in given else None


def whole(variable: str, value: Any, least: int) -> int:
    """A whole number. YAML's yes is a whole number to Python, and never what was meant."""
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[0-9]+", text) or int(text) < least:
        raise invalid(variable, value, f"a whole number of at least {least}, without a unit")
    return int(text)


def ratio(variable: str, value: Any) -> float:
    """A number above zero."""
    text = str(value).strip() if isinstance(value, (int, float, str)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) <= 0:
        raise invalid(variable, value, "a number above 0, for example 1.5")
    return float(text)


def parse_flag(variable: str, value: Any) -> bool:
    """A truth value as YAML or a command line gives it."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise invalid(variable, value, "true or false")
    return text in _TRUE
