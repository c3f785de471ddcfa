"""scripts/provision: twice, then undo; and what it refuses, in one line and with nothing changed."""

import os
import shutil

from machine import BUSY, GPU, NIC, USED, Prober
from system import GRUB, KERNEL_INSTALL, SRV, check, check_same, describe_quickly

OPTIONS = (f"--nic={NIC}", "--cores=2-3", "--hugepages=300", "--mgmt=br0")
NIC_FIRST = "etc/systemd/system/millrace-dataplane.service.d/nic.conf"
PARAMETERS = ("hugepagesz=2M hugepages=1:300 intel_iommu=on iommu=pt isolcpus=managed_irq,domain,2-3"
              " nohz_full=2-3 rcu_nocbs=2-3 irqaffinity=0-1")


def must(done, status=0):
    check(done.returncode == status, f"{' '.join(done.args[-4:])}: status {done.returncode}: "
          f"{(done.stderr or done.stdout).strip()[-300:]}")
    return done


def provisioned(store):
    """The path of a system after its first provisioning, for the cases that begin there."""
    def make():
        system = store.make_copy(store.base())
        with Prober(system.machine):
            must(system.provision(*OPTIONS))
        return system.path
    return store.once("provisioned", make)


def check_provisioned(system):
    conf = system.read("etc/millrace/millrace.conf")
    for line in (f"\ndevice = {NIC}\n", "\ncores = 2-3\n", "\ngroup = millrace\n"):
        check(line in conf, f"millrace.conf has no {line.strip()}")
    check("millrace:" in system.read("etc/group") and "millrace:" in system.read("etc/passwd"),
          "no user and group millrace")
    check(system.read("boot/grub/grub.cfg") == f"linux /vmlinuz  {PARAMETERS} quiet\n",
          f"grub.cfg: {system.read('boot/grub/grub.cfg')}")
    check(system.read(f"etc/driverctl.d/pci-{NIC}") == "vfio-pci\n", "driverctl has no override")
    check(f"After=driverctl@pci-{NIC}.service" in system.read(NIC_FIRST),
          "the data plane does not wait for the driver")
    check(system.machine.driver(NIC) == "vfio-pci", f"{NIC} is not bound to vfio-pci")
    pages = [system.machine.read(system.machine.pages_path(node)) for node in (0, 1)]
    check(pages == ["16", "300"], f"huge pages by node: {pages}")
    governors = [system.machine.read(f"devices/system/cpu/cpu{core}/cpufreq/scaling_governor")
                 for core in range(4)]
    check(governors == ["powersave"] * 2 + ["performance"] * 2, f"governors: {governors}")
    check("cpu3/cpufreq/scaling_governor" in system.read("etc/tmpfiles.d/millrace-host.conf"),
          "the governor does not last")
    check(os.path.lexists(system.at("etc/systemd/system/multi-user.target.wants/millrace.target")),
          "millrace.target is not enabled")
    check(os.access(system.at("usr/sbin/millrace-dataplane"), os.X_OK), "no data plane installed")


class TwiceThenUndo:
    """Dry run, twice, and undo; the second changes nothing, undo leaves no file."""

    def run(self, store):
        with store.copy() as system, Prober(system.machine):
            before = system.state()
            dry = must(system.provision(*OPTIONS, "--dry-run"))
            check_same(before, system.state(), "a dry run changed something")
            first = must(system.provision(*OPTIONS))
            self.check_said(dry.stdout, first.stdout)
            check("\n    +hugepagesz=2M\n" in first.stdout, "no diff of the command line")
            check("a reboot is due" in first.stderr, "no note that a reboot is due")
            check_provisioned(system)
            between = system.state()
            second = must(system.provision(*OPTIONS))
            check(second.stdout == "nothing to change\n", f"the second run: {second.stdout[:200]}")
            check_same(between, system.state(), "the second run changed something")
            must(system.provision("--undo"))
            check(system.machine.driver(NIC) == "igb", "undo does not give the NIC back")
            check_same(before, system.state(), "undo leaves something")

    def check_said(self, dry, first):
        """A dry run says every step that is then made."""
        said = {line.removeprefix("would ") for line in dry.splitlines()}
        missing = [line for line in first.splitlines() if line not in said]
        check(not missing, f"the dry run did not say: {missing[:3]}")
        check(len(said) > 10, f"the dry run said only {said}")


