"""A cluster in the namespaces where this runs: control plane, one node, Envoy Gateway. Started by ../cluster.sh.

Usage: python3 -m cluster FOLDER BUILT      (BUILT: where cargo put this project's programs)

Writes FOLDER/kubeconfig, and FOLDER/ready once Envoy Gateway runs; ends on TERM, with everything it started.
`FOLDER/control` is a socket that takes lines `stop PROGRAM` and `start PROGRAM` (etcd, kube-apiserver,
kube-controller-manager) and answers each with a line.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from . import names, network
from .control_plane import ControlPlane
from .node import Node
from .services import Services

HERE = Path(__file__).parent
STARTERS = {
    "etcd": ControlPlane.etcd,
    "kube-apiserver": ControlPlane.api_server,
    "kube-controller-manager": ControlPlane.controller_manager,
}


def main():
    folder, built = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    tools = Path(os.environ["MCP_MANIFOLD_TOOLS"]).resolve()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    begin = time.monotonic()
    say = lambda what: print(f"{time.monotonic() - begin:5.1f} s  {what}", flush=True)  # noqa: E731
    (folder / "log").mkdir()
    # Layers must not lie on the file system that they cover; etcd must not wait for a disk that others keep busy.
    for in_memory in ("layers", "etcd"):
        (folder / in_memory).mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder / in_memory], check=True)
    network.up()
    plane = ControlPlane(folder, tools)
    plane.up()
    say("API server")
    services = Services(plane.client)
    names.serve(services)
    Node(plane.client, folder, tools, built)
    say("node")
    control(folder / "control", plane)
    install(plane, tools, say)
    (folder / "ready").touch()
    say("ready")
    while True:
        signal.pause()


def install(plane, tools, say):
    """Gateway API and Envoy Gateway: definitions, certificates, its Deployment."""
    kubectl = [str(tools / "bin/kubectl"), f"--kubeconfig={plane.kubeconfig}"]
    definitions = (tools / "bin/envoy-gateway").resolve().parent.parent / "crds"
    apply = [*kubectl, "apply", "--server-side", "-f"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([*apply, definitions / "gatewayapi-crds.yaml", "-f", definitions / "generated"], **quiet)
    subprocess.run([*kubectl, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], **quiet)
    say("definitions")
    subprocess.run([*kubectl, "create", "namespace", "envoy-gateway-system"], **quiet)
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "ENVOY_GATEWAY_NAMESPACE": "envoy-gateway-system"}
    certgen = [str(tools / "bin/envoy-gateway"), "certgen", "--disable-topology-injector"]
    subprocess.run(certgen, env=environment, **quiet, stderr=subprocess.DEVNULL)
    subprocess.run([*apply, HERE / "envoy-gateway.yaml"], **quiet)
    rollout = ["rollout", "status", "deployment/envoy-gateway", "-n", "envoy-gateway-system", "--timeout=60s"]
    subprocess.run([*kubectl, *rollout], **quiet)
    say("Envoy Gateway")


def control(path, plane):
    """Programs of the control plane stop and start on demand: a test lets the API server go away."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as lines:
                for line in lines:
                    lines.write(obey(plane, line.split()) + "\n")
                    lines.flush()

    threading.Thread(target=serve, daemon=True, name="control").start()


def obey(plane, words):
    match words:
        case ["stop", program] if program in plane.programs:
            plane.stop(program)
        case ["start", program] if program in STARTERS and program not in plane.programs:
            STARTERS[program](plane)
        case _:
            return "unknown"
    return "done"


main()
