# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.nova_conf) does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._conf import oslo
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.edit import Change, Edited, plan
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_options import SECTIONS
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_translation import Translation, translations
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
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.oslo import OsloConf
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan


def work(context: Context) -> Plan:
    """The request is checked whole before the file is looked at."""
    params = context.params
    settings = wanted(params)
    unset = list(_unwanted(params))
    check_once(map(shown, settings), map(shown, unset))
    return plan(context, lambda text: edit(text, settings, unset, modernize=params["modernize"]))


def shown(place: tuple[str, str]) -> str:
    """An option with its section, as OpenStack's own documents write it."""
    section, name = place
    return f"[{section}]{name}"


def wanted(params: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The settings as texts, several for an option that is there several times.

    Raises Refused: OPTION_UNKNOWN, OPTION_VALUE, OPTION_NOT_HERE, OPTION_VERSION.
    """
    version = version_of(params["nova_version"])
    found = {}
    for section, options in params["settings"].items():
        if not isinstance(options, Mapping):
            raise not_allowed(f"[{section}]", options, "options and their values")
        for name, value in options.items():
            place = (section, name)
            option = _options(section).get(name)
            if option is None and params["unmanaged"]:
                texts = tuple(_text(shown(place), one) for one in (value if isinstance(value, list) else [value]))
            else:
                option = _known(place)
                check_version(shown(place), option, version, "Nova")
                texts = (_managed(shown(place), option, value),)
            found[place] = _checked(place, texts)
    return found


def _unwanted(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section, names in params["unset"].items():
        if not isinstance(names, list):
            raise not_allowed(f"[{section}]", names, "a list of names")
        for name in names:
            if not params["unmanaged"]:
                _known((section, name))
            yield section, name


def _options(section: str) -> Mapping[str, Option]:
    return SECTIONS.get(section, {})


def _known(place: tuple[str, str]) -> Option:
    section, name = place
    return known(name, _options(section), f"section [{section}] of nova.conf")


def _managed(name: str, option: Option, value: object) -> str:
    if isinstance(value, str) and "$" in value:
        return value  # oslo.config puts another option's value there; what that is, only it knows
    return str(read(name, option, value))


def _text(name: str, value: object) -> str:
    if not isinstance(value, (str, int, float)):
        raise not_allowed(name, value, "a text, a number, true or false, or a list of them")
    return str(value)


def _checked(place: tuple[str, str], values: tuple[str, ...]) -> tuple[str, ...]:
    """Only what comes back as it was given."""
    with as_read_by("oslo.config", shown(place), values):
        back = oslo.parse("").set(*place, values).get(*place)
    if back != values:
        raise not_allowed(shown(place), values, "what oslo.config can read back as it was")
    return values


def edit(
    text: str,
    settings: Mapping[tuple[str, str], tuple[str, ...]],
    unset: Sequence[tuple[str, str]],
    *,
    modernize: bool = False,
) -> Edited:
    """The text with the settings in it, and, to *modernize* it, today's options for old ones. Raises Syntax."""
    conf = oslo.parse(text)
    old = list(translations(_with(conf, settings, unset))) if modernize else []
    wanted = {**_instead(conf, old), **settings}
    gone = [*unset, *(one.place for one in old if one.goes)]
    changes = [
        _change(place, conf.get(*place), values)
        for place, values in wanted.items()
        if not _same(place, conf.get(*place), values)
    ]
    changes += [_change(place, conf.get(*place), ()) for place in dict.fromkeys(gone) if conf.get(*place)]
    after = _with(conf, wanted, gone)
    notes = [f"{shown(one.place)} {one.says}." for one in old]
    return Edited(after.text, changes, (*notes, *_both(after)))


def _both(conf: OsloConf) -> Iterator[str]:
    """nova/virt/libvirt/driver.py takes VIR_MIGRATE_AUTO_CONVERGE only where it did not take VIR_MIGRATE_POSTCOPY."""
    names = ("live_migration_permit_post_copy", "live_migration_permit_auto_converge")
    options = SECTIONS["libvirt"]
    if all(options[name].read((conf.get("libvirt", name) or ("",))[-1]) is True for name in names):
        yield f"{names[0]} and {names[1]} are both on: Nova uses post-copy then, and does not throttle the guest."


def _with(
    conf: OsloConf, settings: Mapping[tuple[str, str], tuple[str, ...]], unset: Sequence[tuple[str, str]]
) -> OsloConf:
    for place, values in settings.items():
        if not _same(place, conf.get(*place), values):
            conf = conf.set(*place, values)
    for place in unset:
        conf = conf.unset(*place)
    return conf


def _instead(conf: OsloConf, old: Sequence[Translation]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What takes the place of old options, where the file does not say it itself."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in old:
        for section, name, value in one.instead:
            if not conf.get(section, name):
                found.setdefault((section, name), (value,))
    return found


def _same(place: tuple[str, str], before: tuple[str, ...], values: tuple[str, ...]) -> bool:
    """Whether it says that already: C(true) is True, and of several values of a single option the last counts."""
    option = _options(place[0]).get(place[1])
    if not before or option is None:
        return before[-1:] == values if len(values) == 1 and before else before == values
    if "$" in before[-1] or "$" in values[0]:
        return before[-1] == values[0]
    return option.read(before[-1]) == option.read(values[0])


def _change(place: tuple[str, str], before: tuple[str, ...], after: tuple[str, ...]) -> Change:
    def plain(values: tuple[str, ...]) -> str | list[str] | None:
        return list(values) if len(values) > 1 else values[0] if values else None

    return Change(place[1], plain(before), plain(after), section=place[0])
