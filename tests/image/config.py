"""A node's configuration: which source counts, what is refused and with what the node comes up then."""

import hashlib
import os
import shutil
import signal
import subprocess
import time

from shell import LIB, START, Node, check

from machine import BUSY, GPU, NIC

GOOD = f"[node]\nhostname = edge1\n[dataplane]\ndevice = {NIC}\naddresses = 192.0.2.5/24\ncores = 2-3\n"
CONFIGURE = START + """
configure
echo "taken: ${TAKEN#"$HERE"/}"
"""
APPLY = START + "configure; apply_all\n"


def configure(node, command_line="quiet"):
    node.machine.tell("cmdline", command_line)
    done = node.run(CONFIGURE)
    check("taken: " in done.stdout, f"configure ended: {done.stdout} {done.stderr}")
    said, taken = done.stdout.split("taken: ")
    return said.strip().splitlines(), taken.strip()


class Sources:
    """The first that is there, alone; kept, and used when none is there any more."""

    def run(self, programs):
        words = f"quiet millrace.dataplane.device={NIC} \"millrace.node.hostname=from-words\""
        with Node(programs) as node:
            self.expect(node, "quiet", "none was given", "")
            node.write("esp/millrace.conf", GOOD)
            node.write("esp/millrace/a/vmlinuz", bytes(2 << 20))  # the slots' own
            self.expect(node, "quiet", "millrace.conf on the EFI partition", "run/new")
            self.expect(node, words, "kernel command line", "run/new")
            node.write("drive/millrace.conf", GOOD)
            node.write("drive/millrace.d/api.keys", "0123456789abcdef\n")
            self.expect(node, words, "config drive", "run/new")
            for name in ("drive", "esp"):
                os.rename(node.at(name), node.at(f"no-{name}"))
            self.expect(node, "quiet", "last good one, of", "state/node/good")
            check(node.read("state/node/good/files/api.keys") == b"0123456789abcdef\n", "keys were not kept")
            for path in ("run/new", "state/node/good"):
                check(os.stat(node.at(path)).st_mode & 0o077 == 0, f"{path}, where keys are, may be read by all")

    def expect(self, node, command_line, words, where):
        said, taken = configure(node, command_line)
        check(len(said) == 1 and words in said[0] and taken == where, f"{words}: {said}, {taken}")


def sums(text):
    return f"{hashlib.sha256(text.encode()).hexdigest()}  millrace.conf\n"


DAMAGED = (
    # words of the one line; files of the config drive
    ("it is damaged: it cannot be mounted", {"broken": ""}),
    ("it has no millrace.conf", {"readme": "x"}),
    ("it is damaged: its files are not those", {"millrace.conf": GOOD[:-4], "SHA256SUMS": sums(GOOD)}),
    ("it is damaged: millrace.conf is no text", {"millrace.conf": GOOD + "\0\1\2"}),
    ("longer than 1024 KiB", {"millrace.conf": GOOD + "#" * (1 << 20)}),
    ("millrace.d/millrace.conf: the node has a file of that name",
     {"millrace.conf": GOOD, "millrace.d/millrace.conf": "[http]\nport = 1\n"}),
    ("more than 64 files", {"millrace.conf": GOOD, **{f"millrace.d/{i}": "x" for i in range(65)}}),
    ('millrace.conf:1: no section is named "dataplan"', {"millrace.conf": "[dataplan]\ndevice = x\n"}),
    ("millrace.conf:2:", {"millrace.conf": "[http]\nport = many\n"}),
    ("there is no option hostnam", {"millrace.conf": "[node]\nhostnam = x\n"}),
    ("[node] hostname: a b", {"millrace.conf": "[node]\nhostname = a b\n"}),
    ("[node] ssh_key: rsa", {"millrace.conf": "[node]\nssh_key = rsa\n"}),
    ("[node] kernel: quiet", {"millrace.conf": "[node]\nkernel = quiet\" init=/bin/sh\n"}),
    ("[node] kernel: -- cannot be set", {"millrace.conf": "[node]\nkernel = quiet -- nosmt\n"}),
    ("[node] kernel: rdinit=/bin/sh cannot be set", {"millrace.conf": "[node]\nkernel = quiet rdinit=/bin/sh\n"}),
    ("[node] kernel: millrace.trial=1 cannot", {"millrace.conf": "[node]\nkernel = millrace.trial=1\n"}),
    ("[node] trial_timeout_s: 5", {"millrace.conf": "[node]\ntrial_timeout_s = 5\n"}),
    ("[node] trial_starts: 0", {"millrace.conf": "[node]\ntrial_starts = 0\n"}),
    ("no PCI device 0000:09:00.0 here; NICs are: " + NIC,
     {"millrace.conf": GOOD.replace(NIC, "0000:09:00.0")}),
    (f"{GPU} is no NIC", {"millrace.conf": GOOD.replace(NIC, GPU)}),
    ("no core 4 here, but 0-3", {"millrace.conf": GOOD.replace("2-3", "3,4")}),
    ("one core must be left", {"millrace.conf": GOOD.replace("2-3", "0-3")}),
    ("too little memory on NUMA node 1: 1600 huge pages",
     {"millrace.conf": GOOD.replace("[node]", "[node]\nhugepages = 1600")}),
)


