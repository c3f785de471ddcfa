#include "dataplane/abi/priv/conf_table.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/log.h"

static const struct conf_word idle_words[] = {
	{ "poll", CONF_IDLE_POLL },
	{ "sleep", CONF_IDLE_SLEEP },
	{ NULL, 0 },
};

static const struct conf_word engine_words[] = {
	{ "auto", CONF_ENGINE_AUTO },
	{ "fast", CONF_ENGINE_FAST },
	{ "libsrtp2", CONF_ENGINE_LIBSRTP2 },
	{ NULL, 0 },
};

static const struct conf_word checksum_words[] = {
	{ "auto", CONF_CHECKSUM_AUTO },
	{ "offload", CONF_CHECKSUM_OFFLOAD },
	{ "software", CONF_CHECKSUM_SOFTWARE },
	{ "zero", CONF_CHECKSUM_ZERO },
	{ NULL, 0 },
};

static const struct conf_word steering_words[] = {
	{ "auto", CONF_STEERING_AUTO },
	{ "off", CONF_STEERING_OFF },
	{ NULL, 0 },
};

static const struct conf_word level_words[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warn", LOG_LEVEL_WARN },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
	{ NULL, 0 },
};

// clang-format off
#define FIELD(sec, field) \
	.section = #sec, .offset = offsetof(struct conf, sec.field), \
	.field_bytes = sizeof(((struct conf *)NULL)->sec.field)
#define TEXT(sec, nm, longest, def, text) \
	{ FIELD(sec, nm), .name = #nm, .type = CONF_TYPE_TEXT, .max = longest, \
	  .preset = def, .help = text }
