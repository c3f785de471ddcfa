#include "tests/load/offer.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What every section says of the transport.
#define TRANSPORT                                            \
	"c=IN IP4 0.0.0.0\r\n"                               \
	"a=rtcp:9 IN IP4 0.0.0.0\r\n"                        \
	"a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n"                 \
	"a=ice-options:trickle\r\n"                          \
	"a=fingerprint:sha-256 %s\r\na=setup:actpass\r\n"    \
	"a=mid:%d\r\n"                                       \
	"a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n" \
	"a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"

static const char text[] =
	"v=0\r\no=- %" PRIu64 " 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
	"a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n"
	"m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\n" TRANSPORT
	"a=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n"
	"a=rtcp-fb:96 ccm fir\r\n"
	"a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
	"a=rtpmap:98 VP8/90000\r\n"
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" TRANSPORT
	"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";

size_t offer_write(const struct offer_local *l, uint64_t session_id, char out[OFFER_MAX_BYTES])
{
	return (size_t)snprintf(out, OFFER_MAX_BYTES, text, session_id, l->ufrag, l->pwd,
		l->fingerprint, 0, l->ufrag, l->pwd, l->fingerprint, 1);
}

// Copy the value of the first line that begins so.
static bool find_value(const char *sdp, const char *name, char *out, size_t out_cap)
{
	const char *at = strstr(sdp, name);
	size_t n;

	if (!at)
		return false;
	at += strlen(name);
	n = strcspn(at, "\r\n");
	if (n == 0 || n >= out_cap)
		return false;
	memcpy(out, at, n);
	out[n] = 0;
	return true;
}

static bool read_digest(const char *hex, uint8_t digest[OFFER_DIGEST_BYTES])
{
	for (int i = 0; i < OFFER_DIGEST_BYTES; i++) {
		unsigned int byte;
		int used = 0;

		if (sscanf(hex, "%2x%n", &byte, &used) != 1 || used != 2)
			return false;
		digest[i] = (uint8_t)byte;
		hex += 2;
		if (*hex++ != (i + 1 < OFFER_DIGEST_BYTES ? ':' : 0))
			return false;
	}
	return true;
}

// "foundation 1 udp priority address port typ host"
static bool read_candidate(const char *line, struct offer_answer *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&out->candidate;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->candidate;
	char address[64];
	unsigned int port;

	if (sscanf(line, "%*s 1 udp %*u %63s %u typ host", address, &port) != 2 || port > 65535)
		return false;
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		out->candidate_bytes = sizeof(*in);
		return true;
	}
	if (inet_pton(AF_INET6, address, &in6->sin6_addr) != 1)
		return false;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	out->candidate_bytes = sizeof(*in6);
	return true;
}

static const char *read_leg(const char *sdp, enum offer_leg leg, struct offer_answer *out)
{
	static const char *const names[] = { "\nm=video ", "\nm=audio " };
	static const unsigned int types[] = { OFFER_VIDEO_TYPE, OFFER_AUDIO_TYPE };
	const char *at = strstr(sdp, names[leg]), *end, *ssrc;
	unsigned int port, type;

	if (!at || sscanf(at + strlen(names[leg]), "%u %*s %u", &port, &type) != 2)
		return "a section is missing";
	if (port == 0)
		return NULL;
	end = strstr(at + 1, "\nm=");
	ssrc = strstr(at, "\na=ssrc:");
	if (type != types[leg])
		return "a payload type that was not offered";
	if (!ssrc || (end && ssrc > end))
		return "a section without a=ssrc";
	out->legs[leg].accepted = true;
	out->legs[leg].payload_type = (uint8_t)type;
	out->legs[leg].ssrc = (uint32_t)strtoul(ssrc + strlen("\na=ssrc:"), NULL, 10);
	return NULL;
}

const char *offer_read_answer(const char *sdp, struct offer_answer *out)
{
	const char *wrong = NULL;
	char line[256];

	memset(out, 0, sizeof(*out));
	if (!find_value(sdp, "\na=ice-ufrag:", out->ufrag, sizeof(out->ufrag)) ||
		!find_value(sdp, "\na=ice-pwd:", out->pwd, sizeof(out->pwd)))
		return "no ICE credentials";
	if (!strstr(sdp, "\na=ice-lite") || !strstr(sdp, "\na=setup:passive"))
		return "not ice-lite, or not setup:passive";
	if (!find_value(sdp, "\na=fingerprint:sha-256 ", line, sizeof(line)) ||
		!read_digest(line, out->digest))
		return "no SHA-256 fingerprint";
	if (!find_value(sdp, "\na=candidate:", line, sizeof(line)) || !read_candidate(line, out))
		return "no candidate";
	for (int leg = 0; leg < OFFER_LEGS && !wrong; leg++)
		wrong = read_leg(sdp, (enum offer_leg)leg, out);
	if (!wrong && !out->legs[OFFER_VIDEO].accepted && !out->legs[OFFER_AUDIO].accepted)
		wrong = "both sections are rejected";
	return wrong;
}
