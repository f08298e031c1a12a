"""One container as a process: this machine's file system under a layer of its own, volumes and programs bound in.

The script that starts it is kept beside its log, so that what a pod does can be read and repeated by hand.
"""

import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request

FIELDS = ("status.podIP", "status.podIPs")

# An ordinary user may not lay a layer over the whole file system (it holds mounts that are not the user's): most of it
# is bound, which is as good, since none of it can be written; what containers write to is made anew.
ASSEMBLED = """mount -t tmpfs tmpfs {root}
for path in /*; do
    case $path in
        /dev | /proc | /sys | /run | /tmp | /var | /etc) mkdir {root}$path ;;
        *) if [ -L $path ]; then cp -P $path {root}$path
           elif [ -d $path ]; then mkdir {root}$path; mount --rbind $path {root}$path; fi ;;
    esac
done
chmod 1777 {root}/tmp
mkdir -p {root}/var/lib {root}/var/log {layer}/programs {layer}/work.programs
ln -s /run {root}/var/run
cp -dR /etc/. {root}/etc 2>/dev/null || true
mount -t overlay overlay -o lowerdir=/usr/local/bin,upperdir={layer}/programs,workdir={layer}/work.programs,userxattr {root}/usr/local/bin
rm -f {root}/etc/resolv.conf {root}/etc/hosts {root}/etc/nsswitch.conf
cp -R {layer}/upper/. {root}"""


