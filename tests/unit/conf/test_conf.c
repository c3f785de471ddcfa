// What conf_load takes: every option from the file and from the command line, every form of a
// value, precedence, --help and its kind, and the example file.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/log.h"
#include "dataplane/abi/region.h"
#include "tests/unit/conf/run_conf.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct run run, other;

// Each option with a value that is not its default. Text fields are compared as text, others as
// little-endian numbers.
#define FIELD(member) offsetof(struct conf, member), sizeof(((struct conf *)NULL)->member)

static const struct row {
	const char *section, *name, *value;
	size_t offset, bytes;
	uint64_t number;
} rows[] = {
	{ "dataplane", "interface", "edge0", FIELD(dataplane.interface), 0 },
	{ "dataplane", "device", "net_memif0,role=client", FIELD(dataplane.device), 0 },
	{ "dataplane", "eal", "--no-huge -m 64", FIELD(dataplane.eal), 0 },
	{ "dataplane", "steer_program", "/opt/steer.o", FIELD(dataplane.steer_program), 0 },
	{ "dataplane", "socket", "/run/other.sock", FIELD(dataplane.socket), 0 },
	{ "dataplane", "group", "media", FIELD(dataplane.group), 0 },
	{ "dataplane", "cores", "5", FIELD(dataplane.cores[0]), 5 },
	{ "dataplane", "idle", "sleep", FIELD(dataplane.idle), CONF_IDLE_SLEEP },
	{ "dataplane", "idle_sleep_us", "5000", FIELD(dataplane.idle_sleep_us), 5000 },
	{ "dataplane", "engine", "libsrtp2", FIELD(dataplane.engine), CONF_ENGINE_LIBSRTP2 },
	{ "dataplane", "udp_checksum", "zero", FIELD(dataplane.udp_checksum), CONF_CHECKSUM_ZERO },
	{ "dataplane", "flow_steering", "off", FIELD(dataplane.flow_steering), CONF_STEERING_OFF },
	{ "dataplane", "memory_mib", "512", FIELD(dataplane.memory_mib), 512 },
	{ "dataplane", "max_peers", "65536", FIELD(dataplane.max_peers), 65536 },
	{ "dataplane", "max_streams", "1", FIELD(dataplane.max_streams), 1 },
	{ "dataplane", "mtu", "9000", FIELD(dataplane.mtu), 9000 },
	{ "dataplane", "addresses", "192.0.2.5/25", FIELD(dataplane.addresses[0].bits), 25 },
	{ "dataplane", "gateway4", "192.0.2.1", FIELD(dataplane.gateway4.family), NET_IPV4 },
	{ "dataplane", "gateway6", "fe80::1", FIELD(dataplane.gateway6.ip[0]), 0xfe },
	{ "dataplane", "vlan", "4094", FIELD(dataplane.vlan), 4094 },
	{ "dataplane", "mac", "02:00:00:00:ff:01", FIELD(dataplane.mac), 0x01ff00000002 },
	{ "dataplane", "exception_interface", "mr0", FIELD(dataplane.exception_interface), 0 },
	{ "media", "address", "fd77::1", FIELD(media.addresses[0].family), NET_IPV6 },
	{ "media", "public_address", "[fd77::1]=[2001:db8::1]", FIELD(media.nats[0].public.family),
		NET_IPV6 },
	{ "media", "port", "65535", FIELD(media.port), 65535 },
	{ "media", "dscp", "63", FIELD(media.dscp), 63 },
	{ "media", "history_mib", "1024", FIELD(media.history_mib), 1024 },
	{ "media", "repair_percent", "0", FIELD(media.repair_percent), 0 },
	{ "media", "repair_copies", "1", FIELD(media.repair_copies), 1 },
	{ "media", "start_mbps", "10000", FIELD(media.start_mbps), 10000 },
	{ "media", "start_max_ms", "60000", FIELD(media.start_max_ms), 60000 },
	{ "media", "pacing_percent", "0", FIELD(media.pacing_percent), 0 },
	{ "ingest", "first_port", "20002", FIELD(ingest.first_port), 20002 },
	{ "ingest", "last_port", "65535", FIELD(ingest.last_port), 65535 },
	{ "ingest", "key_frame_warn_s", "3600", FIELD(ingest.key_frame_warn_s), 3600 },
	{ "ingest", "failover_ms", "10000", FIELD(ingest.failover_ms), 10000 },
	{ "http", "address", "127.0.0.1", FIELD(http.address.family), NET_IPV4 },
	{ "http", "port", "1", FIELD(http.port), 1 },
	{ "http", "max_body_bytes", "16777216", FIELD(http.max_body_bytes), 16777216 },
	{ "http", "max_connections", "7", FIELD(http.max_connections), 7 },
	{ "http", "tls_certificate", "/etc/c.pem", FIELD(http.tls_certificate), 0 },
	{ "http", "tls_key", "/etc/k.pem", FIELD(http.tls_key), 0 },
	{ "access", "api_keys_file", "/etc/api", FIELD(access.api_keys_file), 0 },
	{ "access", "viewer_keys_file", "/etc/viewers", FIELD(access.viewer_keys_file), 0 },
	{ "access", "jwt_key_file", "/etc/jwt", FIELD(access.jwt_key_file), 0 },
	{ "access", "jwt_stream_claim", "room", FIELD(access.jwt_stream_claim), 0 },
	{ "access", "jwt_api_scope", "steer", FIELD(access.jwt_api_scope), 0 },
	{ "access", "jwt_audience", "edge", FIELD(access.jwt_audience), 0 },
	{ "access", "strict_sessions", "yes", FIELD(access.strict_sessions), 1 },
	{ "whep", "strict_etag", "yes", FIELD(whep.strict_etag), 1 },
	{ "whep", "setup_timeout_s", "41", FIELD(whep.setup_timeout_s), 41 },
	{ "whep", "consent_timeout_s", "31", FIELD(whep.consent_timeout_s), 31 },
	{ "whep", "source_timeout_s", "0", FIELD(whep.source_timeout_s), 0 },
	{ "whep", "max_peers", "100", FIELD(whep.max_peers), 100 },
	{ "whep", "max_peers_per_stream", "0", FIELD(whep.max_peers_per_stream), 0 },
	{ "whep", "max_connecting", "9", FIELD(whep.max_connecting), 9 },
	{ "whep", "public_prefix", "/edge1", FIELD(whep.public_prefix), 0 },
	{ "whep", "strict_h264", "yes", FIELD(whep.strict_h264), 1 },
	{ "whep", "partial_accept", "on", FIELD(whep.partial_accept), 1 },
	{ "limits", "stun_pps", "0", FIELD(limits.stun_pps), 0 },
	{ "limits", "stun_burst", "1", FIELD(limits.stun_burst), 1 },
	{ "limits", "dtls_pps", "1000000", FIELD(limits.dtls_pps), 1000000 },
	{ "limits", "dtls_burst", "51", FIELD(limits.dtls_burst), 51 },
	{ "control", "state", "/tmp/streams.json", FIELD(control.state), 0 },
	{ "limits", "post_per_second", "0", FIELD(limits.post_per_second), 0 },
	{ "limits", "post_burst", "1", FIELD(limits.post_burst), 1 },
	{ "limits", "change_per_second", "7", FIELD(limits.change_per_second), 7 },
	{ "limits", "change_burst", "8", FIELD(limits.change_burst), 8 },
	{ "log", "level", "debug", FIELD(log.level), LOG_LEVEL_DEBUG },
};

