"""What kube-proxy and a cloud's load balancer do: connections to a service's address go to one of its ready endpoints.

A forwarder per service port in this process. Clients appear with the node's address.
"""

import asyncio
import itertools
import sys
import threading
from collections import defaultdict

from .api import Cache, Problem


class Services:
    """Follows Services and EndpointSlices; `services` and `endpoints` serve the name server too."""

    def __init__(self, client):
        self.client = client
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True, name="services").start()
        self.listeners = {}
        self.turns = defaultdict(itertools.count)
        self.balancers = itertools.count(10)
        self.slices = Cache(client, "/apis/discovery.k8s.io/v1/endpointslices")
        self.slices.synced.wait()
        self.services = Cache(client, "/api/v1/services", self.changed)
        self.services.synced.wait()

    def changed(self, key, service):
        asyncio.run_coroutine_threadsafe(self.listen(key, service), self.loop).result(10)

    async def listen(self, key, service):
        wanted = {}
        if service is not None:
            for address in self.addresses(key, service):
                for port in service["spec"].get("ports") or []:
                    if port.get("protocol", "TCP") == "TCP":
                        wanted[(address, port["port"])] = port.get("name") or ""
        for at in [at for at, (owner, _, _) in self.listeners.items() if owner == key and at not in wanted]:
            self.listeners.pop(at)[1].close()
        for at, name in wanted.items():
            if at in self.listeners:
                self.listeners[at][2]["name"] = name
                continue
            facts = {"key": key, "name": name}
            try:
                server = await self.loop.create_server(lambda facts=facts: Downstream(self, facts), *at)
            except OSError as error:
                print(f"service {key}: cannot listen on {at}: {error}", file=sys.stderr)
                continue
            self.listeners[at] = (key, server, facts)

    def addresses(self, key, service):
        """Cluster address, and that of a load balancer where one is asked for."""
        spec = service["spec"]
        found = [spec["clusterIP"]] if spec.get("clusterIP") not in (None, "", "None") else []
        if spec.get("type") == "LoadBalancer":
            given = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
            if given:
                found.append(given[0]["ip"])
            else:
                threading.Thread(target=self.give_balancer, args=(key,), daemon=True).start()
        return found

    def give_balancer(self, key):
        address = f"10.97.0.{next(self.balancers)}"
        path = f"/api/v1/namespaces/{key[0]}/services/{key[1]}/status"
        try:
            self.client.merge(path, {"status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}})
        except Problem as problem:
            print(f"service {key}: {problem}", file=sys.stderr)

    def endpoints(self, key, port):
        """(address, port) of the ready endpoints of a service port, in a stable order."""
        found = set()
        for slice_key, item in list(self.slices.items.items()):
            labels = item["metadata"].get("labels") or {}
            if slice_key[0] != key[0] or labels.get("kubernetes.io/service-name") != key[1]:
                continue
            numbers = [entry["port"] for entry in item.get("ports") or [] if (entry.get("name") or "") == port]
            for endpoint in item.get("endpoints") or []:
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    found.update((address, number) for address in endpoint["addresses"] for number in numbers)
        return sorted(found)

    def next_endpoint(self, facts):
        """One after the other; nothing where none is ready."""
        ready = self.endpoints(facts["key"], facts["name"])
        return ready[next(self.turns[(facts["key"], facts["name"])]) % len(ready)] if ready else None


class Half(asyncio.Protocol):
    """One side of a forwarded connection: what it hears goes out on the other side."""

    other = None
    transport = None
    early = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.other:
            self.other.transport.write(data)
        else:
            # Older Pythons read on although they were asked to pause.
            self.early += data

    def eof_received(self):
        if self.other and self.other.transport.can_write_eof():
            self.other.transport.write_eof()
        return True

    def connection_lost(self, _error):
        if self.other:
            self.other.transport.close()

    def pause_writing(self):
        if self.other:
            self.other.transport.pause_reading()

    def resume_writing(self):
        if self.other:
            self.other.transport.resume_reading()


class Downstream(Half):
    """The side of whoever connected; reads only once the endpoint answers."""

    def __init__(self, services, facts):
        self.services, self.facts = services, facts

    def connection_made(self, transport):
        super().connection_made(transport)
        transport.pause_reading()
        self.task = self.services.loop.create_task(self.connect())

    async def connect(self):
        endpoint = self.services.next_endpoint(self.facts)
        try:
            if endpoint is None:
                raise OSError("no ready endpoint")
            _, upstream = await asyncio.wait_for(self.services.loop.create_connection(Half, *endpoint), 5)
        except (OSError, asyncio.TimeoutError):
            self.transport.abort()
            return
        if self.transport.is_closing():
            upstream.transport.close()
            return
        self.other, upstream.other = upstream, self
        if self.early:
            upstream.transport.write(self.early)
        if not self.transport.is_reading():
            self.transport.resume_reading()
