"""What the machine is, as far as it bears on the figures."""

import glob
import os
import platform
import re
import subprocess


def _read(path, otherwise="unknown"):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return otherwise


def _cpu():
    text = _read("/proc/cpuinfo", "")
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.M)
    mhz = re.search(r"^cpu MHz\s*:\s*(.*)$", text, re.M)
    has = set((flags.group(1) if flags else "").split())
    wanted = ("aes", "vaes", "pclmulqdq", "vpclmulqdq", "avx2", "avx512f", "sha_ni", "hypervisor")
    return {"cpu": model.group(1) if model else platform.machine(),
            "cpu_mhz": round(float(mhz.group(1))) if mhz else None,
            "cpus": os.cpu_count(),
            "cpu_flags": {flag: flag in has for flag in wanted}}


def _caches():
    found = []
    for index in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        found.append(f"L{_read(index + '/level')} {_read(index + '/type').lower()} "
                     f"{_read(index + '/size')}")
    return found


def _package(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True,
                          text=True)
    return done.stdout if done.returncode == 0 else "not installed"


def _huge_pages():
    text = _read("/proc/meminfo", "")
    total = re.search(r"^HugePages_Total:\s*(\d+)", text, re.M)
    size = re.search(r"^Hugepagesize:\s*(\d+)", text, re.M)
    return f"{total.group(1) if total else 0} of {size.group(1) if size else 0} KiB"


def _commit(root):
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"],
                          capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def gather(root):
    return {
        **_cpu(),
        "caches": _caches(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                          "none (a virtual machine's)"),
        "huge_pages": _huge_pages(),
        "packages": {name: _package(name)
                     for name in ("libdpdk-dev", "libipsec-mb-dev", "libsrtp2-1", "libssl3")},
        "commit": _commit(root),
        "load_average": os.getloadavg()[0],
    }


class Others:
    """What share of the machine's CPU time somebody else had."""

    def __init__(self):
        self.begin = self._now()

    @staticmethod
    def _now():
        fields = list(map(int, _read("/proc/stat").splitlines()[0].split()[1:9]))
        spent = os.times()
        ours = spent.user + spent.system + spent.children_user + spent.children_system
        # Interrupts' time is nobody's: veth's is ours, but no process's.
        busy = fields[0] + fields[1] + fields[2] + fields[7]
        return sum(fields) / os.sysconf("SC_CLK_TCK"), busy / os.sysconf("SC_CLK_TCK"), ours

    def share(self):
        """Since the last call, 0 to 1. Steal counts as somebody else's."""
        now = self._now()
        total, busy, ours = (a - b for a, b in zip(now, self.begin))
        self.begin = now
        return min(1.0, max(0.0, (busy - ours) / total)) if total > 0 else 0.0