static bool has_value(const struct conf *conf, const struct row *row)
{
	const char *field = (const char *)conf + row->offset;
	uint64_t number = 0;

	if (row->bytes > sizeof(number))
		return strcmp(field, row->value) == 0;
	memcpy(&number, field, row->bytes);
	return number == row->number;
}

// "--section-option=value"; static.
static const char *argument_of(const struct row *row, const char *value)
{
	static char text[PATH_MAX + 100];

	snprintf(text, sizeof(text), "--%s-%s=%s", row->section, row->name, value);
	for (char *c = text; *c != '='; c++)
		*c = *c == '_' ? '-' : *c;
	return text;
}

static void test_defaults(void **state)
{
	const struct conf *conf = &run.conf;

	run_conf_text(&run, "", NULL);
	assert_int_equal(run.status, 0);
	assert_string_equal(run.err, "");
	assert_string_equal(run.out, "");
	for (size_t i = 0; i < N(rows); i++)
		assert_false(has_value(conf, &rows[i]));
	assert_string_equal(conf->dataplane.interface, "");
	assert_string_equal(conf->dataplane.socket, "/run/millrace/dataplane.sock");
	assert_string_equal(strrchr(conf->dataplane.steer_program, '/'), "/steer.o");
	assert_int_equal(conf->dataplane.n_cores, 1);
	assert_int_equal(conf->dataplane.cores[0], 1);
	assert_int_equal(conf->dataplane.idle_sleep_us, 200);
	assert_int_equal(conf->dataplane.flow_steering, CONF_STEERING_AUTO);
	assert_int_equal(conf->dataplane.memory_mib, 256);
	assert_int_equal(conf->dataplane.max_peers, 1024);
	assert_int_equal(conf->dataplane.max_streams, 64);
	assert_int_equal(conf->dataplane.mtu, 1500);
	assert_int_equal(conf->media.n_addresses, 0);
	assert_int_equal(conf->media.port, 8189);
	assert_int_equal(conf->media.dscp, 34);
	assert_int_equal(conf->media.history_mib, 8);
	assert_int_equal(conf->media.repair_percent, 50);
	assert_int_equal(conf->media.repair_copies, 2);
	assert_int_equal(conf->media.pacing_percent, 50);
	assert_int_equal(conf->ingest.first_port, 20000);
	assert_int_equal(conf->ingest.last_port, 29999);
	assert_int_equal(conf->ingest.key_frame_warn_s, 12);
	assert_int_equal(conf->ingest.failover_ms, 200);
	assert_int_equal(conf->http.address.family, NET_IPV6);
	assert_int_equal(conf->http.port, 8080);
	assert_int_equal(conf->http.max_body_bytes, 131072);
	assert_int_equal(conf->http.max_connections, 1024);
	assert_int_equal(conf->whep.setup_timeout_s, 40);
	assert_int_equal(conf->whep.consent_timeout_s, 30);
	assert_int_equal(conf->whep.source_timeout_s, 30);
	assert_int_equal(conf->whep.max_peers, 0);
	assert_int_equal(conf->whep.max_peers_per_stream, 8);
	assert_int_equal(conf->limits.stun_pps, 50);
	assert_int_equal(conf->limits.stun_burst, 100);
	assert_int_equal(conf->limits.dtls_pps, 50);
	assert_int_equal(conf->limits.dtls_burst, 100);
	assert_int_equal(conf->log.level, LOG_LEVEL_INFO);
	assert_false(conf->check_only);
}

