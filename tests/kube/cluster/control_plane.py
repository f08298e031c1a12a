"""etcd, API server and controller manager as plain processes, with a certificate authority of their own.

Everything listens inside the cluster's network namespace, so ports are the usual ones.
"""

import secrets
import subprocess
import time
from pathlib import Path

from .api import Client, Problem

NODE = "10.98.0.1"
API = (NODE, 6443)
# The controllers that a cluster without storage, quotas and several nodes needs.
CONTROLLERS = [
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "garbage-collector-controller",
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "job-controller",
    "ttl-after-finished-controller",
    "endpointslice-controller",
    "disruption-controller",
    "horizontal-pod-autoscaler-controller",
]


class ControlPlane:
    """Starts and restarts the programs; `client` speaks to the API server as an administrator."""

    def __init__(self, folder, tools):
        self.folder, self.tools = Path(folder), Path(tools)
        self.pki = self.folder / "pki"
        self.programs = {}
        self.token = secrets.token_hex(16)

    def up(self):
        self.certify()
        self.etcd()
        self.api_server()
        self.client = Client(*API, self.token, str(self.pki / "ca.crt"))
        self.write_kubeconfig()
        self.await_api()
        self.controller_manager()

    def certify(self):
        """A certificate authority, the API server's certificate, the key that signs service account tokens."""
        self.pki.mkdir(parents=True)
        names = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
        names += f",DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:{NODE},IP:10.96.0.1"
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365"]
        self.openssl("req", "-x509", *key, "-subj", "/CN=cluster", "-keyout", "ca.key", "-out", "ca.crt")
        self.openssl("req", *key, "-subj", "/CN=kube-apiserver", "-keyout", "server.key", "-out", "server.csr")
        (self.pki / "names").write_text(f"subjectAltName={names}\n")
        signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "365", "-extfile", "names"]
        self.openssl("x509", "-req", "-in", "server.csr", *signed, "-out", "server.crt")
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", "accounts.key")
        self.openssl("pkey", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")
        (self.pki / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.pki, check=True, capture_output=True)

    def etcd(self):
        data = self.folder / "etcd"
        self.start(
            "etcd",
            f"--data-dir={data}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=error",
        )

    def api_server(self):
        pki = self.pki
        self.start(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={NODE}",
            "--bind-address=0.0.0.0",
            f"--secure-port={API[1]}",
            f"--cert-dir={pki}",
            f"--tls-cert-file={pki}/server.crt",
            f"--tls-private-key-file={pki}/server.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--token-auth-file={pki}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-signing-key-file={pki}/accounts.key",
            f"--service-account-key-file={pki}/accounts.pub",
            "--allow-privileged=true",
            "--profiling=false",
            # A killed API server must not wait for its watches.
            "--shutdown-delay-duration=0s",
        )

    def controller_manager(self):
        self.start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--use-service-account-credentials=false",
            f"--service-account-private-key-file={self.pki}/accounts.key",
            f"--root-ca-file={self.pki}/ca.crt",
            "--bind-address=127.0.0.1",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            f"--controllers={','.join(CONTROLLERS)}",
        )

    def start(self, program, *arguments):
        log = open(self.folder / "log" / f"{program}.log", "ab")  # noqa: SIM115 - kept by the process
        command = [str(self.tools / "bin" / program), *arguments]
        self.programs[program] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, program):
        """Ends one of the programs hard, as a machine that fails would."""
        process = self.programs.pop(program)
        process.kill()
        process.wait()

    @property
    def kubeconfig(self):
        return self.folder / "kubeconfig"

    def write_kubeconfig(self):
        self.kubeconfig.write_text(
            f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "https://{API[0]}:{API[1]}", certificate-authority: {self.pki}/ca.crt}}}}]
users: [{{name: admin, user: {{token: {self.token}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
current-context: test
"""
        )

    def await_api(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                # The default namespace comes last of what the API server makes for itself.
                self.client.get("/readyz/poststarthook/rbac/bootstrap-roles?verbose")
            except ValueError:
                return  # Its answer is plain text.
            except (OSError, Problem):
                pass
            process = self.programs["kube-apiserver"]
            if process.poll() is not None:
                raise SystemExit(f"kube-apiserver ended; see {self.folder}/log")
            if time.monotonic() > deadline:
                raise SystemExit("the API server does not become ready")
            time.sleep(0.1)
