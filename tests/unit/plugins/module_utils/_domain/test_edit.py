# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An edited definition is the old one but for what was asked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition, Topology
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import (
    DefinitionChange,
    apply_changes,
    canonical,
    changed_xpaths,
    digest,
    fit_topology,
    moved_path,
    verify_only,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused

DOMAINS = Path(__file__).parents[3] / "data" / "domains"
NAMES = sorted(path.stem for path in DOMAINS.glob("*.xml"))
IMAGES = "/var/lib/libvirt/images/web1"


def text(name: str) -> str:
    return (DOMAINS / f"{name}.xml").read_text(encoding="utf-8")


def domain(body: str, vcpu: str = "<vcpu>2</vcpu>", memory: str = "<memory unit='KiB'>2097152</memory>") -> str:
    return f"<domain type='kvm'><name>web1</name>{memory}{vcpu}{body}</domain>"


def test_a_resize_changes_these_lines_and_no_byte_else() -> None:
    before = text("debian-q35")
    expected = (
        before.replace("static'>1</vcpu>", "static'>4</vcpu>")
        .replace("'KiB'>1048576</memory>", "'KiB'>8388608</memory>")
        .replace("'KiB'>1048576</currentMemory>", "'KiB'>8388608</currentMemory>")
    )
    assert apply_changes(before, DefinitionChange(vcpus=4, memory_mib=8192)) == expected


def test_a_resize_names_what_it_changed() -> None:
    after = apply_changes(text("nova"), DefinitionChange(vcpus=4, memory_mib=8192))
    assert changed_xpaths(text("nova"), after) == (
        "/domain/cpu/topology/@sockets",
        "/domain/currentMemory/text()",
        "/domain/memory/text()",
        "/domain/vcpu/text()",
    )


def test_memory_in_another_unit_becomes_kib() -> None:
    after = apply_changes(text("rhel-uefi-tpm"), DefinitionChange(memory_mib=6144))
    assert "<memory unit='KiB'>6291456</memory>" in after
    assert "<currentMemory unit='KiB'>6291456</currentMemory>" in after


def test_memory_without_a_unit_stays_without() -> None:
    after = apply_changes(text("interfaces"), DefinitionChange(memory_mib=1024))
    assert "<memory>1048576</memory>" in after
    assert "currentMemory" not in after


def test_a_balloon_is_let_go_when_the_memory_changes_and_kept_when_not() -> None:
    ballooned = domain("<currentMemory unit='KiB'>1048576</currentMemory>")
    grown = GuestDefinition.from_xml(apply_changes(ballooned, DefinitionChange(memory_mib=4096)))
    assert (grown.memory_mib, grown.current_memory_mib) == (4096, 4096)
    assert apply_changes(ballooned, DefinitionChange(memory_mib=2048, vcpus=2)) == ballooned


def test_memory_that_is_no_whole_mib_is_not_rounded_by_the_way() -> None:
    odd = domain("", memory="<memory unit='KiB'>2097153</memory>")
    assert apply_changes(odd, DefinitionChange(memory_mib=2048)) == odd


def test_paths_move_everywhere_but_not_in_metadata_or_by_half_a_name() -> None:
    xml = domain(
        f"<metadata><x:p xmlns:x='urn:x' file='{IMAGES}/a'/></metadata>"
        f"<os><nvram>{IMAGES}/vars.fd</nvram><loader>/usr/share/OVMF/code.fd</loader></os>"
        f"<devices><disk><source file='{IMAGES}/a'/></disk><disk><source file='{IMAGES}0/b'/></disk>"
        f"<serial type='pty'><log file=\"{IMAGES}/c.log\" append='on'/></serial></devices>"
    )
    after = apply_changes(xml, DefinitionChange(paths={IMAGES: "/srv/web1"}))
    assert after == xml.replace(f"<nvram>{IMAGES}", "<nvram>/srv/web1").replace(
        f"<source file='{IMAGES}/a", "<source file='/srv/web1/a"
    ).replace(f'log file="{IMAGES}', 'log file="/srv/web1')


def test_a_guests_directory_moves_with_its_disks_and_console() -> None:
    before = text("debian-q35")
    change = DefinitionChange(paths={IMAGES: "/srv/a&b's", f"{IMAGES}/root.qcow2": "/fast/root.qcow2"})
    after = apply_changes(before, change)
    assert [disk.path for disk in GuestDefinition.from_xml(after).disks] == [
        "/fast/root.qcow2",
        "/srv/a&b's/data&logs.img",
        "",
    ]
    assert changed_xpaths(before, after) == (
        "/domain/devices/console/source/@path",
        "/domain/devices/disk[1]/source/@file",
        "/domain/devices/disk[2]/source/@file",
        "/domain/devices/serial[1]/source/@path",
    )
    verify_only(before, after, change)


@pytest.mark.parametrize(
    ("path", "moved"),
    [
        ("/a", "/x"),
        ("/a/b", "/x/b"),
        ("/a/c", "/y"),
        ("/a/c/d", "/y/d"),
        ("/ab", "/ab"),
        ("", ""),
    ],
)
def test_moved_path(path: str, moved: str) -> None:
    assert moved_path(path, {"/a/": "/x", "/a/c": "/y/"}) == moved


def test_listen_addresses_move_together_and_only_what_listens() -> None:
    before = text("debian-q35")
    change = DefinitionChange(listen={"192.0.2.11": "192.0.2.12"})
    after = apply_changes(before, change)
    assert changed_xpaths(before, after) == (
        "/domain/devices/graphics/@listen",
        "/domain/devices/graphics/listen/@address",
        "/domain/devices/serial[2]/source/@host",
    )
    client = domain("<devices><serial type='tcp'><source mode='connect' host='192.0.2.11'/></serial></devices>")
    assert apply_changes(client, change) == client
    verify_only(before, after, change)


@pytest.mark.parametrize(
    ("old", "vcpus", "new"),
    [
        (Topology(1, 1, 1, 2, 2), 8, Topology(2, 1, 1, 2, 2)),
        (Topology(2, 1, 1, 2, 1), 2, Topology(1, 1, 1, 2, 1)),
        (Topology(2, 1, 1, 1, 1), 5, Topology(5, 1, 1, 1, 1)),
        (Topology(1, 1, 1, 4, 2), 6, Topology(6, 1, 1, 1, 1)),
        (Topology(1, 2, 2, 2, 1), 16, Topology(2, 2, 2, 2, 1)),
        (Topology(1, 2, 1, 2, 1), 3, Topology(3, 1, 1, 1, 1)),
    ],
)
def test_fit_topology(old: Topology, vcpus: int, new: Topology) -> None:
    assert fit_topology(old, vcpus) == new


def test_current_equal_to_the_maximum_goes_when_the_number_changes() -> None:
    after = apply_changes(domain("", vcpu="<vcpu placement='static' current='2'>2</vcpu>"), DefinitionChange(vcpus=3))
    assert "<vcpu placement='static'>3</vcpu>" in after


@pytest.mark.parametrize(
    ("xml", "change", "words"),
    [
        (domain("", vcpu="<vcpu current='1'>2</vcpu>"), DefinitionChange(vcpus=2), "1 of 2 vCPUs online"),
        (domain("", vcpu="<vcpu current='1'>2</vcpu>"), DefinitionChange(vcpus=4), "1 of 2 vCPUs online"),
        (domain("<vcpus><vcpu id='0'/></vcpus>"), DefinitionChange(vcpus=4), "<vcpus/vcpu>"),
        (domain("<cpu><numa><cell/></numa></cpu>"), DefinitionChange(vcpus=4), "<cpu/numa/cell>"),
        (domain("<cputune><vcpupin vcpu='0'/></cputune>"), DefinitionChange(vcpus=4), "<cputune/vcpupin>"),
        (domain("<cputune><vcpusched vcpus='0'/></cputune>"), DefinitionChange(vcpus=4), "<cputune/vcpusched>"),
        (domain(""), DefinitionChange(vcpus=0), "at least 1"),
        (domain("", vcpu=""), DefinitionChange(vcpus=4), "no <vcpu>"),
        (domain("<maxMemory>4194304</maxMemory>"), DefinitionChange(memory_mib=4096), "<maxMemory>"),
        (domain("<cpu><numa><cell/></numa></cpu>"), DefinitionChange(memory_mib=4096), "<cpu/numa/cell>"),
        (domain("<devices><memory model='dimm'/></devices>"), DefinitionChange(memory_mib=4096), "<devices/memory>"),
        (
            domain("<memtune><hard_limit unit='GiB'>3</hard_limit></memtune>"),
            DefinitionChange(memory_mib=4096),
            "3072 MiB is below the new memory of 4096 MiB",
        ),
        (domain(""), DefinitionChange(memory_mib=0), "0 MiB"),
        (domain("", memory=""), DefinitionChange(memory_mib=4096), "no <memory>"),
        (domain(""), DefinitionChange(paths={"images": "/srv"}), "'images' is not a plain absolute path"),
        (domain(""), DefinitionChange(paths={"/": "/srv"}), "'/' is not"),
        (domain(""), DefinitionChange(paths={"/a": "/srv/../etc"}), "'/srv/../etc' is not"),
        (
            domain("<q:commandline xmlns:q='urn:q'><q:arg value='file=/a/b,if=none'/></q:commandline>"),
            DefinitionChange(paths={"/a": "/srv"}),
            "file=/a/b,if=none",
        ),
    ],
)
def test_an_edit_that_would_be_a_guess_is_refused(xml: str, change: DefinitionChange, words: str) -> None:
    with pytest.raises(Refused) as caught:
        apply_changes(xml, change)
    assert (caught.value.code, caught.value.subject) == ("DEFINITION_EDIT_REFUSED", "web1")
    assert words in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["host-bound", "ovirt"])
