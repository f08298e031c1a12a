"""The cluster's name server, on the address that every pod's resolv.conf names: A records of services over UDP."""

import socket
import struct
import sys
import threading

ADDRESS = "10.96.0.10"
DOMAIN = "cluster.local"
A, CNAME, NO_ERROR, NO_SUCH_NAME = 1, 5, 0, 3


def serve(services):
    """Answers for as long as this process lives."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((ADDRESS, 53))
    threading.Thread(target=loop, args=(listener, services), daemon=True, name="names").start()


def loop(listener, services):
    while True:
        question, client = listener.recvfrom(2048)
        try:
            listener.sendto(answer(question, services), client)
        except (OSError, ValueError, IndexError, struct.error) as error:
            print(f"name server: {error}", file=sys.stderr)


def answer(question, services):
    name, end = read_name(question, 12)
    kind, _ = struct.unpack_from("!HH", question, end)
    code, records = resolve(name.lower().rstrip("."), kind, services)
    flags = 0x8580 | code
    head = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    body = b"".join(record(owner, of, data) for owner, of, data in records)
    return head + question[12 : end + 4] + body


def resolve(name, kind, services):
    """The response code, and records as (name, kind, data)."""
    found = find(name, services)
    if found is None:
        return NO_SUCH_NAME, []
    alias, addresses = found
    if alias:
        records = [(name, CNAME, write_name(alias))]
        _, more = resolve(alias.lower().rstrip("."), kind, services)
        return NO_ERROR, records + more
    return NO_ERROR, [(name, A, socket.inet_aton(address)) for address in addresses] if kind == A else []


def find(name, services):
    """(alias, addresses) of a service's name; None for what is not one."""
    suffix = f".svc.{DOMAIN}"
    parts = name.removesuffix(suffix).split(".")
    if not name.endswith(suffix) or len(parts) not in (2, 3):
        return None
    key = (parts[-1], parts[-2])
    service = services.services.items.get(key)
    if service is None:
        return None
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return spec["externalName"], []
    if spec.get("clusterIP") not in (None, "", "None"):
        return None, [spec["clusterIP"]]
    return None, headless(key, parts[0] if len(parts) == 3 else None, services)


def headless(key, host, services):
    found = set()
    for slice_key, item in list(services.slices.items.items()):
        labels = item["metadata"].get("labels") or {}
        if slice_key[0] == key[0] and labels.get("kubernetes.io/service-name") == key[1]:
            for endpoint in item.get("endpoints") or []:
                ready = (endpoint.get("conditions") or {}).get("ready") is not False
                if ready and (host is None or endpoint.get("hostname") == host):
                    found.update(endpoint["addresses"])
    return sorted(found)


def record(name, kind, data):
    return write_name(name) + struct.pack("!HHIH", kind, 1, 1, len(data)) + data


def read_name(packet, at):
    labels = []
    while packet[at]:
        size = packet[at]
        labels.append(packet[at + 1 : at + 1 + size].decode())
        at += size + 1
    return ".".join(labels), at + 1


def write_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
