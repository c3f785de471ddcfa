"""scripts/doctor: a good node is all ok, and each thing that is wrong is said, with what mends it."""

import json
import os
import re
import stat
import subprocess

from machine import FLAGS, NIC
from provisioning import PARAMETERS, must, provisioned
from system import ROOT, check

CPU = "devices/system/cpu"
LIMITS = "Max locked memory         unlimited            unlimited            bytes"
LISTEN = "  0: 00000000:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 0 0 7 1\n"


def make_good(system):
    """What a restart after provisioning brings."""
    machine = system.machine
    machine.tell("cmdline", f"BOOT_IMAGE=/vmlinuz {PARAMETERS} quiet")
    machine.put(f"{CPU}/isolated", "2-3")
    machine.pages(1, 300)
    machine.process(101, "millrace-dataplane", LIMITS)
    os.symlink("/usr/sbin/millrace-dataplane", os.path.join(machine.proc, "101/exe"))
    system.write("run/systemd/timesync/synchronized", "")
    tun(system, os.makedev(10, 200))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=edge",
                    "-keyout", system.at("etc/millrace/edge.key"),
                    "-out", system.at("etc/millrace/edge.crt")], check=True, capture_output=True)
    conf(system, "dataplane", addresses="192.0.2.5/24", exception_interface="mr0")
    conf(system, "http", tls_certificate="/etc/millrace/edge.crt",
         tls_key="/etc/millrace/edge.key")


def conf(system, section, **options):
    text = system.read("etc/millrace/millrace.conf")
    lines = "".join(f"{key} = {value}\n" for key, value in options.items())
    for key in options:
        text = re.sub(rf"^{key} =.*\n", "", text, flags=re.M)
    system.write("etc/millrace/millrace.conf", text.replace(f"[{section}]\n", f"[{section}]\n{lines}"))


def tun(system, device):
    """What /dev/net/tun is; 10:200 is right."""
    path = system.at("dev/net/tun")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    if device:
        os.mknod(path, 0o666 | stat.S_IFCHR, device)


def use_interface(system, **changes):
    conf(system, "dataplane", device="", interface="eth1")
    for name, value in changes.items():
        system.machine.put(f"class/net/eth1/{name}", value)


def certificate(system, days):
    """One that is over in so many days."""
    subprocess.run(["openssl", "x509", "-in", system.at("etc/millrace/edge.crt"), "-signkey",
                    system.at("etc/millrace/edge.key"), "-days", str(days),
                    "-out", system.at("etc/millrace/new.crt")], check=True, capture_output=True)
    os.replace(system.at("etc/millrace/new.crt"), system.at("etc/millrace/edge.crt"))


def program(system, name, version):
    system.write(f"usr/sbin/{name}", f"#!/bin/sh\necho {name} {version}\n", 0o755)


def occupy(system, kind, port):
    """A kernel socket of another program."""
    system.machine.tell(f"net/{kind}", "sl local\n" + LISTEN.format(port, "0A"))
    system.machine.process(55, "nginx")
    os.symlink("socket:[7]", os.path.join(system.machine.proc, "55/fd/3"))


def remove(system, path):
    subprocess.run(["rm", "-r", os.path.join(system.machine.sys, path)], check=True)


def no_iommu(system, table, maker=""):
    """The kernel uses none; whether the firmware has one says its table, and whose the CPU is, maker."""
    remove(system, "kernel/iommu_groups")
    if table:
        system.machine.put(f"firmware/acpi/tables/{table}", "")
    if maker:
        system.machine.tell("cpuinfo", 2 * f"vendor_id\t: {maker}\nflags\t\t: {FLAGS}\n")


def shared(system):
    """A ConnectX as it shall be."""
    system.machine.connectx(NIC)
    system.machine.bind(NIC, "mlx5_core")
    system.write("usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_mlx5.so.23", "")


def no_drivers(system):
    subprocess.run(f"rm {system.path}/usr/lib/*/dpdk/pmds-*/librte_net_*", shell=True, check=True)


