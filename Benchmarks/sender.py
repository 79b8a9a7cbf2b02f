#!/usr/bin/env python3
"""Sends each request of a file once, or several times, as OTLP/HTTP over some connections; prints what happened as JSON.

usage: sender.py PORT FILE CONNECTIONS PASSES [SECONDS]      (with SECONDS: passes without end until then)
A program of its own so that its CPU time is known and costs the measured ones nothing but the core. 503 and 429 are what a
full queue answers: the request is sent again after Retry-After, as SDKs do.
"""
import json
import mmap
import resource
import socket
import struct
import sys
import threading
import time

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
            raise SystemExit("the collector closed the connection")
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    missing = int(headers.get(b"content-length", b"0")) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))
    return int(lines[0].split()[1]), int(headers.get(b"retry-after", b"0"))


class Sender:
    def __init__(self, port, requests, passes, seconds):
        self.port, self.requests, self.seconds = port, requests, seconds
        self.left = len(requests) * passes if seconds is None else None
        self.lock = threading.Lock()
        self.next = self.accepted = self.refused = 0
        self.started = time.monotonic()

    def _take(self):
        with self.lock:
            done = self.next == self.left if self.seconds is None else time.monotonic() - self.started > self.seconds
            if done:
                return None
            self.next += 1
            return self.requests[(self.next - 1) % len(self.requests)]

    def work(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (body := self._take()) is not None:
                status = 0
                while status != 200:
                    connection.sendall(HEAD % len(body))
                    connection.sendall(body)
                    status, pause = answer(connection)
                    if status in (429, 503):
                        with self.lock:
                            self.refused += 1
                        time.sleep(pause)
                    elif status != 200:
                        raise SystemExit(f"the collector answered {status}")
                with self.lock:
                    self.accepted += 1


def main():
    port, path, connections, passes = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sender = Sender(port, requests_of(path), passes, float(sys.argv[5]) if len(sys.argv) > 5 else None)
    threads = [threading.Thread(target=sender.work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"accepted": sender.accepted, "refused": sender.refused, "seconds": time.monotonic() - sender.started,
                      "cpu_seconds": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    main()
