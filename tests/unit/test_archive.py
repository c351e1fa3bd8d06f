"""What a bundle's file may be: whatever else comes through the door is refused before a byte of it is read."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest

from tidegate.application import archive
from tidegate.domain.errors import BadInput

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_bundle.py"
MEMBERS = {"chain.jsonl": b"{}\n", "packets/00.json": b"{}", "timeline.md": b"Gezeitentor\n"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "bundle.zip"


def refusal(file):
    with pytest.raises(BadInput) as caught:
        archive.read(file)
    return caught.value


def test_what_was_written_is_read_back(file):
    archive.write(file, MEMBERS)
    assert archive.read(file) == MEMBERS
    assert list(file.parent.iterdir()) == [file]


def test_the_same_members_make_the_same_bytes_in_whatever_order_they_come(file, tmp_path):
    archive.write(file, MEMBERS)
    archive.write(tmp_path / "again.zip", dict(reversed(MEMBERS.items())))
    assert file.read_bytes() == (tmp_path / "again.zip").read_bytes()
    with zipfile.ZipFile(file) as written:
        assert {entry.compress_type for entry in written.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in written.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("place", ["nowhere/bundle.zip", "folder"])
def test_where_it_cannot_be_written_nothing_is_left(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput) as caught:
        archive.write(tmp_path / place, MEMBERS)
    assert caught.value.code == "cannot-write"
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_more_than_a_reader_takes_is_not_written(file, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 10)
    with pytest.raises(BadInput, match="expected at most 4096 of 10"):
        archive.write(file, {"a": b"x" * 11})
    assert not file.exists()


# ── hostile files ─────────────────────────────────────────────────────────────────────────────────


def with_entry(file, name, data=b"{}", **attributes):
    """Write an archive with one more entry, as no writer of ours would."""
    archive.write(file, MEMBERS)
    entry = zipfile.ZipInfo("x" * len(name))
    entry.filename = name
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as more:
        warnings.simplefilter("ignore")  # of names that stand there twice
        more.writestr(entry, data)
    return file


TRICKS = [
    "../escape.json", "../../etc/passwd", "/etc/passwd", "packets/../../x", "a/b/c.json", "packets//x", "./x",
    "C:\\windows\\x", "packets\\x.json", "chain.jsonl ", "Chain.jsonl", "~/x", ".hidden", "-rf", "x\ny", "\u202egnp.x",
    "packets/", "ch\u00e4in", "a" * 300, "", "con:", "chain.jsonl\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("name", TRICKS, ids=ascii)
def test_a_name_that_is_not_plain_is_refused(file, name):
    refused = refusal(with_entry(file, name))
    assert refused.code == "not-a-bundle"
    assert "expected a plain name, in one folder at most" in refused.sentence
    assert by_script(file) == 2


def test_a_name_that_ends_early_for_some_readers_is_refused(file):
    with_entry(file, "timeline.mdX../x")
    file.write_bytes(file.read_bytes().replace(b"timeline.mdX../x", b"timeline.md\x00../x"))
    assert "a plain name" in refusal(file).sentence
    assert by_script(file) == 2


def test_a_member_that_stands_there_twice_is_refused(file):
    assert "got the member chain.jsonl twice" in refusal(with_entry(file, "chain.jsonl")).sentence
    assert by_script(file) == 2


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_a_folder_or_a_device_is_refused(file, kind):
    with_entry(file, "link.json", b"/etc/passwd", create_system=3, external_attr=(kind | 0o777) << 16)
    assert "the member link.json, which is no plain file" in refusal(file).sentence
    assert by_script(file) == 2


def test_what_unpacks_to_more_than_it_is_is_refused_unread(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("chain.jsonl", bytes(50_000_000))
    assert file.stat().st_size < 100_000
    assert (
        "bytes that would unpack to 50,000,000, expected members stored as they are" in refusal(file).sentence
    )
    assert by_script(file) == 2


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_no_member_may_be_compressed_at_all(file, method):
    with zipfile.ZipFile(file, "w", method) as packed:
        packed.writestr("chain.jsonl", b"{}")
    assert "nothing here unpacks" in refusal(file).sentence
    assert by_script(file) == 2


def central(data):
    """Return where the entries of the central directory begin."""
    found, at = [], data.find(b"PK\x01\x02")
    while at >= 0:
        found.append(at)
        at = data.find(b"PK\x01\x02", at + 4)
    return found


def test_members_that_lie_in_one_another_are_refused(file):
    """Many entries of the directory that all point to one large member."""
    many = {f"m{number:03}": b"x" for number in range(99)}
    archive.write(file, {"m000": b"A" * 100_000} | {name: b"x" for name in many if name != "m000"})
    data = bytearray(file.read_bytes())
    first = central(data)[0]
    same = data[first + 16 : first + 28]  # crc, packed size, size
    for at in central(data)[1:]:
        data[at + 16 : at + 28] = same
    file.write_bytes(data)
    assert "expected members that do not overlap" in refusal(file).sentence
    assert by_script(file) == 2


def test_a_size_that_lies_is_refused(file):
    archive.write(file, {"chain.jsonl": b"{}"})
    data = bytearray(file.read_bytes())
    at = central(data)[0]
    struct.pack_into("<I", data, at + 24, 4_000_000_000)
    file.write_bytes(data)
    assert refusal(file).code == "not-a-bundle"
    assert by_script(file) == 2


def test_an_encrypted_member_is_refused(file):
    archive.write(file, {"chain.jsonl": b"{}"})
    data = bytearray(file.read_bytes())
    data[central(data)[0] + 8] |= 1
    file.write_bytes(data)
    assert "which is encrypted" in refusal(file).sentence
    assert by_script(file) == 2


def test_a_member_whose_bytes_do_not_have_their_checksum_is_refused(file):
    archive.write(file, {"chain.jsonl": b'{"a":1}\n'})
    file.write_bytes(file.read_bytes().replace(b'{"a":1}', b'{"a":2}'))
    assert "is no whole ZIP archive" in refusal(file).sentence


def test_a_name_that_differs_between_directory_and_member_is_refused(file):
    archive.write(file, {"chain.jsonl": b"{}"})
    file.write_bytes(file.read_bytes().replace(b"chain.jsonl", b"other.jsonl", 1))
    assert "is no whole ZIP archive" in refusal(file).sentence


def end(data):
    """Return where the archive's last record begins."""
    return data.rfind(b"PK\x05\x06")