static void test_each_option(void **state)
{
	char text[300];

	for (size_t i = 0; i < N(rows); i++) {
		const struct row *row = &rows[i];

		snprintf(
			text, sizeof(text), "[%s]\n%s = %s\n", row->section, row->name, row->value);
		run_conf_text(&run, text, NULL);
		assert_string_equal(run.err, "");
		assert_int_equal(run.status, 0);
		assert_true(has_value(&run.conf, row));

		// Nothing else has changed, and the command line does the same.
		run_conf_text(&other, "", (const char *[]){ argument_of(row, row->value), NULL });
		assert_string_equal(other.err, "");
		assert_int_equal(other.status, 0);
		assert_memory_equal(&run.conf, &other.conf, sizeof(run.conf));
		for (size_t j = 0; j < N(rows); j++) {
			if (j != i)
				assert_false(has_value(&run.conf, &rows[j]));
		}
	}
}

static void test_help_names_each_option(void **state)
{
	size_t n_options = 0;
	const char *line;
	char *argument;

	run_conf(&run, (const char *[]){ "--http-port=bad", "--help", NULL });
	assert_int_equal(run.status, 1);
	assert_string_equal(run.err, "");
	for (size_t i = 0; i < N(rows); i++) {
		argument = strdup(argument_of(&rows[i], ""));
		assert_non_null(strstr(run.out, argument));
		free(argument);
	}
	for (line = run.out; (line = strstr(line, "\n  --")); line++)
		n_options++;
	// beside --config, --check-config, --help and --version
	assert_int_equal(n_options, N(rows) + 4);
	assert_non_null(strstr(run.out, "Usage: prog "));
	assert_non_null(strstr(run.out, "\nWhat it is for.\n"));
	assert_non_null(
		strstr(run.out, "(1 to\n                                  3600, default 40)"));
	for (line = strtok(run.out, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(strlen(line), 0, 80);
}

static void test_version(void **state)
{
	char wanted[80];

	snprintf(
		wanted, sizeof(wanted), "prog " MILLRACE_VERSION " (ABI %d)\n", REGION_ABI_VERSION);
	run_conf(&run, (const char *[]){ "--version", NULL });
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, wanted);
	assert_string_equal(run.err, "");
}

static void test_precedence(void **state)
{
	static const char text[] = "[http]\nport = 81\n[log]\nlevel = warn\n";

	run_conf_text(&run, text, (const char *[]){ "--http-port=82", NULL });
	assert_int_equal(run.status, 0);
	assert_int_equal(run.conf.http.port, 82);
	assert_int_equal(run.conf.log.level, LOG_LEVEL_WARN);

	run_conf_text(&run, text,
		(const char *[]){ "--http-port=82", "--http-port", "83", "--whep-strict-h264",
			"--log-level", "error", NULL });
	assert_int_equal(run.status, 0);
	assert_int_equal(run.conf.http.port, 83);
	assert_int_equal(run.conf.log.level, LOG_LEVEL_ERROR);
	assert_true(run.conf.whep.strict_h264);

	run_conf_text(&run, "[whep]\nstrict_h264 = yes\n[media]\naddress = 198.18.77.1, ::1\n",
		(const char *[]){ "--whep-strict-h264=no", "--media-address=", NULL });
	assert_int_equal(run.status, 0);
	assert_false(run.conf.whep.strict_h264);
	assert_int_equal(run.conf.media.n_addresses, 0);
}

static void test_cores(void **state)
{
	static const struct {
		const char *text;
		uint16_t n_cores;
		uint16_t cores[CONF_MAX_WORKERS];
	} good[] = {
		{ "0", 1, { 0 } },
		{ "1023", 1, { 1023 } },
		{ "1,2", 2, { 1, 2 } },
		{ "3 1", 2, { 3, 1 } },
		{ " 4 ,\t2 ", 2, { 4, 2 } },
		{ "1-3", 3, { 1, 2, 3 } },
		{ "7,1-3,5-5", 5, { 7, 1, 2, 3, 5 } },
		{ "0-15", 16, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } },
	};
	char argument[100];

	for (size_t i = 0; i < N(good); i++) {
		snprintf(argument, sizeof(argument), "--dataplane-cores=%s", good[i].text);
		run_conf_text(&run, "", (const char *[]){ argument, NULL });
		assert_string_equal(run.err, "");
		assert_int_equal(run.conf.dataplane.n_cores, good[i].n_cores);
		assert_memory_equal(run.conf.dataplane.cores, good[i].cores, sizeof(good[i].cores));
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		uint16_t n;
		const char *first, *last;
	} good[] = {
		{ "", 0, "", "" },
		{ "any", 0, "", "" },
		{ "198.18.77.1", 1, "198.18.77.1:0", "198.18.77.1:0" },
		{ "198.18.77.1,fd77::1", 2, "198.18.77.1:0", "[fd77::1]:0" },
		{ " [fd77::1] , ::ffff:198.18.77.1 ", 2, "[fd77::1]:0", "198.18.77.1:0" },
		{ "::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8", 8, "[::1]:0", "[::8]:0" },
	};
	char argument[100], text[NET_ADDR_TEXT_BYTES];

	for (size_t i = 0; i < N(good); i++) {
		snprintf(argument, sizeof(argument), "--media-address=%s", good[i].text);
		run_conf_text(&run, "", (const char *[]){ argument, NULL });
		assert_string_equal(run.err, "");
		assert_int_equal(run.conf.media.n_addresses, good[i].n);
		if (good[i].n == 0)
			continue;
		assert_string_equal(
			net_addr_text(&run.conf.media.addresses[0], text), good[i].first);
		assert_string_equal(net_addr_text(&run.conf.media.addresses[good[i].n - 1], text),
			good[i].last);
	}
}

