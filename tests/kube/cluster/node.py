"""The kubelet's part, and the scheduler's: this machine as the only node, pods as processes.

Pods are bound to the node, run (see pod.py) and reported as they are. What a real node does beyond that (cgroups,
images, logs and exec over the API, port forwarding) is left out; logs lie in `pods/<namespace>_<pod>/<container>.log`.
"""

import http.client
import os
import sys
import threading
import time
from pathlib import Path

from . import images
from .api import Cache, Problem
from .network import BRIDGE
from .pod import Pod
from .volumes import NotYet, decoded, field

NAME = "node-0"


class Node:
    """Follows pods, secrets and config maps."""

    def __init__(self, client, folder, tools, built):
        self.client, self.folder, self.address = client, Path(folder), BRIDGE
        self.privileged = os.environ.get("CLUSTER_ROOTLESS") != "1"
        self.images = images.table(tools, built)
        # What containers see at its own place even if it is a mount.
        self.visible = [str(Path(path).resolve()) for path in (tools, built)]
        self.pods = {}
        self.lock = threading.Lock()
        self.register()
        self.sources = {
            "secret": Cache(client, "/api/v1/secrets"),
            "configMap": Cache(client, "/api/v1/configmaps"),
        }
        for cache in self.sources.values():
            cache.synced.wait()
        self.cache = Cache(client, "/api/v1/pods", self.changed)

    def register(self):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        labels = {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux"}
        self.client.create("/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": NAME, "labels": labels}})
        room = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now}
        status = {"conditions": [ready], "capacity": room, "allocatable": room, "addresses": [{"type": "InternalIP", "address": BRIDGE}]}
        self.client.merge(f"/api/v1/nodes/{NAME}/status", {"status": status})

    def changed(self, key, thing):
        if thing is None:
            pod = self.pods.get(key)
            if pod:
                pod.gone = True
            return
        node = thing["spec"].get("nodeName")
        leaving = "deletionTimestamp" in thing["metadata"]
        if node is None and not leaving:
            self.bind(key)
        finished = thing.get("status", {}).get("phase") in ("Succeeded", "Failed")
        # An event of a pod that has ended here may come late: it must not begin again.
        if node == NAME and (key in self.pods or not (finished or leaving)):
            self.adopt(key, thing)
        elif node == NAME and leaving:
            self.discard(key)

    def bind(self, key):
        target = {"kind": "Node", "apiVersion": "v1", "name": NAME}
        body = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": key[1]}, "target": target}
        try:
            self.client.create(f"/api/v1/namespaces/{key[0]}/pods/{key[1]}/binding", body)
        except (Problem, OSError, http.client.HTTPException) as problem:
            print(f"binding {key}: {problem}", file=sys.stderr)

    def adopt(self, key, thing):
        with self.lock:
            pod = self.pods.get(key)
            if pod is None:
                self.pods[key] = Pod(self, thing)
            elif pod.uid == thing["metadata"]["uid"]:
                pod.object = thing
            else:
                # The same name again: the next one begins when this one has ended.
                pod.gone = True
                pod.successor = thing

    def discard(self, key):
        try:
            self.client.call("DELETE", f"/api/v1/namespaces/{key[0]}/pods/{key[1]}", {"gracePeriodSeconds": 0})
        except Problem:
            pass

    def forget(self, pod):
        key = (pod.namespace, pod.name)
        with self.lock:
            if self.pods.get(key) is pod:
                del self.pods[key]
        successor = getattr(pod, "successor", None)
        if successor is not None:
            self.adopt(key, successor)

    def pod_path(self, pod):
        return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"

    def image(self, reference):
        return images.find(self.images, reference)

    def data(self, kind, namespace, name):
        """The keys of a Secret or ConfigMap; None where it does not exist."""
        item = self.sources[kind].items.get((namespace, name))
        return None if item is None else decoded(item, kind)

    def need(self, kind, namespace, reference):
        data = self.data(kind, namespace, reference["name"])
        if data is None:
            if reference.get("optional"):
                return {}
            raise NotYet(f"{kind} {reference['name']!r} not found")
        return data

    def field(self, pod, reference):
        return field(pod, self.address, reference)
