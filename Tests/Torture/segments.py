"""Damage to the log's files while the collector is down. Which requests it costs is known, because their bytes are looked for first."""

# Before its payload a record has a header of at most this.
HEADER_BYTES_MAX = 128
GARBAGE_BYTES_MAX = 3_000
TRIED_MAX = 40
FLIPS_MAX = 8


def segment_files(directory):
    """Oldest first."""
    return sorted(directory.glob("*.wal"))


def places_of(directory, request):
    """Every (file, offset) at which the request's payload is."""
    found = []
    for path in segment_files(directory):
        data, at = path.read_bytes(), -1
        while (at := data.find(request.raw, at + 1)) >= 0:
            found.append((path, at))
    return found


def flip(path, offset, bit):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def flip_in_record(rng, directory, requests):
    """One bit of the payload of some request that is in the log. The request, or None."""
    candidates = list(requests)
    rng.shuffle(candidates)
    for request in candidates[:TRIED_MAX]:
        places = places_of(directory, request)
        if places:
            path, at = rng.choice(places)
            flip(path, at + rng.randrange(len(request.raw)), rng.randrange(8))
            return request
    return None


def flip_elsewhere(rng, directory, requests):
    """Bits of what is neither a request's payload nor before one: release snapshots, fingerprints, segment headers, empty space."""
    taken = {}
    for request in requests:
        for path, at in places_of(directory, request):
            taken.setdefault(path, []).append(range(at - HEADER_BYTES_MAX, at + len(request.raw)))
    flips = 0
    for path in segment_files(directory):
        data = path.read_bytes()
        used = [at for at in range(len(data.rstrip(b"\0"))) if data[at]]
        for at in rng.sample(used, min(FLIPS_MAX, len(used))):
            if not any(at in part for part in taken.get(path, [])):
                flip(path, at, rng.randrange(8))
                flips += 1
    return flips


def tear_last(rng, directory, closed, requests):
    """Cuts the log within its last request's payload, if that request may be destroyed (`closed`). The request, or None."""
    files = segment_files(directory)
    for path in reversed(files):
        data = path.read_bytes()
        last = max(((data.rfind(request.raw), index) for index, request in enumerate(requests)), default=(-1, 0))
        if last[0] < 0:
            continue
        request = requests[last[1]]
        if request not in closed:
            return None
        cut = last[0] + rng.randrange(len(request.raw))
        with open(path, "r+b") as file:
            file.truncate(cut)
            if rng.random() < 0.5:
                file.truncate(len(data))
        return request
    return None


def garbage_at_end(rng, directory):
    """Bytes of a write that never was complete, after the last record. How many."""
    files = segment_files(directory)
    if not files:
        return 0
    data = files[-1].read_bytes()
    end = (len(data.rstrip(b"\0")) + 7) // 8 * 8
    count = rng.randint(1, GARBAGE_BYTES_MAX)
    # Half of the time it begins as true records do.
    begin = rng.randrange(max(end - count, 1)) // 8 * 8
    garbage = data[begin:begin + count] if rng.random() < 0.5 else rng.randbytes(count)
    with open(files[-1], "r+b") as file:
        file.seek(end)
        file.write(garbage)
    return len(garbage)