class OtherOptions:
    """Another run with other options takes back what is not wanted any more; undo all of both."""

    def run(self, store):
        with store.copy(provisioned(store)) as system, Prober(system.machine):
            must(system.provision("--cores=3", "--hugepages=300", "--interface=eth3"))
            check(not os.path.exists(system.at(f"etc/driverctl.d/pci-{NIC}")), "the NIC is kept")
            check(system.machine.driver(NIC) == "igb", "the NIC is not given back")
            check(not os.path.exists(system.at(NIC_FIRST)), "the data plane waits for the NIC that was")
            check("isolcpus=managed_irq,domain,3 " in system.read("boot/grub/grub.cfg"), "grub.cfg")
            conf = system.read("etc/millrace/millrace.conf")
            check("\ninterface = eth3\n" in conf and "\ndevice =" not in conf, "millrace.conf")
            with open(system.at("etc/millrace/millrace.conf"), "a") as file:
                file.write("# mine\n")
            done = must(system.provision("--undo"))
            check("millrace.conf stays: it was changed since" in done.stderr, "no word on the file")
            check(system.read("etc/millrace/millrace.conf").endswith("# mine\n"), "it was lost")
            shutil.rmtree(system.at("etc/millrace"))
            with store.copy() as fresh:
                check_same(fresh.state(), system.state(), "undo leaves something")


# What systemctl does where systemd runs; what is there when it is asked to stop is written down.
SYSTEMCTL = f"""#!/bin/sh
case "$*" in
*is-active*) [ -e /{SRV}/runs ] ;;
start*) echo "$@" >>/{SRV}/said && [ ! -e /{SRV}/broken ] && touch /{SRV}/runs ;;
stop*)
	{{ echo "$@" && ls -d /run/millrace /usr/sbin/millrace-control; }} >>/{SRV}/said
	rm -f /{SRV}/runs ;;
daemon-reload) ;;
*) SYSTEMD_OFFLINE=1 exec systemctl.real "$@" ;;
esac
"""


class Again:
    """What is not said again stays as it was; what is taken back by an empty value goes."""

    def run(self, store):
        with store.copy(provisioned(store)) as system, Prober(system.machine):
            wider = PARAMETERS.replace("domain,2-3", "domain,2-3,5")
            for started, due in ((wider, True), (PARAMETERS, False)):
                system.machine.tell("cmdline", started)
                done = must(system.provision())
                check(done.stdout == "nothing to change\n", f"without options: {done.stdout[:200]}")
                check(("isolcpus=managed_irq,domain,2-3" in done.stderr) == due, done.stderr)
            must(system.provision("--hugepages=310"))
            grub = system.read("boot/grub/grub.cfg")
            check(grub == f"linux /vmlinuz  {PARAMETERS.replace('300', '310')} quiet\n", grub)
            check(system.machine.driver(NIC) == "vfio-pci", "the NIC was given back")
            system.write("etc/millrace/millrace.conf",
                         system.read("etc/millrace/millrace.conf").replace("cores = 2-3", "cores = 3"))
            must(system.provision())
            self.check_conf(system, "cores = 3", f"device = {NIC}")
            must(system.provision("--nic=", "--cores="))
            check(system.machine.driver(NIC) == "igb", "the NIC is kept")
            check("isolcpus" not in system.read("boot/grub/grub.cfg"), "cores stay isolated")
            self.check_conf(system, "#cores =", "#device =")
            system.machine.nic("0000:05:00.0", "eth5", "mlx5_core", group=5)
            system.machine.connectx("0000:05:00.0")
            done = must(system.provision("--nic=05:00.0", "--dry-run"))
            check("0000:05:00.0 stays with mlx5_core" in done.stderr and "bind" not in done.stdout
                  and "librte-net-mlx5-23" in done.stdout, f"a card that is shared: {done.stderr}")
            must(system.provision("--undo"))
            shutil.rmtree(system.at("etc/millrace"))  # it stays, since it was changed by hand
            with store.copy() as fresh:
                check_same(fresh.state(), system.state(), "undo leaves something")

    def check_conf(self, system, *lines):
        conf = system.read("etc/millrace/millrace.conf")
        check(all(f"\n{line}" in conf for line in lines), f"millrace.conf lacks one of {lines}")


