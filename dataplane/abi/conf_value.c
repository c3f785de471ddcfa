#include "dataplane/abi/priv/conf_value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	ITEM_BYTES = 112, // two IPv6 addresses in brackets
	CORE_MAX = 1023,  // the kernel's CPU_SETSIZE
};

#define BLANKS " \t"

static void *field_of(const struct conf_option *option, struct conf *conf)
{
	return (char *)conf + option->offset;
}

static void set_count(const struct conf_option *option, struct conf *conf, uint16_t n)
{
	memcpy((char *)conf + option->count_offset, &n, sizeof(n));
}

static int parse_text(const struct conf_option *option, const char *text, struct conf *conf)
{
	size_t bytes = strlen(text);

	if (bytes > option->max || bytes >= option->field_bytes)
		return -EINVAL;
	// The file knows no quotes: they would become part of the value.
	if (text[0] == '"' || text[0] == '\'')
		return -EINVAL;
	for (size_t i = 0; i < bytes; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return -EINVAL;
	}
	memset(field_of(option, conf), 0, option->field_bytes);
	memcpy(field_of(option, conf), text, bytes);
	return 0;
}

// Digits alone: strtoul would take blanks, signs and wrap-around.
static int parse_digits(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > max)
			return -EINVAL;
	}
	if (value < min)
		return -EINVAL;
	*out = (uint32_t)value;
	return 0;
}

static int parse_number(const struct conf_option *option, const char *text, struct conf *conf)
{
	void *field = field_of(option, conf);
	uint32_t value;

	if (parse_digits(text, option->min, option->max, &value) < 0)
		return -EINVAL;
	switch (option->field_bytes) {
	case 1:
		*(uint8_t *)field = (uint8_t)value;
		return 0;
	case 2:
		*(uint16_t *)field = (uint16_t)value;
		return 0;
	default:
		*(uint32_t *)field = value;
		return 0;
	}
}

static int parse_flag(const struct conf_option *option, const char *text, struct conf *conf)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field_of(option, conf) = i % 2;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_word(const struct conf_option *option, const char *text, struct conf *conf)
{
	for (const struct conf_word *word = option->words; word->text; word++) {
		if (strcmp(text, word->text) == 0) {
			memcpy(field_of(option, conf), &word->value, sizeof(word->value));
			return 0;
		}
	}
	return -EINVAL;
}

// Items stand apart by blanks, by one comma, or by both.
// Return: 1 an item; 0 the end; -EINVAL an empty or overlong one.
static int next_item(const char **cursor, char item[ITEM_BYTES])
{
	const char *text = *cursor + strspn(*cursor, BLANKS);
	size_t bytes = strcspn(text, "," BLANKS);

	if (!*text)
		return 0;
	if (bytes == 0 || bytes >= ITEM_BYTES)
		return -EINVAL;
	memcpy(item, text, bytes);
	item[bytes] = '\0';
	text += bytes;
	text += strspn(text, BLANKS);
	if (*text == ',') {
		text += 1 + strspn(text + 1, BLANKS);
		if (!*text)
			return -EINVAL;
	}
	*cursor = text;
	return 1;
}

// "2" or "2-5".
static int parse_core_range(char *item, uint32_t *first, uint32_t *last)
{
	char *dash = strchr(item, '-');

	if (dash)
		*dash = '\0';
	if (parse_digits(item, 0, CORE_MAX, first) < 0)
		return -EINVAL;
	*last = *first;
	return dash ? parse_digits(dash + 1, *first, CORE_MAX, last) : 0;
}

static bool has_core(const uint16_t *cores, uint16_t n_cores, uint32_t core)
{
	for (uint16_t i = 0; i < n_cores; i++) {
		if (cores[i] == core)
			return true;
	}
	return false;
}

static int parse_cores(const struct conf_option *option, const char *text, struct conf *conf)
{
	uint16_t cores[CONF_MAX_WORKERS] = { 0 };
	uint32_t first, last;
	uint16_t n_cores = 0;
	char item[ITEM_BYTES];
	int more;

	while ((more = next_item(&text, item)) > 0) {
		if (parse_core_range(item, &first, &last) < 0)
			return -EINVAL;
		for (uint32_t core = first; core <= last; core++) {
			if (n_cores == CONF_MAX_WORKERS || has_core(cores, n_cores, core))
				return -EINVAL;
			cores[n_cores++] = (uint16_t)core;
		}
	}
	if (more < 0 || n_cores == 0)
		return -EINVAL;
	memcpy(field_of(option, conf), cores, sizeof(cores));
	set_count(option, conf, n_cores);
	return 0;
}

// An IPv6 address may stand in brackets, as in a URL.
static int parse_ip(const char *text, struct net_addr *out)
{
	size_t bytes = strlen(text);
	char bare[ITEM_BYTES];

	if (text[0] != '[')
		return net_ip_parse(text, out);
	if (bytes < 4 || bytes >= sizeof(bare) || text[bytes - 1] != ']' || !strchr(text, ':'))
		return -EINVAL;
	memcpy(bare, text + 1, bytes - 2);
	bare[bytes - 2] = '\0';
	return net_ip_parse(bare, out);
}

