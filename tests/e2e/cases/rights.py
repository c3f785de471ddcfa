"""What a process may do once it runs."""

import glob

from host import check
from millrace import Edge, Netns

CAP_NET_ADMIN = 1 << 12  # kept, not in effect: to take the XDP program off at the end


def rights(pid):
    """Of each thread: name, effective and permitted capabilities."""
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path) as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        yield fields["Name"], int(fields["CapEff"], 16), int(fields["CapPrm"], 16)


class RightsDropped:
    """No thread of the data plane keeps a right that it started with, but for one in reserve."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            threads = list(rights(edge.dataplane.pid))
            check(len(threads) >= 2, f"threads: {threads}")
            for name, effective, permitted in threads:
                check(effective == 0, f"{name} has rights {effective:#x} in effect")
                check(permitted & ~CAP_NET_ADMIN == 0, f"{name} may take rights {permitted:#x}")