def before(data):
    return b"#!/bin/sh\nrm -rf ~\nexit\n" + data


def behind(data):
    return data + b"more"


def before_with_offsets_mended(data):
    """As `zip -A` does for an archive that unpacks itself."""
    stub, made = b"#!/bin/sh\nexit\n", bytearray(data)
    for at in central(data):
        struct.pack_into("<I", made, at + 42, struct.unpack_from("<I", data, at + 42)[0] + len(stub))
    struct.pack_into("<I", made, end(data) + 16, central(data)[0] + len(stub))
    return stub + made


def between(data):
    """A member that no directory lists, in front of the directory."""
    at, made = central(data)[0], bytearray(data)
    struct.pack_into("<I", made, end(data) + 16, at + 11)
    return bytes(made[:at] + b"PK\x03\x04hidden!" + made[at:])


def commented(data):
    return data[:-2] + struct.pack("<H", 7) + b"comment"


def member_commented(data):
    """The last entry of the directory gets a comment."""
    at, made = end(data), bytearray(data)
    struct.pack_into("<H", made, central(data)[-1] + 32, 4)
    struct.pack_into("<I", made, at + 12, struct.unpack_from("<I", data, at + 12)[0] + 4)
    return bytes(made[:at] + b"note" + made[at:])


def widened(data):
    """The last member's own header gets an extra field that the directory does not have."""
    last, first = central(data)[-1], central(data)[0]
    (at,) = struct.unpack_from("<I", data, last + 42)
    made = bytearray(data)
    struct.pack_into("<H", made, at + 28, 8)
    struct.pack_into("<I", made, end(data) + 16, first + 8)
    inside = at + 30 + struct.unpack_from("<H", data, at + 26)[0]
    return bytes(made[:inside] + b"\xfe\xca\x04\x00evil" + made[inside:])


