"""A machine that is not there: trees like /sys and /proc, for scripts/provision and the doctor.

Two NUMA nodes of two cores each; NIC is free, BUSY carries the default route, USED has an address,
GPU is no NIC.
"""

import os
import threading
import time

NIC = "0000:01:00.0"
BUSY = "0000:02:00.0"
USED = "0000:03:00.0"
GPU = "0000:04:00.0"
FLAGS = "fpu sse4_2 aes pclmulqdq avx avx2 avx512f vaes constant_tsc nonstop_tsc"
ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
br0 00000000 0100000A 0003 0 0 0 00000000 0 0 0
br0 0000000A 00000000 0001 0 0 0 00FFFFFF 0 0 0
eth3 0000010A 00000000 0001 0 0 0 00FFFFFF 0 0 0
"""


class Machine:
    def __init__(self, base):
        self.sys = os.path.join(base, "sys")
        self.proc = os.path.join(base, "proc")
        self.cores()
        self.nic(NIC, "eth1", "igb", group=1)
        self.nic(BUSY, "eth2", "igb", group=2)
        self.nic(USED, "eth3", "igb", group=3)
        self.device(GPU, "0x030000", "nouveau", group=4)
        self.link("class/net/br0/lower_eth2", "../eth2")
        self.link("class/net/eth2/upper_br0", "../br0")
        self.put("devices/system/clocksource/clocksource0/current_clocksource", "tsc")
        self.put("module/vfio-pci/refcnt", "0")
        self.tell("net/route", ROUTES)
        self.tell("cmdline", "BOOT_IMAGE=/vmlinuz quiet")
        self.tell("cpuinfo", f"processor\t: 0\nflags\t\t: {FLAGS}")
        self.tell("mounts", "bpf /sys/fs/bpf bpf rw 0 0")
        for name in ("tcp", "udp", "tcp6", "udp6", "ipv6_route", "if_inet6"):
            self.tell(f"net/{name}", "")

    def put(self, path, text):
        return write(os.path.join(self.sys, path), text)

    def tell(self, path, text):
        return write(os.path.join(self.proc, path), text)

    def read(self, path):
        with open(os.path.join(self.sys, path)) as file:
            return file.read().strip()

    def link(self, path, target):
        full = os.path.join(self.sys, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if os.path.islink(full):
            os.unlink(full)
        os.symlink(target, full)

    def cores(self):
        cpu = "devices/system/cpu"
        self.put(f"{cpu}/present", "0-3")
        self.put(f"{cpu}/isolated", "")
        self.put("devices/system/node/online", "0-1")
        for core in range(4):
            self.put(f"{cpu}/cpu{core}/topology/thread_siblings_list", str(core))
            self.put(f"{cpu}/cpu{core}/cpufreq/scaling_governor", "powersave")
            self.put(f"{cpu}/cpu{core}/node{core // 2}/up", "")
        for node in range(2):
            self.put(f"devices/system/node/node{node}/meminfo",
                     f"Node {node} MemTotal:  4194304 kB\nNode {node} MemFree:  4000000 kB")
            self.pages(node, 16)

    def pages_path(self, node, kind="nr"):
        return f"devices/system/node/node{node}/hugepages/hugepages-2048kB/{kind}_hugepages"

    def pages(self, node, n):
        self.put(self.pages_path(node), str(n))
        self.put(self.pages_path(node, "free"), str(n))

    def device(self, address, pci_class, driver, group):
        """As in the kernel, what stands in bus/pci/devices is a link."""
        home = f"devices/pci0000:00/{address}"
        self.put(f"{home}/class", pci_class)
        self.put(f"{home}/vendor", "0x8086")
        self.put(f"{home}/device", "0x1521")
        self.put(f"{home}/numa_node", "1")
        self.put(f"{home}/driver_override", "(null)")
        for name in (driver, "vfio-pci"):
            self.put(f"bus/pci/drivers/{name}/unbind", "")
        self.link(f"{home}/driver", f"../../../bus/pci/drivers/{driver}")
        self.link(f"bus/pci/devices/{address}", f"../../../{home}")
        self.put(f"kernel/iommu_groups/{group}/type", "DMA")
        self.link(f"kernel/iommu_groups/{group}/devices/{address}", f"../../../../{home}")
        self.link(f"{home}/iommu_group", f"../../../kernel/iommu_groups/{group}")

    def nic(self, address, name, driver, group):
        self.device(address, "0x020000", driver, group)
        self.put(f"devices/pci0000:00/{address}/net/{name}/type", "1")
        for key, value in (("flags", "0x1003"), ("carrier", "1"), ("speed", "10000")):
            self.put(f"class/net/{name}/{key}", value)

    def connectx(self, address, device="0x1017"):
        """What it is, and nothing else: who has it stays."""
        self.put(f"devices/pci0000:00/{address}/vendor", "0x15b3")
        self.put(f"devices/pci0000:00/{address}/device", device)

    def driver(self, address):
        return os.path.basename(os.readlink(f"{self.sys}/devices/pci0000:00/{address}/driver"))

    def bind(self, address, driver):
        self.put(f"bus/pci/drivers/{driver}/unbind", "")
        self.link(f"devices/pci0000:00/{address}/driver", f"../../../bus/pci/drivers/{driver}")

    def process(self, pid, name, limits=""):
        self.tell(f"{pid}/comm", name[:15])
        self.tell(f"{pid}/limits", limits)
        os.makedirs(os.path.join(self.proc, str(pid), "fd"), exist_ok=True)


class Prober:
    """Binds NIC as the kernel would: to what driver_override names, once it is asked to.

    Who asks writes into a pipe, and is held until the driver has changed.
    """

    def __init__(self, machine):
        self.machine = machine
        self.pipe = os.path.join(machine.sys, "bus/pci/drivers_probe")
        self.ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        os.mkfifo(self.pipe)
        self.before = self.override()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        os.unlink(self.pipe)

    def override(self):
        return self.machine.read(f"devices/pci0000:00/{NIC}/driver_override")

    def run(self):
        while not self.ended:
            wanted = self.override()
            if wanted != self.before:
                self.before = wanted
                self.machine.bind(NIC, "vfio-pci" if wanted == "vfio-pci" else "igb")
                with open(self.pipe) as pipe:
                    pipe.read()
            time.sleep(0.01)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text + "\n" if text else "")