def test_hard_guests_keep_their_size_without_complaint(name: str) -> None:
    guest = GuestDefinition.from_xml(text(name))
    assert apply_changes(text(name), DefinitionChange(memory_mib=guest.memory_mib)) == text(name)


@pytest.mark.parametrize(
    ("damage", "xpaths"),
    [
        (("<acpi/>", ""), ["/domain/features/acpi"]),
        (("web1</name>", "web2</name>"), ["/domain/name/text()"]),
        (("'vda'", "'vdc'"), ["/domain/devices/disk[1]/target/@dev"]),
        (("root.qcow2'/>", "other.qcow2'/>"), ["/domain/devices/disk[1]/source/@file"]),
        (("<!-- chosen at installation -->", ""), ["/domain/metadata/"]),
        (("one&#10;two", "one two"), ["/domain/Q{http://libvirt.org/schemas/domain/qemu/1.0}commandline/", "@value"]),
        (("static'>4<", "static'>5<"), ["/domain/vcpu"]),
        (("'KiB'>8388608</memory>", "'KiB'>8388608000</memory>"), ["/domain/memory"]),
        (("cockpit_machines:", "ns0:"), ["/domain/namespace::*"]),
        (("<vmport state='off'/>", "<vmport state='off'/><pae/>"), ["/domain/features/pae"]),
    ],
)
def test_the_self_check_sees_everything_else(damage: tuple[str, str], xpaths: list[str]) -> None:
    before, change = text("debian-q35"), DefinitionChange(vcpus=4, memory_mib=8192, paths={IMAGES: "/srv/web1"})
    after = apply_changes(before, change)
    verify_only(before, after, change)
    assert damage[0] in after
    damaged = after.replace(*damage).replace("xmlns:cockpit_machines=" if "ns0:" in damage else "\0", "xmlns:ns0=")
    with pytest.raises(MobilityError) as caught:
        verify_only(before, damaged, change)
    assert (caught.value.code, caught.value.subject) == ("DEFINITION_EDIT_UNEXPECTED", "web1")
    assert all(xpath in caught.value.message for xpath in xpaths)