def dated(data):
    made = bytearray(data)
    made[central(data)[0] + 12] ^= 1
    return bytes(made)


def dated_inside(data):
    """The member's own header tells another time than the directory."""
    made = bytearray(data)
    made[10] ^= 1
    return bytes(made)


def sized_inside(data):
    """The member's own header tells another size than the directory: some readers go by it."""
    made = bytearray(data)
    made[22] ^= 1
    return bytes(made)


FOREIGN = [
    before, behind, before_with_offsets_mended, between, commented, member_commented, widened, dated,
    dated_inside, sized_inside, lambda data: before(behind(data)), lambda data: data + data,
]  # fmt: skip


@pytest.mark.parametrize("change", FOREIGN, ids=lambda change: change.__name__)
def test_an_archive_that_holds_a_byte_more_than_its_members_make_is_refused(file, change):
    """One bundle is one file of bytes: nothing rides along that no signature is over."""
    archive.write(file, MEMBERS)
    file.write_bytes(change(file.read_bytes()))
    with zipfile.ZipFile(file) as lenient:
        assert {name: lenient.read(name) for name in lenient.namelist()} == MEMBERS, "it looks like the same"
    refused = refusal(file)
    assert refused.code == "not-a-bundle"
    assert "expected the very bytes that its members make" in refused.sentence
    assert by_script(file) == 2


def test_members_in_another_order_are_refused(file):
    archive.write(file, MEMBERS)
    with zipfile.ZipFile(file, "w") as other:
        for name in sorted(MEMBERS, reverse=True):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            other.writestr(entry, MEMBERS[name])
    assert "expected the very bytes that its members make" in refusal(file).sentence
    assert by_script(file) == 2


def test_too_many_members_and_too_large_a_file_are_refused(file, monkeypatch):
    archive.write(file, MEMBERS)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    assert "got 3 members, expected at most 2" in refusal(file).sentence
    with file.open("wb") as sparse:
        sparse.truncate(archive.MAX_BYTES + 1)
    assert "got a file of 536,870,913 bytes" in refusal(file).sentence
    assert by_script(file) == 2


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive", b"PK\x05\x06" + bytes(18), b"\x00" * 5000])
def test_what_is_no_archive_is_refused(file, data):
    file.write_bytes(data)
    if data.startswith(b"PK\x05\x06"):
        assert archive.read(file) == {}, "an empty archive lacks everything, which is for its checks to say"
    else:
        assert "is no whole ZIP archive" in refusal(file).sentence
    assert by_script(file) in {1, 2}


@pytest.mark.parametrize("at", [10, 60, 200, -30, -5])
def test_half_an_archive_is_refused(file, at):
    archive.write(file, MEMBERS)
    file.write_bytes(file.read_bytes()[:at])
    assert "is no whole ZIP archive" in refusal(file).sentence


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "which is no plain file" in refusal(tmp_path / "pipe").sentence
    assert "which is no plain file" in refusal(tmp_path).sentence
    assert refusal(tmp_path / "nothing").code == "no-such-file"


def by_script(file):
    """Return what the stand-alone script ends with; it looks at the archive before it looks at the key."""
    key = file.parent / "key.pub"
    key.write_text("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                   "-----END PUBLIC KEY-----\n")  # fmt: skip
    command = [sys.executable, "-S", "-I", str(SCRIPT), str(file), "--key", str(key)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode
