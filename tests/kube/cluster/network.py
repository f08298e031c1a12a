"""The pods' network: a bridge, and for each pod a network namespace with an address of its own.

Service addresses are local to the node (see services.py). Nothing here reaches the world outside.
"""

import itertools
import subprocess
import threading

BRIDGE = "10.98.0.1"
# Given, since a bridge without one takes that of a port: when that pod goes, every other pod talks to nobody until its
# neighbour entry expires, for a minute or two.
HARDWARE_ADDRESS = "02:00:0a:62:00:01"
SERVICES = "10.96.0.0/16"
BALANCERS = "10.97.0.0/16"
_numbers = itertools.count(2)
_lock = threading.Lock()


def run(*command, text=None):
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def up():
    """The node's own part."""
    lines = [
        "link set lo up",
        f"link add pods address {HARDWARE_ADDRESS} type bridge",
        f"address add {BRIDGE}/16 dev pods",
        "link set pods up",
        f"route add local {SERVICES} dev lo",
        f"route add local {BALANCERS} dev lo",
    ]
    run("ip", "-batch", "-", text="\n".join(lines))


class Sandbox:
    """A pod's network namespace, kept by a process that sleeps. It listens on low ports without privileges."""

    def __init__(self):
        with _lock:
            number = next(_numbers)
        self.address = f"10.98.{number >> 8}.{number & 255}"
        self.link = f"pod{number}"
        # It writes a line once it is in its namespace.
        script = "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start; echo; exec sleep infinity"
        command = ["unshare", "--net", "sh", "-c", script]
        self.pause = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.pause.stdout.readline()
        pid = str(self.pause.pid)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", pid)
        run("ip", "-batch", "-", text=f"link set {self.link} master pods\nlink set {self.link} up")
        lines = [
            "link set lo up",
            f"address add {self.address}/16 dev eth0",
            "link set eth0 up",
            f"route add default via {BRIDGE}",
        ]
        run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-", text="\n".join(lines))

    def enter(self):
        """The words that put a command into the sandbox."""
        return ["nsenter", f"--net=/proc/{self.pause.pid}/ns/net", "--"]

    def remove(self):
        self.pause.kill()
        self.pause.wait()