static int parse_address(const struct conf_option *option, const char *text, struct conf *conf)
{
	struct net_addr addr;

	if (parse_ip(strcmp(text, "any") == 0 ? "::" : text, &addr) < 0)
		return -EINVAL;
	memcpy(field_of(option, conf), &addr, sizeof(addr));
	return 0;
}

static bool is_unspecified(const struct net_addr *addr)
{
	static const uint8_t zero[sizeof(addr->ip)];

	return memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

static int add_address(const char *item, struct net_addr *list, uint16_t *n_list)
{
	struct net_addr addr;

	if (*n_list == CONF_MAX_ADDRESSES || parse_ip(item, &addr) < 0 || is_unspecified(&addr))
		return -EINVAL;
	for (uint16_t i = 0; i < *n_list; i++) {
		if (net_ip_equal(&list[i], &addr))
			return -EINVAL;
	}
	list[(*n_list)++] = addr;
	return 0;
}

// No address, or "any" alone: the choice is left to whoever knows the interface.
static int parse_addresses(const struct conf_option *option, const char *text, struct conf *conf)
{
	struct net_addr list[CONF_MAX_ADDRESSES] = { 0 };
	uint16_t n_list = 0;
	char item[ITEM_BYTES];
	int more;

	if (strcmp(text, "any") == 0)
		text = "";
	while ((more = next_item(&text, item)) > 0) {
		if (add_address(item, list, &n_list) < 0)
			return -EINVAL;
	}
	if (more < 0)
		return -EINVAL;
	memcpy(field_of(option, conf), list, sizeof(list));
	set_count(option, conf, n_list);
	return 0;
}

// "198.18.77.1=203.0.113.5"
static int parse_nat(char *item, struct conf_nat *out)
{
	char *equals = strchr(item, '=');

	if (!equals)
		return -EINVAL;
	*equals = '\0';
	if (parse_ip(item, &out->local) < 0 || parse_ip(equals + 1, &out->public) < 0 ||
		is_unspecified(&out->local) || is_unspecified(&out->public) ||
		out->local.family != out->public.family)
		return -EINVAL;
	return 0;
}

// Neither side twice: a NAT of one address to one.
static int parse_nats(const struct conf_option *option, const char *text, struct conf *conf)
{
	struct conf_nat list[CONF_MAX_ADDRESSES] = { 0 };
	uint16_t n_list = 0;
	char item[ITEM_BYTES];
	int more;

	while ((more = next_item(&text, item)) > 0) {
		if (n_list == CONF_MAX_ADDRESSES || parse_nat(item, &list[n_list]) < 0)
			return -EINVAL;
		for (uint16_t i = 0; i < n_list; i++) {
			if (net_ip_equal(&list[i].local, &list[n_list].local) ||
				net_ip_equal(&list[i].public, &list[n_list].public))
				return -EINVAL;
		}
		n_list++;
	}
	if (more < 0)
		return -EINVAL;
	memcpy(field_of(option, conf), list, sizeof(list));
	set_count(option, conf, n_list);
	return 0;
}

// Somebody's on a link: neither unspecified nor loopback nor a group.
static bool is_host(const struct net_addr *addr)
{
	return !is_unspecified(addr) && !net_ip_is_loopback(addr) && !net_ip_is_multicast(addr);
}

// "198.18.77.1/24"
static int parse_prefix(char *item, struct conf_prefix *out)
{
	char *slash = strchr(item, '/');
	uint32_t bits;

	if (!slash)
		return -EINVAL;
	*slash = '\0';
	if (parse_ip(item, &out->addr) < 0 || !is_host(&out->addr) ||
		parse_digits(slash + 1, 1, out->addr.family == NET_IPV6 ? 128 : 32, &bits) < 0)
		return -EINVAL;
	out->bits = (uint8_t)bits;
	return 0;
}

static int parse_prefixes(const struct conf_option *option, const char *text, struct conf *conf)
{
	struct conf_prefix list[CONF_MAX_ADDRESSES] = { 0 };
	uint16_t n_list = 0;
	char item[ITEM_BYTES];
	int more;

	while ((more = next_item(&text, item)) > 0) {
		if (n_list == CONF_MAX_ADDRESSES || parse_prefix(item, &list[n_list]) < 0)
			return -EINVAL;
		for (uint16_t i = 0; i < n_list; i++) {
			if (net_ip_equal(&list[i].addr, &list[n_list].addr))
				return -EINVAL;
		}
		n_list++;
	}
	if (more < 0)
		return -EINVAL;
	memcpy(field_of(option, conf), list, sizeof(list));
	set_count(option, conf, n_list);
	return 0;
}

static int parse_gateway(const struct conf_option *option, const char *text, struct conf *conf)
{
	struct net_addr addr = { 0 };

	if (option->min == NET_IPV6 && strcmp(text, "auto") == 0)
		addr.family = NET_IPV6;
	else if (*text &&
		 (parse_ip(text, &addr) < 0 || addr.family != option->min || !is_host(&addr)))
		return -EINVAL;
	memcpy(field_of(option, conf), &addr, sizeof(addr));
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// "02:00:00:00:00:01": one card's, not a group's.
static int parse_mac(const struct conf_option *option, const char *text, struct conf *conf)
{
	static const uint8_t none[6];
	uint8_t mac[6] = { 0 };

	for (size_t i = 0; *text && i < sizeof(mac); i++) {
		int high = hex_digit(text[3 * i]);
		int low = high < 0 ? -1 : hex_digit(text[3 * i + 1]);

		if (low < 0 || text[3 * i + 2] != (i + 1 < sizeof(mac) ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	if (mac[0] & 1 || (*text && memcmp(mac, none, sizeof(mac)) == 0))
		return -EINVAL;
	memcpy(field_of(option, conf), mac, sizeof(mac));
	return 0;
}

int conf_value_parse(const struct conf_option *option, const char *text, struct conf *conf)
{
	switch (option->type) {
	case CONF_TYPE_TEXT:
		return parse_text(option, text, conf);
	case CONF_TYPE_NUMBER:
		return parse_number(option, text, conf);
	case CONF_TYPE_FLAG:
		return parse_flag(option, text, conf);
	case CONF_TYPE_WORD:
		return parse_word(option, text, conf);
	case CONF_TYPE_CORES:
		return parse_cores(option, text, conf);
	case CONF_TYPE_ADDRESS:
		return parse_address(option, text, conf);
	case CONF_TYPE_ADDRESSES:
		return parse_addresses(option, text, conf);
	case CONF_TYPE_NATS:
		return parse_nats(option, text, conf);
	case CONF_TYPE_PREFIXES:
		return parse_prefixes(option, text, conf);
	case CONF_TYPE_GATEWAY:
		return parse_gateway(option, text, conf);
	case CONF_TYPE_MAC:
		return parse_mac(option, text, conf);
	}
	return -EINVAL;
}

// "poll or sleep", "auto, fast or libsrtp2"
static void print_words(const struct conf_word *word, char buf[CONF_EXPECTS_BYTES])
{
	size_t bytes = 0;

	for (; word->text; word++) {
		const char *joint = !word[1].text ? "" : word[2].text ? ", " : " or ";

		bytes += (size_t)snprintf(
			buf + bytes, CONF_EXPECTS_BYTES - bytes, "%s%s", word->text, joint);
	}
}

const char *conf_value_expects(const struct conf_option *option, char buf[CONF_EXPECTS_BYTES])
{
	switch (option->type) {
	case CONF_TYPE_TEXT:
		snprintf(buf, CONF_EXPECTS_BYTES, "plain text of at most %u bytes, without quotes",
			option->max);
		break;
	case CONF_TYPE_NUMBER:
		snprintf(buf, CONF_EXPECTS_BYTES, "a whole number from %u to %u", option->min,
			option->max);
		break;
	case CONF_TYPE_FLAG:
		snprintf(buf, CONF_EXPECTS_BYTES, "yes or no");
		break;
	case CONF_TYPE_WORD:
		print_words(option->words, buf);
		break;
	case CONF_TYPE_CORES:
		snprintf(buf, CONF_EXPECTS_BYTES,
			"1 to %d different core numbers up to %d, such as 1,2 or 1-3",
			CONF_MAX_WORKERS, CORE_MAX);
		break;
	case CONF_TYPE_ADDRESS:
		snprintf(buf, CONF_EXPECTS_BYTES, "an IPv4 or IPv6 address, or any");
		break;
	case CONF_TYPE_ADDRESSES:
		snprintf(buf, CONF_EXPECTS_BYTES,
			"at most %d different IPv4 or IPv6 addresses with commas between, or any",
			CONF_MAX_ADDRESSES);
		break;
	case CONF_TYPE_NATS:
		snprintf(buf, CONF_EXPECTS_BYTES,
			"at most %d pairs LOCAL=PUBLIC of one address family with commas between",
			CONF_MAX_ADDRESSES);
		break;
	case CONF_TYPE_PREFIXES:
		snprintf(buf, CONF_EXPECTS_BYTES,
			"at most %d different addresses with their prefix, such as 192.0.2.5/24, "
			"with "
			"commas between",
			CONF_MAX_ADDRESSES);
		break;
	case CONF_TYPE_GATEWAY:
		snprintf(buf, CONF_EXPECTS_BYTES, "%s",
			option->min == NET_IPV6 ? "a router's IPv6 address, or auto"
						: "a router's IPv4 address");
		break;
	case CONF_TYPE_MAC:
		snprintf(buf, CONF_EXPECTS_BYTES,
			"a MAC address of one card, such as 02:00:00:00:00:01");
		break;
	}
	return buf;
}
