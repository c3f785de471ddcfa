// What conf_load refuses, and the very words: every fault once, with its line.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/conf/run_conf.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct run run;

// A refusal leaves the caller's struct as it was.
static void assert_refused(const char *err)
{
	const char *bytes = (const char *)&run.conf;

	assert_string_equal(run.err, err);
	assert_int_equal(run.status, 2);
	assert_string_equal(run.out, "");
	for (size_t i = 0; i < sizeof(run.conf); i++)
		assert_int_equal((unsigned char)bytes[i], 0xa5);
}

#define CORES_EXPECTED "1 to 16 different core numbers up to 1023, such as 1,2 or 1-3"
#define PREFIXES_EXPECTED                                                                     \
	"at most 8 different addresses with their prefix, such as 192.0.2.5/24, with commas " \
	"between"
#define LIST_EXPECTED "at most 8 different IPv4 or IPv6 addresses with commas between, or any"

static void test_bad_values(void **state)
{
	static const struct {
		const char *section, *name, *expected;
		const char *values[24];
	} rows[] = {
		{ "http", "port", "a whole number from 1 to 65535",
			{ "", "abc", "0", "65536", "-1", "+1", "1.5", "0x50", "80 80", "1e3", "80a",
				"4294967297", "18446744073709551617",
				"99999999999999999999999999999999" } },
		{ "media", "dscp", "a whole number from 0 to 63", { "64", "256", "320" } },
		{ "dataplane", "mtu", "a whole number from 1280 to 9000", { "1279", "9001" } },
		{ "dataplane", "idle_sleep_us", "a whole number from 10 to 5000", { "9", "5001" } },
		{ "dataplane", "max_peers", "a whole number from 1 to 65536", { "0", "65537" } },
		{ "dataplane", "idle", "poll or sleep", { "", "Poll", "pol", "polls", "0" } },
		{ "dataplane", "flow_steering", "auto or off", { "on", "yes" } },
		{ "dataplane", "engine", "auto, fast or libsrtp2", { "nss", "fast,auto" } },
		{ "log", "level", "error, warn, info or debug", { "warning", "3" } },
		{ "whep", "strict_h264", "yes or no", { "", "2", "YES", "nope" } },
		{ "dataplane", "interface", "plain text of at most 15 bytes, without quotes",
			{ "abcdefghijklmnop", "'edge0'" } },
		{ "dataplane", "cores", CORES_EXPECTED,
			{ "", ",", "1,", ",1", "1,,2", "1,1", "1-3,2", "3-1", "1-", "-1", "1-2-3",
				"a", "1024", "1-1024", "0-16", "0-15,16", "4294967296", "65537" } },
		{ "http", "address", "an IPv4 or IPv6 address, or any",
			{ "", "localhost", "1.2.3", "[1.2.3.4]", "[::1", "::1]", "[]", "[::]:80",
				"::g", "1.2.3.4, ::1" } },
		{ "media", "public_address",
			"at most 8 pairs LOCAL=PUBLIC of one address family with commas between",
			{ "203.0.113.5", "198.18.77.1=fd77::1",
				"198.18.77.1=", "198.18.77.1=203.0.113.5,198.18.77.1=203.0.113.6",
				"198.18.77.1=203.0.113.5,198.18.77.2=203.0.113.5",
				"198.18.77.1=0.0.0.0", "198.18.77.1=203.0.113.5," } },
		{ "media", "address", LIST_EXPECTED,
			{ "edge", "198.18.77.1,", "198.18.77.1,any", "0.0.0.0", "::", "::1,::1",
				"198.18.77.1 ::ffff:198.18.77.1",
				"::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9" } },
		{ "dataplane", "addresses", PREFIXES_EXPECTED,
			{ "192.0.2.5", "192.0.2.5/", "192.0.2.5/0", "192.0.2.5/33", "::1/64",
				"127.0.0.1/8", "ff02::1/64", "224.0.0.1/4", "0.0.0.0/8",
				"2001:db8::5/129", "192.0.2.5/24,192.0.2.5/25", "192.0.2.5/24," } },
		{ "dataplane", "gateway4", "a router's IPv4 address",
			{ "auto", "fe80::1", "0.0.0.0", "224.0.0.1", "192.0.2.1/24" } },
		{ "dataplane", "gateway6", "a router's IPv6 address, or auto",
			{ "192.0.2.1", "::", "ff02::2", "Auto" } },
		{ "dataplane", "vlan", "a whole number from 0 to 4094", { "4095" } },
		{ "dataplane", "mac", "a MAC address of one card, such as 02:00:00:00:00:01",
			{ "02", "02:00:00:00:00",
				"02:00:00:00:00:", "02:00:00:00:00:01:", "02:00:00:00:00:0g",
				"0200.0000.0001", "01:00:5e:00:00:01", "00:00:00:00:00:00" } },
	};
	char text[300], err[600], argument[300];

	for (size_t i = 0; i < N(rows); i++) {
		for (size_t j = 0; rows[i].values[j]; j++) {
			const char *value = rows[i].values[j];

			snprintf(text, sizeof(text), "# c\n[%s]\n\n%s = %s\n", rows[i].section,
				rows[i].name, value);
			snprintf(err, sizeof(err), "F:4: [%s] %s: expected %s, found \"%s\"\n",
				rows[i].section, rows[i].name, rows[i].expected, value);
			run_conf_text(&run, text, NULL);
			assert_refused(err);

			snprintf(argument, sizeof(argument), "--%s-%s", rows[i].section,
				rows[i].name);
			for (char *c = argument; *c; c++)
				*c = *c == '_' ? '-' : *c;
			snprintf(err, sizeof(err), "%s: expected %s, found \"%s\"\n", argument,
				rows[i].expected, value);
			strcat(strcat(argument, "="), value);
			run_conf_text(&run, "", (const char *[]){ argument, NULL });
			assert_refused(err);
		}
	}
}

