"""What the documents say is what the edge does."""

import json
import os
import signal

from contract import Contract
from host import check, wait_until
from millrace import API_KEY, Edge, Encoder, Netns, request
from viewers import Aiortc
from cases.access import restart_control
from cases.lifecycle import SMALL, recorded_offer

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
JSON = {"Content-Type": "application/json"}
BOTH = json.dumps({"video": {}, "audio": {}})
RESTART = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
REFUSED = ({}, {"video": {"port": 1}}, {"video": {"payload_type": 72}}, {"video": 1},
           {"video": {}, "colour": "blue"}, {"audio": {"stereo": 1}}, {"audio": {"codec": "AAC"}},
           {"video": {"profile_level_id": "42e0"}}, {"video": {}, "max_peers": -1})


class Openapi:
    """Every path and method is asked, and each answer is as the edge's own document says."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            contract = Contract()
            self.plain_paths(contract)
            self.streams(contract)
            with Encoder(context.logs, edge.stream()["legs"], **SMALL), \
                    Aiortc(context.logs) as viewer:
                viewer.await_playing()
                edge.await_legs_up()
                for path in ("/api/v3/streams", "/api/v3/streams/live", "/api/v3/dataplane",
                             "/api/v3/streams/live/peers", "/metrics"):
                    contract.ask("GET", path, status=200)
                self.one_viewer(contract)
                viewer.leave(0)
            edge.await_no_peers()
            for prefix in ("", "/api/v3"):
                self.whep(contract, prefix)
            self.removal(contract)
            self.every_method(contract)
            contract.check_all_asked()
            self.closed_doors(contract, edge)
            self.silent_dataplane(contract, edge)
            seen = sorted(f"{path} {method} {status}" for method, path, status in contract.seen)
            with open(os.path.join(context.logs, "seen.txt"), "w") as file:
                file.write("\n".join(seen) + "\n")

    def one_viewer(self, contract):
        path = "/api/v3/streams/live/peers"
        peer = contract.ask("GET", path, status=200).json()["peers"][0]
        found = contract.ask("GET", f"{path}/{peer['resource']}", status=200).json()
        check(found["address"] == peer["address"], f"{found} is not {peer}")
        contract.ask("GET", f"{path}/none", status=404)
        contract.ask("GET", f"/api/v3/streams/full/peers/{peer['resource']}", status=404)

    def plain_paths(self, contract):
        for path in ("/", "/watch/live", "/web/player.js", "/web/style.css", "/web/icon.svg",
                     "/web/openapi.json", "/healthz", "/readyz", "/metrics", "/api/v3/dataplane",
                     "/api/v3/streams", "/api/v3/openapi.json"):
            contract.ask("GET", path, status=200)
        tag = request("GET", "/api/v3/openapi.json").headers["ETag"]
        for path in ("/web/openapi.json", "/api/v3/openapi.json"):
            contract.ask("GET", path, headers={"If-None-Match": tag}, status=304)
        nobody = {"Authorization": "Bearer nobody-0123456789"}
        for path in ("/api/v3/streams", "/api/v3/streams/live/peers", "/api/v3/dataplane"):
            contract.ask("GET", path, headers=nobody, status=401)
        contract.ask("GET", "/web/nothing.js", status=404)
        contract.ask("GET", "/healthz", headers={"Transfer-Encoding": "gzip"}, status=501)
        contract.ask("POST", "/whep/live", headers={**SDP, "Content-Length": "2000000"}, status=413)

    def streams(self, contract):
        path = "/api/v3/streams/live"
        schema = contract.request_schema("/api/v3/streams/{id}", "put")
        port = contract.ask("PUT", path, BOTH, JSON, 201).json()["legs"]["video"]["port"]
        contract.ask("PUT", path, BOTH, JSON, 200)
        contract.ask("PUT", path, BOTH, {"Content-Type": "text/plain"}, 415)
        contract.ask("PUT", path, "{", JSON, 400)
        contract.ask("PUT", path, "{", {**JSON, "Accept": "application/json"}, 400)
        for body in REFUSED:
            contract.ask("PUT", path, json.dumps(body), JSON, 400)
            check(not contract.is_valid(body, schema), f"the document allows {body}")
        full = {"video": {"port": port + 100, "payload_type": 97, "codec": "h264",
                          "profile_level_id": "42E01F"},
                "audio": {"payload_type": 0, "codec": "OPUS", "stereo": True},
                "max_peers": 1, "require_live": False, "instant_start": False,
                "feedback": "off", "allowed_sources": ["198.18.77.0/24", "fd77::2"]}
        check(contract.is_valid(full, schema), "the document refuses a full body")
        contract.ask("PUT", "/api/v3/streams/full", json.dumps(full), JSON, 201)
        picky = {"video": {}, "require_live": True}
        contract.ask("PUT", "/api/v3/streams/picky", json.dumps(picky), JSON, 201)
        taken = {"video": {"port": port}}
        contract.ask("PUT", "/api/v3/streams/other", json.dumps(taken), JSON, 409)
        self.sources(contract)
        for path in ("/api/v3/streams/none", "/api/v3/streams/none/peers"):
            contract.ask("GET", path, status=404)
        contract.ask("GET", "/api/v3/streams/a%20b", status=400)
        for path in ("/api/v3/streams/live/peers", "/api/v3/streams/full"):
            contract.ask("GET", path, status=200)

    def sources(self, contract):
        pair = {"video": {}, "source": "backup",
                "backup": {"video": {"payload_type": 97, "profile_level_id": "42E01F"},
                           "failback": "auto", "failback_s": 5, "allowed_sources": ["fd77::2"]}}
        schema = contract.request_schema("/api/v3/streams/{id}", "put")
        check(contract.is_valid(pair, schema), "the document refuses a backup")
        contract.ask("PUT", "/api/v3/streams/pair", json.dumps(pair), JSON, 201)
        made = contract.ask("GET", "/api/v3/streams/pair", status=200).json()
        check(made["source"]["pick"] == "backup", made["source"])
        path = "/api/v3/streams/pair/source"
        for source in ("primary", "auto"):
            made = contract.ask("PUT", path, json.dumps({"source": source}), JSON, 200).json()
            check(made["source"]["pick"] == source, made["source"])
        contract.ask("PUT", path, '{"source": "both"}', JSON, 400)
        contract.ask("PUT", path, "{}", {"Content-Type": "text/plain"}, 415)
        contract.ask("PUT", "/api/v3/streams/none/source", '{"source": "auto"}', JSON, 404)
        contract.ask("PUT", "/api/v3/streams/live/source", '{"source": "auto"}', JSON, 409)
        contract.ask("DELETE", "/api/v3/streams/pair", status=204)

    def whep(self, contract, prefix):
        endpoint = prefix + "/whep/live"
        offer = recorded_offer()
        made = contract.ask("POST", endpoint, offer, SDP, 201)
        session = made.headers["Location"]
        check(session.startswith(endpoint + "/"), f"Location is {session}")
        self.whep_refusals(contract, prefix, offer)
        contract.ask("GET", endpoint, status=204)
        contract.ask("GET", session, status=204)
        contract.ask("PATCH", session, "a=end-of-candidates\r\n", FRAGMENT, 204)
        contract.ask("PATCH", session, RESTART, FRAGMENT, 200)
        contract.ask("PATCH", session, RESTART, {**FRAGMENT, "If-Match": '"other"'}, 412)
        contract.ask("PATCH", session, RESTART, JSON, 415)
        contract.ask("PATCH", session, "a=ice-ufrag:abcd\r\n", FRAGMENT, 400)
        contract.ask("PATCH", endpoint + "/none", RESTART, FRAGMENT, 404)
        contract.ask("DELETE", session, status=204)
        contract.ask("DELETE", session, status=204)
        for path in (endpoint, endpoint + "/"):
            contract.ask("DELETE", path, status=400)
        for path in (prefix + "/whep", prefix + "/whep/"):
            contract.ask("POST", path, offer, SDP, 400)

    def whep_refusals(self, contract, prefix, offer):
        endpoint = prefix + "/whep/live"
        contract.ask("POST", prefix + "/whep/none", offer, SDP, 404)
        contract.ask("POST", endpoint, offer, JSON, 415)
        contract.ask("POST", endpoint, "", SDP, 400)
        contract.ask("POST", endpoint, "v=0\r\n" * 40000, SDP, 413)
        contract.ask("POST", endpoint, offer.replace("H264", "VP9"), SDP, 406)
        contract.ask("POST", endpoint, offer.replace("a=rtcp-mux\r\n", ""), SDP, 422)
        full = contract.ask("POST", prefix + "/whep/full", offer, SDP, 201)
        contract.ask("POST", prefix + "/whep/full", offer, SDP, 503)
        contract.ask("DELETE", full.headers["Location"], status=204)
        contract.ask("POST", prefix + "/whep/picky", offer, SDP, 409)

    def removal(self, contract):
        contract.ask("DELETE", "/api/v3/streams/full", status=204)
        contract.ask("DELETE", "/api/v3/streams/full", status=404)

    def every_method(self, contract):
        """OPTIONS lists the methods of the document; HEAD is GET; others are 405."""
        examples = {"{stream}": "live", "{id}": "live", "{resource}": "none", "{file}": "player.js"}
        for template in contract.document["paths"]:
            path = template
            for name, value in examples.items():
                path = path.replace(name, value)
            methods = contract.methods(template)
            allow = contract.ask("OPTIONS", path, status=204).headers["Allow"]
            check(sorted(allow.lower().split(", ")) == sorted(methods),
                  f"{path} allows {allow}, the document {methods}")
            if "head" in methods:
                contract.ask("HEAD", path)
            if "put" not in methods:
                answer = request("PUT", path)
                check(answer.status == 405 and answer.headers["Allow"] == allow,
                      f"PUT {path}: {answer.status}, Allow: {answer.headers['Allow']}")

    def closed_doors(self, contract, edge):
        """Without a key, with a wrong one, too often, without an ETag."""
        keyless = {**JSON, "Authorization": "Bearer wrong"}
        viewers = edge.write("viewer.keys", "key-of-the-viewers-of-these-tests\n")
        restart_control(edge, whep_strict_etag="yes", limits_post_per_second="1",
                        limits_post_burst="2")
        session = contract.ask("POST", "/whep/live", recorded_offer(), SDP, 201).headers["Location"]
        contract.ask("PATCH", session, RESTART, FRAGMENT, 428)
        contract.ask("DELETE", session, status=204)
        for headers in (JSON, keyless):
            contract.ask("PUT", "/api/v3/streams/live", BOTH, headers, 401, key=None)
        wait_until(lambda: contract.ask("POST", "/whep/live", "", SDP).status == 429, 5, "429")
        restart_control(edge, access_viewer_keys_file=viewers, limits_post_per_second="0")
        contract.ask("POST", "/whep/live", recorded_offer(), SDP, 401)
        restart_control(edge, access_viewer_keys_file=None, access_api_keys_file=None)
        for path in ("/api/v3/streams", "/api/v3/dataplane", "/api/v3/openapi.json"):
            contract.ask("GET", path, status=403)
        restart_control(edge, access_api_keys_file=edge.write("api.keys", API_KEY + "\n"))

    def silent_dataplane(self, contract, edge):
        """Workers that do not answer, and then no data plane at all."""
        contract.ask("PUT", "/api/v3/streams/idle", BOTH, JSON, 201)
        edge.dataplane.signal(signal.SIGSTOP)
        contract.ask("POST", "/whep/live", recorded_offer(), SDP, 504)
        contract.ask("PUT", "/api/v3/streams/late", BOTH, JSON, 504)
        contract.ask("DELETE", "/api/v3/streams/idle", status=504)
        edge.dataplane.signal(signal.SIGKILL)
        edge.dataplane.wait(5)
        wait_until(lambda: not edge.is_ready(), 10, "control to miss the data plane")
        contract.ask("GET", "/readyz", status=503)
        contract.ask("GET", "/metrics", status=200)
        contract.ask("GET", "/api/v3/dataplane", status=200)
        contract.ask("GET", "/api/v3/streams", status=200)
        contract.ask("POST", "/whep/live", recorded_offer(), SDP, 503)
        contract.ask("PUT", "/api/v3/streams/late", BOTH, JSON, 503)
        edge.dataplane.kill()
        edge.start_dataplane()
        wait_until(edge.is_ready, 10, "control to find the new data plane")
