"""One pod's life on this node: sandbox, volumes, containers in order, probes, status, end. Runs in a thread of its own."""

import http.client
import shutil
import socket
import sys
import threading
import time
import traceback

from .api import Problem
from .container import Container, stamp
from .network import Sandbox
from .volumes import NotYet, Volumes

TICK = 0.1


class Pod:
    """`object` is the newest state that the API server told."""

    def __init__(self, node, thing):
        self.node, self.object = node, thing
        meta = thing["metadata"]
        self.namespace, self.name, self.uid = meta["namespace"], meta["name"], meta["uid"]
        self.folder = node.folder / "pods" / f"{self.namespace}_{self.name}"
        self.layers = node.folder / "layers" / self.uid
        self.sandbox = None
        self.gone = False
        self.told = None
        self.problem = None
        self.ended = False
        self.since = {}
        self.reason = None
        self.created = time.time()
        self.thread = threading.Thread(target=self.live, daemon=True, name=f"pod {self.namespace}/{self.name}")
        self.thread.start()

    def live(self):
        try:
            self.begin()
            while not self.gone and "deletionTimestamp" not in self.object["metadata"]:
                self.tick()
                self.tell()
                time.sleep(TICK)
            self.end()
        except Exception:  # noqa: BLE001 - a pod that cannot run must not end the node
            print(f"pod {self.namespace}/{self.name}:", file=sys.stderr)
            traceback.print_exc(file=sys.stderr)
        finally:
            for container in self.all():
                container.kill()
            if self.sandbox:
                self.sandbox.remove()
            self.node.forget(self)

    def begin(self):
        spec = self.object["spec"]
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.layers.mkdir(parents=True)
        self.inits = [Container(self, entry) for entry in spec.get("initContainers") or []]
        self.mains = [Container(self, entry) for entry in spec["containers"]]
        self.volumes = Volumes(self.node, self.object, self.layers / "volumes")
        self.sandbox = Sandbox()

    def all(self):
        return [*getattr(self, "inits", []), *getattr(self, "mains", [])]

    def tick(self):
        try:
            self.volumes.refresh()
            self.reason = None
        except NotYet as missing:
            self.reason = str(missing)
            if not any(container.running() for container in self.all()):
                return
        if self.initialized():
            for container in self.mains:
                self.keep(container, self.object["spec"].get("restartPolicy", "Always"))
        for container in self.all():
            container.check()

    def initialized(self):
        """Init containers run one after the other; those that restart always are sidecars and only have to start."""
        for container in self.inits:
            sidecar = container.spec.get("restartPolicy") == "Always"
            if sidecar:
                self.keep(container, "Always")
                if not container.started:
                    container.check()
                    if not container.started:
                        return False
            else:
                container.note_end()
                if container.last and container.last["exitCode"] == 0:
                    continue
                self.keep(container, "Always")
                return False
        return True

    def keep(self, container, policy):
        """Starts what has not run yet, and again what ended if the policy says so; later each time."""
        if container.note_end():
            container.not_before = time.monotonic() + min(10, 0.25 * 2 ** max(container.restarts, 0))
            finished = policy == "Never" or (policy == "OnFailure" and container.last["exitCode"] == 0)
            container.waiting = None if finished else ("CrashLoopBackOff", "waiting to start it again")
            container.finished = finished
        if container.running() or getattr(container, "finished", False) or time.monotonic() < container.not_before:
            return
        try:
            container.start()
        except NotYet as missing:
            container.waiting = ("CreateContainerConfigError", str(missing))
            container.not_before = time.monotonic() + 0.5
        if container.process is None:
            container.not_before = time.monotonic() + 1

    def connects(self, port, timeout):
        try:
            socket.create_connection((self.sandbox.address, port), timeout).close()
            return True
        except OSError:
            return False

    # === status

    def phase(self):
        if any(not getattr(container, "finished", False) for container in self.mains):
            started = all(container.restarts >= 0 and not container.waiting for container in self.mains)
            return "Running" if started or any(container.restarts > 0 for container in self.mains) else "Pending"
        return "Succeeded" if all(container.last["exitCode"] == 0 for container in self.mains) else "Failed"

    def status(self):
        phase = self.phase()
        running = [container for container in self.all() if container not in self.inits or container.spec.get("restartPolicy")]
        ready = phase == "Running" and all(container.ready for container in running) and not self.ended
        facts = {
            "PodReadyToStartContainers": True,
            "Initialized": all(container.restarts >= 0 for container in self.inits),
            "ContainersReady": ready,
            "Ready": ready,
            "PodScheduled": True,
        }
        conditions = []
        for kind, true in facts.items():
            if self.since.get(kind, (None,))[0] != true:
                self.since[kind] = (true, stamp(time.time()))
            condition = {"type": kind, "status": "True" if true else "False", "lastTransitionTime": self.since[kind][1]}
            if kind == "Ready" and self.reason:
                condition |= {"reason": "ContainersNotReady", "message": self.reason}
            conditions.append(condition)
        return {
            "observedGeneration": self.object["metadata"].get("generation"),
            "phase": phase,
            "hostIP": self.node.address,
            "hostIPs": [{"ip": self.node.address}],
            "podIP": self.sandbox.address,
            "podIPs": [{"ip": self.sandbox.address}],
            "startTime": stamp(self.created),
            "conditions": conditions,
            "initContainerStatuses": [container.status() for container in self.inits],
            "containerStatuses": [container.status() for container in self.mains],
        }

    def tell(self):
        status = self.status()
        if status == self.told:
            return
        status_path = f"{self.node.pod_path(self)}/status"
        try:
            self.node.client.merge(status_path, {"metadata": {"uid": self.uid}, "status": status})
            self.told = status
        except Problem as problem:
            if problem.status in (404, 409):
                self.gone = True
            elif self.problem != str(problem):
                self.problem = str(problem)
                print(f"pod {self.namespace}/{self.name}: status: {problem}", file=sys.stderr)
        except (OSError, http.client.HTTPException):
            pass  # The API server is away: said again at the next tick.

    def end(self):
        """Not ready first, so that nobody is sent here; hooks, TERM, patience, KILL; then the object goes. Hooks run at once,
        but a sidecar gets its TERM after everything that was started after it has ended."""
        grace = self.object["metadata"].get("deletionGracePeriodSeconds")
        grace = 0 if self.gone else 30 if grace is None else grace
        self.ended = True
        if not self.gone:
            self.tell()
        deadline = time.monotonic() + grace
        running = [container for container in self.all() if container.running()]
        hooks = [threading.Thread(target=self.stop, args=(container, deadline), daemon=True) for container in running]
        for hook in hooks:
            hook.start()
        for hook in hooks:
            hook.join(max(0, deadline - time.monotonic()) + 1)
        while time.monotonic() < deadline and any(container.running() for container in running):
            time.sleep(TICK)
        for container in running:
            container.kill()
        self.remove_object()

    def stop(self, container, deadline):
        container.before_stop(max(0.1, deadline - time.monotonic()))
        while time.monotonic() < deadline and any(other.running() for other in self.started_after(container)):
            time.sleep(TICK)
        container.terminate()

    def started_after(self, container):
        """Those that a sidecar serves until they end; nobody for any other container."""
        if container not in self.inits:
            return []
        return [*self.inits[self.inits.index(container) + 1 :], *self.mains]

    def remove_object(self):
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while not self.gone:
            try:
                self.node.client.call("DELETE", self.node.pod_path(self), options)
                return
            except Problem:
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.5)