class WhileItRuns:
    """It is started where it can run; the NIC is not taken from a data plane that runs; undo lets both
    services end first."""

    def run(self, store):
        with store.copy(provisioned(store)) as system, Prober(system.machine):
            os.unlink(system.at("etc/systemd/system/multi-user.target.wants/millrace.target"))
            os.rename(system.at("usr/bin/systemctl"), system.at("usr/bin/systemctl.real"))
            system.write("usr/bin/systemctl", SYSTEMCTL, 0o755)
            os.makedirs(system.at("run/systemd/system"), exist_ok=True)
            system.write("etc/machine-id", f"{1:032x}\n")
            self.check_start(system)
            check_refused(system, ["--nic="], ("data plane", NIC, "systemctl stop"))
            os.unlink(system.at(SRV, "runs"))
            must(system.provision("--nic=", "--dry-run"))
            must(system.provision("--undo"))
            said = system.read(f"{SRV}/said").splitlines()[2:]
            check(said[:3] == ["stop millrace.target millrace-dataplane.service "
                               "millrace-control.service", "/run/millrace",
                               "/usr/sbin/millrace-control"], f"undo: {said}")
            check(not os.path.exists(system.at("run/millrace")), "/run/millrace is left")

    def check_start(self, system):
        done = must(system.provision())  # enables, makes /run/millrace
        check("a reboot is due" in done.stderr and done.stderr.endswith("; millrace.target starts with it\n"),
              f"what starts it is not said: {done.stderr}")
        system.machine.tell("cmdline", PARAMETERS)
        must(system.provision("--no-start"))
        done = must(system.provision("--dry-run"))
        check(done.stdout == "would start millrace.target\n", f"dry run: {done.stdout}")
        check(not os.path.exists(system.at(SRV, "said")), "it was started all the same")
        system.write(f"{SRV}/broken", "")
        done = must(system.provision(), 1)
        check("journalctl -u millrace-dataplane" in done.stderr, f"a start that fails: {done.stderr}")
        os.unlink(system.at(SRV, "broken"))
        must(system.provision())
        check(system.read(f"{SRV}/said") == "start millrace.target\n" * 2, "it was not started")
        check(must(system.provision()).stdout == "nothing to change\n", "it is started again")


BIG = "hugepagesz=1G hugepages=2"  # of the two nodes


def big_pages(system):
    for node in (0, 1):
        system.machine.put(system.machine.pages_path(node).replace("2048", "1048576"), "1")
    system.write("etc/default/grub", GRUB.replace("quiet", f"quiet {BIG}"))
    must(system.inside("update-grub"))


class BigPages:
    """Huge pages of 1 GiB count; what they lack comes as such of 2 MiB; undo leaves them."""

    def run(self, store):
        with store.copy(provisioned(store)) as system, Prober(system.machine):
            big_pages(system)
            done = must(system.provision())
            check("node 1 has huge pages of 1 GiB: they count as 512" in done.stderr, done.stderr)
            self.check_pages(system, "300", BIG)
            done = must(system.provision())
            check(done.stdout == "nothing to change\n", f"the second run: {done.stdout[:200]}")
            must(system.provision("--hugepages=900"))
            self.check_pages(system, "388", f"hugepagesz=2M hugepages=1:388 {BIG}")
            must(system.provision("--undo"))
            with store.copy() as fresh:
                big_pages(fresh)
                check_same(fresh.state(), system.state(), "undo leaves something")

    def check_pages(self, system, small, words):
        found = system.machine.read(system.machine.pages_path(1))
        check(found == small, f"{found} of 2 MiB, {small} were expected")
        line = " ".join(word for word in system.read("boot/grub/grub.cfg").split() if "hugepage" in word)
        check(line == words, f"grub.cfg: {line}")


