#!/usr/bin/env python3
"""Sends each request of a file once, or several times, as OTLP/HTTP over some connections; prints what happened as JSON.

A program of its own so that its CPU time is known and costs the measured ones nothing but the core. 503 and 429 are what a
full queue answers: the request is sent again after Retry-After, as SDKs do.
"""
import argparse
import json
import mmap
import resource
import socket
import struct
import sys
import threading
import time

import payload

HEAD = b"POST /v1/traces HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-protobuf\r\ncontent-length: %d\r\n\r\n"
ANSWER_BYTES_MAX = 64 * 1024


def requests_of(path):
    with open(path, "rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    offset, result = 0, []
    while offset < len(content):
        (length,) = struct.unpack_from("<I", content, offset)
        result.append(content[offset + 4 : offset + 4 + length])
        offset += 4 + length
    return result


def answer(connection):
    """Status and Retry-After seconds of the next response."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(ANSWER_BYTES_MAX)
        if not more or len(received) > ANSWER_BYTES_MAX:
            raise ConnectionError("the collector closed the connection")
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    missing = int(headers.get(b"content-length", b"0")) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))
    return int(lines[0].split()[1]), int(headers.get(b"retry-after", b"0"))


class Requests:
    """The requests of a file, by their number in the load. Numbered ones carry it in the first half of their trace ids: no two
    requests are the same, and each can be found again in a database."""

    def __init__(self, path, numbering, first):
        self.plain, self.first = requests_of(path), first
        self.offsets = None
        if numbering != "none":
            self.offsets = [payload.trace_id_offsets(raw) for raw in self.plain]
            if numbering == "first":
                self.offsets = [offsets[:1] for offsets in self.offsets]

    def __len__(self):
        return len(self.plain)

    def body(self, number):
        plain = self.plain[number % len(self.plain)]
        if self.offsets is None:
            return plain
        body, mark = bytearray(plain), struct.pack(">Q", self.first + number)
        for offset in self.offsets[number % len(self.plain)]:
            body[offset : offset + 8] = mark
        return body


class Sender:
    def __init__(self, arguments):
        self.arguments, self.requests = arguments, Requests(arguments.file, arguments.number, arguments.first)
        self.total = None if arguments.seconds else len(self.requests) * arguments.passes
        self.lock = threading.Lock()
        self.next = self.accepted = self.refused = self.bytes = 0
        self.milliseconds = []
        self.started = time.monotonic()

    def _take(self):
        """The next request's number and when it is to be sent, None at the end."""
        with self.lock:
            if self.total is not None and self.next == self.total:
                return None
            due = self.started + self.next / self.arguments.rate if self.arguments.rate else time.monotonic()
            if self.arguments.seconds and due - self.started > self.arguments.seconds:
                return None
            self.next += 1
            return self.next - 1, due

    def _connect(self):
        connection = socket.create_connection(("127.0.0.1", self.arguments.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _send(self, connection, body):
        """Until it is accepted."""
        while True:
            connection.sendall(HEAD % len(body))
            connection.sendall(body)
            status, pause = answer(connection)
            if status == 200:
                return
            if status not in (429, 503):
                raise SystemExit(f"the collector answered {status}")
            with self.lock:
                self.refused += 1
            time.sleep(pause)

    def work(self):
        with self._connect() as connection:
            while (taken := self._take()) is not None:
                number, due = taken
                body = self.requests.body(number)
                if (early := due - time.monotonic()) > 0:
                    time.sleep(early)
                self._send(connection, body)
                # From when it was due: a late start is the collector's delay as well.
                took = (time.monotonic() - due) * 1e3
                with self.lock:
                    self.accepted += 1
                    self.bytes += len(body)
                    self.milliseconds.append(took)

    def report(self, began):
        took, used = sorted(self.milliseconds), resource.getrusage(resource.RUSAGE_SELF)
        return {"accepted": self.accepted, "refused": self.refused, "bytes": self.bytes, "seconds": time.monotonic() - self.started,
                "cpu_seconds": used.ru_utime + used.ru_stime - began,
                **{f"p{part}_ms": took[min(len(took) - 1, len(took) * part // 100)] if took else None for part in (50, 99)}}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("file")
    parser.add_argument("connections", type=int)
    parser.add_argument("passes", type=int)
    parser.add_argument("seconds", type=float, nargs="?", help="passes without end until then")
    parser.add_argument("--rate", type=float, help="requests per second in all; as fast as they are answered when absent")
    parser.add_argument("--number", choices=["none", "first", "all"], default="none",
                        help="write the request's number into no trace id, that of the first span, or of all")
    parser.add_argument("--first", type=int, default=0, help="the first number")
    sender = Sender(parser.parse_args())
    used = resource.getrusage(resource.RUSAGE_SELF)
    sender.started = time.monotonic()
    threads = [threading.Thread(target=sender.work) for _ in range(sender.arguments.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(sender.report(used.ru_utime + used.ru_stime)))
    expected = sender.next
    if sender.accepted != expected:
        sys.exit(f"only {sender.accepted} of {expected} requests were answered")


if __name__ == "__main__":
    main()
