"""Reads a run log by means of its own: event files with struct and a bitwise checksum, the table with pyarrow.

Prints tab-separated lines: `event FILE-NUMBER STEP WALL KIND TAG VALUE` for each event in the order of file names, then
`columns NAME:TYPE...` and `row VALUE...` of the table; numbers as repr, nulls as None. If the package tensorboard is there,
`tensorboard TAG STEP VALUE` lines tell what its reader shows; else one line says `tensorboard absent`.
"""

import struct
import sys
from pathlib import Path

import pyarrow.parquet

folder = Path(sys.argv[1])


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frames(data):
    while data:
        length, check = struct.unpack("<QI", data[:12])
        assert check == masked(data[:8]), "the checksum of a length is wrong"
        body = data[12 : 12 + length]
        (check,) = struct.unpack("<I", data[12 + length : 16 + length])
        assert len(body) == length and check == masked(body), "the checksum of an event is wrong"
        yield body
        data = data[16 + length :]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def fields(data):
    """Protobuf fields as (number, value)."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack("<d", data[at : at + 8])[0], at + 8
        elif kind == 5:
            value, at = struct.unpack("<f", data[at : at + 4])[0], at + 4
        else:
            assert kind == 2, f"wire type {kind}"
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        yield key >> 3, value


def events(body):
    head = dict(fields(body))
    wall, step = head.get(1, 0.0), head.get(2, 0)
    if 3 in head:
        yield step, wall, "version", head[3].decode(), ""
    elif 7 in head:
        yield step, wall, "session", "status", repr(dict(fields(head[7]))[1])
    else:
        for _, value in fields(head[5]):
            found = dict(fields(value))
            yield step, wall, "scalar", found[1].decode(), repr(found[2])


for number, path in enumerate(sorted(folder.glob("events.out.tfevents.*"))):
    for body in frames(path.read_bytes()):
        for step, wall, *rest in events(body):
            print("event", number, step, repr(wall), *rest, sep="\t")

table = pyarrow.parquet.read_table(folder / "steps.parquet")
print("columns", *(f"{field.name}:{field.type}" for field in table.schema), sep="\t")
for row in table.to_pylist():
    print("row", *(repr(value) for value in row.values()), sep="\t")

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("tensorboard absent")
else:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    for tag in reader.Tags()["scalars"]:
        for scalar in reader.Scalars(tag):
            print("tensorboard", tag, scalar.step, repr(scalar.value), sep="\t")
