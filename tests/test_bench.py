#!/usr/bin/python3
"""The size report says what was measured, and the set that is measured is whole."""

import copy
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "bench"), os.path.join(HERE, "e2e")]
sys.dont_write_bytecode = True

import draw
import measure
import plan
import report

POINT = {"port": "net_null", "profile": "gcm128", "peers": 1000, "streams": 1, "size": 1200,
         "workers": 1, "mpps": 2.6263, "gbps": 26.84, "cycles_per_packet": 877.11,
         "crypto_cycles_per_packet": 282.878, "rest_cycles_per_packet": 594.233,
         "tx_burst_fill": 63.8998, "spread": 0.031, "dropped": 0.0, "bytes_per_peer": 2960.0}

RESULTS = {
    "facts": {
        "cpu": "A CPU", "cpus": 2, "cpu_mhz": 2300,
        "cpu_flags": {"aes": True, "vaes": False, "hypervisor": True},
        "caches": ["L1 data 48K", "L2 unified 2048K"], "memory_mib": 2000,
        "huge_pages": "512 of 2048 KiB", "kernel": "6.1.0", "governor": "performance",
        "packages": {"libdpdk-dev": "22.11"}, "commit": "abc", "load_average": 0.25,
    },
    "rounds": 3, "seconds": 2.0, "others": 0.02,
    "shows": [
        {"what": "a ratio", "asked": 0.85, "sense": "least", "reached": 0.567, "cipher": 0.6,
         "good": False},
        {"what": "a size, bytes", "asked": 4096, "sense": "most", "reached": 2960.2, "good": True},
    ],
    "points": [
        {**POINT, "port": "af_xdp", "mpps": 0.9684, "arrived": 0.9996},
        {**POINT, "profile": "cm80", "mpps": 1.75},
        {**POINT, "peers": 10000},
        POINT,
    ],
    "drawings": [{"file": "packets.svg", "title": "Packets"}],
}

PAGE = """\
# What this machine carries

| machine |  |
|---|---|
| CPU | A CPU, 2 cores seen, 2300 MHz |
| instructions | AES, no VAES |
| caches | L1 data 48K, L2 unified 2048K |
| kind | virtual machine |
| memory, huge pages | 2000 MiB, 512 of 2048 KiB |
| kernel, governor | 6.1.0, performance |
| libraries | libdpdk-dev 22.11 |
| millrace | abc |
| what else ran | load average 0.2 before; others had 2 % of the CPU time meanwhile |
| how | median of 3 rounds of 2 s |

## Asked and reached

| asked for | asked | reached |  |
|---|--:|--:|--:|
| a ratio | ≥ 0.85 | 0.567; the bare cipher 0.600 | **no** |
| a size, bytes | ≤ 4096 | 2,960 | yes |

## net_null (no device: what the workers could send to a NIC that makes the checksums)

| profile | peers | streams | bytes | workers | Mpps | Gbit/s | cycles a packet | of it sealing \
| the rest | burst fill | spread | dropped |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| gcm128 | 1000 | 1 | 1200 | 1 | 2.63 | 26.8 | 877 | 283 | 594 | 63.90 | 3 % | 0.0 % |
| gcm128 | 10000 | 1 | 1200 | 1 | 2.63 | 26.8 | 877 | 283 | 594 | 63.90 | 3 % | 0.0 % |
| cm80 | 1000 | 1 | 1200 | 1 | 1.75 | 26.8 | 877 | 283 | 594 | 63.90 | 3 % | 0.0 % |

## AF_XDP over veth into another namespace; its XDP counts what arrived

| profile | peers | streams | bytes | workers | Mpps | Gbit/s | cycles a packet | of it sealing \
| the rest | burst fill | spread | dropped | arrived |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| gcm128 | 1000 | 1 | 1200 | 1 | 0.97 | 26.8 | 877 | 283 | 594 | 63.90 | 3 % | 0.0 % | 100.0 % |

Bytes are of RTP payload. Mpps and Gbit/s are of all workers together, with Ethernet, IP,
UDP, RTP header and tag; cycles are a worker's. Spread: the fastest round over the slowest, less one.
Ratios hold within one run; a busy neighbour core costs up to 40 %.

![Packets](packets.svg)
"""


