# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images, by qemu-img. The format always comes from the definition and is always passed.

A raw image belongs to its guest, which can write any header into it: an image opened by its looks can be made to
name host files (CVE-2026-24708, CVE-2015-7548).

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused

_QUICK_S = 60
_CHECK_S = 1800
_CHECK_UNSUPPORTED = 63
_LEAKS_ONLY = 3
_NAME_BYTES = 1023
"""The longest name of a backing file that qcow2 knows."""
_MAGICS = (
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "vmdk"),
    (b"COWD", "vmdk"),
    (b"QED\0", "qed"),
    (b"vhdxfile", "vhdx"),
    (b"conectix", "vpc"),
    (b"LUKS\xba\xbe", "luks"),
    (b"<<< ", "vdi"),
)


@dataclass(frozen=True)
class Image:
    """What C(qemu-img info) says."""

    virtual_bytes: int
    allocated_bytes: int
    format: str
    backing_path: str
    data_file: str
    compat: str
    internal_snapshots: int
    cluster_bytes: int = 0
    """0 for a format that has none."""
    backing_format: str = ""
    """As the header records it, empty when it does not."""

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> Image:
        """From the JSON of C(qemu-img info)."""
        specific = info.get("format-specific", {}).get("data", {})
        return cls(
            virtual_bytes=int(info["virtual-size"]),
            allocated_bytes=int(info.get("actual-size", 0)),
            format=str(info["format"]),
            backing_path=str(info.get("full-backing-filename") or info.get("backing-filename", "")),
            data_file=str(specific.get("data-file", "")),
            compat=str(specific.get("compat", "")),
            internal_snapshots=len(info.get("snapshots", ())),
            cluster_bytes=int(info.get("cluster-size", 0)),
            backing_format=str(info.get("backing-filename-format", "")),
        )


def inspect(path: str, image_format: str) -> Image:
    """The image at *path*, also while a guest uses it (only its header is read).

    Raises CommandFailed when qemu-img cannot read it as *image_format*.
    """
    argv = ("qemu-img", "info", "-U", "--output=json", "-f", image_format, path)
    return Image.from_info(json.loads(run(argv, timeout_s=_QUICK_S).stdout))


def looks_like(path: str) -> str:
    """The format the first bytes look like; 'raw' when they look like none we know. Raises OSError."""
    with open(path, "rb") as image:
        head = image.read(16)
    return next((name for magic, name in _MAGICS if head.startswith(magic)), "raw")


def recorded_backing(path: str) -> str:
    """The backing file that a qcow2 header records, resolved; empty without one, or when it is no file of this host.

    Read without qemu-img, since it is asked of every image of a hypervisor.
    """
    try:
        with open(path, "rb") as image:
            head = image.read(20)
            if len(head) < 20 or not head.startswith(b"QFI\xfb"):
                return ""
            image.seek(int.from_bytes(head[8:16], "big"))
            length = int.from_bytes(head[16:20], "big")
            name = image.read(min(length, _NAME_BYTES)).decode(errors="replace")
    except OSError:
        return ""
    if not name or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name):
        return ""
    return os.path.normpath(os.path.join(os.path.dirname(path), name))


def flatten_argv(links: Sequence[tuple[str, str]], target: str, cluster_bytes: int) -> tuple[str, ...]:
    """Write what an image and its backing files hold into one qcow2 image.

    *links* are path and format of each, the image itself first.
    """
    written_as = f"cluster_size={cluster_bytes}"
    return ("qemu-img", "convert", "-O", "qcow2", "-o", written_as, named_chain(links), target)


def named_chain(links: Sequence[tuple[str, str]]) -> str:
    """An image and its backing files, *links*, as one name that qemu-img and qemu-nbd take.

    *links* are path and format of each, the image itself first. They are given one by one, because the headers name
    places where the images were before they were parked, and somebody else may have written them.
    """
    nodes: dict[str, Any] | None = None
    for path, image_format in reversed(links):
        node: dict[str, Any] = {"driver": image_format, "file": {"driver": "file", "filename": path}}
        if image_format != "raw":
            node["backing"] = nodes
        nodes = node
    return "json:" + json.dumps(nodes)


def grow(path: str, image_format: str, new_bytes: int) -> None:
    """Grow the virtual size to *new_bytes*.

    qemu-img itself refuses an image in use (by its lock) and, without --shrink, a shrink.
    """
    run(("qemu-img", "resize", "-f", image_format, path, str(new_bytes)), timeout_s=_QUICK_S)


def check(path: str, image_format: str) -> str:
    """consistent, or unsupported for formats that have no check (raw).

    Leaked clusters waste space and harm nothing: they pass. Raises MobilityError(IMAGE_CORRUPT).
    """
    argv = ("qemu-img", "check", "-f", image_format, path)
    done = run(argv, timeout_s=_CHECK_S, accept=(0, 1, 2, _LEAKS_ONLY, _CHECK_UNSUPPORTED))
    if done.code == _CHECK_UNSUPPORTED:
        return "unsupported"
    if done.code in (0, _LEAKS_ONLY):
        return "consistent"
    raise MobilityError(
        "IMAGE_CORRUPT",
        path,
        f"qemu-img check found errors: {(done.stderr or done.stdout).strip()[-500:]}",
        "Do not start from this copy; the other hypervisor still has its own.",
    )


def plan_growth(path: str, image_format: str, new_bytes: int) -> bool:
    """Whether the image has to grow to be *new_bytes* large; False when it is already.

    Raises Refused: DISK_SHRINK, FORMAT_UNSUPPORTED, QCOW2_V2_SNAPSHOTS.
    """
    if image_format not in ("raw", "qcow2"):
        raise Refused(
            "FORMAT_UNSUPPORTED",
            path,
            f"images of format '{image_format}' are not resized; raw and qcow2 are.",
            "Convert it with qemu-img convert while the guest is off.",
        )
    image = inspect(path, image_format)
    if image.virtual_bytes == new_bytes:
        return False
    if image.virtual_bytes > new_bytes:
        raise Refused(
            "DISK_SHRINK",
            path,
            f"is {image.virtual_bytes} bytes large and {new_bytes} were asked for; a disk is never made smaller.",
            "Ask for at least its present size.",
        )
    if image.compat == "0.10" and image.internal_snapshots:
        raise Refused(
            "QCOW2_V2_SNAPSHOTS",
            path,
            f"is a qcow2 of version 2 with {image.internal_snapshots} internal snapshots, which cannot be resized.",
            "Delete the snapshots, or raise the version: qemu-img amend -o compat=1.1.",
        )
    return True