static void test_http_address(void **state)
{
	static const struct {
		const char *text, *shown;
	} good[] = {
		{ "any", "[::]:0" },
		{ "0.0.0.0", "0.0.0.0:0" },
		{ "::", "[::]:0" },
		{ "[::]", "[::]:0" },
		{ "127.0.0.1", "127.0.0.1:0" },
	};
	char argument[100], text[NET_ADDR_TEXT_BYTES];

	for (size_t i = 0; i < N(good); i++) {
		snprintf(argument, sizeof(argument), "--http-address=%s", good[i].text);
		run_conf_text(&run, "", (const char *[]){ argument, NULL });
		assert_string_equal(run.err, "");
		assert_string_equal(net_addr_text(&run.conf.http.address, text), good[i].shown);
	}
}

static void test_words_and_flags(void **state)
{
	static const char *const flags[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };
	static const struct {
		const char *argument;
		int idle, engine, level;
	} words[] = {
		{ "--dataplane-idle=poll", CONF_IDLE_POLL, CONF_ENGINE_AUTO, LOG_LEVEL_INFO },
		{ "--dataplane-idle=sleep", CONF_IDLE_SLEEP, CONF_ENGINE_AUTO, LOG_LEVEL_INFO },
		{ "--dataplane-engine=auto", CONF_IDLE_POLL, CONF_ENGINE_AUTO, LOG_LEVEL_INFO },
		{ "--dataplane-engine=fast", CONF_IDLE_POLL, CONF_ENGINE_FAST, LOG_LEVEL_INFO },
		{ "--log-level=error", CONF_IDLE_POLL, CONF_ENGINE_AUTO, LOG_LEVEL_ERROR },
		{ "--log-level=warn", CONF_IDLE_POLL, CONF_ENGINE_AUTO, LOG_LEVEL_WARN },
		{ "--log-level=info", CONF_IDLE_POLL, CONF_ENGINE_AUTO, LOG_LEVEL_INFO },
	};
	char argument[100];

	for (size_t i = 0; i < N(flags); i++) {
		snprintf(argument, sizeof(argument), "--whep-partial-accept=%s", flags[i]);
		run_conf_text(&run, "", (const char *[]){ argument, NULL });
		assert_int_equal(run.status, 0);
		assert_int_equal(run.conf.whep.partial_accept, i % 2);
	}
	for (size_t i = 0; i < N(words); i++) {
		run_conf_text(&run, "", (const char *[]){ words[i].argument, NULL });
		assert_int_equal(run.status, 0);
		assert_int_equal(run.conf.dataplane.idle, words[i].idle);
		assert_int_equal(run.conf.dataplane.engine, words[i].engine);
		assert_int_equal(run.conf.log.level, words[i].level);
	}
}