#define NUMBER(sec, nm, lo, hi, def, text) \
	{ FIELD(sec, nm), .name = #nm, .type = CONF_TYPE_NUMBER, .min = lo, .max = hi, \
	  .preset = #def, .help = text }
#define FLAG(sec, nm, def, text) \
	{ FIELD(sec, nm), .name = #nm, .type = CONF_TYPE_FLAG, .preset = def, .help = text }
#define WORD(sec, nm, list, def, text) \
	{ FIELD(sec, nm), .name = #nm, .type = CONF_TYPE_WORD, .words = list, \
	  .preset = def, .help = text }
#define ADDRESS(sec, nm, def, text) \
	{ FIELD(sec, nm), .name = #nm, .type = CONF_TYPE_ADDRESS, .preset = def, .help = text }
#define GATEWAY(sec, nm, fam, text) \
	{ FIELD(sec, nm), .name = #nm, .type = CONF_TYPE_GATEWAY, .min = fam, .preset = "", \
	  .help = text }
#define MAC(sec, nm, text) \
	{ FIELD(sec, nm), .name = #nm, .type = CONF_TYPE_MAC, .preset = "", .help = text }
#define LIST(sec, nm, kind, field, counter, def, text) \
	{ FIELD(sec, field), .name = nm, .type = kind, \
	  .count_offset = offsetof(struct conf, sec.counter), .preset = def, .help = text }

const struct conf_option conf_options[] = {
	TEXT(dataplane, interface, 15, "",
		"Linux interface that carries the media, by AF_XDP; everything but media still "
		"reaches the kernel. Give this or device"),
	TEXT(dataplane, device, CONF_TEXT_MAX, "",
		"Any other DPDK port in its place: a PCI address such as 0000:01:00.0, or a virtual "
		"device such as net_memif0,role=client"),
	TEXT(dataplane, eal, CONF_TEXT_MAX, "",
		"Further arguments for DPDK's EAL, separated by spaces"),
	TEXT(dataplane, steer_program, PATH_MAX - 1, "",
		"The XDP program; empty: steer.o beside this program or, without one, where it was "
		"installed"),
	TEXT(dataplane, socket, 107, "/run/millrace/dataplane.sock",
		"Unix socket on which the two processes meet"),
	TEXT(dataplane, group, CONF_TEXT_MAX, "",
		"Group that may use the socket and the pinned maps; empty: root's"),
	LIST(dataplane, "cores", CONF_TYPE_CORES, cores, n_cores, "1",
		"CPU cores, one worker on each, such as 1,2 or 1-3"),
	WORD(dataplane, idle, idle_words, "poll",
		"What a worker does when nothing comes: poll keeps its core busy and the delay low, "
		"sleep spares the core"),
	NUMBER(dataplane, idle_sleep_us, 10, 5000, 200,
		"Microseconds of one such sleep"),
	WORD(dataplane, engine, engine_words, "auto",
		"Who seals SRTP; auto: the fast engine where the CPU can run it, libsrtp2 elsewhere"),
	WORD(dataplane, udp_checksum, checksum_words, "auto",
		"Who makes the UDP checksums: the port (offload), this program (software), or nobody "
		"over IPv4 (zero); auto: the port where it can, software elsewhere"),
	WORD(dataplane, flow_steering, steering_words, "auto",
		"Rules in the NIC that bring a viewer's packets to its own worker (rte_flow); auto: "
		"where a NIC has several queues and takes such rules"),
	NUMBER(dataplane, memory_mib, 16, 1048576, 256,
		"Memory for DPDK, in MiB, of huge pages unless eal says otherwise"),
	NUMBER(dataplane, max_peers, 1, 65536, 1024,
		"Viewers that the peer table holds"),
	NUMBER(dataplane, max_streams, 1, 1024, 64,
		"Streams that the stream table holds"),
	NUMBER(dataplane, mtu, 1280, 9000, 1500,
		"MTU of the path to the viewers, in bytes"),
	LIST(dataplane, "addresses", CONF_TYPE_PREFIXES, addresses, n_addresses, "",
		"With device: addresses that the data plane answers for itself, with the prefix of "
		"the link, such as 192.0.2.5/24"),
	GATEWAY(dataplane, gateway4, NET_IPV4,
		"Router on the link, for viewers beyond it; empty: answers go back where a viewer's "
		"packets come from"),
	GATEWAY(dataplane, gateway6, NET_IPV6,
		"The same for IPv6; auto: the router that advertises itself"),
	NUMBER(dataplane, vlan, 0, 4094, 0,
		"VLAN that the addresses are on; 0: none"),
	MAC(dataplane, mac,
		"MAC address of the device, such as 02:00:00:00:00:01; empty: its own"),
	TEXT(dataplane, exception_interface, 15, "",
		"Linux interface to make, through which the kernel has all that is not media on the "
		"device, such as SSH and HTTP; empty: none"),

	LIST(media, "address", CONF_TYPE_ADDRESSES, addresses, n_addresses, "",
		"Addresses that viewers are told to reach, with commas between; empty: the "
		"interface's own"),
	LIST(media, "public_address", CONF_TYPE_NATS, nats, n_nats, "",
		"What a 1:1 NAT makes of them, such as 192.0.2.5=203.0.113.5: viewers are told the "
		"public address in the local one's place"),
	NUMBER(media, port, 1, 65535, 8189,
		"UDP port of all media, ICE and DTLS with the viewers"),
	NUMBER(media, dscp, 0, 63, 34,
		"DSCP of the packets sent; 34 is AF41"),
	NUMBER(media, history_mib, 1, 1024, 8,
		"Memory for the packets that a stream's video sent lately, in MiB: what viewers have "
		"again, and what one that joins begins with"),
	NUMBER(media, repair_percent, 0, 200, 50,
		"What a viewer that reports loss is sent again at most, in percent of the stream's "
		"bit rate; 0: nothing"),
	NUMBER(media, repair_copies, 1, 2, 2,
		"How often a lost packet is sent again for one request, as far as little is lost"),
	NUMBER(media, start_mbps, 1, 10000, 50,
		"How quickly a viewer who joins in the middle of a group of pictures is sent what "
		"came since its key frame, in Mbit/s"),
	NUMBER(media, start_max_ms, 0, 60000, 12000,
		"For how many milliseconds a key frame is good for that; 0: viewers wait for the "
		"next one"),
	NUMBER(media, pacing_percent, 0, 50, 50,
		"Share of the frame interval over which a picture of many packets is sent, in percent; "
		"0: all at once"),

	NUMBER(ingest, first_port, 2, 65534, 20000,
		"First UDP port of the RTP legs that come in; even"),
	NUMBER(ingest, last_port, 2, 65535, 29999,
		"Last one"),
	NUMBER(ingest, key_frame_warn_s, 1, 3600, 12,
		"Seconds without a key frame after which the stream's state says so"),
	NUMBER(ingest, failover_ms, 50, 10000, 200,
		"Milliseconds without a packet after which a stream's backup source takes over; sound "
		"may pause for 500, pictures for 2.5 times their distance"),

	ADDRESS(http, address, "any",
		"Address that the HTTP server listens on; any or [::]: all of IPv6 and IPv4, 0.0.0.0: "
		"all of IPv4"),
	NUMBER(http, port, 1, 65535, 8080,
		"Its TCP port"),
	NUMBER(http, max_body_bytes, 1024, 16777216, 131072,
		"Longest request body taken, in bytes"),
	NUMBER(http, max_connections, 1, 65536, 1024,
		"Connections at one time"),
	TEXT(http, tls_certificate, PATH_MAX - 1, "",
		"PEM file of the certificate and what chains it to its root, for HTTPS; empty: plain "
		"HTTP. Read again on SIGHUP"),
	TEXT(http, tls_key, PATH_MAX - 1, "",
		"PEM file of its private key, which only owner and group may read"),

	TEXT(access, api_keys_file, PATH_MAX - 1, "",
		"File with the API's keys, one a line, which only owner and group may read; empty: "
		"the API answers to this host alone. Read again on SIGHUP, as all files here"),
	TEXT(access, viewer_keys_file, PATH_MAX - 1, "",
		"The same for viewers; streams behind a key limit it to these. Empty, and no "
		"jwt_key_file: everybody may watch"),
	TEXT(access, jwt_key_file, PATH_MAX - 1, "",
		"Key that JWTs are checked with: an RSA (RS256) or P-256 (ES256) public key in PEM, or "
		"a line with a secret of 32 characters or more (HS256)"),
	TEXT(access, jwt_stream_claim, CONF_TEXT_MAX, "stream",
		"Claim that names the stream that a viewer may watch, or several; * is all"),
	TEXT(access, jwt_api_scope, CONF_TEXT_MAX, "millrace-api",
		"Word in the claim scope that opens the API"),
	TEXT(access, jwt_audience, CONF_TEXT_MAX, "",
		"What the claim aud must name; empty: tokens with an audience are refused"),
	FLAG(access, strict_sessions, "no",
		"Ask for the viewer's token on PATCH and DELETE too, where otherwise knowing the "
		"session's URL is enough"),

	NUMBER(whep, setup_timeout_s, 1, 3600, 40,
		"Seconds in which ICE and DTLS must be done; a session that is not ready ends then"),
	NUMBER(whep, consent_timeout_s, 1, 3600, 30,
		"Seconds without a consent check after which a viewer counts as gone (RFC 7675)"),
	NUMBER(whep, source_timeout_s, 0, 86400, 30,
		"Seconds without a packet of the stream's sources after which its viewers' "
		"sessions end; 0: never"),
	NUMBER(whep, max_peers, 0, 65536, 0,
		"Viewers in all; 0: as many as the peer table holds"),
	NUMBER(whep, max_peers_per_stream, 0, 65536, 8,
		"Viewers of a stream that names no limit of its own; 0: 8"),
	NUMBER(whep, max_connecting, 0, 65536, 4096,
		"Sessions that may be on their way through ICE and DTLS at one time; 0: no cap"),
	TEXT(whep, public_prefix, CONF_TEXT_MAX, "",
		"What a proxy in front strips from our paths, such as /edge1; Location gets it back"),
	FLAG(whep, strict_h264, "no",
		"Refuse a viewer whose H.264 does not fit the stream's profile, instead of trying"),
	FLAG(whep, partial_accept, "no",
		"Serve a viewer that lacks one of the stream's codecs with the rest, instead of "
		"refusing it"),
	FLAG(whep, strict_etag, "no",
		"Refuse a PATCH without If-Match (428), as the draft has it and many players have not"),

	NUMBER(limits, stun_pps, 0, 1000000, 50,
		"STUN packets that one source address may send in a second; 0: no limit"),
	NUMBER(limits, stun_burst, 0, 1000000, 100,
		"How many of them at once"),
	NUMBER(limits, dtls_pps, 0, 1000000, 50,
		"DTLS packets that one source address may send in a second; 0: no limit"),
	NUMBER(limits, dtls_burst, 0, 1000000, 100,
		"How many of them at once"),
	NUMBER(limits, post_per_second, 0, 1000000, 50,
		"WHEP POSTs that one source address (IPv6: one /64), or one holder of a JWT, may send "
		"in a second; 0: no limit"),
	NUMBER(limits, post_burst, 0, 1000000, 200,
		"How many of them at once"),
	NUMBER(limits, change_per_second, 0, 1000000, 500,
		"The same for PATCH and DELETE"),
	NUMBER(limits, change_burst, 0, 1000000, 2000,
		"How many of them at once"),

	TEXT(control, state, PATH_MAX - 1, "/var/lib/millrace/streams.json",
		"File that keeps the streams over a restart; empty: they are not kept"),

	WORD(log, level, level_words, "info",
		"Least grave kind of line that is logged"),
};
// clang-format on

const struct conf_section conf_sections[] = {
	{ "dataplane", "the data plane: its port, cores and memory" },
	{ "media", "packets to and from the viewers" },
	{ "ingest", "RTP that comes in" },
	{ "http", "the HTTP server" },
	{ "access", "who may use the API, and who may watch" },
	{ "whep", "sessions of viewers" },
	{ "limits", "what one source address may send" },
	{ "control", "millrace-control itself" },
	{ "log", "log lines, on stderr" },
};

const size_t conf_n_options = sizeof(conf_options) / sizeof(conf_options[0]);
const size_t conf_n_sections = sizeof(conf_sections) / sizeof(conf_sections[0]);

static_assert(sizeof(conf_options) / sizeof(conf_options[0]) <= CONF_OPTIONS_MAX);

const struct conf_section *conf_section_find(const char *name)
{
	for (size_t i = 0; i < conf_n_sections; i++) {
		if (strcmp(conf_sections[i].name, name) == 0)
			return &conf_sections[i];
	}
	return NULL;
}

const struct conf_option *conf_option_find(const char *section, const char *name)
{
	for (size_t i = 0; i < conf_n_options; i++) {
		if (strcmp(conf_options[i].section, section) == 0 &&
			strcmp(conf_options[i].name, name) == 0)
			return &conf_options[i];
	}
	return NULL;
}

const char *conf_option_argument(const struct conf_option *option, char buf[CONF_ARGUMENT_BYTES])
{
	snprintf(buf, CONF_ARGUMENT_BYTES, "%s-%s", option->section, option->name);
	for (char *c = buf; *c; c++) {
		if (*c == '_')
			*c = '-';
	}
	return buf;
}

// To a hurried writer, case and the kind of stroke are all one.
static char fold(char c)
{
	return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

// Levenshtein's distance, by one row of his table.
static size_t edit_distance(const char *a, const char *b)
{
	size_t a_bytes = strlen(a), b_bytes = strlen(b);
	size_t row[CONF_ARGUMENT_BYTES];

	if (a_bytes >= CONF_ARGUMENT_BYTES || b_bytes >= CONF_ARGUMENT_BYTES)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_bytes; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_bytes; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_bytes; j++) {
			size_t cost = diagonal + (fold(a[i - 1]) != fold(b[j - 1]));

			diagonal = row[j];
			if (cost > row[j] + 1)
				cost = row[j] + 1;
			if (cost > row[j - 1] + 1)
				cost = row[j - 1] + 1;
			row[j] = cost;
		}
	}
	return row[b_bytes];
}

// Farther than a third of the letters, and a guess is no help.
static bool is_near(const char *known, const char *found, size_t *nearest)
{
	size_t distance = edit_distance(known, found);

	if (distance > 1 + strlen(known) / 3 || distance >= strlen(known) || distance >= *nearest)
		return false;
	*nearest = distance;
	return true;
}

const char *conf_section_suggest(const char *name)
{
	const char *best = NULL;
	size_t nearest = SIZE_MAX;

	for (size_t i = 0; i < conf_n_sections; i++) {
		if (is_near(conf_sections[i].name, name, &nearest))
			best = conf_sections[i].name;
	}
	return best;
}

const struct conf_option *conf_option_suggest(const char *section, const char *name)
{
	const struct conf_option *best = NULL, *elsewhere = NULL;
	size_t nearest = SIZE_MAX;

	for (size_t i = 0; i < conf_n_options; i++) {
		const struct conf_option *option = &conf_options[i];

		if (strcmp(option->section, section) != 0) {
			if (strcmp(option->name, name) == 0)
				elsewhere = option;
		} else if (is_near(option->name, name, &nearest)) {
			best = option;
		}
	}
	return elsewhere ? elsewhere : best;
}

const struct conf_option *conf_argument_suggest(const char *argument)
{
	const struct conf_option *best = NULL;
	char known[CONF_ARGUMENT_BYTES];
	size_t nearest = SIZE_MAX;

	for (size_t i = 0; i < conf_n_options; i++) {
		if (is_near(conf_option_argument(&conf_options[i], known), argument, &nearest))
			best = &conf_options[i];
	}
	return best;
}
