"""Stands between the collector and PostgreSQL, knows the protocol well enough to see a COMMIT, and then does its worst."""
import socket
import struct
import threading

RECEIVE_BYTES = 1 << 16
# Requests that come in place of a start-up message (PostgreSQL protocol 3, "SSLRequest", "GSSENCRequest").
NEGOTIATIONS = {80877103, 80877104}
# What may be done to a COMMIT:
#   before      the connection is cut, the server never gets it
#   in          the server gets it and at once sees its client gone
#   after       the server has committed, the answer is lost
#   late        the collector's side is cut, the server gets it some time later
#   delayed     it arrives late, the answer comes
#   answer late it arrives, the answer takes its time
TRAPS = ("before", "in", "after", "late", "delayed", "answer late")


class Link:
    """One session: two threads that pass bytes on, whole messages on the way to the server."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.swallowing, self.answer_delay = threading.Event(), 0
        self.threads = [threading.Thread(target=body, daemon=True) for body in (self._up, self._down)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def cut(self, *ends):
        for end in ends or (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _up(self):
        try:
            for message in self._messages():
                self.proxy.flowing.wait()
                trap = self.proxy.take_trap() if is_commit(message) else None
                if trap is None:
                    self.server.sendall(message)
                else:
                    self._spring(*trap, message)
        except (OSError, EOFError):
            pass
        self.cut()

    def _messages(self):
        """Start-up messages carry no type; all later ones do. Yields whole messages as bytes."""
        data, typed = b"", False
        while True:
            head = 5 if typed else 4
            while len(data) < head or len(data) < (size := head - 4 + struct.unpack_from(">I", data, head - 4)[0]):
                part = self.client.recv(RECEIVE_BYTES)
                if not part:
                    return
                data += part
            message, data = data[:size], data[size:]
            if not typed:
                typed = len(message) < 8 or struct.unpack_from(">I", message, 4)[0] not in NEGOTIATIONS
            yield message

    def _spring(self, kind, delay, message):
        if kind == "before":
            raise EOFError
        if kind == "in":
            self.swallowing.set()
            self.server.sendall(message)
            raise EOFError
        if kind == "after":
            self.swallowing.set()
            self.server.sendall(message)
        elif kind == "late":
            self.swallowing.set()
            self.cut(self.client)
            self.proxy.ended.wait(delay)
            self.server.sendall(message)
        elif kind == "delayed":
            self.proxy.ended.wait(delay)
            self.server.sendall(message)
        elif kind == "answer late":
            self.answer_delay = delay
            self.server.sendall(message)

    def _down(self):
        try:
            while data := self.server.recv(RECEIVE_BYTES):
                if self.swallowing.is_set():
                    break
                self.proxy.flowing.wait()
                delay, self.answer_delay = self.answer_delay, 0
                if delay:
                    self.proxy.ended.wait(delay)
                self.client.sendall(data)
        except OSError:
            pass
        self.cut()


def is_commit(message):
    return message[:1] == b"Q" and message[5:].rstrip(b"\0; ").lower() == b"commit"


class Proxy:
    """Listens on a port of its own for as long as it lives; `target` is (host, port)."""

    def __init__(self, target):
        self.target = target
        self.lock, self.links, self.traps = threading.Lock(), [], []
        self.refusing, self.sprung = False, 0
        self.flowing, self.ended = threading.Event(), threading.Event()
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refusing:
                    raise OSError("refusing")
                server = socket.create_connection(self.target, 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, client, server)
            with self.lock:
                self.links = [old for old in self.links if any(t.is_alive() for t in old.threads)] + [link]
                link.start()

    def arm(self, *traps):
        """Each (kind, delay in seconds) waits for one COMMIT, in order."""
        with self.lock:
            self.traps += traps

    def take_trap(self):
        with self.lock:
            if not self.traps:
                return None
            self.sprung += 1
            return self.traps.pop(0)

    def cut(self):
        """Cuts every session; returns how many."""
        with self.lock:
            links = [link for link in self.links if link.threads[0].is_alive()]
        for link in links:
            link.cut()
        return len(links)

    def stall(self):
        """Nothing passes, nothing is closed, until `calm`."""
        self.flowing.clear()

    def refuse(self):
        self.refusing = True
        return self.cut()

    def calm(self):
        self.refusing = False
        self.flowing.set()
        with self.lock:
            self.traps = []

    def close(self):
        self.ended.set()
        self.flowing.set()
        self.refusing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
