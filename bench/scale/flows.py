"""Long connections and UDP flows that talk without a pause, one thread for all of them, and what became of each."""
import selectors
import socket
import threading
import time

ANSWER = 1.0  # seconds that an echo may take before it counts as lost


class Flows(threading.Thread):
    """`count` of each protocol to an echo at `address`. One connection of TCP at a time is left and made anew."""

    def __init__(self, address, port, count=32):
        super().__init__(daemon=True)
        self.to, self.count = (address, port), count
        self.ended = threading.Event()
        self.result = {"tcp_echoes": 0, "udp_echoes": 0, "connections": 0, "cut": 0, "refused": 0, "udp_lost": 0, "wrong": 0}

    def run(self):
        ready, asked = selectors.DefaultSelector(), {}
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for _ in range(self.count):
                self.open(kind, ready, asked)
        renewed = time.monotonic()
        while not self.ended.is_set():
            for key, _ in ready.select(0.1):
                self.answer(key.fileobj, ready, asked)
            now = time.monotonic()
            for one, (text, since) in list(asked.items()):
                if now - since > ANSWER:
                    self.late(one, ready, asked)
            if now - renewed > 0.02:
                renewed = now
                self.renew(ready, asked)
        for one in list(asked):
            one.close()

    def open(self, kind, ready, asked):
        one = socket.socket(socket.AF_INET, kind)
        one.settimeout(5)
        try:
            one.connect(self.to)
        except OSError:
            self.result["refused"] += 1
            one.close()
            return
        self.result["connections"] += kind == socket.SOCK_STREAM
        ready.register(one, selectors.EVENT_READ)
        self.ask(one, asked)

    def ask(self, one, asked):
        asked[one] = (f"e{time.monotonic_ns():020}".encode(), time.monotonic())
        try:
            one.send(asked[one][0])
        except OSError:
            pass  # what is wrong is told where it is read

    def answer(self, one, ready, asked):
        is_tcp = one.type == socket.SOCK_STREAM
        try:
            text = one.recv(64)
        except OSError:
            text = b""
        if text == asked[one][0]:
            self.result["tcp_echoes" if is_tcp else "udp_echoes"] += 1
            self.ask(one, asked)
        elif text:
            self.result["wrong"] += is_tcp  # of UDP, an echo that came late
        elif is_tcp:
            self.leave(one, ready, asked, "cut")
        else:
            self.late(one, ready, asked)

    def late(self, one, ready, asked):
        if one.type == socket.SOCK_STREAM:
            self.leave(one, ready, asked, "cut")
        else:
            self.result["udp_lost"] += 1
            self.ask(one, asked)

    def leave(self, one, ready, asked, why=None):
        if why:
            self.result[why] += 1
        ready.unregister(one)
        del asked[one]
        one.close()
        self.open(socket.SOCK_STREAM, ready, asked)

    def renew(self, ready, asked):
        """Makes the youngest connection anew: the others last for the whole run."""
        streams = [one for one in asked if one.type == socket.SOCK_STREAM]
        if streams:
            self.leave(streams[-1], ready, asked)

    def end(self):
        self.ended.set()
        self.join()
        return self.result
