"""Starts a Deployment's containers as they are described, in one root filesystem: environment, capabilities, volumes.

usage: start-pod.py DEPLOYMENT_JSON KUBECONFIG ROOT, as root, in a mount and process namespace of its own. Ends all when one ends.
"""
import base64
import json
import os
import subprocess
import sys

NUMBERS = {"NET_BIND_SERVICE": "10", "NET_ADMIN": "12"}
HERE = os.path.dirname(os.path.abspath(__file__))


def run(*words):
    subprocess.run(words, check=True)


def mount_volumes(spec, root, kubeconfig):
    user = spec["securityContext"]["runAsUser"]
    run("mount", "--make-rprivate", "/")
    run("mount", "--bind", root, root)
    for folder in ("proc", "dev", "sys"):
        os.makedirs(f"{root}/{folder}", exist_ok=True)
        run("mount", "--rbind", f"/{folder}", f"{root}/{folder}")
    run("mount", "-t", "proc", "proc", f"{root}/proc")
    places = {one["name"]: one["mountPath"] for container in spec["containers"] for one in container["volumeMounts"]}
    for place in places.values():
        os.makedirs(root + place, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"uid={user}", "tmpfs", root + place)
    # As the kubelet does it with the projected volume.
    view = ["config", "view", "--raw", "--output", "json"]
    config = json.loads(subprocess.check_output([os.environ["BIN"] + "/kubectl", "--kubeconfig", kubeconfig, *view]))
    cluster = config["clusters"][0]["cluster"]
    for name, text in (
        ("token", config["users"][0]["user"]["token"]),
        ("ca.crt", base64.b64decode(cluster["certificate-authority-data"]).decode()),
        ("namespace", "ringgate-system"),
    ):
        path = f"{root}{places['token']}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chown(path, user, user)
    run("mount", "-o", "remount,bind,ro", root)
    return cluster["server"].removeprefix("https://").split(":")


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
        environment[one["name"]] = one.get("value", "127.0.0.1")  # the node's address
    return subprocess.Popen(words + container["command"] + container.get("args", []), env=environment)


def main(deployment, kubeconfig, root):
    with open(deployment, encoding="utf-8") as file:
        spec = json.load(file)["spec"]["template"]["spec"]
    server = mount_volumes(spec, root, kubeconfig)
    containers = [start(one, spec, root, server) for one in spec["containers"]]
    os.wait()
    for one in containers:
        one.terminate()


main(*sys.argv[1:])