def test_the_self_check_sees_a_topology_that_does_not_fit() -> None:
    before, change = text("nova"), DefinitionChange(vcpus=4)
    after = apply_changes(before, change).replace("sockets='4'", "sockets='3'")
    with pytest.raises(MobilityError, match="/domain/cpu/topology"):
        verify_only(before, after, change)


@pytest.mark.parametrize("name", NAMES)
def test_canonical_does_not_care_for_what_does_not_count(name: str) -> None:
    xml = text(name)
    other = xml.replace("\n  ", "\n\t ")
    other = re.sub("^<domain type='kvm'(?: id='[0-9]+')?", '<domain  id="9" type="kvm"', other)
    assert other != xml
    assert canonical(other) == canonical(xml)
    assert digest(other) == digest(xml)
    assert changed_xpaths(xml, other) == ()


def test_a_digest_is_a_sha256_and_changes_with_the_definition() -> None:
    first, second = digest(text("nova")), digest(text("nova").replace("shares>2048", "shares>1024"))
    assert len(first) == 64
    assert set(first) <= set("0123456789abcdef")
    assert first != second


def test_only_the_domains_own_id_is_left_out() -> None:
    assert digest("<domain id='1'><a id='1'/></domain>") == digest("<domain><a id='1'/></domain>")
    assert digest("<domain><a id='1'/></domain>") != digest("<domain><a id='2'/></domain>")


