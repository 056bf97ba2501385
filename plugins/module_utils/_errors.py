# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception family of the collection.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from typing import Any


class MobilityError(Exception):
    """A failure an operator can act on.

    *code* is the stable name listed in the guide, *subject* what it is about (a guest, a disk, a
    hypervisor), *message* what is wrong with it, *remedy* what to do next. *facts* goes to the
    module's result as it is and must be plain JSON.
    """

    def __init__(self, code: str, subject: str, message: str, remedy: str, **facts: Any) -> None:
        super().__init__(f"{code}: {subject}: {message} {remedy}".rstrip())
        self.code = code
        self.subject = subject
        self.message = message
        self.remedy = remedy
        self.facts = facts

    def as_result(self) -> dict[str, Any]:
        """The keys a failed module returns: C(msg), C(code), C(subject), C(remedy) and the facts."""
        return {
            "msg": str(self),
            "code": self.code,
            "subject": self.subject,
            "remedy": self.remedy,
            **self.facts,
        }


class NotFound(MobilityError):
    """What was named does not exist."""


class Refused(MobilityError):
    """Nothing was changed: the request cannot be carried out as it stands."""


class TimedOut(MobilityError):
    """A bounded wait ended without what it waited for."""


class CommandFailed(MobilityError):
    """A program we ran ended with an error; its last words are in the facts."""


class Lost(MobilityError):
    """The peer or the hypervisor's daemon went away while we worked."""