class OtherRoot:
    """Below --root nothing comes from the machine that it is done on."""

    def run(self, store):
        with store.copy(provisioned(store)) as system:
            inner = "srv/inner"
            for path in ("etc/os-release", "etc/passwd", "etc/group", "var/lib/dpkg/status"):
                os.makedirs(os.path.dirname(system.at(inner, path)), exist_ok=True)
                shutil.copy(system.at(path), system.at(inner, path))
            system.write(f"{inner}/usr/bin/systemctl", "", 0o755)
            must(system.provision("--no-programs", f"--root=/{inner}", "--boot=none"))
            check(not os.path.exists(system.at(inner, "etc/millrace")), "it has our configuration")


class KernelInstall:
    """A system whose command line is /etc/kernel/cmdline, below --root."""

    def run(self, store):
        with store.copy(provisioned(store)) as system, Prober(system.machine):
            shutil.rmtree(system.at("var/lib/millrace-provision"))
            shutil.rmtree(system.at("etc/default/grub.d"))
            os.unlink(system.at("etc/default/grub"))
            system.write("etc/kernel/cmdline", "root=LABEL=node ro\n")
            system.write("usr/bin/kernel-install", KERNEL_INSTALL, 0o755)
            system.write("boot/vmlinuz-6.1", "")
            must(system.inside("kernel-install", "add", "6.1", "/boot/vmlinuz-6.1"))
            before = system.state()
            must(system.provision(*OPTIONS))
            wanted = f"root=LABEL=node ro {PARAMETERS}\n"
            check(system.read("boot/entry.conf") == f"add 6.1 /boot/vmlinuz-6.1\n{wanted}",
                  f"the loader has {system.read('boot/entry.conf')}")
            must(system.provision(*OPTIONS, "--cores=3"))
            check(system.read("etc/kernel/cmdline").count("isolcpus") == 1, "isolcpus stands twice")
            must(system.provision("--undo"))
            check_same(before, system.state(), "undo leaves something")


def no_iommu(system):
    shutil.rmtree(os.path.join(system.machine.sys, "kernel/iommu_groups"))


def shared_group(system):
    system.machine.link(f"kernel/iommu_groups/1/devices/{GPU}", f"../../../../devices/pci0000:00/{GPU}")


def old_connectx(system):
    system.machine.connectx(NIC, "0x1003")


def lost_connectx(system):
    """Somebody gave it to vfio-pci; no IOMMU would be needed."""
    no_iommu(system)
    system.machine.connectx(NIC)
    system.machine.bind(NIC, "vfio-pci")


def no_pages(system):
    shutil.rmtree(os.path.join(system.machine.sys, "devices/system/node/node1/hugepages"))


def isolated_already(system):
    system.write("etc/default/grub", GRUB.replace("quiet", "quiet isolcpus=1"))


def pages_already(system):
    system.write("etc/default/grub", GRUB.replace("quiet", "quiet hugepagesz=2M hugepages=1:100"))


def pages_without_size(system):
    system.write("etc/default/grub", GRUB.replace("quiet", "quiet default_hugepagesz=1G hugepages=2"))


def other_debian(system):
    system.write("etc/os-release", 'ID=debian\nVERSION_ID="11"\n')


def no_sources(system):
    for name in os.listdir(system.at("etc/apt/sources.list.d")):
        os.unlink(system.at("etc/apt/sources.list.d", name))
    system.write("etc/apt/sources.list", "deb file:/nowhere bookworm main\n")


def fragmented(system):
    """A file of the kernel's that takes no number above 255, in a namespace of its own."""
    path = os.path.join(system.machine.sys, system.machine.pages_path(1))
    os.unlink(path)
    os.symlink("/proc/sys/net/ipv4/ip_default_ttl", path)


SMALL_BOOT = ('cp -a "$0/boot" "$0/tmp/boot" && mount -t tmpfs -o size=64k tmpfs "$0/boot"'
              ' && cp -a "$0/tmp/boot/." "$0/boot/" && rm -r "$0/tmp/boot"')

