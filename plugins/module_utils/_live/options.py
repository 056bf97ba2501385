# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a live migration is carried out: what an operator may ask for, and what does not go together. Pure.

libvirt refuses most of this too, but after the destination was prepared, one thing at a time, in words of its own.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known


class Compression(enum.Enum):
    """How memory is compressed on its way."""

    NONE = "none"
    XBZRLE = "xbzrle"
    """What changed in a page that was sent before. One connection only."""
    ZLIB = "zlib"
    ZSTD = "zstd"
    """Whole pages. Several connections only."""


@dataclass(frozen=True)
class Options:
    """What the job is started with; libvirt changes none of it later but the bandwidth and the downtime."""

    copy_disks: bool = True
    """Copy the disks that are not on storage that both see."""
    tls: bool = False
    """Memory and disks through QEMU's own TLS, instead of in the clear between two ports."""
    auto_converge: bool = False
    """Slow the guest down, more and more, until it writes less than is sent."""
    post_copy: bool = False
    """It may go on running there before all of its memory is."""
    connections: int = 1
    """More than one: memory goes through so many in parallel (multifd)."""
    compression: Compression = Compression.NONE
    zero_copy: bool = False
    """Memory is sent from where it is. It is locked for that."""
    tunnelled: bool = False
    """Through libvirtd's own connection: only known to be refused with a reason."""
    bandwidth_mib_s: int = 0
    """0: no limit."""
    throttle_initial: int = 0
    """With auto_converge: the first so many percent that the guest is slowed down by; 0: QEMU's own. A plan sets it."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "compression": self.compression.value}

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Options:
        """The inverse of C(as_result())."""
        return cls(**{**known(cls, data), "compression": Compression(data["compression"])})


@dataclass(frozen=True)
class Conflict:
    """Options that cannot be had together."""

    options: str
    """As an operator typed them."""
    message: str
    remedy: str


def conflicts(options: Options) -> tuple[Conflict, ...]:
    """What cannot be had together, whatever the hosts are."""
    return (*_tunnelled(options), *_parallel(options), *_zero_copy(options))


def _tunnelled(options: Options) -> Iterator[Conflict]:
    if not options.tunnelled:
        return
    other = [
        word
        for word, chosen in (
            ("tls=true", options.tls),
            ("copy_disks=true", options.copy_disks),
            ("post_copy=true", options.post_copy),
            (f"connections={options.connections}", options.connections > 1),
        )
        if chosen
    ]
    excluded = f" with {', '.join(other)}" if other else ""
    yield Conflict(
        "tunnelled=true",
        f"a tunnelled migration cannot be had{excluded}: libvirt can neither choose disks nor use several connections, "
        "TLS or post-copy in it, and its developers advise against it.",
        "Leave it out; use tls=true where memory must not go in the clear.",
    )


def _parallel(options: Options) -> Iterator[Conflict]:
    parallel = options.connections > 1
    if options.compression is Compression.XBZRLE and parallel:
        yield Conflict(
            f"compression=xbzrle, connections={options.connections}",
            "xbzrle works on one connection only.",
            "Use zstd or zlib with several connections, or one connection.",
        )
    if options.compression in (Compression.ZLIB, Compression.ZSTD) and not parallel:
        name = options.compression.value
        yield Conflict(
            f"compression={name}, connections={options.connections}",
            f"{name} works on several connections only.",
            "Give connections=2 or more, or use xbzrle.",
        )


def _zero_copy(options: Options) -> Iterator[Conflict]:
    if not options.zero_copy:
        return
    if options.connections < 2:
        yield Conflict(
            f"zero_copy=true, connections={options.connections}",
            "memory is sent from where it is on several connections only.",
            "Give connections=2 or more.",
        )
    for word, chosen in (
        ("tls=true", options.tls),
        (f"compression={options.compression.value}", options.compression is not Compression.NONE),
    ):
        if chosen:
            yield Conflict(
                f"zero_copy=true, {word}",
                "what is changed on its way cannot be sent from where it is.",
                "Leave one of them out.",
            )


@dataclass(frozen=True)
class Feature:
    """An option, and since when it can be had. Versions as libvirt counts: major * 1000000 + minor * 1000 + release."""

    name: str
    libvirt: int
    qemu: int
    wanted: Callable[[Options], bool]


def _multifd_compression(options: Options) -> bool:
    return options.compression in (Compression.ZLIB, Compression.ZSTD)


FEATURES = (
    Feature("live migration", 8_000_000, 6_002_000, lambda _one: True),
    Feature("connections", 5_002_000, 4_000_000, lambda one: one.connections > 1),
    Feature("post_copy with connections", 5_002_000, 10_001_000, lambda one: one.post_copy and one.connections > 1),
    Feature("compression with connections", 9_004_000, 5_000_000, _multifd_compression),
    Feature("zero_copy", 8_005_000, 7_001_000, lambda one: one.zero_copy),
)
"""Nova's floor is that of the first; what came before it needs no line. Sources: libvirt's and QEMU's release notes."""
POSTCOPY_RESUME = 8_005_000
"""VIR_MIGRATE_POSTCOPY_RESUME."""
DETECT_ZEROES = 10_009_000
"""VIR_MIGRATE_PARAM_MIGRATE_DISKS_DETECT_ZEROES."""
SAFE_DISKS_TLS_QEMU = 9_000_000
"""Before it QEMU could crash while it copied disks through TLS."""


@dataclass(frozen=True)
class Versions:
    """What one hypervisor has."""

    name: str
    libvirt: int
    qemu: int


def too_old(options: Options, hosts: tuple[Versions, ...]) -> tuple[str, ...]:
    """What was asked for and a host cannot do, each as a sentence."""
    found = []
    for feature in FEATURES:
        if not feature.wanted(options):
            continue
        for host in hosts:
            for what, has, needs in (
                ("libvirt", host.libvirt, feature.libvirt),
                ("QEMU", host.qemu, feature.qemu),
            ):
                if has < needs:
                    found.append(f"{feature.name} needs {what} {dotted(needs)}, and {host.name} has {dotted(has)}.")
    return tuple(found)


def dotted(version: int) -> str:
    """A version as people write it."""
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"


def effective(options: Options, *, paused: bool) -> tuple[Options, tuple[str, ...]]:
    """What is really used, and what the operator should know of it.

    As in Nova: with post-copy allowed, auto-converge stays off, and a guest that is paused is never switched to
    post-copy, which would let it run (LP 1671011).
    """
    told = []
    values = asdict(options)
    if options.post_copy and paused:
        values["post_copy"] = False
        told.append("post_copy is left out, for the guest is paused and post-copy would let it run.")
    if values["post_copy"] and options.auto_converge:
        values["auto_converge"] = False
        told.append("auto_converge is left out, for post_copy is allowed and wins.")
    return Options(**values), tuple(told)
