"""A client of the API server: JSON in and out, and caches that follow one kind of object by list and watch.

Connections are not shared between threads; a request that fails raises Problem with the server's own words.
"""

import http.client
import json
import ssl
import sys
import threading
import time
import traceback

MERGE = "application/merge-patch+json"


class Problem(Exception):
    """The API server said no."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """Speaks to one API server with one token."""

    def __init__(self, host, port, token, authority):
        self.host, self.port, self.token = host, port, token
        self.tls = ssl.create_default_context(cafile=authority)
        self.local = threading.local()

    def connect(self, timeout):
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)

    def request(self, connection, method, path, body, kind):
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", "Content-Type": kind}
        data = None if body is None else json.dumps(body)
        connection.request(method, path, body=data, headers=headers)
        return connection.getresponse()

    def call(self, method, path, body=None, kind="application/json"):
        """The object that the API server answers with."""
        for last in (False, True):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = self.connect(10)
            try:
                response = self.request(connection, method, path, body, kind)
                text = response.read()
                break
            except (OSError, http.client.HTTPException):
                # A kept connection may have been closed meanwhile; a new one gets one try.
                connection.close()
                self.local.connection = None
                if last:
                    raise
        answer = json.loads(text) if text else {}
        if response.status >= 300:
            raise Problem(response.status, answer.get("message", ""))
        return answer

    def get(self, path):
        return self.call("GET", path)

    def create(self, path, body):
        return self.call("POST", path, body)

    def merge(self, path, body):
        return self.call("PATCH", path, body, MERGE)


def key_of(thing):
    """(namespace, name); the namespace of cluster-wide things is empty."""
    meta = thing["metadata"]
    return meta.get("namespace", ""), meta["name"]


class Cache:
    """Everything of one kind. `changed(key, object or None)` is called from the cache's own thread, in order."""

    def __init__(self, client, path, changed=None):
        self.client, self.path, self.changed = client, path, changed
        self.items = {}
        self.synced = threading.Event()
        threading.Thread(target=self.run, daemon=True, name=f"cache {path}").start()

    def run(self):
        while True:
            try:
                self.follow(self.load())
            except (OSError, http.client.HTTPException, Problem, ValueError):
                # The API server is away, or forgot where we were: list again.
                time.sleep(0.2)

    def load(self):
        answer = self.client.get(self.path)
        found = {key_of(item): item for item in answer.get("items") or []}
        for gone in set(self.items) - set(found):
            self.tell(gone, None)
        for key, item in found.items():
            known = self.items.get(key)
            if known is None or version(known) != version(item):
                self.tell(key, item)
        self.synced.set()
        return version(answer)

    def follow(self, since):
        while True:
            connection = self.client.connect(330)
            try:
                query = f"{self.path}?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={since}"
                response = self.client.request(connection, "GET", query, None, "application/json")
                if response.status != 200:
                    raise Problem(response.status, "watch")
                for line in response:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Problem(event["object"].get("code", 500), event["object"].get("message", ""))
                    since = version(event["object"])
                    if event["type"] == "DELETED":
                        self.tell(key_of(event["object"]), None)
                    elif event["type"] != "BOOKMARK":
                        self.tell(key_of(event["object"]), event["object"])
            finally:
                connection.close()

    def tell(self, key, item):
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item
        if self.changed:
            try:
                self.changed(key, item)
            except Exception:  # noqa: BLE001 - one odd object must not end the watch
                traceback.print_exc(file=sys.stderr)


def version(thing):
    return thing["metadata"].get("resourceVersion")
