# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of failures during a run, and of operations that are planned from a record: code, meaning, remedy.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

RUNTIME: tuple[tuple[str, str, str], ...] = (
    ("COMMAND_FAILED", "A program ended with an error.", "Its last words are in the message."),
    ("COMMAND_MISSING", "A program is not installed on the hypervisor.", "Install it there."),
    ("COMMAND_TIMED_OUT", "A program did not end in time.", "Look at the hypervisor's storage and load."),
    (
        "CONFIRM_NEEDS_EVIDENCE",
        "The guest runs, but nothing from inside says that it works.",
        "Start its guest agent, give probe=ADDRESS:PORT, or force=true.",
    ),
    ("COPY_DIFFERS", "After the copy, both sides differ.", "Look at the storage of both hypervisors."),
    ("COPY_FAILED", "rsync ended with an error.", "Its last words, and a command to try, are in the message."),
    ("DATA_REQUIRED", "A revert was not told what happens to newer data.", "Give -e data=discard."),
    ("DATA_UNSUPPORTED", "data=copy_back cannot be done yet.", "Save the data from inside, then use data=discard."),
    ("DEADLINE", "A step did not end in time.", "Look at the hypervisor's load and storage."),
    ("DEFINITION_CHANGED", "The definition was changed after the plan was made.", "Run it again."),
    ("DEFINITION_EDIT_REFUSED", "The definition cannot be changed without a guess.", "The message says where."),
    ("DEFINITION_EDIT_UNEXPECTED", "An edit would change more than was asked for.", "Report it with the definition."),
    ("DEFINITION_LOST", "A definition of the record is not there.", "The other hypervisor has a copy."),
    ("DEFINITION_TAMPERED", "The definition that came with the copy is not the source's.", "Find out who wrote there."),
    ("DISK_IN_USE", "A process has a disk open.", "End what uses it."),
    ("DOMAIN_NOT_FOUND", "libvirt has no such domain on this hypervisor.", "See kvmops.mobility.status."),
    (
        "GUESTS_FAILED",
        "Some guests of the run were refused or failed.",
        "The lines above the message say which and why.",
    ),
    ("FILE_SYSTEM_FAILED", "A file system is full, read-only or forbids something.", "Mend it on that hypervisor."),
    ("GUEST_DID_NOT_START", "The guest did not run in time after its start.", "See its log on the hypervisor."),
    (
        "GUEST_DID_NOT_STOP",
        "The guest did not shut down in time.",
        "Shut it down from inside, allow more time, or set on_timeout to force (kvmops_stop).",
    ),
    ("GUEST_NOT_RUNNING", "A guest that is neither running nor off is not confirmed.", "Bring it up, or revert."),
    ("GUEST_RUNS_HERE", "The guest runs where it should have been given up.", "Look at both hypervisors."),
    ("GUEST_SIZE_MISMATCH", "The guest does not have its new size.", "Look into it, confirm again, or revert."),
    ("HOST_UNREACHABLE", "A hypervisor did not answer.", "See whether it is up and ssh to it works."),
    ("HYPERVISORS_MISSING", "The group hypervisors is empty.", "Put the libvirt hosts into it."),
    ("ILLEGAL_MOVE", "The migration's state does not allow the operation.", "See kvmops.mobility.status."),
    ("IMAGE_CORRUPT", "qemu-img check found errors in a copied image.", "Do not start from it."),
    ("IMAGE_SIZE_DIFFERS", "A copied image has another size than its source.", "The copy is not complete."),
    ("INTERNAL", "A mistake of ours.", "Report it."),
    ("JMESPATH_MISSING", "select needs jmespath on the controller.", "Install it: pip install jmespath."),
    ("LIBVIRT_FAILED", "libvirt refused something.", "Its words are in the message."),
    ("LIBVIRT_PYTHON_MISSING", "The libvirt bindings for Python are not there.", "Install python3-libvirt."),
    ("LIBVIRT_UNAVAILABLE", "libvirt does not answer.", "See systemctl status libvirtd (or virtqemud)."),
    ("LIMIT_NOT_SUPPORTED", "--limit would skip parts of the flow.", "Use -e only_hosts=c1,c2."),
    ("MIGRATION_NOT_FOUND", "No hypervisor knows of such a migration.", "See kvmops.mobility.status."),
    ("MIGRATION_USER_MISSING", "The migration user does not exist on the destination.", "Create it there."),
    ("MODULE_FAILED", "A module was killed or crashed.", "See the task's output, then kvmops.mobility.status."),
    ("PATH_LOST", "A path that should be there is not.", "Look for it before anything else."),
    ("PATH_NOT_OURS", "A path is in the way that no journal knows.", "Look what it is; we never remove it."),
    ("PATH_TAKEN", "Both names of a rename exist.", "Look what is there and move it away."),
    ("PROBE_FAILED", "The probed port does not accept connections.", "Look into the guest."),
    ("RECOVER_NEEDS_YOU", "What happened cannot be known from here.", "The message says what to find out and to give."),
    ("RECORD_DIFFERS", "Another record has the same id.", "Look at both with kvmops.mobility.status."),
    (
        "RECORD_LOST",
        "One hypervisor has no record of the migration.",
        "The other one has it; see kvmops.mobility.status.",
    ),
    ("REMOVAL_FAILED", "A directory could not be removed.", "Remove it by hand, then run it again."),
    ("SELECT_AND_VM", "Both vm and select name guests.", "Give one of them."),
    ("SELECT_EMPTY", "The expression chooses no guest.", "The message says what it can ask for."),
    ("SELECT_INVALID", "The expression cannot be used.", "Give a JMESPath filter over the list of guests."),
    ("SELECT_NOT_ALLOWED", "The operation is decided guest by guest.", "Name the guests with vm."),
    ("STATE_CHANGED", "The guest was started or stopped after the plan was made.", "Run it again."),
    ("TAGS_NOT_SUPPORTED", "--tags would skip parts of the flow.", "Leave --tags and --skip-tags out."),
    ("VERSION_MISMATCH", "Playbooks and collection are of two versions.", "Use the playbooks of the installed one."),
)
