#include "dataplane/abi/conf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/abi/priv/conf_reading.h"
#include "dataplane/abi/priv/conf_value.h"
#include "dataplane/abi/region.h"

void conf_set(struct conf_reading *reading, const struct conf_option *option, int origin,
	const char *text)
{
	char expected[CONF_EXPECTS_BYTES], quoted[CONF_QUOTE_BYTES];

	reading->origins[option - conf_options] = origin;
	if (conf_value_parse(option, text, reading->conf) < 0)
		conf_fault_option(reading, option, "expected %s, found %s",
			conf_value_expects(option, expected), conf_quote(text, quoted));
}

static void set_presets(struct conf_reading *reading)
{
	memset(reading->conf, 0, sizeof(*reading->conf));
	for (size_t i = 0; i < conf_n_options; i++)
		conf_set(reading, &conf_options[i], CONF_ORIGIN_PRESET, conf_options[i].preset);
	assert(reading->n_faults == 0);
}

// The program that runs from a folder of its own has its XDP program beside it.
static bool find_steer_program_beside(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - sizeof("/steer.o"));
	char *slash;

	if (bytes <= 0)
		return false;
	self[bytes] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	strcpy(slash, "/steer.o");
	if (access(self, R_OK) < 0)
		return false;
	strcpy(path, self);
	return true;
}

static void set_steer_program(struct conf *conf)
{
	static const char installed[] = MILLRACE_LIBDIR "/steer.o";
	char *path = conf->dataplane.steer_program;

	if (!*path && !find_steer_program_beside(path))
		memcpy(path, installed, sizeof(installed));
}

static void check_ingest(struct conf_reading *reading)
{
	const struct conf *conf = reading->conf;
	unsigned first = conf->ingest.first_port, last = conf->ingest.last_port;

	if (first % 2)
		conf_fault_option(reading, conf_option_find("ingest", "first_port"),
			"expected an even port (RTP; RTCP is on the next one), found %u", first);
	if (last < first)
		conf_fault_option(reading, conf_option_find("ingest", "last_port"),
			"expected at least first_port, which is %u, found %u", first, last);
	if (conf->media.port >= first && conf->media.port <= last)
		conf_fault_option(reading, conf_option_find("media", "port"),
			"expected a port outside [ingest], which has %u to %u, found %u", first,
			last, conf->media.port);
}

// A limiter that may never hold a packet lets none pass.
static void check_burst(
	struct conf_reading *reading, uint32_t pps, uint32_t burst, const char *option)
{
	if (pps > 0 && burst == 0)
		conf_fault_option(reading, conf_option_find("limits", option),
			"expected at least 1 beside a limit of %u a second, found 0", pps);
}

// As it stands in front of a path: "/edge1", not "edge1" or "/edge1/".
static void check_prefix(struct conf_reading *reading)
{
	static const char unreserved[] = "/-._~0123456789abcdefghijklmnopqrstuvwxyz"
					 "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *prefix = reading->conf->whep.public_prefix;
	size_t chars = strlen(prefix);

	if (chars == 0)
		return;
	if (prefix[0] != '/' || prefix[chars - 1] == '/' || strspn(prefix, unreserved) != chars)
		conf_fault_option(reading, conf_option_find("whep", "public_prefix"),
			"expected a path such as /edge1, with no slash at its end, found \"%s\"",
			prefix);
}

static void check_all(struct conf_reading *reading)
{
	const struct conf *conf = reading->conf;

	check_ingest(reading);
	check_prefix(reading);
	check_burst(reading, conf->limits.stun_pps, conf->limits.stun_burst, "stun_burst");
	check_burst(reading, conf->limits.dtls_pps, conf->limits.dtls_burst, "dtls_burst");
	check_burst(reading, conf->limits.post_per_second, conf->limits.post_burst, "post_burst");
	check_burst(
		reading, conf->limits.change_per_second, conf->limits.change_burst, "change_burst");
}

// A link-local router (fe80::/10) is on every link.
static bool on_link(const struct conf *conf, const struct net_addr *addr)
{
	if (addr->family == NET_IPV6 && addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80)
		return true;
	for (uint16_t i = 0; i < conf->dataplane.n_addresses; i++) {
		if (conf_prefix_holds(&conf->dataplane.addresses[i], addr))
			return true;
	}
	return false;
}