REFUSALS = (
    # options, words of the one line, what is special about the machine
    (["--nic=1:0"], ("PCI address such as", "1:0"), None),
    (["--nic=0000:09:00.0"], ("no PCI device 0000:09:00.0", NIC, "igb eth1"), None),
    ([f"--nic={GPU}"], (GPU, "no NIC"), None),
    ([f"--nic={BUSY}"], (BUSY, "eth2", "default route", "--force"), None),
    ([f"--nic={BUSY}", "--force", "--mgmt=br0"], ("management interface br0",), None),
    ([f"--nic={USED}"], (USED, "in use", "eth3 has an address"), None),
    ([f"--nic={NIC}"], ("no IOMMU", "VT-d"), no_iommu),
    ([f"--nic={NIC}"], ("IOMMU group", GPU, "nouveau"), shared_group),
    ([f"--nic={NIC}"], (NIC, "ConnectX-3", "--interface"), old_connectx),
    ([f"--nic={NIC}"], (NIC, "mlx5_core", f"driverctl unset-override {NIC}"), lost_connectx),
    (["--mgmt=eth9"], ("no interface eth9",), None),
    (["--interface=eth9"], ("no interface eth9", "br0 eth1"), None),
    (["--cores=2-7"], ("no core 4", "0-3"), None),
    (["--cores=0"], ("core 0",), None),
    (["--cores=3-1"], ("--cores",), None),
    (["--hugepages=1600"], ("too little memory", "node 0", "3200 MiB", "4096 MiB"), None),
    (["--cores=3"], ("no huge pages of 2 MiB",), no_pages),
    (["--cores=3"], ("isolcpus=1", "isolcpus=managed_irq,domain,3"), isolated_already),
    (["--cores=3"], ("has 100 huge pages of 2 MiB already", "NUMA nodes 1", "etc/default/grub"),
     pages_already),
    (["--cores=3", "--hugepages=600"], ("without its size", "hugepagesz=1G", "etc/default/grub"),
     pages_without_size),
    (["--tree=/nowhere"], ("/nowhere",), None),
    ([], ("Debian 12 is needed", "debian 11"), other_debian),
)


def check_refused(system, options, words, **how):
    state = system.state(describe_quickly)
    done = system.provision(*options, **how)
    said = [line for line in done.stderr.splitlines() if line]
    what = f"{' '.join(options)}: status {done.returncode}, {said[-3:]}"
    check(done.returncode == 1, what)
    check(len(said) == 1 and all(word in done.stderr for word in words), what)
    check_same(state, system.state(describe_quickly), f"{what}, and it changed something")


class Refusals:
    """Everything that can be known before: one line, and nothing is changed."""

    def run(self, store):
        with store.copy() as system:
            for options, words, change in REFUSALS:
                if change:
                    with store.copy() as other:
                        change(other)
                        check_refused(other, options, words)
                else:
                    check_refused(system, options, words)
            check_refused(system, ["--cores=3"], ("disk full", "/boot"), before=SMALL_BOOT)


class HalfWay:
    """What fails only on the way: packages that cannot be had, a kernel short of memory."""

    def run(self, store):
        with store.copy() as system:
            no_sources(system)
            state = system.state()
            done = system.provision("--cores=3")
            check(done.returncode == 1 and "apt-get" in done.stderr
                  and "taking back what was done" in done.stdout, f"no packages: {done.stderr}")
            check_same(state, system.state(), "without packages something is left")
        with store.copy() as system:
            fragmented(system)
            check_refused(system, ["--cores=3", "--hugepages=300"],
                          ("too few huge pages", "64 of 300", "node 1"), network=False)


CASES = {"provision-twice-undo": TwiceThenUndo, "provision-other-options": OtherOptions,
         "provision-again": Again, "provision-while-it-runs": WhileItRuns,
         "provision-big-pages": BigPages, "provision-other-root": OtherRoot,
         "provision-kernel-install": KernelInstall, "provision-refusals": Refusals,
         "provision-half-way": HalfWay}
