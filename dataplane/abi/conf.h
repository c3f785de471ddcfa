// The configuration: one INI file, /etc/millrace/millrace.conf, read by both processes; every
// option is also a command-line option (--section-option=value, e.g. --http-port=8080), which wins.
// One table in conf_table.c names every option once: section, name, type, bounds, default, help.
// Owner: whoever calls conf_load; read only afterwards.
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/net.h"

#define CONF_DEFAULT_PATH "/etc/millrace/millrace.conf"

enum {
	CONF_MAX_WORKERS = 16,
	CONF_MAX_ADDRESSES = 8,
	CONF_TEXT_MAX = 255,
};

enum conf_idle {
	CONF_IDLE_POLL,	 // busy polling: the appliance
	CONF_IDLE_SLEEP, // sleep when nothing comes: laptops and tests
};

enum conf_engine {
	CONF_ENGINE_AUTO, // fast where the CPU has it, else libsrtp2
	CONF_ENGINE_FAST,
	CONF_ENGINE_LIBSRTP2,
};

enum conf_checksum {
	CONF_CHECKSUM_AUTO,
	CONF_CHECKSUM_OFFLOAD,
	CONF_CHECKSUM_SOFTWARE,
	CONF_CHECKSUM_ZERO,
};

enum conf_steering {
	CONF_STEERING_AUTO, // where the NIC can
	CONF_STEERING_OFF,
};

// What a 1:1 NAT makes of one of our addresses. Ports stay 0.
struct conf_nat {
	struct net_addr local, public;
};

// An address of the data plane's own, and how much of it is the link.
struct conf_prefix {
	struct net_addr addr; // port 0
	uint8_t bits;
};

