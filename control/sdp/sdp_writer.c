#include "control/sdp/priv/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	TYPE_PREFERENCE_HOST = 126,
	LOCAL_PREFERENCE_MAX = 65535,
	COMPONENT_RTP = 1,
};

void sdp_write_line(struct sdp_writer *writer, const char *format, ...)
{
	size_t room = writer->cap - writer->bytes;
	va_list args;
	int n;

	if (writer->full)
		return;
	va_start(args, format);
	n = vsnprintf(writer->out + writer->bytes, room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n + sizeof("\r\n") > room) {
		writer->full = true;
		return;
	}
	memcpy(writer->out + writer->bytes + n, "\r\n", sizeof("\r\n"));
	writer->bytes += n + 2;
}

void sdp_write_ice(struct sdp_writer *writer, const struct sdp_local *local)
{
	sdp_write_line(writer, "a=ice-ufrag:%s", local->ice->ufrag);
	sdp_write_line(writer, "a=ice-pwd:%s", local->ice->pwd);
}

// RFC 8445 5.1.2.1; the first address is the best.
static uint32_t host_priority(uint8_t index)
{
	uint32_t local_preference = LOCAL_PREFERENCE_MAX - index;

	return (uint32_t)TYPE_PREFERENCE_HOST << 24 | local_preference << 8 | (256 - COMPONENT_RTP);
}

void sdp_write_candidates(struct sdp_writer *writer, const struct sdp_local *local)
{
	char ip[INET6_ADDRSTRLEN];

	for (uint8_t i = 0; i < local->n_candidates && i < SDP_MAX_CANDIDATES; i++) {
		const struct net_addr *addr = &local->candidates[i];
		int family = addr->family == NET_IPV6 ? AF_INET6 : AF_INET;

		if (addr->family == NET_NONE || !inet_ntop(family, addr->ip, ip, sizeof(ip)))
			continue;
		sdp_write_line(writer, "a=candidate:%u 1 udp %u %s %u typ host", i + 1,
			host_priority(i), ip, ntohs(addr->port_be));
	}
	sdp_write_line(writer, "a=end-of-candidates");
}
