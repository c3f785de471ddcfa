#include "dataplane/testfan/settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/region.h"

enum kind {
	KIND_NUMBER,
	KIND_WORD,
	KIND_SHARE, // with a fraction
	KIND_MAC,
	KIND_ADDRESSES,
};

struct word {
	const char *text;
	uint64_t value;
};

struct setting {
	const char *name;
	const char *help;
	enum kind kind;
	size_t off;
	uint64_t least, most;
	const struct word *words;
};

static const struct word profile_words[] = {
	{ "gcm128", SRTP_PROFILE_GCM128 },
	{ "gcm256", SRTP_PROFILE_GCM256 },
	{ "cm80", SRTP_PROFILE_CM80 },
	{},
};

static const struct word engine_words[] = {
	{ "fast", CONF_ENGINE_FAST },
	{ "libsrtp2", CONF_ENGINE_LIBSRTP2 },
	{ "auto", CONF_ENGINE_AUTO },
	{},
};

static const struct word media_words[] = {
	{ "video", MEDIA_VIDEO },
	{ "audio", MEDIA_AUDIO },
	{ "both", MEDIA_BOTH },
	{},
};

static const struct word switch_words[] = { { "on", 1 }, { "off", 0 }, {} };

#define AT(field) offsetof(struct settings, field)

// clang-format off
static const struct setting table[] = {
	{ "peers", "viewers, spread over streams and workers",
		KIND_NUMBER, AT(peers), 1, REGION_MAX_PEERS, NULL },
	{ "streams", "streams, each with its share of the viewers",
		KIND_NUMBER, AT(streams), 1, REGION_MAX_STREAMS, NULL },
	{ "profile", "SRTP profile of all viewers", KIND_WORD, AT(profile), 0, 0, profile_words },
	{ "engine", "who seals", KIND_WORD, AT(engine), 0, 0, engine_words },
	{ "size", "bytes of RTP payload",
		KIND_NUMBER, AT(size), SETTINGS_SIZE_MIN, SETTINGS_SIZE_MAX, NULL },
	{ "rate", "packets a second and stream; 0: as many as the workers take",
		KIND_NUMBER, AT(rate), 0, 10000000, NULL },
	{ "burst", "packets of a stream that arrive together (one picture)",
		KIND_NUMBER, AT(burst), 1, SETTINGS_BURST_MAX, NULL },
	{ "media", "what comes in; both: with each picture one Opus packet",
		KIND_WORD, AT(media), 0, 0, media_words },
	{ "pacing", "share of the frame interval over which large pictures are spread, in percent",
		KIND_NUMBER, AT(pacing), 0, 50, NULL },
	{ "load", "measure the capacity for a second, then run at this share of it; 0: as rate says",
		KIND_SHARE, AT(load), 0, 10, NULL },
	{ "latency", "measure from receive to the last viewer's send",
		KIND_WORD, AT(latency), 0, 0, switch_words },
	{ "verify", "open packets of every Nth viewer with libsrtp2; 0: none",
		KIND_NUMBER, AT(verify), 0, REGION_MAX_PEERS, NULL },
	{ "nack", "of what they are sent viewers lose, and ask for again, so many percent; 0: none",
		KIND_SHARE, AT(nack), 0, SETTINGS_NACK_MAX, NULL },
	{ "rtx", "what they ask for has an SSRC of its own (RFC 4588); off: it comes as it was",
		KIND_WORD, AT(rtx), 0, 0, switch_words },
	{ "bitrate", "of one viewer, bit/s, for the viewers a core can carry",
		KIND_NUMBER, AT(bitrate), 1000, 1000000000, NULL },
	{ "ip6", "viewers over IPv6", KIND_WORD, AT(ip6), 0, 0, switch_words },
	{ "udp-base", "UDP port of the first viewer; the next has the next",
		KIND_NUMBER, AT(udp_base), 1, 65535, NULL },
	{ "eth-peer", "MAC address of the viewers' next hop", KIND_MAC, AT(eth_peer), 0, 0, NULL },
	{ "tx-ip", "our address and the first viewer's, with a comma between",
		KIND_ADDRESSES, AT(local), 0, 0, NULL },
};
// clang-format on