class Damaged:
    """One line, and the last good configuration or the defaults."""

    def run(self, programs):
        for words, files in DAMAGED:
            with Node(programs) as node:
                for name, text in files.items():
                    node.write(f"drive/{name}", text)
                # What stands further down does not count.
                node.write("esp/millrace.conf", GOOD)
                said, taken = configure(node)
                check(len(said) == 1 and words in said[0] and "defaults are used" in said[0] and not taken,
                      f"{words}: {said}, {taken}")
                check(not os.path.exists(node.at("state/node/good")), f"{words}: kept all the same")
                os.rename(node.at("drive"), node.at("other"))
                configure(node)
                os.rename(node.at("other"), node.at("drive"))
                said, taken = configure(node)
                check(len(said) == 1 and words in said[0] and "last good one" in said[0]
                      and taken == "state/node/good", f"{words}, one before: {said}, {taken}")


# Words that would start something else, or take away what ends a start on trial that fails.
REFUSED_WORDS = """
millrace.trial=1 millrace.slot=b root=/dev/sda1 init=/bin/sh rdinit=/bin/sh initrd=x rd.break rd.systemd.unit=x
-- panic=0 panic=-1 oops=continue pause_on_oops=9 pause-on-oops=9 initcall_blacklist=a,sysrq_init
initcall-blacklist=sysrq_init sysctl.kernel.panic=0 sysctl.kernel/panic=0 sysctl/kernel/panic=0
sysctl..kernel.panic=0 sysctl.kernel.panic_on_oops=0
systemd.unit=rescue.target emergency -b rescue single -s s S 1
systemd.run=/bin/true systemd.run_success_action=none systemd.run-failure-action=none
systemd.crash_reboot=no systemd.crash-reboot=no systemd.crash_reboot systemd.watchdog_sec=0 systemd.watchdog-sec=0
systemd.watchdog_device=/dev/watchdog1 systemd.confirm_spawn systemd.confirm-spawn=yes
systemd.mask=millrace-health.service systemd.mask=millrace-health systemd.mask=millrace.target
systemd.mask=multi-user.target systemd.mask=basic.target systemd.mask=default.target systemd.mask=sysinit.target
systemd.wants=poweroff.target systemd.wants=systemd-poweroff.service systemd.setenv=MILLRACE_RUN=/run/other
""".split()
TAKEN_WORDS = """
quiet mitigations=auto,nosmt isolcpus=1 intel_iommu=on iommu=pt panic_on_warn=1 oops=panic softlockup_panic=1
hung_task_panic=1 nmi_watchdog=0 nowatchdog nosoftlockup pause_on_idle=1 reboot=pci
module_blacklist=iTCO_wdt modprobe.blacklist=i6300esb initcall_blacklist=sysfb_init
sysctl.kernel.panic_on_warn=1 sysctl.kernel.sysrq=0 sysctl.vm.panic_on_oom=0 crashkernel=256M
systemd.debug_shell systemd.log_level=debug systemd.mask=ssh.socket systemd.mask=ctrl-alt-del.target
systemd.wants=node-exporter.service systemd.setenv=LANG=C 2 3 5 10 init_on_alloc=1 rootflags=x rdt=cmt emergency=1
""".split()


