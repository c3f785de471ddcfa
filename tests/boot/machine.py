"""A machine that is not there: QEMU under software emulation, its consoles, its NIC's cable.

The cable ends in the viewers' namespace, as that of the end-to-end tests does, so that encoders and
viewers are theirs. Nothing here knows the edge. QEMU is ended by its own id.
"""

import contextlib
import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time

from host import VIEWER_IP4, VIEWER_NETNS, Failure, Process, check, in_netns, wait_until

NIC_ADDRESS = "0000:01:00.0"
MAC = "52:54:00:77:00:01"
NICS = {
    "virtio": "virtio-net-pci,disable-legacy=on,iommu_platform=on,ats=on",
    "e1000e": "e1000e",
}
IOMMU = ("-device", "intel-iommu,intremap=on,device-iotlb=on")
FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
FIRMWARE_STATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"
SHELL_TTY = "ttyS1"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


def host_cpu_seconds():
    """What all programs on this host have taken of its processors so far."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


class Cable:
    """The viewers' namespace with a tap that QEMU takes, for as long as the context lasts."""

    def __enter__(self):
        check(not os.path.exists(f"/run/netns/{VIEWER_NETNS}"),
              f"namespace {VIEWER_NETNS} is in use; if by nobody: ip netns del {VIEWER_NETNS}")
        subprocess.run(["ip", "netns", "add", VIEWER_NETNS], check=True)
        conf = "/proc/sys/net/ipv6/conf/view0"
        in_netns(VIEWER_NETNS, "ip", "link", "set", "lo", "up")
        in_netns(VIEWER_NETNS, "ip", "tuntap", "add", "dev", "view0", "mode", "tap")
        in_netns(VIEWER_NETNS, "ip", "link", "set", "dev", "view0", "addrgenmode", "none")
        in_netns(VIEWER_NETNS, "bash", "-c", f"echo 0 >{conf}/accept_ra; echo 0 >{conf}/autoconf;"
                 f"echo 1 >{conf}/keep_addr_on_down")
        in_netns(VIEWER_NETNS, "ip", "addr", "add", f"{VIEWER_IP4}/24", "dev", "view0")
        in_netns(VIEWER_NETNS, "ip", "addr", "add", "fd77::2/64", "dev", "view0", "nodad")
        in_netns(VIEWER_NETNS, "ip", "link", "set", "dev", "view0", "up")
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", VIEWER_NETNS], check=True)


class Console:
    """What the machine writes on its first serial line, kept in a file."""

    def __init__(self, path):
        self.path = path

    def text(self, start=0):
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                return ESCAPES.sub("", file.read().decode(errors="replace"))
        except FileNotFoundError:
            return ""

    def size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def last(self):
        return " / ".join(line for line in self.text().splitlines()[-3:] if line)

    def find(self, pattern, start=0):
        return re.search(pattern, self.text(start), re.M)


