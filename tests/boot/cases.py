"""The cases: one class a behaviour, its name in snake case is what scripts/test boot takes."""

import re
import threading
import time

from host import check, wait_until
from machine import NIC_ADDRESS
from millrace import post_offer
from network import NAME, NAMED, Network
from node import (GROWN_BYTES, OFFER, SERVING_S, Playing, configuration, first_201, get, is_ready,
                  put_stream)

FIRST_201_S = 90
BUSY = 0.15  # share of the host's processors with which others make a time no measure
CHANGES = 5  # of state, on the disk before the power is cut
KEPT_S = 2  # control writes 0.2 s after a change
SERVING = r"^millrace: serving: "
START_S = 240  # for one start; waits end with the event
BAD_TRIAL_S = 10


def unit_pid(shell, unit):
    return shell.run(f"systemctl show -P MainPID {unit}")


def running(yard):
    """The slot that runs."""
    return yard.machine.open_shell().run("cat /run/millrace-node/slot")


def other(slot):
    return "b" if slot == "a" else "a"


def install(yard, words=""):
    """By SSH, into the slot that does not run; which that is."""
    yard.any_serving()
    yard.await_line(SERVING, 60)
    slot = other(running(yard))
    update = yard.image.updated(yard.path("update"), words)
    with open(update, "rb") as file:
        said = yard.login.run("millrace-image install -", file, 180)
    check(said.startswith(f"slot {slot} holds "), said)
    status = yard.machine.open_shell().run("millrace-image status")
    check(re.search(rf"^slot {slot}: on trial, 2 starts left", status, re.M), status)
    return slot


class PowerOn:
    """From power on by firmware and boot loader to the first viewer."""

    def run(self, yard):
        machine = yard.by_firmware("virtio")
        seconds, others = first_201(machine)
        check(seconds <= FIRST_201_S or others > BUSY,
              f"the first 201 came {seconds:.0f} s after power on")
        busy = f", others had {others:.0%} of the host" if others > BUSY else ""
        return f"first WHEP 201 {seconds:.1f} s after power on{busy}"


class Virtio:
    """A virtio NIC under vfio-pci behind an IOMMU: a viewer decodes what an encoder sends by it. The
    configuration is that of the EFI partition, and the state has all of a larger disk."""

    nic = "virtio"
    source = "millrace.conf on the EFI partition /dev/vda1"

    def run(self, yard):
        yard.serving(self.nic)
        yard.machine.await_line(f"^millrace: configuration: {self.source}$", 1)
        with Playing(yard.logs):
            pass
        shell = yard.machine.open_shell()
        driver = shell.run(f"readlink /sys/bus/pci/devices/{NIC_ADDRESS}/driver")
        check(driver.endswith("/vfio-pci"), f"the NIC is with {driver}")
        check(shell.run(f"ls /sys/bus/pci/devices/{NIC_ADDRESS}/iommu_group/devices") == NIC_ADDRESS,
              "the NIC's IOMMU group has others in it")
        said = shell.run(f"nsenter -t {unit_pid(shell, 'millrace-dataplane')} -m sh -c"
                         " 'wc -c </etc/shadow; echo x >/proc/sys/kernel/core_pattern' 2>&1; true")
        check(said.startswith("0\n") and "Read-only" in said, f"the data plane may: {said}")
        size = int(shell.run("df -B 1 --output=size /state | tail -n 1"))
        check(size > 0.9 * GROWN_BYTES, f"the state has {size} bytes of a disk with {GROWN_BYTES} more")


class E1000e(Virtio):
    """An e1000e under vfio-pci behind an IOMMU: the same, configured by a drive."""

    nic = "e1000e"
    source = "config drive /dev/vdb"


class RestartDataplane:
    """systemctl restart: the viewer's session goes on after a gap."""

    def run(self, yard):
        shell = yard.any_serving().open_shell()
        with Playing(yard.logs) as playing:
            before = unit_pid(shell, "millrace-dataplane")
            shell.run("systemctl restart millrace-dataplane", 60)
            check(unit_pid(shell, "millrace-dataplane") != before, "it was not restarted")
            playing.goes_on()
            check(is_ready(), "the node does not say that it is ready")
        said = shell.run("journalctl -b -o cat -u millrace-dataplane | grep 'going on with'")
        check("systemd kept" in said, f"the region came from elsewhere: {said}")


class RestartControl:
    """systemctl restart: the viewer loses nothing, and the next one is taken."""

    def run(self, yard):
        shell = yard.any_serving().open_shell()
        with Playing(yard.logs) as playing:
            before = unit_pid(shell, "millrace-control")
            lost = playing.viewer.stats()[0]["video"]["lost"]
            shell.run("systemctl restart millrace-control", 60)
            check(unit_pid(shell, "millrace-control") != before, "it was not restarted")
            after = playing.goes_on()["video"]
            check(after["lost"] == lost, f"{after['lost'] - lost} packets were lost meanwhile")
        with Playing(yard.logs):
            pass


