"""Tests of what needs no peer: figures, tables, pictures, settings. `bench/run --self-test`."""
import json
import tempfile
import unittest
import xml.dom.minidom
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from . import peers, proc, results, scenarios, settings
from .config import WORK, Config, make_routes

CONDITIONS = {"when": "2026-11-30T12:00:00Z", "kernel": "6", "cores": 2, "proxy_cpus": [0], "load_cpus": [1], "rounds": 2, "seconds": 3,
              "versions": {"nginx": "1.22.1 (of May 2022)", "ringgate": "0.1.0"}}
PEERS = [SimpleNamespace(name=name, floor=name.startswith("fwd-")) for name in ("ringgate", "nginx", "fwd-rw")]
H1 = next(s for s in scenarios.ALL if s.name == "h1-64")


def row(cpu, **more):
    return {"cpu_us": cpu, "rps": 1e6 / cpu, "user_us": cpu / 2, "sys_us": cpu / 2, "p50_us": 10, "p99_us": 20, "requests": 1000, "errors": 0, "busy": 1.0, "foreign": 0.0, "stolen": 0.0,
            "rss_kib": 2048, "rss0_kib": 1024, "rss_dataplane_kib": 1024, "backend_us": 1, "load_us": 1, "ready_s": 0.1, **more}


def run_of(folder, scenario=H1, **cpu):
    """Results with two rounds for each peer: these CPU times and a tenth more."""
    r = results.Results(Path(folder), "t", CONDITIONS, PEERS)
    r.begin(scenario)
    for peer in PEERS:
        for factor in (1.1, 1) if peer.name.replace("-", "_") in cpu else ():
            r.row(scenario, peer, row(cpu[peer.name.replace("-", "_")] * factor))
    return r


class Reports(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def line(self, r):
        return next(line for line in r.standing() if line.startswith("| h1-64"))

    def test_a_loss_is_called_one(self):
        line = self.line(run_of(self.folder.name, ringgate=30, nginx=20, fwd_rw=15))
        self.assertIn("| nginx 20.0 | 1.50 / 1.50 | fwd-rw 15.0 | 2.00 / 2.00 | **behind** |", line)

    def test_a_win_and_a_draw_too(self):
        self.assertIn("| ahead |", self.line(run_of(self.folder.name, ringgate=15, nginx=20)))
        self.assertIn("| level |", self.line(run_of(self.folder.name, ringgate=20.1, nginx=20)))

    def test_to_fail_is_to_lose(self):
        r = run_of(self.folder.name, nginx=20)
        r.failed(H1, PEERS[0], "ended at start")
        self.assertEqual("| h1-64 | µs of CPU per req | failed | nginx 20.0 | - | - | - | **behind** |", self.line(r))

    def test_who_refuses_is_not_the_best(self):
        r = run_of(self.folder.name, ringgate=15, nginx=20)
        r.row(H1, PEERS[0], row(10, errors=500))
        self.assertIn("**behind**", self.line(r))
        r.row(H1, PEERS[1], row(10, errors=500))
        self.assertEqual([], r.standing())

    def test_a_forwarder_is_no_peer(self):
        self.assertEqual([], run_of(self.folder.name, ringgate=15, fwd_rw=20).standing())

    def test_files_are_there_and_pictures_are_xml(self):
        r = run_of(self.folder.name, ringgate=15, nginx=20)
        r.save()
        self.assertEqual({"t.md", "t.json", "t.h1.svg"}, {p.name for p in Path(self.folder.name).iterdir()})
        bars = xml.dom.minidom.parse(str(r.file("h1.svg"))).getElementsByTagName("rect")
        self.assertEqual(["ours", "peer"], [bar.getAttribute("class") for bar in bars])
        self.assertLess(*(float(bar.getAttribute("width")) for bar in bars))
        self.assertEqual(4, len(json.loads(r.file("json").read_text())["rows"]))

    def test_who_fails_everywhere_is_still_in_the_tables(self):
        r = run_of(self.folder.name)
        r.failed(H1, PEERS[0], "ended\nat start")
        r.leave_out(H1, PEERS[1], "no http")
        r.save()
        text = r.file("md").read_text()
        self.assertIn("- ringgate failed: ended at start", text)
        self.assertIn("- nginx left out: no http", text)

    def test_the_age_of_a_version(self):
        now = datetime(2026, 11, 30)
        self.assertEqual("4.5 years", results.age("1.22.1 (of May 2022)", now))
        self.assertEqual("", results.age("1.40.0", now))

    def test_settings_hold_no_key_and_no_place(self):
        d = Path(self.folder.name) / "run"
        d.mkdir()
        key = d.parent / "key.pem"
        key.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
        cfg = Config("http", 1, 2, 1, d, d.parent / "cert.pem", key, {"p": Path("/opt/x/p")})
        cfg.write("a", f"{key.read_text()} in {d}")
        told = settings.told(cfg, ["/opt/x/p", d / "a"], {})
        self.assertEqual("p DIR/a", told["command"])
        self.assertEqual("(the bench's private key)\n in DIR", told["files"]["a"])


class Figures(unittest.TestCase):
    def test_balance_counts_workers_that_did_nothing(self):
        self.assertEqual(2, proc.balance({(1, 1): 5}, {(1, 1): 7, (1, 2): 0, (1, 3): 0}, 2))
        self.assertEqual(1, proc.balance({}, {(1, 1): 3, (1, 2): 3, (1, 3): 0}, 2))
        self.assertIsNone(proc.balance({}, {(1, 1): 0}, 2))

    def test_rules_are_all_different(self):
        self.assertEqual(1000, len(set(make_routes(1000))))


class Scenarios(unittest.TestCase):
    def test_names_are_for_one_thing_each(self):
        names = [s.name for s in scenarios.ALL + scenarios.MEMORY]
        self.assertEqual(len(names), len(set(names)))

    def test_work_is_known(self):
        known = set(WORK)
        for peer in peers.load().values():
            self.assertLessEqual(set(peer.can), known, peer.name)
            self.assertEqual("changes" in peer.can, peer.changes_per_s > 0, peer.name)
        self.assertLessEqual({s.work for s in scenarios.ALL if s.work}, known)

    def test_who_cannot_is_told_why(self):
        caddy = peers.load()["caddy"]
        by_name = {s.name: s for s in scenarios.ALL}
        self.assertEqual("its file here can't do this (mirror)", scenarios.why_not(caddy, by_name["mirror"]))
        self.assertEqual("no tcp", scenarios.why_not(caddy, by_name["tcp-pp"]))
        self.assertEqual("", scenarios.why_not(caddy, by_name["websocket"]))


def passed():
    suite = unittest.defaultTestLoader.loadTestsFromModule(__import__(__name__, fromlist=["passed"]))
    return unittest.TextTestRunner().run(suite).wasSuccessful()
