import json
import subprocess

from . import Peer, register


class H2O(Peer):
    name = "h2o"
    listens = frozenset({"http", "https"})
    can = Peer.can | {"websocket"}
    needs = ("h2o",)
    since = {"2.2": "April 2017"}

    def version(self, bin):
        return subprocess.run([bin["h2o"], "-v"], capture_output=True, text=True).stdout.split()[2]

    def command(self, c):
        go = {"proxy.reverse.url": f"http://127.0.0.1:{c.backend}/"}
        listen = {"port": c.port, "host": "0.0.0.0"}
        if c.tls:
            listen["ssl"] = {"certificate-file": str(c.cert), "key-file": str(c.key), "minimum-version": "TLSv1.2"}
        hosts = {"none.invalid": {"paths": {"/": {"status": "OFF", "file.dir": str(c.dir / "nothing")}}}} if c.routes else {}
        for h, ps in c.routes_by_host().items():
            hosts[h] = {"paths": {p: {"proxy.reverse.url": f"http://127.0.0.1:{c.backend}{p}"} for p in ps}}
        conf = {"num-threads": c.threads, "max-connections": 19000, "user": "root", "pid-file": str(c.dir / "pid"), "error-log": str(c.dir / "error.log"),
                "listen": listen, "proxy.preserve-host": "ON", "proxy.timeout.keepalive": 120000, "http1-request-timeout": 120,
                "http2-max-concurrent-requests-per-connection": 256, **({"proxy.websocket": "ON"} if c.work == "websocket" else {}), "hosts": hosts or {"default": {"paths": {"/": go}}}}
        return [c.bin["h2o"], "-c", c.write("h2o.json", json.dumps(conf))]


register(H2O())