struct conf {
	struct {
		char interface[CONF_TEXT_MAX + 1]; // AF_XDP on this Linux interface; "" with device
		char device[CONF_TEXT_MAX + 1]; // any other DPDK device: PCI address or vdev string
		char eal[CONF_TEXT_MAX + 1];	// further EAL arguments, separated by spaces
		char steer_program[PATH_MAX]; // default: steer.o beside the program, else installed
		char socket[108];	      // default /run/millrace/dataplane.sock
		char group[CONF_TEXT_MAX + 1];	  // of the socket and the pinned maps; "": root's
		uint16_t cores[CONF_MAX_WORKERS]; // one worker on each; default "1"
		uint16_t n_cores;
		enum conf_idle idle;		  // poll | sleep; default poll
		uint32_t idle_sleep_us;		  // 10 to 5000, default 200
		enum conf_engine engine;	  // auto | fast | libsrtp2
		enum conf_checksum udp_checksum;  // auto | offload | software | zero
		enum conf_steering flow_steering; // auto | off; default auto
		uint32_t memory_mib;		  // huge-page memory, default 256
		uint32_t max_peers;		  // 1 to 65536, default 1024
		uint32_t max_streams;		  // 1 to 1024, default 64
		uint16_t mtu;			  // to the viewers, 1280 to 9000, default 1500
		struct conf_prefix addresses[CONF_MAX_ADDRESSES]; // with device: what it answers
		uint16_t n_addresses;				  // for; none: nobody does
		struct net_addr gateway4; // family none: each viewer's packets tell the next hop
		struct net_addr gateway6; // ::, "auto": as routers advertise themselves
		uint16_t vlan;		  // that the addresses are on; 0: none
		uint8_t mac[6];		  // of the port; all zero: its own
		char exception_interface[16]; // the kernel's, for all that is not ours; "": none
	} dataplane;
	struct {
		struct net_addr addresses[CONF_MAX_ADDRESSES]; // "address": list; none: interface's
		uint16_t n_addresses;
		struct conf_nat nats[CONF_MAX_ADDRESSES]; // "public_address"
		uint16_t n_nats;
		uint16_t port;		 // UDP, default 8189
		uint8_t dscp;		 // 0 to 63, default 34 (AF41)
		uint16_t history_mib;	 // of a video leg, default 8
		uint16_t repair_percent; // of a leg's bit rate, default 50; 0: NACKs are not
					 // answered
		uint8_t repair_copies;	 // of a packet for one NACK at most, 1 or 2, default 2
		uint32_t start_mbps;	 // of an instant start's catch-up, 1 to 10000, default 50
		uint32_t start_max_ms;	 // age of its key frame, 0 none, to 60000, default 12000
		uint8_t pacing_percent;	 // of the frame interval, 0 to 50, default 50; 0: off
	} media;
	struct {
		uint16_t first_port;	   // even, default 20000
		uint16_t last_port;	   // default 29999
		uint32_t key_frame_warn_s; // default 12
		uint32_t failover_ms;	   // 50 to 10000, default 200
	} ingest;
	struct {
		struct net_addr address;	// default any: [::], which takes IPv4 too
		uint16_t port;			// default 8080
		uint32_t max_body_bytes;	// default 131072
		uint32_t max_connections;	// default 1024
		char tls_certificate[PATH_MAX]; // PEM, the chain; "": plain HTTP
		char tls_key[PATH_MAX];		// its private key
	} http;
	struct {
		char api_keys_file[PATH_MAX];		  // "": the API answers to this host alone
		char viewer_keys_file[PATH_MAX];	  // "": see jwt_key_file
		char jwt_key_file[PATH_MAX];		  // both "": everybody may watch
		char jwt_stream_claim[CONF_TEXT_MAX + 1]; // default "stream"
		char jwt_api_scope[CONF_TEXT_MAX + 1];	  // default "millrace-api"
		char jwt_audience[CONF_TEXT_MAX + 1];
		bool strict_sessions;
	} access;
	struct {
		uint32_t setup_timeout_s;   // ICE and DTLS done by then, default 40
		uint32_t source_timeout_s;  // sessions of a silent stream end, default 30; 0: never
		uint32_t consent_timeout_s; // default 30
		uint32_t max_peers;	    // 0: what the peer table holds
		uint32_t max_peers_per_stream; // default for streams that do not say; 0: 8
		uint32_t max_connecting; // sessions not yet through ICE and DTLS, default 4096; 0:
					 // no cap
		char public_prefix[CONF_TEXT_MAX +
				   1]; // before Location, behind a proxy that strips it
		bool strict_h264;
		bool partial_accept;
		bool strict_etag;
	} whep;
	struct {
		uint32_t stun_pps, stun_burst;		  // defaults 50, 100; 0: no limit
		uint32_t dtls_pps, dtls_burst;		  // defaults 50, 100
		uint32_t post_per_second, post_burst;	  // defaults 50, 200; 0: no limit
		uint32_t change_per_second, change_burst; // PATCH, DELETE: defaults 500, 2000
	} limits;
	struct {
		char state[PATH_MAX]; // file that keeps the streams; "": none
	} control;
	struct {
		int level; // enum log_level of log.h: error | warn | info | debug, default info
	} log;
	bool check_only; // --check-config: read, judge, exit
};

// Whether the address is on that link; ports do not matter.
bool conf_prefix_holds(const struct conf_prefix *, const struct net_addr *);

// Read file and command line.
// prog, doc: for --help and --version.
// Return:    0 go on; 1 the process shall exit with status 0 (--help, --version, a good
//            --check-config); 2 it shall exit with status 2: each fault is already on stderr, one
//            line each, as "file:line: [section] option: what was expected" or "--option: …".
//            The default file may be absent; one named with --config may not.
//            *out is written only with 0.
int conf_load(const char *prog, const char *doc, int argc, char **argv, struct conf *out);

// Faults that concern the data plane alone: it calls this after conf_load; --check-config includes
// it. Prints one line for each fault.
// Return: 0; -EINVAL neither or both of [dataplane] interface and device, or what goes with a
// device
//         alone without one.
int conf_check_dataplane(const struct conf *);

// The same for control: one of [http] tls_certificate and tls_key without the other.
// Return: 0; -EINVAL.
int conf_check_control(const struct conf *);