class Link:
    """The NIC's link goes and comes: the kernel's interface follows, and the viewer plays on."""

    def run(self, yard):
        machine = yard.any_serving()
        shell = machine.open_shell()
        with Playing(yard.logs) as playing:
            for up in (False, True):
                machine.control("set_link", name="nic0", up=up)
                wait_until(lambda: shell.run("cat /sys/class/net/mr0/carrier") == f"{up:d}", 10,
                           f"the carrier of the kernel's interface to be {up:d}")
            playing.goes_on()


class PowerCut:
    """The power goes while state is written: what was kept is whole, and the node serves, and is known
    by the same key."""

    def run(self, yard):
        machine = yard.any_serving()
        host_key = yard.login.host_key()
        known, over = [], threading.Event()

        def write():
            while not over.is_set() and put_stream("cut", max_peers=len(known) + 1):
                known.append(time.monotonic())

        def kept():
            """How many changes are old enough to be on the disk."""
            return sum(at < time.monotonic() - KEPT_S for at in known)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until(lambda: kept() >= CHANGES or not writer.is_alive(), 60, "state to be written")
        finally:
            least = kept()
            machine.cut_power()
            over.set()
            writer.join()
        check(least >= CHANGES, f"only {len(known)} changes were taken")
        yard.serving("e1000e" if yard.kind == "virtio" else "virtio")
        found = get("/api/v3/streams/cut")["max_peers"]
        check(least <= found <= len(known) + 1, f"change {found} is there; {least} were kept before"
              f" the cut, {len(known)} taken")
        check(yard.login.host_key() == host_key, "it has another SSH host key")
        with Playing(yard.logs):
            pass
        return f"{len(known)} changes taken, {found} there after the cut"


# The API answers to the node itself where no keys are configured.
PUT_STREAM = """text='{"video":{},"audio":{}}'; exec 3<>/dev/tcp/127.0.0.1/8080 &&
printf 'PUT /api/v3/streams/live HTTP/1.0\\r\\nHost: 127.0.0.1\\r\\nContent-Type: application/json\\r\\n%s: %d\\r\\n\\r\\n%s' \
Content-Length ${#text} "$text" >&3 && head -n 1 <&3"""


class Pxe:
    """From the network by the NIC's iPXE, no disk, the configuration on the kernel command line: a WHEP
    session by the NIC, and the operator logs in, nobody else."""

    def run(self, yard):
        with Network(yard.logs, yard.for_network()):
            machine = yard.start("network", "e1000e", None, [])
            wait_until(lambda: is_ready() or not machine.process.alive(), SERVING_S, "the node to serve")
        for line in ("there is no state partition: state goes to memory (RAM), and nothing of it is kept over a"
                     " restart", "configuration: kernel command line"):
            found = re.findall(f"^millrace: {re.escape(line)}$", machine.console.text(), re.M)
            check(len(found) == 1, f"{len(found)} lines say {line!r}")
        self.check_login(yard.login.to_another())
        with open(OFFER) as file:
            answer = post_offer(file.read(), seconds=10)
        check(answer.status == 201, f"WHEP: {answer.status} {answer.body}")

    def check_login(self, login):
        """The operator, who makes the stream by the way; and others."""
        said = login.run(f"cat /etc/hostname /state/node/ssh/*.pub; findmnt -n -o FSTYPE /state; {PUT_STREAM}")
        check(len(said.splitlines()) == 4, f"what the node knows of itself: {said}")
        name, key, kind, status = said.splitlines()
        check(name == "edge" and kind == "tmpfs", f"host name {name}, state on {kind}")
        check(key.split()[1] == login.host_key(), f"the host key is not the node's own: {key}")
        check("201" in status, f"the stream was not made: {status}")
        login.refused()


class Update:
    """An update, given to the node as an operator would: it is on trial with the next start."""

    def run(self, yard):
        yard.trial = install(yard)


class UpdateKept:
    """It is tried, comes up healthy, and is kept."""

    def run(self, yard):
        yard.any_serving()
        yard.trial = yard.trial or install(yard)
        if running(yard) != yard.trial:
            yard.machine.open_shell().run("systemctl --no-block reboot")
            yard.restarts()
        yard.await_line(rf"^millrace: slot {yard.trial} is healthy and kept", START_S)
        yard.await_line(rf"^millrace: serving: .*\(slot {yard.trial}", 60)
        status = yard.machine.open_shell().run("millrace-image status")
        check(re.search(rf"^slot {yard.trial}: good, .*, runs now$", status, re.M), status)
        check(f"slot {other(yard.trial)}: good" in status, status)
        yard.trial = None


