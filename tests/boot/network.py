"""What stands at the far end of a node's cable besides encoder and viewers: its operator with SSH, and a
network that gives addresses and name servers, and kernel and RAM disk to whom asks for them."""

import copy
import os
import subprocess

from host import EDGE_IP4, VIEWER_IP4, VIEWER_NETNS, Process, check
from image import run

SSH = ("ssh", "-F", "/dev/null", "-T", "-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes",
       "-o", "IdentityAgent=none", "-o", "GSSAPIAuthentication=no", "-o", "ConnectTimeout=30")
PASSWORD = ("-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1",
            "-o", "PreferredAuthentications=password,keyboard-interactive")
NAME = "probe.millrace.test"
NAMED = "198.18.77.77"


class Login:
    """SSH to the node, with the key of its configuration or otherwise. folder: for keys, made now."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "ssh")
        self.known = "known"
        os.makedirs(self.folder)
        for name in ("operator", "stranger"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.at(name))
        self.asker = self.at("ask")
        with open(self.asker, "w") as file:
            file.write("#!/bin/sh\necho millrace\n")
        os.chmod(self.asker, 0o700)

    def at(self, name):
        return os.path.join(self.folder, name)

    def to_another(self):
        """The same, to a node at the same address that has a host key of its own."""
        login = copy.copy(self)
        login.known += "-another"
        return login

    def key(self):
        """As [node] ssh_key has it."""
        with open(self.at("operator.pub")) as file:
            return file.read().strip()

    def _try(self, *arguments, data=subprocess.DEVNULL, seconds=90):
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/{VIEWER_NETNS}", *SSH, "-o",
             f"UserKnownHostsFile={self.at(self.known)}", *arguments], stdin=data,
            capture_output=True, text=True, timeout=seconds,
            env={**os.environ, "SSH_ASKPASS": self.asker, "SSH_ASKPASS_REQUIRE": "force"})

    def run(self, command, data=subprocess.DEVNULL, seconds=90):
        """What a command prints that the operator gives, with a file to read from."""
        done = self._try("-i", self.at("operator"), f"root@{EDGE_IP4}", command, data=data, seconds=seconds)
        check(done.returncode == 0, f"SSH: {command}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def refused(self):
        """Another key is not taken, nor a password: what is said of each."""
        for what in (("-i", self.at("stranger")), PASSWORD):
            done = self._try(*what, f"root@{EDGE_IP4}", "true")
            check(done.returncode == 255 and "Permission denied (publickey)." in done.stderr,
                  f"SSH {' '.join(what)}: status {done.returncode}: {done.stderr.strip()}")

    def host_key(self):
        """By what the node is known to whoever connects."""
        done = subprocess.run(["nsenter", f"--net=/run/netns/{VIEWER_NETNS}", "ssh-keyscan", "-T", "60",
                               "-t", "ed25519", EDGE_IP4], capture_output=True, text=True)
        check(done.stdout.count("ssh-ed25519") == 1, f"ssh-keyscan: {done.stdout} {done.stderr}")
        return done.stdout.split()[2]


class Network:
    """DHCP and DNS for what is on the cable, while the context lasts; NAME is known to it alone.

    folder: who starts from the network gets boot.ipxe in it, and what that asks for, by HTTP.
    """

    def __init__(self, logs, folder=None):
        self.logs = logs
        self.folder = folder
        self.processes = []

    def __enter__(self):
        boot = []
        if self.folder:
            boot.append(f"--dhcp-boot=http://{VIEWER_IP4}/boot.ipxe")
            self.processes.append(Process("http", ["python3", "-m", "http.server", "80", "--bind", VIEWER_IP4,
                                                   "--directory", self.folder], self.logs, VIEWER_NETNS))
        self.processes.append(Process("dnsmasq", [
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
            "--pid-file=", "--interface=view0", "--bind-interfaces", "--no-ping", "--log-dhcp",
            f"--dhcp-leasefile={self.logs}/leases", "--dhcp-range=198.18.77.100,198.18.77.110,10m",
            f"--dhcp-option=option:dns-server,{VIEWER_IP4}", f"--host-record={NAME},{NAMED}",
            *boot,
        ], self.logs, VIEWER_NETNS))
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