void settings_init(struct settings *s)
{
	*s = (struct settings){ .peers = 1000,
		.streams = 1,
		.profile = SRTP_PROFILE_GCM128,
		.engine = CONF_ENGINE_AUTO,
		.size = 1200,
		.burst = 8,
		.bitrate = 4000000,
		.rtx = 1,
		.udp_base = 10000,
		.eth_peer = { 2, 0, 0, 0, 0, 2 } };
}

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

// A number, with k, M or G for thousands, millions, milliards.
static int parse_number(const char *text, uint64_t *out)
{
	uint64_t factor = 1;
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (end == text || errno || text[0] == '-')
		return -EINVAL;
	if (*end) {
		factor = *end == 'k' ? 1000 : *end == 'M' ? 1000000 : *end == 'G' ? 1000000000 : 0;
		if (factor == 0 || end[1])
			return -EINVAL;
	}
	return __builtin_mul_overflow(*out, factor, out) ? -EINVAL : 0;
}

static int parse_word(const struct word *words, const char *text, uint64_t *out)
{
	for (; words->text; words++) {
		if (strcmp(words->text, text) == 0) {
			*out = words->value;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_share(const char *text, double most, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end == text || *end || !isfinite(*out) || *out < 0 || *out > most ? -EINVAL : 0;
}

static int parse_mac(const char *text, uint8_t out[6])
{
	int used = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &out[0], &out[1], &out[2],
		    &out[3], &out[4], &out[5], &used) != 6)
		return -EINVAL;
	return text[used] ? -EINVAL : 0;
}

// out: two in a row.
static int parse_addresses(const char *text, struct net_addr *out)
{
	char copy[SETTINGS_TEXT_BYTES], *comma;

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return -EINVAL;
	comma = strchr(copy, ',');
	if (!comma)
		return -EINVAL;
	*comma = '\0';
	if (net_ip_parse(copy, &out[0]) < 0 || net_ip_parse(comma + 1, &out[1]) < 0)
		return -EINVAL;
	return out[0].family == out[1].family ? 0 : -EINVAL;
}

static void say_accepted(const struct setting *t, const char *value, char *wrong)
{
	char accepted[80] = "";
	size_t used = 0;

	switch (t->kind) {
	case KIND_NUMBER:
		snprintf(accepted, sizeof(accepted), "%lu to %lu", t->least, t->most);
		break;
	case KIND_WORD:
		for (const struct word *w = t->words; w->text; w++)
			used += (size_t)snprintf(accepted + used, sizeof(accepted) - used, "%s%s",
				used ? ", " : "", w->text);
		break;
	case KIND_SHARE:
		snprintf(accepted, sizeof(accepted), "0 to %lu, such as 0.5", t->most);
		break;
	case KIND_MAC:
		snprintf(accepted, sizeof(accepted), "a MAC address such as 02:00:00:00:00:02");
		break;
	case KIND_ADDRESSES:
		snprintf(accepted, sizeof(accepted), "two addresses: 198.18.0.1,198.18.0.2");
		break;
	}
	snprintf(wrong, SETTINGS_TEXT_BYTES, "%s: expected %s; found %.16s", t->name, accepted,
		value);
}

int settings_set(
	struct settings *s, const char *name, const char *value, char wrong[SETTINGS_TEXT_BYTES])
{
	const struct setting *t = find(name);
	struct settings next = *s;
	void *at = t ? (uint8_t *)&next + t->off : NULL;
	int rc = 0;

	if (!t) {
		snprintf(wrong, SETTINGS_TEXT_BYTES, "no setting %.32s; \"show config\" has all",
			name);
		return -ENOENT;
	}
	switch (t->kind) {
	case KIND_NUMBER:
		rc = parse_number(value, at);
		if (rc == 0 && (*(uint64_t *)at < t->least || *(uint64_t *)at > t->most))
			rc = -EINVAL;
		break;
	case KIND_WORD:
		rc = parse_word(t->words, value, at);
		break;
	case KIND_SHARE:
		rc = parse_share(value, (double)t->most, at);
		break;
	case KIND_MAC:
		rc = parse_mac(value, at);
		break;
	case KIND_ADDRESSES:
		rc = parse_addresses(value, at);
		break;
	}
	if (rc < 0)
		say_accepted(t, value, wrong);
	else
		*s = next;
	return rc;
}

static void addresses_of(const struct settings *s, struct net_addr out[2])
{
	out[0] = s->local;
	out[1] = s->remote;
	if (s->local.family == NET_NONE) {
		net_ip_parse(s->ip6 ? "2001:2::1" : "198.18.0.1", &out[0]);
		net_ip_parse(s->ip6 ? "2001:2::2" : "198.18.0.2", &out[1]);
	}
}

static void print_value(const struct setting *t, const struct settings *s, char *out)
{
	const void *at = (const uint8_t *)s + t->off;
	const uint8_t *mac = at;
	struct net_addr addresses[2];
	char ip[2][INET6_ADDRSTRLEN];

	switch (t->kind) {
	case KIND_NUMBER:
		snprintf(out, SETTINGS_TEXT_BYTES, "%lu", *(const uint64_t *)at);
		break;
	case KIND_WORD:
		for (const struct word *w = t->words; w->text; w++)
			if (w->value == *(const uint64_t *)at)
				snprintf(out, SETTINGS_TEXT_BYTES, "%s", w->text);
		break;
	case KIND_SHARE:
		snprintf(out, SETTINGS_TEXT_BYTES, "%g", *(const double *)at);
		break;
	case KIND_MAC:
		snprintf(out, SETTINGS_TEXT_BYTES, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
			mac[2], mac[3], mac[4], mac[5]);
		break;
	case KIND_ADDRESSES:
		addresses_of(s, addresses);
		for (int i = 0; i < 2; i++)
			inet_ntop(addresses[i].family == NET_IPV6 ? AF_INET6 : AF_INET,
				addresses[i].ip, ip[i], sizeof(ip[i]));
		snprintf(out, SETTINGS_TEXT_BYTES, "%s,%s", ip[0], ip[1]);
		break;
	}
}

bool settings_get(const struct settings *s, unsigned int at, const char **name, const char **help,
	char value[SETTINGS_TEXT_BYTES])
{
	if (at >= sizeof(table) / sizeof(table[0]))
		return false;
	*name = table[at].name;
	*help = table[at].help;
	value[0] = '\0';
	print_value(&table[at], s, value);
	return true;
}

int settings_check(const struct settings *s, char wrong[SETTINGS_TEXT_BYTES])
{
	if (s->local.family != NET_NONE && (s->local.family == NET_IPV6) != (s->ip6 != 0)) {
		snprintf(wrong, SETTINGS_TEXT_BYTES, "tx-ip: expected %s addresses with ip6 %s",
			s->ip6 ? "IPv6" : "IPv4", s->ip6 ? "on" : "off");
		return -EINVAL;
	}
	if (s->load > 0 && s->rate > 0) {
		snprintf(wrong, SETTINGS_TEXT_BYTES, "load: expected 0 beside a rate, found %g",
			s->load);
		return -EINVAL;
	}
	// The gauge could not tell a resend from what it repeats.
	if (s->latency && s->nack > 0 && (!s->rtx || s->media != MEDIA_VIDEO)) {
		snprintf(wrong, SETTINGS_TEXT_BYTES,
			"latency: expected rtx on and media video beside nack");
		return -EINVAL;
	}
	return 0;
}

struct net_addr settings_local(const struct settings *s)
{
	struct net_addr addresses[2];

	addresses_of(s, addresses);
	return addresses[0];
}

// Past the last port the address rises.
struct net_addr settings_viewer(const struct settings *s, uint32_t i)
{
	uint32_t n_ports = 65536 - (uint32_t)s->udp_base, hosts = i / n_ports;
	struct net_addr addresses[2], out;

	addresses_of(s, addresses);
	out = addresses[1];
	out.port_be = htons((uint16_t)(s->udp_base + i % n_ports));
	for (int byte = out.family == NET_IPV6 ? 15 : 3; hosts && byte >= 0; byte--) {
		hosts += out.ip[byte];
		out.ip[byte] = (uint8_t)hosts;
		hosts >>= 8;
	}
	return out;
}