def no_library(system):
    subprocess.run(f"rm {system.path}/usr/lib/*/libsrtp2.so*", shell=True, check=True)


# Checks that a fault of one of them touches too: two such faults are not made in one system.
TOUCHED = {
    "cpu": {"clock"}, "iommu": {"cpu"}, "cores": {"governor"}, "certificate": {"configuration"},
    "nic": {"iommu", "cores", "memlock", "bpf", "tun"}, "bpf": {"nic", "tun", "iommu", "cores", "memlock"},
    "dpdk": {"nic", "iommu", "tun"}, "abi": {"programs", "configuration"}, "programs": {"abi", "configuration"},
    "http-port": {"net"}, "media-port": {"net"}, "ingest-ports": {"net"},
}

# what is changed, the check, its verdict, words of the text, words of what mends it
FAULTS = (
    (lambda s: s.machine.tell("cpuinfo", "flags : sse4_2 constant_tsc nonstop_tsc"), "cpu", "warn",
     "no AES", "firmware"),
    (lambda s: s.machine.tell("cpuinfo", "flags : aes"), "cpu", "wrong", "SSE 4.2", "CPU"),
    (lambda s: s.machine.tell("cpuinfo", f"flags : {FLAGS.replace('avx', '')}"), "cpu", "warn",
     "no AVX", "-cpu host"),
    (lambda s: conf(s, "dataplane", memory_mib="1024"), "hugepages", "wrong", "1024 MiB are wanted",
     "scripts/provision --hugepages 512"),
    (lambda s: no_iommu(s, "DMAR"), "iommu", "wrong", "does not use it", "intel_iommu=on"),
    (lambda s: no_iommu(s, "IVRS"), "iommu", "wrong", "does not use it",
     "enable AMD-Vi (IOMMU) in the firmware setup, and start the kernel with iommu=pt, and without amd_iommu=off"),
    (lambda s: no_iommu(s, None, "GenuineIntel"), "iommu", "wrong", "none",
     "enable VT-d in the firmware setup, and start the kernel with intel_iommu=on"),
    (lambda s: no_iommu(s, None, "AuthenticAMD"), "iommu", "wrong", "none",
     "enable AMD-Vi (IOMMU) in the firmware setup, and start the kernel with iommu=pt"),
    (lambda s: s.machine.bind(NIC, "igb"), "nic", "wrong", "with igb",
     f"driverctl set-override {NIC} vfio-pci"),
    (lambda s: s.machine.bind(NIC, "uio_pci_generic"), "nic", "warn", "may not open",
     f"driverctl set-override {NIC} vfio-pci"),
    (lambda s: s.machine.connectx(NIC), "nic", "wrong", "with vfio-pci, not mlx5_core",
     f"driverctl unset-override {NIC}"),
    (lambda s: (s.machine.connectx(NIC), s.machine.bind(NIC, "mlx5_core")), "nic", "wrong",
     "lacks its driver", "librte-net-mlx5-23"),
    (lambda s: (shared(s), no_iommu(s, "DMAR")), "nic", "ok", "shared with mlx5_core", ""),
    (lambda s: (shared(s), no_iommu(s, "DMAR")), "iommu", "ok", "not needed", ""),
    (lambda s: (s.machine.connectx(NIC, "0x1003"), s.machine.bind(NIC, "mlx4_core")), "nic", "wrong",
     "ConnectX-3", "[dataplane] interface"),
    (lambda s: s.machine.connectx(NIC, "0x1003"), "nic", "wrong", "ConnectX-3", "[dataplane] interface"),
    (lambda s: os.unlink(s.at(f"etc/driverctl.d/pci-{NIC}")), "nic", "warn", "next restart",
     "driverctl set-override"),
    (lambda s: conf(s, "dataplane", device="0000:09:00.0"), "nic", "wrong", "no PCI device", "lspci"),
    (lambda s: conf(s, "dataplane", device=""), "nic", "wrong", "neither", "scripts/provision --nic"),
    (lambda s: use_interface(s), "nic", "ok", "eth1 has a link at 10000", ""),
    (lambda s: use_interface(s, carrier="0"), "nic", "wrong", "no link", "ethtool eth1"),
    (lambda s: use_interface(s, flags="0x1002"), "nic", "wrong", "down", "ip link set dev eth1 up"),
    (lambda s: (use_interface(s), s.machine.tell("mounts", "")), "bpf", "wrong", "BPF", "mount -t bpf"),
    (lambda s: tun(s, None), "tun", "wrong", "no /dev/net/tun, and mr0", "modprobe tun"),
    (lambda s: tun(s, os.makedev(10, 254)), "tun", "wrong", "cannot be opened", "modprobe tun"),
    (lambda s: s.machine.put(f"{CPU}/isolated", "3"), "cores", "warn", "core 2",
     "scripts/provision --cores 2-3"),
    (lambda s: conf(s, "dataplane", cores="9"), "cores", "wrong", "no core 9", "0-3"),
    (lambda s: s.machine.put(f"{CPU}/cpu2/topology/thread_siblings_list", "2-3"), "cores", "warn",
     "shares", "one thread"),
    (lambda s: s.machine.put(f"devices/pci0000:00/{NIC}/numa_node", "0"), "cores", "warn",
     "another NUMA node", "NIC's node"),
    (lambda s: s.machine.put(f"{CPU}/cpu3/cpufreq/scaling_governor", "powersave"), "governor", "warn",
     "core 3", "echo performance"),
    (lambda s: s.machine.tell("cmdline", "quiet"), "kernel", "warn", "isolcpus", "reboot"),
    (lambda s: s.machine.tell("cmdline", PARAMETERS.replace("domain,2-3", "domain,2-3,5")), "kernel",
     "warn", "domain,2-3", "reboot"),
    (lambda s: s.machine.put("devices/system/clocksource/clocksource0/current_clocksource", "hpet"),
     "clock", "warn", "hpet", "clocksource=tsc"),
    (lambda s: os.unlink(s.at("run/systemd/timesync/synchronized")), "ntp", "warn", "not set by NTP",
     "systemd-timesyncd"),
    (lambda s: s.machine.tell("101/limits", LIMITS.replace("unlimited", "65536    ")), "memlock", "warn",
     "65536", "LimitMEMLOCK=infinity"),
    (lambda s: s.machine.process(102, "millrace-control", "Max open files   256   4096  files"),
     "nofile", "wrong", "256 files", "LimitNOFILE=1088"),
    (lambda s: occupy(s, "tcp6", 8080), "http-port", "wrong", "TCP port 8080", "[http] port"),
    (lambda s: occupy(s, "udp", 8189), "media-port", "wrong", "in use by nginx", "ss -lunp"),
    (lambda s: occupy(s, "udp", 20002), "ingest-ports", "wrong", "20002", "[ingest]"),
    (no_drivers, "dpdk", "wrong", "no driver", "apt-get install"),
    (no_library, "programs", "wrong", "lacks libsrtp2", "scripts/provision"),
    (lambda s: os.unlink(s.at("usr/sbin/millrace-control")), "programs", "wrong", "not installed",
     "scripts/provision"),
    (lambda s: program(s, "millrace-control", "0.0.1 '(ABI 1)'"), "abi", "wrong", "millrace-control 1:",
     "one build"),
    (lambda s: conf(s, "http", port="70000"), "configuration", "wrong", "70000",
     "--check-config"),
    (lambda s: certificate(s, 0), "certificate", "wrong", "expired", "renew"),
    (lambda s: certificate(s, 5), "certificate", "warn", "expires", "renew"),
    (lambda s: s.write("etc/millrace/edge.crt", "no"), "certificate", "wrong", "no PEM", "http"),
)


