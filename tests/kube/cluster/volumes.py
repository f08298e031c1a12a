"""A pod's volumes as folders: secrets, config maps, projections, empty folders; kept up to date while the pod runs."""

import base64
import json
import os
from pathlib import Path

from .api import Problem


class NotYet(Exception):
    """Something that the pod refers to does not exist (yet)."""


class Volumes:
    """The volumes of one pod below `folder`."""

    def __init__(self, node, pod, folder):
        self.node, self.pod, self.folder = node, pod, Path(folder)
        self.written = {}
        security = pod["spec"].get("securityContext") or {}
        self.group = security.get("fsGroup")

    def path(self, name):
        return self.folder / name

    def refresh(self):
        """Writes what is new or has changed; raises NotYet where something is missing that is not optional."""
        for volume in self.pod["spec"].get("volumes") or []:
            target = self.path(volume["name"])
            if "emptyDir" in volume:
                if not target.exists():
                    target.mkdir(parents=True)
                    target.chmod(0o777)
                continue
            if "hostPath" in volume:
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.is_symlink():
                    target.symlink_to(volume["hostPath"]["path"])
                continue
            files = self.files(volume)
            if self.written.get(volume["name"]) != files:
                self.write(target, files)
                self.written[volume["name"]] = files

    def files(self, volume):
        """path -> (bytes, mode) of one volume."""
        if "secret" in volume:
            source = volume["secret"]
            return self.keyed("secret", source["secretName"], source, source.get("defaultMode"))
        if "configMap" in volume:
            source = volume["configMap"]
            return self.keyed("configMap", source["name"], source, source.get("defaultMode"))
        if "downwardAPI" in volume:
            return self.downward(volume["downwardAPI"])
        if "projected" in volume:
            found = {}
            mode = volume["projected"].get("defaultMode")
            for source in volume["projected"]["sources"]:
                if "secret" in source:
                    found |= self.keyed("secret", source["secret"]["name"], source["secret"], mode)
                elif "configMap" in source:
                    found |= self.keyed("configMap", source["configMap"]["name"], source["configMap"], mode)
                elif "downwardAPI" in source:
                    found |= self.downward(source["downwardAPI"])
                elif "serviceAccountToken" in source:
                    token = source["serviceAccountToken"]
                    found[token["path"]] = (self.token(token).encode(), mode or 0o644)
            return found
        raise NotYet(f"volume {volume['name']}: a kind that this node does not know: {sorted(volume)}")

    def keyed(self, kind, name, source, mode):
        data = self.node.data(kind, self.pod["metadata"]["namespace"], name)
        if data is None:
            if source.get("optional"):
                return {}
            raise NotYet(f"{kind} {name!r} not found")
        mode = mode if mode is not None else 0o644
        items = source.get("items")
        if not items:
            return {key: (value, mode) for key, value in data.items()}
        found = {}
        for item in items:
            if item["key"] in data:
                found[item["path"]] = (data[item["key"]], item.get("mode", mode))
            elif not source.get("optional"):
                raise NotYet(f"{kind} {name!r} has no key {item['key']!r}")
        return found

    def downward(self, source):
        return {item["path"]: (self.node.field(self.pod, item["fieldRef"]).encode(), 0o644) for item in source["items"]}

    def token(self, source):
        """A token of the pod's service account, bound to the pod; asked for once."""
        known = self.written.get(("token", source["path"]))
        if known:
            return known
        meta, spec = self.pod["metadata"], self.pod["spec"]
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{spec.get('serviceAccountName', 'default')}/token"
        bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        audiences = [source["audience"]] if source.get("audience") else []
        body = {"spec": {"audiences": audiences, "expirationSeconds": 86400, "boundObjectRef": bound}}
        try:
            answer = self.node.client.create(path, body)
        except Problem as problem:
            raise NotYet(str(problem)) from None
        token = self.written[("token", source["path"])] = answer["status"]["token"]
        return token

    def write(self, target, files):
        """Whoever reads sees the old files or the new ones: a link is turned, as a kubelet does it."""
        target.mkdir(parents=True, exist_ok=True)
        number = len([name for name in os.listdir(target) if name.startswith("..data.")])
        fresh = target / f"..data.{number}"
        fresh.mkdir()
        for name, (data, mode) in files.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(mode | 0o440 if self.group else mode)
            if self.group and self.node.privileged:
                os.chown(path, -1, self.group)
        link = target / "..data.new"
        link.symlink_to(fresh.name)
        link.rename(target / "..data")
        tops = {Path(name).parts[0] for name in files}
        for name in os.listdir(target):
            if not name.startswith("..data") and name not in tops:
                (target / name).unlink()
        for name in tops:
            if not (target / name).is_symlink():
                (target / name).symlink_to(Path("..data") / name)


def decoded(item, kind):
    """The keys of a Secret or ConfigMap as bytes."""
    if kind == "secret":
        return {key: base64.b64decode(value) for key, value in (item.get("data") or {}).items()}
    found = {key: value.encode() for key, value in (item.get("data") or {}).items()}
    return found | {key: base64.b64decode(value) for key, value in (item.get("binaryData") or {}).items()}


def field(pod, node, reference):
    """The value of a downward API field."""
    path = reference["fieldPath"]
    meta, spec = pod["metadata"], pod["spec"]
    for kind in ("labels", "annotations"):
        if path == f"metadata.{kind}":
            return "\n".join(f"{key}={json.dumps(value)}" for key, value in sorted((meta.get(kind) or {}).items()))
        if path.startswith(f"metadata.{kind}['"):
            return (meta.get(kind) or {}).get(path.split("'")[1], "")
    values = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": node,
    }
    return values.get(path, "")
