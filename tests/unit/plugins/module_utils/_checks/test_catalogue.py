# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every code has its words, a place that gives it, and a test that provokes it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import CHECKS, CODES
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding, Severity
from ansible_collections.kvmops.mobility.tests.unit.repository import PLUGINS

ROOT = PLUGINS.parent
PROVOKED_ON_REAL_HOSTS = {
    "LIMIT_NOT_SUPPORTED",
    "TAGS_NOT_SUPPORTED",
    "SSHD_LIMITS",
    "TRUST_UNPROVEN",
    "CLOCKS_APART",
    "HOST_UUID_SHARED",
    "LISTENER_FAILED",
    "NOVA_HOST_ADDRESS",
    "SERVICE_FAILED",
    "SERVICE_MISSING",
}
"""Codes that only a playbook, or systemd, can give; tests/e2e or a molecule scenario must name them."""
CHECKS_BY_NAME = {f"{of}{part}" for of in ("", "LIVE_") for part in ("CHECKS", "GUEST_CHECKS", "DESTINATION_CHECKS")}
NOT_CODES = {"VERIFY_RESIZE", "LIBVIRTD_ARGS", "LC_ALL", "CREDENTIALS_DIRECTORY", "LIBVIRT_IMP_ERR", *CHECKS_BY_NAME}
CATALOGUE = ("codes.py", "runtime_codes.py")
THIS_FILE = Path(__file__).resolve()


def texts_in(path: Path) -> set[str]:
    constants = (one for one in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(one, ast.Constant))
    return {one.value for one in constants if isinstance(one.value, str)}


def codes_in(path: Path) -> set[str]:
    """Texts that look like codes."""
    looks = {
        text for text in texts_in(path) if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|BUSY|DEADLINE|INTERNAL", text)
    }
    return {text for text in looks if not text.startswith("VIR_")} - NOT_CODES


def codes_in_playbook(path: Path) -> set[str]:
    """Words before a colon that look like codes."""
    return set(re.findall(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+):", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("code", sorted(CODES))
def test_no_remedy_refers_to_its_own_message(code: str) -> None:
    """It is printed behind that very message: whoever reads it has read all that there is."""
    assert not re.search(r"\b(the|this|that) (message|remedy|error) (says|tells|names|has)", CODES[code].remedy, re.I)


def test_every_code_in_the_sources_is_documented_and_the_other_way_round() -> None:
    sources = [path for path in PLUGINS.rglob("*.py") if path.name not in CATALOGUE]
    playbooks = [path for room in ("playbooks", "roles") for path in (ROOT / room).rglob("*.yml")]
    used = set().union(*map(codes_in, sources), *map(codes_in_playbook, playbooks))
    assert used - set(CODES) == set(), "used, but not documented"
    assert set(CODES) - used == set(), "documented, but not used"


def test_every_code_is_provoked() -> None:
    """By another unit test that expects it, or on the lab's hosts."""
    others = [path for path in (ROOT / "tests" / "unit").rglob("test_*.py") if path != THIS_FILE]
    provoked = set().union(*map(texts_in, others))
    assert set(CODES) - provoked == PROVOKED_ON_REAL_HOSTS


@pytest.mark.parametrize("code", sorted(PROVOKED_ON_REAL_HOSTS))
def test_what_is_not_provoked_here_is_provoked_on_real_hosts(code: str) -> None:
    rooms = (("tests/e2e", "*.py"), ("extensions/molecule", "*.yml"))
    texts = [path.read_text(encoding="utf-8") for room, names in rooms for path in (ROOT / room).rglob(names)]
    assert any(re.search(rf"\b{code}\b", text) for text in texts)


def test_the_guide_has_words_for_every_code() -> None:
    for code, doc in CODES.items():
        assert doc.code == code
        assert doc.meaning.endswith(".")
        assert doc.remedy.endswith(".")


def test_every_check_of_a_subject_is_in_the_catalogue() -> None:
    assert len(set(CHECKS)) == len(CHECKS)
    assert all(check.__doc__ for check in CHECKS)


def test_a_finding_is_plain_data() -> None:
    finding = Finding("A_CODE", "web1", "is odd.", "Make it even.", Severity.WARN)
    assert finding.as_result()["severity"] == "warn"
    assert not finding.blocks
    assert finding.line() == "A_CODE: web1: is odd. Make it even."
