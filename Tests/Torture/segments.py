"""Damage to the log's files while the collector is down. Which requests it costs is known: segments are read as their format says
(`Sources/Pipeline/Log/LogFormat.swift`; written anew here, so that a mistake there is not repeated)."""
import struct
from dataclasses import dataclass
from pathlib import Path

SEGMENT_HEADER_BYTES = 8 << 10
RECORDS_START = 2 * SEGMENT_HEADER_BYTES
MARKER = 0x574C5243
RECORD_HEADER = struct.Struct("<IIBBBBIQQQQQII")
REQUEST, RELEASES = 1, 2
GARBAGE_BYTES_MAX = 3_000
FLIPS_MAX = 8


@dataclass
class Record:
    path: Path
    offset: int
    kind: int
    payload: bytes
    # After the payload, before padding.
    end: int

    def span(self):
        return range(self.offset, self.end)


def segment_files(directory):
    """Oldest first."""
    return sorted(directory.glob("*.wal"))


def records(path):
    """Every record from the beginning to the first thing that is none."""
    data, at = path.read_bytes(), RECORDS_START
    while at + RECORD_HEADER.size <= len(data):
        marker, _, kind, _, _, _, payload, _, _, _, _, _, project, _ = RECORD_HEADER.unpack_from(data, at)
        begin = at + RECORD_HEADER.size + project
        if marker != MARKER or begin + payload > len(data):
            return
        yield Record(path, at, kind, data[begin:begin + payload], begin + payload)
        at = begin + payload + -(project + payload) % 8


def all_records(directory):
    return [record for path in segment_files(directory) for record in records(path)]


def end_of(path, found):
    """Where free space begins; None if something that is no whole record is there, which must not be touched."""
    end = (found[-1].end + 7) // 8 * 8 if found else RECORDS_START
    return end if not path.read_bytes()[end:].strip(b"\0") else None


def flip(path, offset, bit):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def flip_in_record(rng, directory, closed):
    """One bit in the header or the body of a request's record. The request, or None when none of `closed` is in the log."""
    by_bytes = {request.raw: request for request in closed}
    candidates = [record for record in all_records(directory) if record.kind == REQUEST and record.payload in by_bytes]
    if not candidates:
        return None
    record = rng.choice(candidates)
    flip(record.path, rng.choice(record.span()), rng.randrange(8))
    return by_bytes[record.payload]


def flip_elsewhere(rng, directory):
    """Some bits whose loss costs no request: in release snapshots, in one copy of a segment's header, in empty space. How many."""
    flips = 0
    for path in segment_files(directory):
        if not path.read_bytes()[:SEGMENT_HEADER_BYTES].strip(b"\0"):
            continue  # a kill came before its header: one bit more, and nobody can tell that nothing is in it
        found = list(records(path))
        end = end_of(path, found)
        # The same copy each time: without the other one the segment would be lost.
        copy = int(path.stem, 16) % 2 * SEGMENT_HEADER_BYTES
        places = [range(copy, copy + 128), range(copy, copy + SEGMENT_HEADER_BYTES)]
        places += [] if end is None else [range(end, path.stat().st_size)]
        places = [place for place in places if place] + [record.span() for record in found if record.kind == RELEASES]
        for _ in range(rng.randrange(FLIPS_MAX)):
            flip(path, rng.choice(rng.choice(places)), rng.randrange(8))
            flips += 1
    return flips


def tear_last(rng, directory, closed):
    """Cuts the log within its last request's record, if that request may be destroyed (`closed`). The request, or None."""
    files = segment_files(directory)
    every = list(records(files[-1])) if files else []
    found = [record for record in every if record.kind == REQUEST]
    request = {request.raw: request for request in closed}.get(found[-1].payload) if found else None
    if request is None or end_of(files[-1], every) is None:
        return None
    size = found[-1].path.stat().st_size
    with open(found[-1].path, "r+b") as file:
        file.truncate(rng.choice(found[-1].span()))
        if rng.random() < 0.5:
            file.truncate(size)
    return request


def garbage_at_end(rng, directory):
    """What a write that never was complete leaves after the last record: the beginning of a record, or anything. How many bytes."""
    files = segment_files(directory)
    found = list(records(files[-1])) if files else []
    if not found or end_of(files[-1], found) is None:
        return 0
    if rng.random() < 0.5:
        garbage = rng.randbytes(rng.randint(1, GARBAGE_BYTES_MAX))
    else:
        model = rng.choice(found)
        whole = model.path.read_bytes()[model.offset:model.end]
        garbage = whole[:rng.randint(1, len(whole))]
    with open(files[-1], "r+b") as file:
        file.seek(end_of(files[-1], found))
        file.write(garbage)
    return len(garbage)