class Shell:
    """A root shell on the second serial line, which systemd starts where the kernel is told so."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.buffer = ""
        self.count = 0

    def _read(self, seconds):
        if select.select([self.sock], [], [], seconds)[0]:
            got = self.sock.recv(65536)
            check(got, "the machine is gone")
            self.buffer += got.decode(errors="replace").replace("\r", "")

    def _await(self, pattern, seconds, what):
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.buffer)):
            if time.monotonic() > end:
                raise Failure(f"waited {seconds} s for {what}; the shell says: {self.buffer[-300:]}")
            self._read(0.2)
        return found

    def open(self, seconds, alive):
        """Until the shell is there; alive() must hold meanwhile."""
        if self.count:
            return
        end = time.monotonic() + seconds
        while not re.search("[#$] $", self.buffer):
            check(alive(), "the machine ended")
            check(time.monotonic() < end, f"waited {seconds} s for a shell on {SHELL_TTY}")
            self._read(0.5)
        self.sock.sendall(b"bind 'set enable-bracketed-paste off' 2>/dev/null; stty -echo -onlcr;"
                          b" export PS1= PS2= TERM=dumb SYSTEMD_COLORS=0 SYSTEMD_PAGER=\n")
        self.run("true")

    def tell(self, command):
        """A command that does not come to its end."""
        self.sock.sendall(f"{command}\n".encode())

    def run(self, command, seconds=30, status=0):
        """What a command prints; it must end with that status, None: with any."""
        self.count += 1
        self.buffer = ""
        self.sock.sendall(f"echo BEGIN-{self.count}-; {{ {command}\n}} 2>&1; "
                          f"echo END-{self.count}-$?-\n".encode())
        found = self._await(rf"END-{self.count}-(\d+)-", seconds, f"the end of {command}")
        said = self.buffer[:found.start()].partition(f"BEGIN-{self.count}-")[2].strip("\n")
        check(status is None or int(found.group(1)) == status,
              f"{command}: status {found.group(1)}: {said[-300:]}")
        return said


class Machine:
    """A machine with its power on, until the context ends.

    disk:    the raw image; other disks follow in order.
    kernel:  (kernel, initrd, command line), given past firmware and boot loader; None: by them, or,
             without a disk, from the network.
    nic:     a key of NICS.
    """

    def __init__(self, logs, disks, kernel=None, nic="virtio", iommu=True, memory_mib=1536,
                 name="machine", variables=None):
        self.logs = logs
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="millrace-boot.")
        self.console = Console(os.path.join(logs, f"{name}-console.log"))
        self.shell = None
        self.started = None
        self.qmp = None
        self.process = None
        self.variables = variables
        self.command = self._command(disks, kernel, nic, iommu, memory_mib)

    def _command(self, disks, kernel, nic, iommu, memory_mib):
        out = ["qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max",
               "-smp", "2", "-m", str(memory_mib), "-machine", "q35,kernel-irqchip=split",
               "-no-reboot", "-display", "none", "-nodefaults", "-no-user-config",
               "-chardev", f"file,id=console,path={self.console.path}", "-serial", "chardev:console",
               "-chardev", f"socket,id=shell,path={self.dir}/shell,server=on,wait=off",
               "-serial", "chardev:shell", "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off"]
        if iommu:
            out += IOMMU
        for number, disk in enumerate(disks):
            out += ["-drive", f"if=none,id=disk{number},format=raw,file={disk}",
                    "-device", f"virtio-blk-pci,drive=disk{number}"]
        out += ["-device", "pcie-root-port,id=rp1,chassis=1",
                "-netdev", "tap,id=cable,ifname=view0,script=no,downscript=no",
                "-device", f"{NICS[nic]},netdev=cable,bus=rp1,mac={MAC},id=nic0",
                "-device", "i6300esb"]  # a watchdog; the chipset's own takes twice its time
        if kernel:
            out += ["-kernel", kernel[0], "-initrd", kernel[1], "-append", kernel[2]]
        elif not disks:
            out += ["-boot", "n"]  # by the NIC's own iPXE
        else:
            out += ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
                    "-drive", f"if=pflash,format=raw,file={self.variables}"]
        return out

    def __enter__(self):
        self.process = Process(f"{self.name}-qemu", self.command, self.logs, VIEWER_NETNS)
        self.started = time.monotonic()
        try:
            wait_until(lambda: os.path.exists(f"{self.dir}/qmp") or not self.process.alive(), 10,
                       "QEMU")
            check(self.process.alive(), f"QEMU: {self.process.last_line()}")
            self.shell = Shell(f"{self.dir}/shell")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def await_line(self, pattern, seconds, start=0):
        """A line of the console; its match."""
        wait_until(lambda: self.console.find(pattern, start) or not self.process.alive(), seconds,
                   f"{pattern!r} on the console")
        found = self.console.find(pattern, start)
        check(found, f"QEMU ended: {self.process.last_line()}")
        return found

    def open_shell(self, seconds=120):
        self.shell.open(seconds, self.process.alive)
        return self.shell

    def await_reset(self, seconds):
        """It starts again; here that is its end, and whoever wants it starts another."""
        wait_until(lambda: not self.process.alive(), seconds, "the machine to start again")
        check(self.process.status() == 0, f"QEMU: {self.process.last_line()}")

    def control(self, command, **arguments):
        """One command of QEMU's machine protocol."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"{self.dir}/qmp")
            file = sock.makefile("rw")
            file.readline()
            for request in ({"execute": "qmp_capabilities"},
                            {"execute": command, "arguments": arguments}):
                file.write(json.dumps(request) + "\n")
                file.flush()
                while "event" in (answer := json.loads(file.readline())):
                    pass
            check("return" in answer, f"{command}: {answer}")
            return answer["return"]

    def cpu_seconds(self):
        """What it has taken of the host's processors so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cut_power(self):
        self.process.kill()