def ask(system, *options):
    done = system.doctor("--json", *options)
    check(done.stderr == "", f"it said {done.stderr[-200:]}")
    return done.returncode, json.loads(done.stdout)


class Good:
    """A provisioned node after its restart: nothing to say, status 0, in every form."""

    def run(self, store):
        with store.copy(provisioned(store)) as system:
            make_good(system)
            status, said = ask(system, "--strict")
            bad = [row for row in said["checks"] if row["verdict"] != "ok" or row["mend"]]
            check(status == 0 and said["ok"] and not bad, f"status {status}: {bad}")
            check(len(said["checks"]) >= 18, f"only {len(said['checks'])} checks")
            table = must(system.doctor()).stdout.splitlines()
            check(len(table) == len(said["checks"]) + 1 and " 0 wrong" in table[-1], "table")
            must(system.doctor("--colour"), 2)


def in_groups(faults):
    """Faults that do not meet, so that a few systems are enough."""
    groups = []
    for fault in faults:
        touched = {fault[1], *TOUCHED.get(fault[1], ())}
        group = next((group for group in groups if not touched & group[0]), None)
        if group is None:
            groups.append((touched, [fault]))
        else:
            group[0].update(touched)
            group[1].append(fault)
    return [group[1] for group in groups]


class Faults:
    """Each thing that is wrong has its line, what mends it, and the exit status."""

    def run(self, store):
        with store.copy(provisioned(store)) as good:
            make_good(good)
            for faults in in_groups(FAULTS):
                with store.copy(good.path) as system:
                    self.check_faults(system, faults)
            with store.copy(good.path) as system:
                system.machine.put(f"{CPU}/isolated", "3")
                check(ask(system)[0] == 0, "a warning counts as wrong")
                check(ask(system, "--strict")[0] == 1, "--strict takes a warning")

    def check_faults(self, system, faults):
        for change, *_ in faults:
            change(system)
        status, said = ask(system)
        for _, name, verdict, text, mend in faults:
            rows = [row for row in said["checks"] if row["check"] == name]
            check(any(row["verdict"] == verdict and text in row["text"] and mend in row["mend"]
                      for row in rows), f"{name} {verdict} {text}: {rows}")
        wrong = [row["check"] for row in said["checks"] if row["verdict"] == "wrong"]
        check(len(wrong) == said["wrong"] and said["ok"] == (not wrong), f"{said['wrong']} wrong")
        check(status == (1 if wrong else 0), f"status {status}, wrong: {wrong}")