def run_of(mpps, **more):
    return {"sum": {"mpps": mpps, "gbps": 10 * mpps, "cycles_per_packet": 900,
                    "crypto_cycles_per_packet": 300, "rest_cycles_per_packet": 600,
                    "tx_burst_fill": 64, "sealed_packets": 1000,
                    "drops": {"tx_full": 10, "not_ip": 7}},
            "memory": {"bytes_per_peer": 2960}, **more}


class Report(unittest.TestCase):
    maxDiff = None

    def test_page(self):
        self.assertEqual(report.markdown(RESULTS), PAGE)

    def test_parts_that_were_not_measured(self):
        page = report.markdown({**RESULTS, "points": [], "shows": [], "drawings": []})
        self.assertNotIn("##", page)
        self.assertNotIn("Spread", page)

    def test_not_finished(self):
        page = report.markdown({**RESULTS, "failed": "why"})
        self.assertEqual(page.replace("\n**Not finished:** why\n", ""), PAGE)

    def test_numbers(self):
        for value, text in ((None, "–"), (0, "0.000"), (0.9996, "1.000"), (1.5, "1.50"),
                            (99.996, "100.00"), (1234567, "1,234,567")):
            self.assertEqual(report.number(value), text)


class Plan(unittest.TestCase):
    def test_whole(self):
        points = list(plan.points(("net_null", "af_xdp"), 2))
        self.assertEqual(len(points), 2 * 3 * 4 * 2 * 2 * 2)
        self.assertEqual(len({tuple(p.values()) for p in points}), len(points))
        self.assertTrue(all(tuple(p) == plan.KEY for p in points))

    def test_one_core(self):
        self.assertEqual({p["workers"] for p in plan.points(("net_null", "af_xdp"), 1)}, {1})

    def test_quick_is_part_of_it(self):
        quick = list(plan.points(("net_null",), 2, quick=True))
        whole = list(plan.points(("net_null",), 2))
        self.assertTrue(0 < len(quick) < len(whole) / 5)
        self.assertTrue(all(p in whole for p in quick))

    def test_judging(self):
        least, most = {"asked": 2, "sense": "least"}, {"asked": 2, "sense": "most"}
        for line, reached, good in ((least, 2, True), (least, 1.99, False), (most, 2, True),
                                    (most, 2.01, False)):
            self.assertEqual(plan.is_reached(line, reached), good)


class Measure(unittest.TestCase):
    def test_median(self):
        self.assertEqual(measure.median([3, 1, 2]), 2)
        self.assertEqual(measure.median([4, 1, 2, 3]), 2.5)

    def test_condense(self):
        line = measure.condense({"port": "af_xdp"}, [run_of(2.0, arrived=1.0),
                                                     run_of(1.0, arrived=0.5),
                                                     run_of(1.5, arrived=0.9)])
        self.assertEqual((line["port"], line["mpps"], line["gbps"]), ("af_xdp", 1.5, 15))
        self.assertEqual((line["spread"], line["dropped"], line["arrived"]), (1.0, 0.01, 0.5))

    def test_cores(self):
        self.assertEqual([measure.cores(1, 2), measure.cores(2, 2), measure.cores(2, 8)],
                         ["1", "0,1", "1,2"])


def read(path):
    with open(path) as file:
        return file.read()


class Draw(unittest.TestCase):
    def test_same_twice(self):
        points = [{**copy.copy(POINT), "port": port, "peers": peers, "profile": profile,
                   "size": size}
                  for port in ("net_null", "af_xdp") for peers in (100, 1000)
                  for profile in ("gcm128", "cm80") for size in (200, 1200)]
        texts = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                names = [drawing["file"] for drawing in draw.draw(points, folder)]
                self.assertEqual(names, ["packets.svg", "cycles.svg"])
                texts.append([read(os.path.join(folder, name)) for name in names])
        self.assertEqual(texts[0], texts[1])
        for word in ("AES-128-GCM", "AES-CM-SHA1-80", "AF_XDP over veth, 1200 bytes", "1,000",
                     "million packets a second"):
            self.assertIn(word, texts[0][0])


if __name__ == "__main__":
    unittest.main()