class KernelWords:
    """What takes away the net under a trial of other words is refused, by its name; nothing else is."""

    def run(self, programs):
        judge = START + 'for word in "$@"; do FAULT=; judge_kernel "quiet $word nosmt"; echo "$FAULT"; done'
        with Node(programs) as node:
            for words, refused in ((REFUSED_WORDS, True), (TAKEN_WORDS, False)):
                said = node.run(judge, *words).stdout.splitlines()
                check(len(said) == len(words), f"{len(said)} answers to {len(words)} words")
                for word, fault in zip(words, said):
                    check(fault.startswith(f"[node] kernel: {word} cannot be set: ") if refused else not fault,
                          f"{word}: {fault or 'taken'}")
            for n, refused in ((900, False), (901, True)):
                said = node.run(START + 'judge_kernel "$1"; echo "$FAULT"', "x" * n).stdout
                check(("at most 900 characters" in said) == refused, f"{n} characters: {said}")


class DriveCandidates:
    """What is looked at for a config drive: neither our partitions nor a disk that has some."""

    def run(self, programs):
        with Node(programs) as node:
            for name, size, named in (("vda", 9, ""), ("vda1", 9, "millrace-esp"), ("vda4", 9, "millrace-state"),
                                      ("vda5", 9, "millrace-config"), ("sr0", 9, ""), ("sr1", 0, ""),
                                      ("loop0", 9, ""), ("sdb", 9, ""), ("sdb1", 9, "data")):
                home = f"block/{name.rstrip('12345')}/{name}" if named else f"block/{name}"
                node.machine.put(f"{home}/size", str(size))
                node.machine.put(f"{home}/uevent", f"PARTNAME={named}")
                if named:
                    node.machine.put(f"{home}/partition", name[-1])
                node.machine.link(f"class/block/{name}", f"../../{home}")
            done = node.run(START + "drive_candidates")
            found = [os.path.basename(line) for line in done.stdout.split()]
            check(found == ["sdb1", "sr0", "vda5"], f"{found} {done.stderr}")


class NoIommu:
    """None there, or one that the kernel was not told to use: what mends it is another thing."""

    def run(self, programs):
        for table, words in ((None, "no IOMMU, and vfio-pci needs one: enable VT-d"),
                             ("DMAR", "start the kernel with  intel_iommu=on iommu=pt"),
                             ("IVRS", "start the kernel with  iommu=pt, and without amd_iommu=off")):
            with Node(programs) as node:
                shutil.rmtree(node.at("machine/sys/kernel/iommu_groups"))
                if table:
                    node.machine.put(f"firmware/acpi/tables/{table}", "")
                node.write("drive/millrace.conf", GOOD)
                said, _ = configure(node)
                check(len(said) == 1 and words in said[0], f"{table}: {said}")
                check(table is None or "firmware setup" not in said[0], f"{table}: {said}")


class SharedNic:
    """A ConnectX: with the kernel's driver, beside which DPDK uses it, also where no IOMMU is."""

    def run(self, programs):
        with Node(programs) as node:
            home = f"devices/pci0000:00/{NIC}"
            os.unlink(node.at(f"machine/sys/{home}/driver"))  # before udev
            shutil.rmtree(node.at("machine/sys/kernel/iommu_groups"))
            node.machine.connectx(NIC)
            node.write("drive/millrace.conf", GOOD)
            probe = 'modprobe() { [[ $* != *mlx5_core* ]] || ln -s /mlx5_core "$(nic_dir $NIC)/driver"; }\n'
            done = node.run(APPLY.replace("configure", f"NIC={NIC}; {probe}configure", 1))
            check(done.returncode == 0 and "is not" not in done.stdout, f"{done.stdout} {done.stderr}")
            check(node.machine.driver(NIC) == "mlx5_core", "its driver was not loaded")
            check(node.machine.read(f"{home}/driver_override") == "(null)", "it was bound to another driver")
            check(not os.path.exists(node.at("etc/driverctl.d")), "it is bound by driverctl")
            network = node.read("etc/systemd/network/04-dataplane.network").decode()
            check(f"Path=pci-{NIC}\n" in network and "Unmanaged=yes" in network, network)
        with Node(programs) as node:
            node.machine.connectx(NIC, "0x1003")
            node.write("drive/millrace.conf", GOOD)
            said, _ = configure(node)
            check(len(said) == 1 and "ConnectX-3" in said[0] and "use [dataplane] interface" in said[0], f"{said}")