static int check_gateway(const struct conf *conf, const struct net_addr *gateway, const char *name)
{
	static const uint8_t any[16];

	if (gateway->family == NET_NONE)
		return 0;
	// Whichever router advertises itself is on the link.
	if (conf->dataplane.n_addresses &&
		(memcmp(gateway->ip, any, sizeof(any)) == 0 || on_link(conf, gateway)))
		return 0;
	fprintf(stderr, "[dataplane] %s: expected a router within the prefix of one of addresses\n",
		name);
	return -EINVAL;
}

// What makes a host of a device.
static int check_device_options(const struct conf *conf)
{
	bool answers = conf->dataplane.n_addresses > 0;

	if (answers && !*conf->dataplane.device) {
		fprintf(stderr, "[dataplane] addresses: expected only with device; an interface's "
				"are the kernel's\n");
		return -EINVAL;
	}
	if (*conf->dataplane.exception_interface && !answers) {
		fprintf(stderr, "[dataplane] exception_interface: expected it beside addresses, "
				"found none\n");
		return -EINVAL;
	}
	if (check_gateway(conf, &conf->dataplane.gateway4, "gateway4") < 0)
		return -EINVAL;
	return check_gateway(conf, &conf->dataplane.gateway6, "gateway6");
}

bool conf_prefix_holds(const struct conf_prefix *prefix, const struct net_addr *addr)
{
	uint8_t bytes = prefix->bits / 8, rest = prefix->bits % 8;

	if (prefix->addr.family != addr->family || memcmp(prefix->addr.ip, addr->ip, bytes) != 0)
		return false;
	return rest == 0 || (prefix->addr.ip[bytes] ^ addr->ip[bytes]) >> (8 - rest) == 0;
}

int conf_check_dataplane(const struct conf *conf)
{
	bool has_interface = *conf->dataplane.interface, has_device = *conf->dataplane.device;

	if (has_interface != has_device)
		return check_device_options(conf);
	if (has_interface)
		fprintf(stderr, "[dataplane] interface: expected it or device, found both\n");
	else
		fprintf(stderr, "[dataplane] interface: expected it or device, found neither\n");
	return -EINVAL;
}

int conf_check_control(const struct conf *conf)
{
	bool has_certificate = *conf->http.tls_certificate, has_key = *conf->http.tls_key;

	if (has_certificate == has_key)
		return 0;
	fprintf(stderr, "[http] %s: expected it beside %s, found none\n",
		has_key ? "tls_certificate" : "tls_key", has_key ? "tls_key" : "tls_certificate");
	return -EINVAL;
}

// Return: as conf_load.
static int judge_and_say(const struct conf_reading *reading)
{
	bool faulty = conf_check_dataplane(reading->conf) < 0;

	if (conf_check_control(reading->conf) < 0 || faulty || reading->n_faults > 0)
		return 2;
	if (access(reading->path, F_OK) == 0)
		printf("configuration is fine: %s\n", reading->path);
	else
		printf("configuration is fine: %s (absent: defaults)\n", reading->path);
	return 1;
}

int conf_load(const char *prog, const char *doc, int argc, char **argv, struct conf *out)
{
	struct conf conf;
	struct conf_reading reading = { .path = CONF_DEFAULT_PATH, .conf = &conf };
	struct conf_args args;

	set_presets(&reading);
	conf_args_read(&reading, argc, argv, &args);
	if (args.help) {
		conf_help_print(prog, doc);
		return 1;
	}
	if (args.version) {
		printf("%s " MILLRACE_VERSION " (ABI %d)\n", prog, REGION_ABI_VERSION);
		return 1;
	}
	if (args.path)
		reading.path = args.path;
	conf_file_read(&reading, args.path != NULL);
	conf_args_apply(&reading, &args);
	set_steer_program(&conf);
	check_all(&reading);
	conf.check_only = args.check;
	if (args.check)
		return judge_and_say(&reading);
	if (reading.n_faults > 0)
		return 2;
	*out = conf;
	return 0;
}
