"""A node on a machine: what it is configured with, when it serves, what a viewer sees of it."""

import json
import os
import shutil
import time

from host import (EDGE_IP4, EDGE_IP6, ROOT, VIEWER_NETNS, Failure, check, in_netns,
                  wait_until)
from image import Image, config_drive, kernel_words
from machine import FIRMWARE_STATE, NIC_ADDRESS, NICS, Machine, host_cpu_seconds
from network import Login
from millrace import API_KEY, Encoder, post_offer, request, try_request
from viewers import Aiortc

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
OFFER = os.path.join(ROOT, "tests", "data", "offers", "aiortc-av.sdp")
SERVING_S = 180
EXAMINATION = (
    "journalctl -b -o short-monotonic -u 'millrace*'", "systemctl --failed",
    "ip -s addr; ip route; ip neigh", "cat /proc/net/snmp", "cat /proc/meminfo | grep Huge",
    "millrace-image status",
)
JSON = {"Content-Type": "application/json"}
GROWN_BYTES = 256 << 30  # of the disk, behind what the image has


KEYS = """[access]
api_keys_file = /etc/millrace/api.keys
"""


def configuration(device=NIC_ADDRESS, hugepages=96, node="", keys=KEYS):
    return f"""[node]
hostname = edge
hugepages = {hugepages}
{node}
[dataplane]
device = {device}
cores = 1
memory_mib = 128
addresses = {EDGE_IP4}/24, {EDGE_IP6}/64
exception_interface = mr0
idle = sleep
[http]
address = any
[media]
address = {EDGE_IP4}, {EDGE_IP6}
{keys}[limits]
post_per_second = 0
change_per_second = 0
"""


def is_ready():
    answer = try_request("GET", "/readyz", seconds=2)
    return answer is not None and answer.status == 200


def put_stream(name="live", **common):
    """What it says of the stream, or None where nobody answers or takes it."""
    body = json.dumps({"video": {}, "audio": {}, **common})
    answer = try_request("PUT", f"/api/v3/streams/{name}", body, JSON, seconds=5)
    return answer.json() if answer and answer.status in (200, 201) else None


def get(path):
    answer = request("GET", path, seconds=10)
    check(answer.status == 200, f"GET {path}: {answer.status} {answer.body}")
    return answer.json()


def first_201(machine):
    """Seconds from power on to a WHEP session, asked for again and again; and the share of the host's
    processors that other programs had meanwhile."""
    with open(OFFER) as file:
        offer = file.read()
    others = host_cpu_seconds() - machine.cpu_seconds()

    def answered():
        check(machine.process.alive(), "the machine ended")
        answer = put_stream() and post_offer(offer, seconds=10)
        return answer and answer.status == 201
    try:
        wait_until(answered, SERVING_S, "a WHEP session")
    except Failure as failure:
        raise Failure(f"{failure}; the console ends: {machine.console.last()}") from None
    seconds = time.monotonic() - machine.started
    others = host_cpu_seconds() - machine.cpu_seconds() - others
    return seconds, others / (seconds * os.cpu_count())