class KeptWhole:
    """The power fails while the configuration is kept: the one before holds, or the new one."""

    def run(self, programs):
        later = GOOD.replace("edge1", "edge2")
        cuts = 0
        while True:
            with Node(programs) as node:
                node.write("drive/millrace.conf", GOOD)
                configure(node)
                node.write("new/millrace.conf", later)
                os.makedirs(node.at("new/files"))
                keep = f"""TAKEN=$HERE/new; set -T; LEFT={cuts}
                    trap '((LEFT-- > 0)) || kill -9 $$' DEBUG; keep_good; trap - DEBUG"""
                done = node.run(START + keep)
                text = node.read("state/node/good/millrace.conf").decode()
                if done.returncode == 0:
                    check(text == later, "the later one was not kept")
                    break
                check(text in (GOOD, later), f"cut {cuts}: {text}")
            cuts += 1
        check(cuts > 5, f"only {cuts} places to cut")


class Applied:
    """What follows from it in /etc and on the machine."""

    def run(self, programs):
        text = GOOD.replace("[node]\n", """[node]
management = eth0
address = 198.51.100.2/24
gateway = 198.51.100.1
dns = 198.51.100.3
ssh_key = ssh-ed25519 AAAAC3Nza one
ssh_key = ssh-ed25519 AAAAC3Nzb two
kernel = mitigations=off
trial_timeout_s = 300
""") + "exception_interface = mr0\n"
        with Node(programs) as node:
            node.write("drive/millrace.conf", text)
            node.write("drive/millrace.d/api.keys", "0123456789abcdef\n")
            done = node.run(APPLY)
            check(done.returncode == 0, f"apply: {done.stdout} {done.stderr}")
            self.has(node, "etc/hostname", "edge1\n")
            self.has(node, "etc/millrace/api.keys", "0123456789abcdef")
            self.has(node, "etc/millrace/millrace.conf", f"device = {NIC}")
            check(b"hostname" not in node.read("etc/millrace/millrace.conf"), "[node] is the programs' too")
            network = "etc/systemd/network/10-management.network"
            for line in ("Name=eth0", "Address=198.51.100.2/24", "Gateway=198.51.100.1"):
                self.has(node, network, line)
            self.has(node, "etc/systemd/network/05-exception.network", "Name=mr0")
            self.has(node, "etc/resolv.conf", "nameserver 198.51.100.3")
            self.has(node, "etc/ssh/authorized_keys/root", "one\nssh-ed25519 AAAAC3Nzb two\n")
            self.has(node, "etc/systemd/system.conf.d/millrace.conf", "CPUAffinity=0-1")
            self.has(node, f"etc/driverctl.d/pci-{NIC}", "vfio-pci")
            check(node.machine.read(f"devices/pci0000:00/{NIC}/driver_override") == "vfio-pci", "not overridden")
            check(node.machine.read(f"devices/pci0000:00/{BUSY}/driver_override") == "(null)", "another NIC too")
            check(node.machine.read(node.machine.pages_path(1)) == "160", "huge pages")
            self.has(node, "run/trial_timeout_s", "300\n")
            self.has(node, "run/trial_starts", "3\n")
            self.has(node, "run/words", "mitigations=off isolcpus=managed_irq,domain,2-3 nohz_full=2-3 "
                                        "rcu_nocbs=2-3 irqaffinity=0-1\n")

    def has(self, node, path, text):
        check(text.encode() in node.read(path), f"{path} lacks {text}: {node.read(path)}")


class Spellings:
    """What the data plane reads in several ways, the node reads in the same."""

    def run(self, programs):
        for cores in ("2,3", "2, 3", "2 3", "2-3"):
            with Node(programs) as node:
                node.write("drive/millrace.conf", GOOD.replace("2-3", cores) + "memory_mib = 0290\n")
                done = node.run(APPLY)
                check(done.returncode == 0, f"{cores}: {done.stdout} {done.stderr}")
                applied = node.read("etc/systemd/system.conf.d/millrace.conf")
                check(b"CPUAffinity=0-1" in applied, f"{cores}: {applied}")
                pages = node.machine.read(node.machine.pages_path(1))
                check(pages == "181", f"{pages} huge pages for 0290 MiB")


