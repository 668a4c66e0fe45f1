"""Starts the containers of a Deployment or a DaemonSet as they are described, in one root filesystem: environment, capabilities, volumes.

usage: start-pod.py OBJECT_JSON KUBECONFIG ROOT, as root, in a mount and process namespace of its own. KUBECONFIG has a token of the Pod's
ServiceAccount, the variable of that name one of an administrator. Ends all when one ends.
"""
import base64
import json
import os
import subprocess
import sys

NUMBERS = {"NET_BIND_SERVICE": "10", "NET_ADMIN": "12", "NET_RAW": "13"}
HERE = os.path.dirname(os.path.abspath(__file__))
NAMESPACE = "ringgate-system"


def run(*words):
    subprocess.run(words, check=True)


def kubectl(*words):
    return subprocess.check_output([os.environ["BIN"] + "/kubectl", *words], text=True)


def projected(source, spec, config):
    """The files of one source of a projected volume, as the kubelet puts them there."""
    if token := source.get("serviceAccountToken"):
        if audience := token.get("audience"):
            made = kubectl("create", "token", spec["serviceAccountName"], "--namespace", NAMESPACE, "--audience", audience)
        else:
            made = config["users"][0]["user"]["token"]
        return {token["path"]: made}
    if "downwardAPI" in source:
        return {"namespace": NAMESPACE}
    if source["configMap"]["name"] == "kube-root-ca.crt":
        return {"ca.crt": base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()}
    words = ("get", "configmap", source["configMap"]["name"], "--namespace", NAMESPACE, "--output", "json")
    entries = json.loads(kubectl(*words))["data"]
    return {item["path"]: entries[item["key"]] for item in source["configMap"]["items"]}


def mount_volumes(spec, root, config):
    user = spec["securityContext"]["runAsUser"]
    run("mount", "--make-rprivate", "/")
    run("mount", "--bind", root, root)
    for folder in ("proc", "dev", "sys"):
        os.makedirs(f"{root}/{folder}", exist_ok=True)
        run("mount", "--rbind", f"/{folder}", f"{root}/{folder}")
    run("mount", "-t", "proc", "proc", f"{root}/proc")
    # The lab has no DNS: the Service's name leads to the node, where the control plane's Pod is.
    with open(f"{root}/etc/hosts", "w", encoding="utf-8") as hosts:
        hosts.write("127.0.0.1 localhost ringgate-controlplane.ringgate-system.svc\n")
    places = {one["name"]: one["mountPath"] for container in spec["containers"] for one in container.get("volumeMounts", [])}
    for volume in spec["volumes"]:
        place = root + places[volume["name"]]
        os.makedirs(place, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"uid={user}", "tmpfs", place)
        for source in volume.get("projected", {}).get("sources", []):
            for name, text in projected(source, spec, config).items():
                with open(f"{place}/{name}", "w", encoding="utf-8") as file:
                    file.write(text)
                os.chown(f"{place}/{name}", user, user)
    run("mount", "-o", "remount,bind,ro", root)


def start(container, spec, root, server):
    rights = container["securityContext"]
    assert rights["readOnlyRootFilesystem"] and rights["capabilities"]["drop"] == ["ALL"]
    words = [f"{HERE}/../container/as-in-pod", "--root", root, "--user", str(spec["securityContext"]["runAsUser"])]
    for name in rights["capabilities"].get("add", []):
        words += ["--add", NUMBERS[name]]
    if rights["allowPrivilegeEscalation"]:
        words.append("--may-escalate")
    environment = {"KUBERNETES_SERVICE_HOST": server[0], "KUBERNETES_SERVICE_PORT": server[1]}
    for one in container["env"]:
        environment[one["name"]] = one.get("value", "127.0.0.1")  # the Pod's address
    return subprocess.Popen(words + container["command"] + container.get("args", []), env=environment)


def main(described, kubeconfig, root):
    with open(described, encoding="utf-8") as file:
        spec = json.load(file)["spec"]["template"]["spec"]
    config = json.loads(kubectl("--kubeconfig", kubeconfig, "config", "view", "--raw", "--output", "json"))
    mount_volumes(spec, root, config)
    server = config["clusters"][0]["cluster"]["server"].removeprefix("https://").split(":")
    containers = [start(one, spec, root, server) for one in spec["containers"]]
    os.wait()
    for one in containers:
        one.terminate()


main(*sys.argv[1:])