class Yard:
    """The disks, and the machine that runs: one at a time. Cases that need the same share it."""

    def __init__(self, image, folder):
        self.image = Image(image)
        self.folder = folder
        self.kernel = self.image.direct(folder)
        self.machine = None
        self.kind = None
        self.logs = None
        self.number = 0
        self.trial = None  # the slot that a case has left on trial
        self.variables = shutil.copyfile(FIRMWARE_STATE, self.path("firmware.fd"))
        self.login = Login(folder)
        self.disk = self.image.copy(self.path("disk.raw"))
        os.truncate(self.disk, os.path.getsize(self.disk) + GROWN_BYTES)
        self.image.give_shell(self.disk)
        self.image.configure(self.disk, configuration(node=self.node()), {"api.keys": API_KEY + "\n"})

    def path(self, name):
        return os.path.join(self.folder, name)

    def drive(self, text=None, **node):
        """The config drive, also that of a machine that runs: it is read at each start."""
        return config_drive(self.path("config.img"), text or configuration(node=self.node(**node)),
                            {"api.keys": API_KEY + "\n"})

    def start(self, kind, nic, kernel, disks, **more):
        """Power on another machine; the one that runs goes."""
        self.stop()
        self.number += 1
        self.machine = Machine(self.logs, disks, kernel, nic, name=f"machine-{self.number}", **more)
        self.machine.__enter__()
        self.kind = kind
        return self.machine

    def node(self, **more):
        """Of [node]."""
        words = {"ssh_key": self.login.key(), "trial_starts": 2, **more}
        return "\n".join(f"{key} = {word}" for key, word in words.items())

    def direct(self, text=None, *disks, **more):
        """One with a new disk and a config drive, that has kernel and RAM disk from the test, for quickness.
        An old disk has a configuration that was good, and the node would take that."""
        new = self.image.copy(self.path("new.raw"))
        return self.start("direct", "virtio", self.kernel, [new, self.drive(text), *disks], **more)

    def for_network(self):
        """A folder with all that a node without a disk is given."""
        words = kernel_words(configuration(node=self.node(), keys=""))
        return self.image.for_network(self.path("www"), words)

    def by_firmware(self, nic, **node):
        """The node itself: starts as on bare metal, by firmware, boot loader, slot. It is configured by its
        EFI partition, with the other NIC by a config drive."""
        drives = [self.drive(**node)] if nic == "e1000e" else []
        return self.start(nic, nic, None, [self.disk, *drives], variables=self.variables)

    def serving(self, nic):
        """A node with such a NIC that serves."""
        if self.kind != nic or not self.machine.process.alive():
            self.by_firmware(nic)
        wait_until(lambda: is_ready() or not self.machine.process.alive(), SERVING_S,
                   "the node to serve")
        check(self.machine.process.alive(), "the machine ended")
        return self.machine

    def any_serving(self):
        """The one that runs, if it does."""
        return self.serving(self.kind if self.kind in NICS else "virtio")

    def restarts(self, **node):
        """The node starts again, by itself or since it was told to; with more of [node], if on a drive."""
        self.machine.await_reset(120)
        return self.by_firmware(self.kind, **node)

    def await_line(self, pattern, seconds):
        """A line on the console since the last start."""
        return self.machine.await_line(pattern, seconds)

    def examine(self):
        """What a machine that failed its case says of itself, for the logs."""
        if not self.machine or not self.machine.process.alive():
            return
        with open(os.path.join(self.logs, "examination.txt"), "w") as file:
            file.write(in_netns(VIEWER_NETNS, "ip", "-s", "neigh", "show"))
            shell = self.machine.open_shell(30)
            for command in EXAMINATION:
                file.write(f"\n# {command}\n{shell.run(command, 60, None)}\n")

    def stop(self):
        if self.machine:
            self.machine.__exit__()
        self.machine = self.kind = None


class Playing:
    """A stream that plays to one viewer on the machine's cable, while the context lasts."""

    def __init__(self, logs):
        self.logs = logs
        self.encoder = None
        self.viewer = None

    def __enter__(self):
        stream = wait_until(put_stream, 20, "the stream to be made")
        self.encoder = Encoder(self.logs, stream["legs"], **SMALL)
        self.encoder.__enter__()
        try:
            self.viewer = Aiortc(self.logs)
            answered = self.viewer.answered(30)
            check(answered["status"] == 201, f"WHEP: {answered['status']}")
            self.viewer.await_playing(40, frames=3 * self.encoder.rate)
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def __exit__(self, *_):
        if self.viewer:
            self.viewer.process.kill()
        self.encoder.process.kill()

    def count(self):
        return self.viewer.stats()[0]["video"]["count"]

    def goes_on(self, seconds=40):
        """The same session has three more seconds of pictures."""
        before = self.count()
        return self.viewer.await_all(
            lambda v: v["video"]["count"] > before + 3 * self.encoder.rate, seconds,
            "the picture to go on")[0]
