"""What Prometheus would read tells what happened."""

import re
import subprocess

from host import check, wait_until
from millrace import Edge, Encoder, Netns, post_offer, request
from viewers import Aiortc

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
TYPE = "text/plain; version=0.0.4; charset=utf-8"
SAMPLE = re.compile(r"^([a-z_]+(?:\{[^}]*\})?) ([0-9.e+-]+)$")


def scrape():
    """The page as {"name{labels}": number}."""
    answer = request("GET", "/metrics")
    check(answer.status == 200, f"{answer.status}: {answer.body}")
    check(answer.headers["Content-Type"] == TYPE, answer.headers["Content-Type"])
    samples = {}
    for line in answer.body.splitlines():
        if line.startswith("#"):
            continue
        found = SAMPLE.match(line)
        check(found, f"not a sample: {line}")
        check(found.group(1) not in samples, f"twice: {found.group(1)}")
        samples[found.group(1)] = float(found.group(2))
    return samples


def expect(samples, name, least, most=None):
    value = samples.get(name)
    check(value is not None, f"no {name}")
    check(least <= value <= (least if most is None else most), f"{name} is {value}")


def check_playing(samples):
    """One viewer plays."""
    expect(samples, 'millrace_whep_requests_total{route="subscribe",code="201",stream="live"}', 1)
    expect(samples, 'millrace_peers{stream="live",state="ready"}', 1)
    expect(samples, 'millrace_ice_establishment_seconds_count{stream="live"}', 1)
    expect(samples, 'millrace_ice_establishment_seconds_sum{stream="live"}', 0, 5)
    expect(samples, 'millrace_dtls_handshakes_total{result="ok",profile="AES128_CM_SHA1_80"}', 1)
    expect(samples, 'millrace_leg_up{stream="live",leg="video"}', 1)
    expect(samples, 'millrace_transmit_packets_total{worker="0",port="edge0"}', 10, 1e6)
    expect(samples, 'millrace_steer_packets_total{port="edge0",verdict="ingest"}', 10, 1e6)
    expect(samples, 'millrace_worker_cycles_total{worker="0",state="busy"}', 1, 1e15)
    expect(samples, 'millrace_dataplane_up', 1)


class Metrics:
    """Viewers, strangers, a leg that fails and a stream that goes are all in the counts."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            failures = 'millrace_leg_failures_total{stream="live",leg="video"}'
            with Aiortc(context.logs) as viewer:
                with Encoder(context.logs, legs, **SMALL):
                    viewer.await_playing()
                    check(post_offer("v=", "stranger").status == 404, "a stranger's stream")
                    first = 'millrace_viewer_first_packet_seconds_count{stream="live",leg="video"}'
                    wait_until(lambda: scrape()[first] == 1, 5, "the first packet's time")
                    samples = scrape()
                    check_playing(samples)
                    expect(samples, "millrace_whep_requests_total"
                                    '{route="subscribe",code="404",stream=""}', 1)
                    check(failures not in samples, "a leg failed")
                    self.ask_promtool()
                wait_until(lambda: scrape().get(failures) == 1, 10, "the leg's failure")
                viewer.leave(0)
                edge.await_no_peers()
                samples = scrape()
                expect(samples, 'millrace_sessions_ended_total{reason="delete"}', 1)
                expect(samples, "millrace_whep_requests_total"
                                '{route="unsubscribe",code="204",stream="live"}', 1)
            edge.delete_stream()
            left = [name for name in scrape() if 'stream="live"' in name]
            check(not left, f"the stream is gone, and these are left: {left}")

    def ask_promtool(self):
        page = request("GET", "/metrics").body
        done = subprocess.run(["promtool", "check", "metrics"], input=page, text=True,
                              capture_output=True)
        check(done.returncode == 0, f"promtool: {done.stdout}{done.stderr}")
