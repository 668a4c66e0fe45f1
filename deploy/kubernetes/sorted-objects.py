"""Prints the objects of a JSON stream or List one by one, in the order of their names, without the Namespace."""
import json
import sys

text, decoder, objects = sys.stdin.read().strip(), json.JSONDecoder(), []
while text:
    value, end = decoder.raw_decode(text)
    objects += value.get("items", [value])
    text = text[end:].strip()
for one in sorted(objects, key=lambda one: (one["kind"], one["metadata"]["name"])):
    if one["kind"] in ("Deployment", "DaemonSet"):  # kustomize puts a component's container first
        one["spec"]["template"]["spec"]["containers"].sort(key=lambda container: container["name"])
    if one["kind"] != "Namespace":
        print(json.dumps(one, indent=1, sort_keys=True))
