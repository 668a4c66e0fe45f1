"""Configuration changes while traffic flows, from a thread beside the load."""
import os
import threading
import time

from . import checks


class Churn:
    """`with Churn(peer, cfg, child, cpus) as churn: ...`; then churn.row() says what came of it."""

    def __init__(self, peer, cfg, child, cpus):
        self.peer, self.cfg, self.child, self.cpus = peer, cfg, child, cpus
        self.made, self.stop = 0, threading.Event()
        self.failure = None

    def __enter__(self):
        self.before = self.peer.versions(self.cfg)
        self.since = time.monotonic()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        os.sched_setaffinity(0, self.cpus)  # of this thread: the work is the load's, not the peer's
        pause = 1 / self.peer.changes_per_s
        try:
            while not self.stop.wait(max(0, self.since + (self.made + 1) * pause - time.monotonic())):
                self.made += 1
                self.peer.change(self.cfg, self.child, self.made)
        except OSError as e:
            self.failure = e

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.seconds = time.monotonic() - self.since

    def row(self):
        """Raises RuntimeError where the last change isn't in force within 10 s."""
        if self.failure or not self.made:
            raise RuntimeError(f"no configuration change was made: {self.failure or 'the run is shorter than the pause between two'}")
        begun = time.monotonic()
        while not self.in_force():
            if time.monotonic() - begun > 10:
                raise RuntimeError(f"change {self.made} isn't in force after 10 s")
            time.sleep(0.005)
        settled = time.monotonic() - begun
        after = self.peer.versions(self.cfg)
        versions = {} if after is None else {"versions_per_s": (after - self.before) / self.seconds}
        return {"changes_per_s": self.made / self.seconds, "settled_ms": settled * 1e3, **versions}

    def in_force(self):
        try:
            now, past = (checks.get(self.cfg, "change.bench.test", f"/v{i}/item")[0] for i in (self.made, self.made - 1))
        except (OSError, checks.http.client.HTTPException):
            return False
        return now == 200 and past == 404