class UpdateGivenUp:
    """One that starts and does not serve: the node goes back by itself, and serves. Its first start nobody
    ends but the process that the initial RAM disk left behind. By the way the words that the configuration
    has for the kernel, on trial with the last start, are kept."""

    def run(self, yard):
        yard.serving("e1000e")
        slot = install(yard, "systemd.mask=millrace-dataplane.service")
        yard.machine.open_shell().run("systemctl --no-block reboot")
        yard.restarts()
        self.nobody_judges(yard, slot)
        # This one's time need not be long.
        yard.restarts(trial_timeout_s=BAD_TRIAL_S)
        yard.await_line(rf"^millrace: slot {slot}, on trial, did not come up healthy within"
                        rf" {BAD_TRIAL_S} s: starting again", START_S)
        yard.restarts()
        yard.await_line(rf"^millrace: slot {slot} \(.*\) did not come up healthy .* slot {other(slot)} runs",
                        START_S)
        yard.await_line(rf"^millrace: serving: .*\(slot {other(slot)}", START_S)
        with Playing(yard.logs):
            pass
        shell = yard.machine.open_shell()
        isolated = shell.run("cat /sys/devices/system/cpu/isolated")
        status = shell.run("millrace-image status")
        check(isolated == "1" and "kernel words" not in status, f"isolated: {isolated}; {status}")

    def nobody_judges(self, yard, slot):
        """Its time would be five minutes; of these it is told that they are over."""
        shell = yard.machine.open_shell()
        check(running(yard) == slot, "the update was not tried")
        shell.run("systemctl mask --runtime --now millrace-health.service")
        shell.tell("echo 1 1<>/run/millrace-node/dead_man")
        yard.await_line(rf"millrace: slot {slot}, on trial, was not kept in time: starting again", 30)


class Hang:
    """A kernel that hangs for good is started again by the hardware's watchdog."""

    def run(self, yard):
        machine = yard.any_serving()
        shell = machine.open_shell()
        start = machine.console.size()
        yard.kind = "hung"  # nobody's to go on with
        shell.tell("echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger")
        machine.await_line("Kernel panic - not syncing: sysrq triggered crash", 30, start)
        check("Rebooting in" not in machine.console.text(start), "the kernel starts again by itself")
        began = time.monotonic()
        machine.await_reset(120)
        return f"{time.monotonic() - began:.0f} s"


class Refusal:
    """What the node cannot use: one line on the console says so, and nothing of it is half done."""

    text = None
    words = ()
    hardware = {}

    def run(self, yard):
        machine = yard.direct(self.text, **self.hardware)
        line = machine.await_line(r"^millrace: configuration: .* is not used: .*$", 90).group(0)
        for word in self.words:
            check(word in line, f"{word!r} is not in: {line}")
        shell = machine.open_shell()
        check(not shell.run("ls /etc/driverctl.d 2>/dev/null; true"), "a NIC was taken all the same")
        said = re.findall(r"^millrace: .*is not used.*$", machine.console.text(), re.M)
        check(len(set(said)) == 1, f"it was said otherwise, too: {said}")
        driver = shell.run(f"readlink /sys/bus/pci/devices/{NIC_ADDRESS}/driver; true")
        check("vfio" not in driver, "the NIC was bound all the same")


class WrongAddress(Refusal):
    """A PCI address where there is nothing."""

    text = configuration(device="0000:09:00.0")
    words = ("no PCI device 0000:09:00.0", NIC_ADDRESS)


class TooFewPages(Refusal):
    """More huge pages than the machine has memory for."""

    text = configuration(hugepages=5000)
    words = ("too little memory", "5000 huge pages")


class NoIommu(Refusal):
    """No IOMMU."""

    words = ("no IOMMU", "VT-d")
    hardware = {"iommu": False}


class DamagedDrive(Refusal):
    """A config drive that holds rubbish. The NIC is the kernel's then, and the network's name servers are
    taken."""

    text = bytes(range(256)) * 8
    words = ("damaged",)

    def run(self, yard):
        with Network(yard.logs):
            super().run(yard)
            shell = yard.machine.open_shell()
            wait_until(lambda: NAMED in shell.run(f"getent ahostsv4 {NAME}; true"), 60,
                       f"{NAME}, known to the network's name server, to be known to the node")


class TwoDisks:
    """Two disks that hold the image: none is taken for the other."""

    def run(self, yard):
        machine = yard.direct(None, yard.disk)
        machine.await_line(r"^millrace: more than one disk holds the image \(vda2 vdc2\): take out", 90)


def all_cases():
    """Name to class, in the order in which they share machines best."""
    order = (PowerOn, Virtio, RestartDataplane, RestartControl, Link, Update, PowerCut, E1000e,
             UpdateKept, UpdateGivenUp, Hang, Pxe, WrongAddress, TooFewPages, NoIommu, DamagedDrive,
             TwoDisks)
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", case.__name__).lower(): case for case in order}