@pytest.mark.parametrize(
    ("before", "after", "xpaths"),
    [
        ("<d><a/><b/></d>", "<d><b/><a/></d>", ("/d/*",)),
        ("<d><a/></d>", "<d><a/><a x='1'/></d>", ("/d/a[2]",)),
        ("<d a='1'/>", "<d b='1'/>", ("/d/@a", "/d/@b")),
        ("<d>x</d>", "<d> x </d>", ()),
        ("<d/>", "<e/>", ("/d",)),
        ("<d xmlns:p='u'><p:a/></d>", "<d xmlns:p='v'><p:a/></d>", ("/d/Q{u}a", "/d/Q{v}a")),
        ("<d><!-- a --></d>", "<d><!-- b --></d>", ("/d/comment()/text()",)),
        ("<d>a<b/>c</d>", "<d>a<b/>d</d>", ("/d/text()",)),
    ],
)
def test_changed_xpaths(before: str, after: str, xpaths: tuple[str, ...]) -> None:
    assert changed_xpaths(before, after) == xpaths


def test_an_empty_element_and_a_missing_attribute_can_be_filled() -> None:
    memory = "<memory  unit='KiB'><!-- ours -->1024</memory>"
    xml = domain("<cpu><topology/></cpu>", vcpu="<vcpu>1</vcpu>", memory=memory)
    after = apply_changes(xml, DefinitionChange(vcpus=2, memory_mib=2))
    assert after == xml.replace("<!-- ours -->1024", "2048<!-- ours -->").replace("<vcpu>1", "<vcpu>2").replace(
        "<topology/>", "<topology sockets='2'/>"
    )


def test_text_beyond_ascii_is_kept() -> None:
    xml = domain("<title>Käse ✓</title><devices><disk><source file='/bücher/a'/></disk></devices>")
    after = apply_changes(xml, DefinitionChange(vcpus=3, paths={"/bücher": "/書"}))
    assert after == xml.replace(">2<", ">3<").replace("/bücher/", "/書/")