static void test_longest_text(void **state)
{
	static const struct {
		const char *section, *name;
		size_t offset, longest;
	} texts[] = {
		{ "dataplane", "interface", offsetof(struct conf, dataplane.interface), 15 },
		{ "dataplane", "device", offsetof(struct conf, dataplane.device), 255 },
		{ "dataplane", "socket", offsetof(struct conf, dataplane.socket), 107 },
		{ "dataplane", "steer_program", offsetof(struct conf, dataplane.steer_program),
			4095 },
	};
	static char text[PATH_MAX + 200];

	for (size_t i = 0; i < N(texts); i++) {
		size_t head = (size_t)sprintf(text, "[%s]\n%s = ", texts[i].section, texts[i].name);

		memset(text + head, 'x', texts[i].longest);
		text[head + texts[i].longest] = '\0';
		run_conf_text(&run, text, NULL);
		assert_string_equal(run.err, "");
		assert_string_equal((char *)&run.conf + texts[i].offset, text + head);
		strcat(text, "x");
		run_conf_text(&run, text, NULL);
		assert_int_equal(run.status, 2);
	}
}

// What a file may look like and still say port 81 and level warn.
static void test_forms_of_file(void **state)
{
	static const char *const good[] = {
		"[http]\nport = 81\n[log]\nlevel = warn",
		"[http]\r\nport=81\r\n\r\n[log]\r\nlevel:warn\r\n",
		"\xef\xbb\xbf[http]\nport = 81\n[log]\nlevel = warn\n",
		"\xef\xbb\xbf; m\xc3\xbchlgraben\n[http]\nport = 81\n[log]\nlevel = warn\n",
		"  [http] # c\n\t port \t=  81  ; c\n\n#x\n;y\n \t\n[log];c\n  level = warn # c\n",
		"[log]\nlevel = warn\n[http]\n[whep]\n[http]\nport = 81\n",
	};

	for (size_t i = 0; i < N(good); i++) {
		run_conf_text(&run, good[i], NULL);
		assert_string_equal(run.err, "");
		assert_int_equal(run.status, 0);
		assert_int_equal(run.conf.http.port, 81);
		assert_int_equal(run.conf.log.level, LOG_LEVEL_WARN);
	}
}

