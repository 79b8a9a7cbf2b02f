"""Ports that stay free while their owner is down: below those that the kernel gives to outgoing connections."""
import random
import socket

LOWEST, HIGHEST = 12_000, 32_000
chosen = set()


def quiet_port():
    while True:
        port = random.SystemRandom().randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in chosen:
            chosen.add(port)
            return port


class CollectorPorts:
    def __init__(self):
        self.grpc, self.http, self.health, self.metrics = (quiet_port() for _ in range(4))
