"""Stands between the collector and its database, to take the database away."""
import socket
import threading
from urllib.parse import urlsplit

from daemon import free_ports


class Relay:
    """A TCP relay in front of the database: down until `open`, and able to cut every connection."""

    def __init__(self, dsn):
        address = urlsplit(dsn)
        self.target = (address.hostname, address.port)
        self.port, = free_ports(1)
        self.dsn = dsn.replace(f":{address.port}/", f":{self.port}/")
        self.listener, self.pairs, self.lock = None, [], threading.Lock()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self.listener], daemon=True).start()

    def close(self):
        """Nobody listens any more, and every connection is reset."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        self.cut()

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for end in (end for pair in pairs for end in pair):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return len(pairs)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            with self.lock:
                self.pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=[source, sink], daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