static void test_all_faults_with_lines(void **state)
{
	static const char text[] = "port = 1\n"		   // 1
				   "[http]\n"		   // 2
				   "port = abc\n"	   // 3
				   "; port = x\n"	   // 4
				   "prot = 80\n"	   // 5
				   "max-body-bytes = 80\n" // 6
				   "dscp = 3\n"		   // 7
				   "zzzzzzzz = 3\n"	   // 8
				   "nonsense\n"		   // 9
				   "port = 80\n"	   // 10
				   "[htp]\n"		   // 11
				   "port = x\n"		   // 12: one fault for the section
				   "nonsense\n"		   // 13
				   "[zzzzzzzzz]\n"	   // 14
				   "[media\n"		   // 15
				   "port = x\n"		   // 16
				   "[media] port = 1\n"	   // 17
				   "[]\n"		   // 18
				   "[media]\n"		   // 19
				   "dscp = 64\n"	   // 20
				   "   dscp = 65\n"	   // 21
				   "= 3\n"		   // 22
				   "port = \n"		   // 23
				   "[log]\r\n"		   // 24
				   "level = loud\r\n";	   // 25
	run_conf_text(&run, text,
		(const char *[]){ "--http-prot=1", "--whep-max-peers=-1", "stray", "-x", "--",
			"--zzzzzzzzzzzz", "--help=1x", "--log-level", NULL });
	// --help is --help, with a fault or without
	assert_int_equal(run.status, 1);
	run_conf_text(&run, text,
		(const char *[]){ "--http-prot=1", "--whep-max-peers=-1", "stray", "-x", "--",
			"--zzzzzzzzzzzz", "--check-config=1x", "--http-port", "--log-level",
			NULL });
	assert_refused(
		"no such option: \"--http-prot=1\" (did you mean --http-port?)\n"
		"expected --section-option=value, found \"stray\"\n"
		"expected --section-option=value, found \"-x\"\n"
		"expected --section-option=value, found \"--\"\n"
		"no such option: \"--zzzzzzzzzzzz\" (see --help)\n"
		"--check-config: expected no value\n"
		"--http-port: expected --http-port=VALUE\n"
		"--log-level: expected --log-level=VALUE\n"
		"F:1: expected a [section] before the first option\n"
		"F:3: [http] port: expected a whole number from 1 to 65535, found \"abc\"\n"
		"F:5: [http] has no option \"prot\" (did you mean port?)\n"
		"F:6: [http] has no option \"max-body-bytes\" (did you mean max_body_bytes?)\n"
		"F:7: [http] has no option \"dscp\" (did you mean that of [media]?)\n"
		"F:8: [http] has no option \"zzzzzzzz\"\n"
		"F:9: expected [section] or option = value, found \"nonsense\"\n"
		"F:10: [http] port: given before, on line 3\n"
		"F:11: no section is named \"htp\" (did you mean [http]?)\n"
		"F:14: no section is named \"zzzzzzzzz\"\n"
		"F:15: expected [section] alone, found \"[media\"\n"
		"F:17: expected [section] alone, found \"[media] port = 1\"\n"
		"F:18: no section is named \"\"\n"
		"F:20: [media] dscp: expected a whole number from 0 to 63, found \"64\"\n"
		"F:21: [media] dscp: given before, on line 20\n"
		"F:22: [media] has no option \"\"\n"
		"F:23: [media] port: expected a whole number from 1 to 65535, found \"\"\n"
		"F:25: [log] level: expected error, warn, info or debug, found \"loud\"\n"
		"--whep-max-peers: expected a whole number from 0 to 65536, found \"-1\"\n"
		"[dataplane] interface: expected it or device, found neither\n");
}

