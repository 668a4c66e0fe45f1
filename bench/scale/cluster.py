"""The lab's API server: objects written over several connections, and what Ringgate wrote, from the audit log."""
import base64
import http.client
import json
import os
import re
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

GATEWAY = "gateway.networking.k8s.io/v1"
IDLE = 60  # seconds; the API server closes a connection that was idle for 90
PLURALS = {"Gateway": "gateways", "HTTPRoute": "httproutes", "ListenerSet": "listenersets", "Service": "services",
           "EndpointSlice": "endpointslices", "Namespace": "namespaces"}


class Cluster:
    """KUBECONFIG as the lab writes it: one cluster, one user with a token."""

    def __init__(self, connections=8):
        path = Path(os.environ["KUBECONFIG"])
        text = path.read_text()
        find = lambda pattern: re.search(pattern, text).group(1)
        self.host = find(r"server: https://(\S+)")
        self.token = find(r'token: "?([^"}\s]+)')
        ca = base64.b64decode(find(r"certificate-authority-data: (\S+)")).decode()
        self.tls = ssl.create_default_context(cadata=ca)
        self.mine = local()
        self.pool = ThreadPoolExecutor(connections)
        self.run = path.parent

    def connection(self):
        """This thread's connection, a new one where it has been idle for long."""
        now, used = time.monotonic(), getattr(self.mine, "used", None)
        if used is None:
            self.mine.connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=60)
        elif now - used > IDLE:
            self.mine.connection.close()  # http.client connects anew
        self.mine.used = now
        return self.mine.connection

    def ask(self, method, path, body=None, content="application/json"):
        """The answer's JSON; RuntimeError for a status of 400 or more, but for 404 (None)."""
        connection = self.connection()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def apply(self, obj):
        """Server-side apply: creates or changes."""
        path = f"{place(obj)}/{obj['metadata']['name']}?fieldManager=bench&force=true"
        return self.ask("PATCH", path, obj, "application/apply-patch+yaml")

    def create(self, obj):
        return self.ask("POST", place(obj), obj)

    def each(self, do, objects):
        """Over all connections; the first error is raised."""
        return list(self.pool.map(do, objects))

    def written(self):
        """Status writes of the lab's gateway so far, by resource."""
        counts = {}
        for log in self.run.glob("audit*.log"):
            with open(log, encoding="utf-8") as lines:
                for line in lines:
                    if '"subresource":"status"' not in line or "system:serviceaccount:ringgate" not in line:
                        continue
                    event = json.loads(line)
                    if event["verb"] in ("patch", "update"):
                        resource = event["objectRef"]["resource"]
                        counts[resource] = counts.get(resource, 0) + 1
        return counts

    def gateway_processes(self):
        """RSS in KiB and CPU seconds of Ringgate's processes, by name of the program (and its verb)."""
        root = int((self.run / "gateway-ringgate.pid").read_text().split()[0])
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) != root:
                    continue
                args = (stat.parent / "cmdline").read_text().split("\0")
                rss = int(re.search(r"VmRSS:\s+(\d+)", (stat.parent / "status").read_text()).group(1))
            except (OSError, AttributeError):
                continue
            name = Path(args[0]).name
            name = name if name != "ringgate" else f"ringgate {args[1]}"
            found[name] = (rss, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        return found


def place(obj):
    """The API's path of an object's kind and namespace."""
    version, name = obj["apiVersion"], PLURALS[obj["kind"]]
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    namespace = obj["metadata"].get("namespace")
    return f"{root}/namespaces/{namespace}/{name}" if namespace else f"{root}/{name}"
