"""A port that the kernel does not see: the data plane is the host on the link itself."""

import re

from host import EDGE_IP4, EDGE_IP6, EDGE_NETNS, VIEWER_NETNS, check, in_netns, wait_until
from millrace import Edge, Encoder, Netns, request, try_request
from viewers import Aiortc
from wire import Wire

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
ADDRESSES = f"{EDGE_IP4}/24,{EDGE_IP6}/64"
MAC = "02:00:00:00:77:01"


def hide_edge0():
    """edge0 carries frames, and the kernel on it neither has an address nor listens: what the
    packet socket gets is also offered to the kernel, which must not answer in our place."""
    conf = "/proc/sys/net"
    in_netns(EDGE_NETNS, "ip", "addr", "flush", "dev", "edge0")
    in_netns(EDGE_NETNS, "ip", "link", "set", "dev", "edge0", "arp", "off")
    in_netns(EDGE_NETNS, "bash", "-c", f"echo 1 >{conf}/ipv6/conf/edge0/disable_ipv6;"
             f"echo 1 >{conf}/ipv4/conf/edge0/rp_filter")
    # A packet socket does not say that a sum is still to be made; a NIC's frames have theirs.
    in_netns(VIEWER_NETNS, "ethtool", "-K", "view0", "tx", "off")


def own(context, **options):
    """An edge on edge0 as a DPDK port."""
    dataplane = {"dataplane-interface": "", "dataplane-device": "net_af_packet0,iface=edge0",
                 "dataplane-addresses": ADDRESSES, "dataplane-mac": MAC, **options}
    control = {"media-address": "", "http-address": "any", "dataplane-device": "net_null0",
               "dataplane-addresses": ADDRESSES}
    return Edge(context.logs, context.build, dataplane=dataplane, control=control)


def check_answers(wire):
    """Each question is answered, once."""
    for what, ask in (("ARP", lambda: wire.arp(EDGE_IP4, 5, most=2)),
                      ("neighbour solicitation", lambda: wire.solicit(EDGE_IP6, 5, most=2))):
        check(ask() == [MAC], f"{what} is answered by {ask()}")
    for size in (0, 1, 56, 1400):
        check(wire.ping4(MAC, EDGE_IP4, size, 5, most=2) == [True], f"ping of {size} bytes")
        check(wire.ping6(MAC, EDGE_IP6, size, 5, most=2) == [True], f"IPv6 ping of {size} bytes")
    check(not wire.arp("198.18.77.9", 0.3), "somebody else's address is answered for")


def metric(name):
    found = re.search(rf"^{name}{{[^}}]*}} (\d+)", request("GET", "/metrics").body, re.M)
    return int(found.group(1)) if found else None


class OwnNic:
    """ARP, neighbour discovery and pings are answered, once; HTTP passes by way of the kernel's
    interface; a viewer plays; the link's going and coming is told, and announced."""

    def run(self, context):
        with Netns(queues=1):
            hide_edge0()
            with Wire() as wire, own(context, **{"dataplane-exception-interface": "mr0"}) as edge:
                check_answers(wire)
                for host in (EDGE_IP4, EDGE_IP6):
                    answer = try_request("GET", "/healthz", host=host)
                    check(answer and answer.status == 200, f"no healthz at {host}")
                links = in_netns(EDGE_NETNS, "ip", "-o", "link", "show", "dev", "mr0")
                check(MAC in links, f"mr0 has another MAC: {links}")
                in_netns(EDGE_NETNS, "ip", "link", "set", "dev", "mr0", "address", "02:00:00:00:77:99")
                wait_until(lambda: MAC in in_netns(EDGE_NETNS, "ip", "-o", "link", "show", "dev", "mr0"),
                           3, "mr0 to have the port's MAC again")
                legs = edge.put_stream()["legs"]
                with Aiortc(context.logs) as viewer:
                    with Encoder(context.logs, legs, **SMALL) as encoder:
                        viewer.await_playing(frames=3 * encoder.rate)
                    before = viewer.stats()[0]["video"]["count"]
                    self.break_link(edge, wire)
                    # FFmpeg ends where its interface does.
                    with Encoder(context.logs, legs, **SMALL, name="encoder-2") as encoder:
                        viewer.await_all(
                            lambda v: v["video"]["count"] > before + 3 * encoder.rate, 20,
                            "the picture to go on")
                    viewer.quit()
                edge.await_no_peers()
                counts = edge.state()["host"]
                for kind in ("arp_reply", "neighbour_advertisement", "echo_reply", "announcement",
                             "to_kernel", "from_kernel"):
                    check(counts.get(kind, 0) > 0, f"no {kind} counted: {counts}")

    @staticmethod
    def break_link(edge, wire):
        check(metric("millrace_link_up") == 1, "the link is not up")
        # Its going takes the addresses of view0 away only where it takes the whole interface.
        in_netns(VIEWER_NETNS, "bash", "-c",
                 "echo 1 >/proc/sys/net/ipv6/conf/view0/keep_addr_on_down")
        in_netns(VIEWER_NETNS, "ip", "link", "set", "dev", "view0", "down")
        wait_until(lambda: "the link is down" in edge.dataplane.log(), 3, "the link to be down")
        wait_until(lambda: "link is down" in edge.control.log(), 3, "control to be told")
        in_netns(VIEWER_NETNS, "ip", "link", "set", "dev", "view0", "up")
        said = wire.announcements(3)
        check({EDGE_IP4, EDGE_IP6} <= said, f"announced: {said}")
        wait_until(lambda: metric("millrace_link_up") == 1, 3, "the link to be up")


class OwnNicAlone:
    """Without an interface of the kernel's: the same answers, a gateway is found, and so is another
    who has an address of ours."""

    def run(self, context):
        with Netns(queues=1):
            hide_edge0()
            edge = own(context, **{"dataplane-gateway4": "198.18.77.2",
                                   "dataplane-gateway6": "fd77::2"})
            try:
                with Wire() as wire:
                    in_netns(VIEWER_NETNS, "ip", "addr", "add", f"{EDGE_IP4}/32", "dev", "view0")
                    edge.start_dataplane()
                    log = edge.dataplane.log
                    wait_until(lambda: f"{EDGE_IP4} is also in use by" in log(), 10,
                               "the other who has the address to be found")
                    in_netns(VIEWER_NETNS, "ip", "addr", "del", f"{EDGE_IP4}/32", "dev", "view0")
                    check_answers(wire)
                    for gateway in ("198.18.77.2", "fd77::2"):
                        wait_until(lambda: re.search(rf"gateway \[?{gateway}\]?:0 is at", log()), 5,
                                   f"gateway {gateway} to be found")
                    check(not wire.collect(lambda kind, p: kind == 0x0800 and p[9] == 6, 0.3),
                          "somebody speaks TCP")
                check(edge.dataplane.stop(20) == 0, edge.dataplane.last_line())
            finally:
                if edge.dataplane:
                    edge.dataplane.kill()
                edge.forget()