static void test_cross_checks(void **state)
{
	run_conf_text(&run, "[ingest]\nfirst_port = 20001\n\nlast_port = 20000\n", NULL);
	assert_refused(
		"F:2: [ingest] first_port: expected an even port (RTP; RTCP is on the next one), "
		"found 20001\n"
		"F:4: [ingest] last_port: expected at least first_port, which is 20001, found "
		"20000\n");
	run_conf_text(&run, "[ingest]\nfirst_port = 30000\n", NULL);
	assert_refused(
		"[ingest] last_port: expected at least first_port, which is 30000, found 29999\n");
	for (int port = 19999; port <= 20004; port++) {
		char argument[40], err[200];

		sprintf(argument, "--media-port=%d", port);
		sprintf(err,
			"--media-port: expected a port outside [ingest], which has 20000 to 20003, "
			"found %d\n",
			port);
		run_conf_text(
			&run, "[ingest]\nlast_port = 20003\n", (const char *[]){ argument, NULL });
		if (port >= 20000 && port <= 20003)
			assert_refused(err);
		else
			assert_int_equal(run.status, 0);
	}
	run_conf_text(&run, "[whep]\npublic_prefix = edge1/\n", NULL);
	assert_refused(
		"F:2: [whep] public_prefix: expected a path such as /edge1, with no slash at its "
		"end, found \"edge1/\"\n");
	run_conf_text(&run, "[limits]\nstun_burst = 0\ndtls_burst = 0\nstun_pps = 7\n", NULL);
	assert_refused(
		"F:2: [limits] stun_burst: expected at least 1 beside a limit of 7 a second, "
		"found 0\n"
		"F:3: [limits] dtls_burst: expected at least 1 beside a limit of 50 a second, "
		"found 0\n");
	run_conf_text(&run, "[limits]\nstun_burst = 0\nstun_pps = 0\n", NULL);
	assert_int_equal(run.status, 0);
	run_conf_text(&run, "",
		(const char *[]){ "--check-config", "--dataplane-interface=edge0",
			"--dataplane-device=net_null0", NULL });
	assert_refused("[dataplane] interface: expected it or device, found both\n");
}