class Documents:
    """Its defaults are the configuration's, and its page has its options."""

    def run(self, store):
        script = ""
        for name in ("doctor", "lib/doctor_programs.sh"):
            with open(os.path.join(ROOT, "scripts", name)) as file:
                script += file.read()
        with open(os.path.join(ROOT, "control/millrace.conf")) as file:
            known = self.defaults(file.read())
        used = re.findall(r'\$\(value (\w+) (\w+) ("?)([^")]*)\3\)', script)
        check(len(used) > 8, f"only {len(used)} options were found")
        wrong = [row for row in used if known.get(row[:2]) != row[3]]
        check(not wrong, f"defaults that are not the configuration's: {wrong}")
        page = os.path.join(ROOT, "scripts/millrace-doctor.8")
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True,
                              text=True)
        check(lint.stdout == "", lint.stdout)
        with open(page) as file:
            entries = set(re.findall(r"^\.It Fl -(\w+)", file.read(), re.M))
        options = set(re.findall(r"^\t\t  --(\w+)", script, re.M)) | {"help"}
        check(entries == options, f"the page has {entries}, the program {options}")

    @staticmethod
    def defaults(text):
        found, section = {}, None
        for line in text.splitlines():
            heading = re.fullmatch(r"\[(\w+)\]", line)
            option = re.fullmatch(r"#(\w+) =\s*(.*)", line)
            section = heading.group(1) if heading else section
            if option and section:
                found[section, option.group(1)] = option.group(2)
        return found


CASES = {"doctor-good": Good, "doctor-faults": Faults, "doctor-documents": Documents}