static void test_check_config(void **state)
{
	run_conf_text(&run, "[dataplane]\ninterface = edge0\n",
		(const char *[]){ "--check-config", NULL });
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, "configuration is fine: F\n");
	assert_string_equal(run.err, "");

	run_conf_text(&run, "", (const char *[]){ "--check-config", NULL });
	assert_int_equal(run.status, 2);
	assert_string_equal(run.out, "");
	assert_string_equal(
		run.err, "[dataplane] interface: expected it or device, found neither\n");
}

static void test_check_dataplane(void **state)
{
	static const struct {
		const char *interface, *device;
		int result;
	} cases[] = {
		{ "", "", -EINVAL },
		{ "edge0", "", 0 },
		{ "", "net_null0", 0 },
		{ "edge0", "net_null0", -EINVAL },
	};
	static struct conf conf;

	for (size_t i = 0; i < N(cases); i++) {
		strcpy(conf.dataplane.interface, cases[i].interface);
		strcpy(conf.dataplane.device, cases[i].device);
		assert_int_equal(conf_check_dataplane(&conf), cases[i].result);
	}
}

static void test_check_control(void **state)
{
	static const struct {
		const char *certificate, *key;
		int result;
	} cases[] = {
		{ "", "", 0 },
		{ "/c.pem", "", -EINVAL },
		{ "", "/k.pem", -EINVAL },
		{ "/c.pem", "/k.pem", 0 },
	};
	static struct conf conf;

	for (size_t i = 0; i < N(cases); i++) {
		strcpy(conf.http.tls_certificate, cases[i].certificate);
		strcpy(conf.http.tls_key, cases[i].key);
		assert_int_equal(conf_check_control(&conf), cases[i].result);
	}
	run_conf_text(&run, "[dataplane]\ninterface = edge0\n[http]\ntls_key = /k.pem\n",
		(const char *[]){ "--check-config", NULL });
	assert_int_equal(run.status, 2);
	assert_string_equal(
		run.err, "[http] tls_certificate: expected it beside tls_key, found none\n");
}

static size_t read_example(char *text, size_t room)
{
	FILE *file = fopen(EXAMPLE, "r");
	size_t bytes;

	assert_non_null(file);
	bytes = fread(text, 1, room - 1, file);
	assert_true(feof(file));
	fclose(file);
	text[bytes] = '\0';
	return bytes;
}

// Take the '#' off every line that is an option, "#name = value".
// Return: how many there are.
static size_t uncomment(char *text)
{
	size_t n_options = 0;

	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z') {
			line[0] = ' ';
			n_options++;
		}
	}
	return n_options;
}

static void test_example(void **state)
{
	static char text[32768];

	run_conf_text(&other, "", NULL);
	read_example(text, sizeof(text));
	run_conf_text(&run, text, NULL);
	assert_string_equal(run.err, "");
	assert_memory_equal(&run.conf, &other.conf, sizeof(run.conf));

	// With every option in force: each there once (a second is a fault), with its default.
	assert_int_equal(uncomment(text), N(rows));
	run_conf_text(&run, text, NULL);
	assert_string_equal(run.err, "");
	assert_memory_equal(&run.conf, &other.conf, sizeof(run.conf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_each_option),
		cmocka_unit_test(test_help_names_each_option),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_cores),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_http_address),
		cmocka_unit_test(test_words_and_flags),
		cmocka_unit_test(test_longest_text),
		cmocka_unit_test(test_forms_of_file),
		cmocka_unit_test(test_check_config),
		cmocka_unit_test(test_check_dataplane),
		cmocka_unit_test(test_check_control),
		cmocka_unit_test(test_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