class Container:
    """Started, asked how it is, stopped, started again."""

    def __init__(self, pod, spec):
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.process = None
        self.inside = []
        self.restarts = -1
        self.waiting = ("ContainerCreating", "")
        self.last = None
        self.started_at = None
        self.ready = self.started = False
        self.failures = 0
        self.not_before = 0.0
        self.next_probe = 0.0

    # === starting

    def start(self):
        """Raises volumes.NotYet where a variable's source is missing."""
        image = self.pod.node.image(self.spec["image"])
        if image is None:
            self.waiting = ("ErrImagePull", f"nothing on this machine stands for {self.spec['image']}")
            return
        variables = self.variables(image)
        expand = lambda word: expanded(word, variables)  # noqa: E731
        command = [expand(word) for word in self.spec.get("command") or image.entry]
        command += [expand(word) for word in self.spec.get("args") or []]
        self.restarts += 1
        script = self.pod.folder / f"{self.name}.sh"
        script.write_text(self.script(image, variables, command))
        script.chmod(0o700)
        path = self.pod.folder / f"{self.name}.log"
        log = open(path, "ab")  # noqa: SIM115 - kept by the process
        # Envoy opens /dev/stdout, which is this file, as its own user.
        path.chmod(0o666)
        enter = [*self.pod.sandbox.enter(), "unshare", "--mount", "--uts", "bash", str(script)]
        self.process = subprocess.Popen(enter, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self.started_at = time.time()
        self.waiting = None
        self.failures = 0
        self.ready = self.started = False
        self.next_probe = time.monotonic() + self.delay("startupProbe" if "startupProbe" in self.spec else "readinessProbe")

    def variables(self, image):
        """The environment: the image's, the services' well-known ones, the container's."""
        found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", **image.variables}
        found |= {"HOSTNAME": self.pod.name, "KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        for source in self.spec.get("envFrom") or []:
            for kind, word in (("configMap", "configMapRef"), ("secret", "secretRef")):
                if word in source:
                    data = self.pod.node.need(kind, self.pod.namespace, source[word])
                    found |= {source.get("prefix", "") + key: value.decode() for key, value in data.items()}
        for entry in self.spec.get("env") or []:
            found[entry["name"]] = self.value(entry, found)
        return found

    def value(self, entry, variables):
        source = entry.get("valueFrom")
        if not source:
            return expanded(entry.get("value", ""), variables)
        if "fieldRef" in source:
            if source["fieldRef"]["fieldPath"] in FIELDS:
                return self.pod.sandbox.address
            return self.pod.node.field(self.pod.object, source["fieldRef"])
        for kind, word in (("configMap", "configMapKeyRef"), ("secret", "secretKeyRef")):
            if word in source:
                data = self.pod.node.need(kind, self.pod.namespace, source[word])
                return data.get(source[word]["key"], b"").decode()
        return ""

    def script(self, image, variables, command):
        """A shell script that makes the container's file system and steps into it; what follows lies in its `/.start`."""
        layer = self.pod.layers / f"{self.name}.{self.restarts}"
        root = layer / "root"
        for folder in ("upper/etc", "work", "root"):
            (layer / folder).mkdir(parents=True)
        search = f"{self.pod.namespace}.svc.cluster.local svc.cluster.local cluster.local"
        files = {
            "etc/resolv.conf": f"nameserver 10.96.0.10\nsearch {search}\noptions ndots:5\n",
            "etc/hosts": f"127.0.0.1 localhost\n{self.pod.sandbox.address} {self.pod.name}\n",
            "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
            ".start": self.inner_script(image, variables, command),
        }
        for name, text in files.items():
            (layer / "upper" / name).write_text(text)
        lines = ["set -e", "mount --make-rprivate /"]
        if self.pod.node.privileged:
            lines.append(f"mount -t overlay overlay -o lowerdir=/,upperdir={layer}/upper,workdir={layer}/work {root}")
        else:
            lines.append(ASSEMBLED.format(root=root, layer=layer))
        for folder in ["/dev", "/proc", "/sys", self.pod.layers, *self.pod.node.visible]:
            path = shlex.quote(str(folder))
            lines.append(f"mkdir -p {root}{path} && mount --rbind {path} {root}{path}")
        lines.append(f"mount -t tmpfs tmpfs {root}/dev/shm")
        lines.append(f"exec chroot {root} bash /.start")
        return "\n".join(lines) + "\n"

    def inner_script(self, image, variables, command):
        """Inside, where links lead to places inside: programs, volumes, then the program under its user."""
        quote = lambda word: shlex.quote(str(word))  # noqa: E731
        lines = ["set -e"]
        for path, program in image.programs.items():
            lines.append(f"touch {path}; mount --bind \"$(readlink -f {quote(program)})\" {path}")
        for mount in self.spec.get("volumeMounts") or []:
            lines += self.mount(mount, variables)
        security = {**(self.pod.object["spec"].get("securityContext") or {}), **(self.spec.get("securityContext") or {})}
        lines.append(f"hostname {quote(self.pod.name)} 2>/dev/null || true")
        if security.get("readOnlyRootFilesystem"):
            lines.append("mount -o remount,bind,ro /")
        environment = [f"{name}={value}" for name, value in variables.items()]
        folder = self.spec.get("workingDir") or image.folder
        self.inside = [*self.privileges(security), "env", "-i", "-C", folder, *environment]
        lines.append(" ".join(quote(word) for word in ["exec", *self.inside, *command]))
        return "\n".join(lines) + "\n"

    def mount(self, mount, variables):
        source = str(self.pod.volumes.path(mount["name"]))
        if mount.get("subPathExpr"):
            source += "/" + expanded(mount["subPathExpr"], variables)
        elif mount.get("subPath"):
            source += "/" + mount["subPath"]
        source, target = shlex.quote(source), shlex.quote(mount["mountPath"])
        lines = [
            f"[ -e {source} ] || mkdir -p {source}",
            f"if [ -d {source} ]; then mkdir -p {target}; else mkdir -p \"$(dirname {target})\"; touch {target}; fi",
            f"mount --bind {source} {target}",
        ]
        if mount.get("readOnly"):
            lines.append(f"mount -o remount,bind,ro {target}")
        return lines

    def privileges(self, security):
        """The user; and, where the container drops all, no capabilities either. An ordinary user stays itself."""
        if not self.pod.node.privileged:
            return []
        words = []
        user, group = security.get("runAsUser"), security.get("runAsGroup")
        if user is not None:
            groups = [str(security["fsGroup"])] if security.get("fsGroup") else []
            words += [f"--reuid={user}", f"--regid={group if group is not None else 0}"]
            words += [f"--groups={groups[0]}"] if groups else ["--clear-groups"]
        if "ALL" in ((security.get("capabilities") or {}).get("drop") or []):
            words += ["--inh-caps=-all", "--bounding-set=-all"]
        if security.get("allowPrivilegeEscalation") is False:
            words.append("--no-new-privs")
        return ["setpriv", *words] if words else []

    # === how it is

    def running(self):
        return self.process is not None and self.process.poll() is None

    def note_end(self):
        """Remembers how the process ended, once."""
        if self.process is None or self.process.poll() is None:
            return False
        code = self.process.returncode
        self.last = {
            "exitCode": 128 - code if code < 0 else code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": stamp(self.started_at),
            "finishedAt": stamp(time.time()),
        }
        self.process = None
        self.ready = self.started = False
        return True

    def delay(self, probe):
        return (self.spec.get(probe) or {}).get("initialDelaySeconds", 0)

    def check(self):
        """Startup, then readiness and liveness, each when its time has come."""
        now = time.monotonic()
        if not self.running() or now < self.next_probe:
            return
        if not self.started:
            probe = self.spec.get("startupProbe")
            self.started = probe is None or self.passes(probe)
            if not self.started:
                self.failed(probe)
                self.next_probe = now + 0.3
                return
            self.failures = 0
        readiness, liveness = self.spec.get("readinessProbe"), self.spec.get("livenessProbe")
        self.ready = readiness is None or self.passes(readiness)
        if liveness is not None:
            if self.passes(liveness):
                self.failures = 0
            else:
                self.failed(liveness)
        # A kubelet is less eager while something is not ready.
        self.next_probe = now + (0.25 if not self.ready else min(1, (readiness or liveness or {}).get("periodSeconds", 10)))

    def failed(self, probe):
        self.failures += 1
        period = max(probe.get("periodSeconds", 10), 1)
        patience = probe.get("failureThreshold", 3) * period
        if self.failures * 0.3 > patience:
            self.kill()

    def passes(self, probe):
        timeout = probe.get("timeoutSeconds", 1)
        if "httpGet" in probe:
            return self.http(probe["httpGet"], timeout)
        if "exec" in probe:
            return self.run(probe["exec"]["command"], timeout) == 0
        action = probe.get("tcpSocket") or probe.get("grpc")
        return self.pod.connects(self.port(action["port"]), timeout)

    def http(self, action, timeout):
        scheme = action.get("scheme", "HTTP").lower()
        url = f"{scheme}://{action.get('host') or self.pod.sandbox.address}:{self.port(action['port'])}{action.get('path', '/')}"
        if action.get("host"):
            # An address of the pod's own, such as loopback, is reached from inside.
            command = ["curl", "-sf", "-m", str(timeout), "-o", "/dev/null", url]
            return subprocess.run([*self.pod.sandbox.enter(), *command], capture_output=True).returncode == 0
        headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
                return 200 <= answer.status < 400
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def port(self, port):
        named = {entry.get("name"): entry["containerPort"] for entry in self.spec.get("ports") or []}
        return port if isinstance(port, int) else named.get(port) or int(port)

    # === stopping

    def run(self, command, timeout):
        """A command inside the running container, under its user and with its variables; its exit code."""
        process = self.process
        if process is None:
            return 1
        enter = ["nsenter", f"--target={process.pid}", "--mount", "--uts", "--net", f"--root=/proc/{process.pid}/root", "--"]
        # Processes have no namespace here: who sees that it is in a cluster takes process 1 for its container's first.
        inside = [*self.inside, "env", "--unset=KUBERNETES_SERVICE_HOST"]
        try:
            return subprocess.run([*enter, *inside, *command], capture_output=True, timeout=timeout).returncode
        except (OSError, subprocess.TimeoutExpired):
            return 1

    def before_stop(self, grace):
        hook = (self.spec.get("lifecycle") or {}).get("preStop") or {}
        if "httpGet" in hook:
            self.http(hook["httpGet"], grace)
        elif "exec" in hook:
            self.run(hook["exec"]["command"], grace)
        elif "sleep" in hook:
            time.sleep(min(grace, hook["sleep"]["seconds"]))

    def terminate(self):
        process = self.process
        if process is not None and process.poll() is None:
            process.terminate()

    def kill(self):
        process = self.process
        if process is not None and process.poll() is None:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass

    def status(self):
        """As the API has it."""
        status = {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": self.spec["image"],
            "ready": self.ready,
            "started": self.started,
            "restartCount": max(self.restarts, 0),
            "state": {},
            "lastState": {"terminated": self.last} if self.last and self.process is not None else {},
        }
        if self.process is not None:
            status["state"] = {"running": {"startedAt": stamp(self.started_at)}}
        elif self.waiting:
            status["state"] = {"waiting": {"reason": self.waiting[0], "message": self.waiting[1]}}
        elif self.last:
            status["state"] = {"terminated": self.last}
        return status


def expanded(word, variables):
    """`$(NAME)` of known variables replaced; `$$` escapes."""
    out, rest = "", word
    while "$" in rest:
        before, _, rest = rest.partition("$")
        out += before
        if rest.startswith("$"):
            out, rest = out + "$", rest[1:]
        elif rest.startswith("(") and ")" in rest and rest[1 : rest.index(")")] in variables:
            name, _, rest = rest[1:].partition(")")
            out += variables[name]
        else:
            out += "$"
    return out + rest


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
