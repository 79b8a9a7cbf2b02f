"""Faults of the log's disk: the switchboard of shim.c, a file system that is full, and damage to segments of a collector that is down."""
import ctypes
import errno
import mmap
import os
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
WRITE, SYNC, ALLOCATE, CREATE, SHORT = 1, 2, 4, 8, 16
# What a disk does, as (calls that fail, error).
KINDS = {
    "no space for writes": (WRITE | ALLOCATE | CREATE, errno.ENOSPC), "no space for segments": (ALLOCATE | CREATE, errno.ENOSPC),
    "writes fail": (WRITE, errno.EIO), "syncs fail": (SYNC, errno.EIO), "everything fails": (WRITE | SYNC | ALLOCATE | CREATE, errno.EIO),
    "short writes": (SHORT, errno.EIO), "short writes, then none": (SHORT | WRITE, errno.ENOSPC),
    "space is found missing at the sync": (SYNC, errno.ENOSPC)}
CONTROL = struct.Struct("<IiiI")
NEW_NAMESPACE = 0x00020000
FILESYSTEM_BYTES = 24 << 20


def build_shim(directory):
    """Compiles the shim; the path of the library."""
    library = Path(directory) / "shim.so"
    options = ["-shared", "-fPIC", "-O2", "-Wall", "-Wno-format-truncation", "-Werror"]
    subprocess.run(["cc", *options, "-o", library, HERE / "shim.c", "-ldl"], check=True)
    return library


class Shim:
    """`shadow`: a directory that will be as `directory` would be after a power cut; None for no such thing."""

    def __init__(self, library, control_path, directory, shadow=None):
        self.environment = {"LD_PRELOAD": str(library), "TORTURE_CONTROL": str(control_path), "TORTURE_DIRECTORY": str(directory)}
        if shadow:
            self.environment["TORTURE_SHADOW"] = str(shadow)
        Path(control_path).write_bytes(bytes(mmap.PAGESIZE))
        with open(control_path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def set(self, kind, calls=-1):
        """Faults of this kind from now on; `calls`: only so many of them."""
        operations, error = KINDS[kind]
        hits = self.hits
        # The error before the switch: the other side reads without a lock.
        CONTROL.pack_into(self.memory, 0, 0, error, calls, hits)
        struct.pack_into("<I", self.memory, 0, operations)

    def clear(self):
        struct.pack_into("<I", self.memory, 0, 0)

    @property
    def hits(self):
        return CONTROL.unpack_from(self.memory, 0)[3]

    def close(self):
        self.memory.close()


def enter_own_mounts():
    """Mounts from here on are this process's and its children's, and go with them, however they end. False without the right to."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() != 0 or libc.unshare(NEW_NAMESPACE) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode == 0


def cut_power(rng, directory, shadow):
    """Leaves in both directories what the disk may hold after a power cut: all that was synced, and of the rest a random part, page by
    page; files and deletions that were not synced come and go. How many pages were lost."""
    lost, chance = 0, rng.choice([0, 0.5, 0.9])
    for path in sorted(shadow.glob("*.new")):
        path.unlink()
    for name in sorted({path.name for part in (directory, shadow) for path in part.glob("*.wal")}):
        real, durable = directory / name, shadow / name
        if not real.exists():
            if rng.random() < 0.5:
                durable.unlink()
                continue
            real.write_bytes(durable.read_bytes())
        now = real.read_bytes()
        if not durable.exists() and rng.random() < 0.5:
            real.unlink()
            continue
        then = durable.read_bytes().ljust(len(now), b"\0")[:len(now)] if durable.exists() else bytes(len(now))
        pages = []
        for at in range(0, len(now), mmap.PAGESIZE):
            page = now[at:at + mmap.PAGESIZE]
            if page != then[at:at + mmap.PAGESIZE] and rng.random() >= chance:
                page, lost = then[at:at + mmap.PAGESIZE], lost + 1
            pages.append(page)
        for path in (real, durable):
            path.write_bytes(b"".join(pages))
    return lost


class SmallDisk:
    """A file system of a few MiB; None-like (`is_mounted` false) where mounting is not allowed."""

    def __init__(self, directory, may_mount):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={FILESYSTEM_BYTES}", "none", str(self.directory)]
        self.is_mounted = may_mount and subprocess.run(command, capture_output=True).returncode == 0
        self.hog = self.directory / "somebody-elses-file"

    def fill(self):
        """Somebody else takes all the room there is."""
        with open(self.hog, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def free(self):
        self.hog.unlink(missing_ok=True)

    def close(self):
        self.free()
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.directory)], check=True)