LEARNED = (
    # what networkd has learned; what becomes of it
    ("DNS=192.0.2.53 fe80::53%eth0 2001:db8::53 192.0.2.54\n",
     "nameserver 192.0.2.53\nnameserver fe80::53%eth0\nnameserver 2001:db8::53\n"),
    ("DNS=192.0.2.53;id $(id) ../x 192.0.2.55\n", "nameserver 192.0.2.55\n"),
    ("DNS=\n", ""),
    ("DNS=192.0.2.54\n", "nameserver 192.0.2.54\n"),
    ("", ""),
)
# Where it is there, networkd learns what is in later, between what is read and what is written.
LATER = """() {
	[[ ! -e $HERE/later ]] || command mv "$HERE/later" "$MILLRACE_NETIF/state"
	command mv "$@"
}"""


class NameServers:
    """Those that the configuration names; without any, those that the network gives, as it gives them."""

    WANT = "etc/systemd/system/systemd-networkd.service.wants/millrace-dns.service"

    def run(self, programs):
        with Node(programs) as node:
            node.write("drive/millrace.conf", GOOD.replace("[node]", "[node]\ndns = 198.51.100.3, 2001:db8::3"))
            node.run(APPLY)
            check(node.read("etc/resolv.conf") == b"nameserver 198.51.100.3\nnameserver 2001:db8::3\n", "configured")
            check(not os.path.lexists(node.at(self.WANT)), "the network's are taken, too")
        # In memory, as on the node: elsewhere tail may look once a second.
        with Node(programs, "/dev/shm") as node:
            node.run(APPLY)
            check(os.path.lexists(node.at(self.WANT)), "nothing waits for the network's")
            self.learn(node, LEARNED[0][0])
            environment = node.environment(MILLRACE_NETIF=node.at("netif"), **{"BASH_FUNC_mv%%": LATER})
            with subprocess.Popen([f"{LIB}/dns"], env=environment, start_new_session=True) as running:
                try:
                    self.check_follows(node)
                finally:
                    os.killpg(running.pid, signal.SIGTERM)

    def check_follows(self, node):
        self.await_servers(node, LEARNED[0][1])
        for line, expected in LEARNED[1:]:
            self.learn(node, line)
            self.await_servers(node, expected)
        node.write("later", "DNS=192.0.2.57\n")
        self.learn(node, "DNS=192.0.2.56\n")
        self.await_servers(node, "nameserver 192.0.2.57\n")
        for number in range(1, 201):
            self.learn(node, f"DNS=192.0.2.{number}\n")
        self.await_servers(node, "nameserver 192.0.2.200\n")

    def learn(self, node, line):
        """As networkd does it: another file in the place of the one before."""
        node.write("netif/state.new", f"# private\nOPER_STATE=routable\n{line}NTP=192.0.2.123\n")
        os.rename(node.at("netif/state.new"), node.at("netif/state"))

    def await_servers(self, node, expected):
        until, found = time.monotonic() + 30, None
        while found != expected:
            check(time.monotonic() < until, f"resolv.conf: {found!r}, not {expected!r}")
            time.sleep(0.02)
            if os.path.exists(node.at("etc/resolv.conf")):
                found = node.read("etc/resolv.conf").decode()


class Defaults:
    """Without a configuration nobody can log in, and no NIC is taken."""

    def run(self, programs):
        with Node(programs) as node:
            done = node.run(APPLY)
            check(done.returncode == 0 and "defaults, no data plane" in done.stdout, f"{done.stdout} {done.stderr}")
            check(node.read("etc/hostname") == b"millrace-012345\n", "host name")
            for path in ("etc/ssh/authorized_keys/root", "etc/driverctl.d", "etc/millrace/millrace.conf"):
                check(not os.path.exists(node.at(path)), f"{path} is there")
            check(b"DHCP=yes" in node.read("etc/systemd/network/10-management.network"), "no DHCP")


CASES = {"config-sources": Sources, "config-damaged": Damaged, "config-kernel-words": KernelWords,
         "config-drive-candidates": DriveCandidates, "config-no-iommu": NoIommu,
         "config-shared-nic": SharedNic,
         "config-kept-whole": KeptWhole, "config-applied": Applied, "config-spellings": Spellings, "config-defaults": Defaults,
         "config-name-servers": NameServers}