// What makes a host of a device, without a device or without each other.
static void test_device_options(void **state)
{
	static const struct {
		const char *option[3];
		const char *fault;
	} rows[] = {
		{ { "--dataplane-interface=edge0", "--dataplane-addresses=192.0.2.5/24" },
			"[dataplane] addresses: expected only with device; an interface's are the "
			"kernel's\n" },
		{ { "--dataplane-device=net_null0", "--dataplane-exception-interface=mr0" },
			"[dataplane] exception_interface: expected it beside addresses, found "
			"none\n" },
		{ { "--dataplane-device=net_null0", "--dataplane-addresses=192.0.2.5/25",
			  "--dataplane-gateway4=192.0.2.129" },
			"[dataplane] gateway4: expected a router within the prefix of one of "
			"addresses\n" },
		{ { "--dataplane-device=net_null0", "--dataplane-gateway6=auto" },
			"[dataplane] gateway6: expected a router within the prefix of one of "
			"addresses\n" },
		{ { "--dataplane-device=net_null0", "--dataplane-addresses=192.0.2.5/25",
			  "--dataplane-gateway4=192.0.2.126" },
			NULL },
		{ { "--dataplane-device=net_null0", "--dataplane-addresses=2001:db8::5/64",
			  "--dataplane-gateway6=fe80::1" },
			NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		run_conf_text(&run, "",
			(const char *[]){ "--check-config", rows[i].option[0], rows[i].option[1],
				rows[i].option[2], NULL });
		if (rows[i].fault)
			assert_refused(rows[i].fault);
		else
			assert_int_equal(run.status, 1);
	}
}

static void test_files_that_cannot_be_read(void **state)
{
	run_conf(&run, (const char *[]){ "--config=no-such-file", NULL });
	assert_refused("no-such-file: cannot open it: No such file or directory\n");
	run_conf(&run, (const char *[]){ "--config", "/", NULL });
	assert_refused("/: expected a file, found a directory\n");
	run_conf(&run, (const char *[]){ "--config=", NULL });
	assert_refused(": cannot open it: No such file or directory\n");
	run_conf(&run, (const char *[]){ "--config", NULL });
	assert_refused("--config: expected --config=VALUE\n");
	run_conf(&run, (const char *[]){ "--config=/proc/self/mem", NULL });
	assert_refused("/proc/self/mem: cannot read it: Input/output error\n");

	// root may read anything
	if (geteuid() == 0)
		return;
	run_write_file("", 0);
	chmod(run_path, 0);
	run_conf(&run, (const char *[]){ "--config", run_path, NULL });
	chmod(run_path, 0600);
	assert_refused("F: cannot open it: Permission denied\n");
}

// Text of one NUL-free piece may hold NULs: bytes counts.
static void run_bytes(const void *bytes, size_t n_bytes)
{
	run_write_file(bytes, n_bytes);
	run_conf(&run, (const char *[]){ "--config", run_path, NULL });
}

static void test_bytes_that_are_no_text(void **state)
{
	static const char nuls[] = "[http]\nport = 8\0000\n[me\0dia]\nport = x\n[http]\nport = x\n";
	static const char controls[] = "[http]\nport = \x1b[2J80\nport\r = 80\n\x7f\n";
	static const char utf16[] = "\xff\xfe[\0h\0";
	static const char high[] = "[http]\n\xffpr\xc3\xb6t = 1\n";

	run_bytes(nuls, sizeof(nuls) - 1);
	assert_refused("F:2: expected text, found a byte 0x00\n"
		       "F:3: expected text, found a byte 0x00\n"
		       "F:6: [http] port: expected a whole number from 1 to 65535, found \"x\"\n");
	run_bytes(controls, sizeof(controls) - 1);
	assert_refused("F:2: expected text, found a byte 0x1b\n"
		       "F:3: expected text, found a byte 0x0d\n"
		       "F:4: expected text, found a byte 0x7f\n");
	run_bytes(utf16, sizeof(utf16) - 1);
	assert_refused("F:1: expected text, found a byte 0x00\n");
	run_bytes(high, sizeof(high) - 1);
	assert_refused("F:2: [http] has no option \"\\xffpr\\xc3\\xb6t\"\n");
	run_conf_text(&run, "\xef\xbb\xbf[htp]\nport = x\n\xef\xbb\xbf[http]\n", NULL);
	assert_refused("F:1: no section is named \"htp\" (did you mean [http]?)\n");
	run_conf_text(&run, "", (const char *[]){ "--dataplane-eal=a\nb", NULL });
	assert_refused("--dataplane-eal: expected plain text of at most 255 bytes, without quotes, "
		       "found \"a\\x0ab\"\n");
}

static void test_long_lines(void **state)
{
	enum {
		LONG = 1 << 20,
	};
	char *text = malloc(LONG + 100);
	size_t bytes;

	assert_non_null(text);
	memset(text, 'x', LONG);
	bytes = LONG + (size_t)sprintf(text + LONG, "\n[http]\nport = x\n");
	memcpy(text, "[http]\nport = ", 14);
	run_bytes(text, bytes);
	assert_refused("F:2: expected a line of at most 8191 bytes\n"
		       "F:4: [http] port: expected a whole number from 1 to 65535, found \"x\"\n");

	// the longest line that is taken, and one more; then what is shown of a long value
	memset(text, ' ', 8191);
	memcpy(text, "[http]", 6);
	run_bytes(text, 8191);
	assert_int_equal(run.status, 0);
	run_bytes(text, 8192);
	assert_refused("F:1: expected a line of at most 8191 bytes\n");
	memcpy(text, "[http]\nport=", 12);
	memset(text + 12, '8', 61);
	run_bytes(text, 72);
	assert_non_null(strstr(
		run.err, "\"888888888888888888888888888888888888888888888888888888888888\"\n"));
	run_bytes(text, 73);
	assert_non_null(strstr(
		run.err, "\"888888888888888888888888888888888888888888888888888888888888...\"\n"));
	free(text);
}

static void test_endless_file(void **state)
{
	run_conf(&run, (const char *[]){ "--config=/dev/zero", NULL });
	assert_refused("/dev/zero:1: expected a line of at most 8191 bytes\n"
		       "/dev/zero: expected a file of at most 4194304 bytes\n");
}

static void test_many_faults(void **state)
{
	static char text[4000];
	size_t n_lines = 0;

	for (size_t i = 0; i < sizeof(text) / 2 - 1; i++)
		memcpy(text + 2 * i, "x\n", 2);
	run_conf_text(&run, text, NULL);
	assert_int_equal(run.status, 2);
	for (const char *c = run.err; *c; c++)
		n_lines += *c == '\n';
	assert_int_equal(n_lines, 101);
	assert_non_null(strstr(run.err, "\nF: more faults follow\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_all_faults_with_lines),
		cmocka_unit_test(test_cross_checks),
		cmocka_unit_test(test_device_options),
		cmocka_unit_test(test_files_that_cannot_be_read),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_endless_file),
		cmocka_unit_test(test_many_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