def test_a_declaration_stays() -> None:
    xml = "<?xml version='1.0' encoding='UTF-8'?>\n" + domain("")
    assert apply_changes(xml, DefinitionChange(vcpus=3)) == xml.replace(">2<", ">3<")


topologies = st.builds(
    Topology,
    sockets=st.integers(1, 8),
    dies=st.integers(1, 2),
    clusters=st.integers(1, 2),
    cores=st.integers(1, 8),
    threads=st.integers(1, 2),
)
names = st.text("abcé&'<\"> ", min_size=1, max_size=6).map(lambda name: name.strip() or "x")


@st.composite
def definitions(draw: st.DrawFn) -> str:
    """A definition with a topology or without, some disks, and parts of other tools."""
    topology = draw(st.none() | topologies)
    root = ET.Element("domain", type="kvm")
    ET.SubElement(root, "name").text = draw(names)
    for tag in ("memory", "currentMemory"):
        ET.SubElement(root, tag, unit="KiB").text = str(draw(st.integers(1024, 2**24)))
    ET.SubElement(root, "vcpu").text = str(topology.product if topology else draw(st.integers(1, 64)))
    if topology:
        values = {name: str(getattr(topology, name)) for name in ("sockets", "dies", "clusters", "cores", "threads")}
        ET.SubElement(ET.SubElement(root, "cpu"), "topology", values)
    devices = ET.SubElement(root, "devices")
    for name in draw(st.lists(names, max_size=3)):
        ET.SubElement(ET.SubElement(devices, "disk"), "source", file=f"/images/{name}")
    foreign = draw(
        st.sampled_from(["", "<!-- é --><q:a xmlns:q='urn:q' v='&#10;\"'/>", "<metadata><m xmlns='urn:m'/></metadata>"])
    )
    return ET.tostring(root, encoding="unicode").replace("</domain>", foreign + "</domain>")


@given(definitions())
def test_asking_for_what_is_there_changes_nothing(xml: str) -> None:
    guest = GuestDefinition.from_xml(xml)
    same = DefinitionChange(vcpus=guest.vcpus, memory_mib=guest.memory_mib, paths={"/images": "/images"})
    assert apply_changes(xml, same) == xml
    assert apply_changes(xml, DefinitionChange()) == xml
    assert canonical(apply_changes(xml, same)) == canonical(xml)


@given(definitions(), st.integers(1, 64), st.integers(1, 2**20), names)
def test_any_change_is_made_and_nothing_else(xml: str, vcpus: int, memory_mib: int, directory: str) -> None:
    change = DefinitionChange(vcpus=vcpus, memory_mib=memory_mib, paths={"/images": f"/{directory}"})
    after = apply_changes(xml, change)
    verify_only(xml, after, change)
    guest = GuestDefinition.from_xml(after)
    assert (guest.vcpus, guest.memory_mib) == (vcpus, memory_mib)
    assert guest.topology is None or guest.topology.product == vcpus
    assert all(disk.path.startswith(f"/{directory}/") for disk in guest.disks)
    allowed = (
        "/domain/vcpu/",
        "/domain/memory/",
        "/domain/currentMemory/",
        "/domain/cpu/topology/@",
        "/domain/devices/disk",
    )
    assert all(xpath.startswith(allowed) for xpath in changed_xpaths(xml, after))


@given(topologies, st.integers(1, 512))
def test_a_topology_always_has_as_many_vcpus_as_the_guest(old: Topology, vcpus: int) -> None:
    new = fit_topology(old, vcpus)
    assert new.product == vcpus
    assert fit_topology(new, vcpus) == new


@given(definitions(), st.integers(1, 64), st.integers(1, 2**20))
def test_a_second_application_changes_nothing(xml: str, vcpus: int, memory_mib: int) -> None:
    change = DefinitionChange(vcpus=vcpus, memory_mib=memory_mib)
    once = apply_changes(xml, change)
    assert apply_changes(once, change) == once
