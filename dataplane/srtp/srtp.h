// SRTP and SRTCP of one viewer: seal what leaves, open the reports that come back.
// Two engines stand behind one narrow interface: "fast" (Intel's multi-buffer library, with a GCM
// of our own on CPUs with AVX-512) and "libsrtp2" (portable, and the oracle of the tests). Used by
// the worker threads only: an engine and the sessions made from it belong to one thread. Source:
// RFC 3711; RFC 7714; RFC 5764 4.2.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/srtp_keys.h"

enum srtp_engine_kind {
	SRTP_ENGINE_FAST,
	SRTP_ENGINE_LIBSRTP2,
};

enum {
	SRTP_OP_PACKETS_MAX = 64,
	SRTP_HEAD_LINE_BYTES = 64,
	SRTP_HEAD_LINES = 2,
};

struct srtp_engine;
struct srtp_session;

// A payload that is sealed, the same for all viewers. Of its header what is so too, for a head.
struct srtp_text {
	const uint8_t *payload; // plaintext, read only
	uint64_t seq;		// of the stream, or an index itself: with the op's index_shift
	uint32_t ts;		// but for the head's base
	uint16_t payload_bytes;
	bool marker;
};

// What stands before the payloads of a viewer, for the engine to write: beside the cipher, which
// keeps other units of the CPU busy, that costs less than by itself.
struct srtp_head {
	// Headers of the frame and of RTP: all but sequence number and timestamp, the marker 0.
	uint8_t bytes[SRTP_HEAD_LINES * SRTP_HEAD_LINE_BYTES];
	uint32_t ts_base;
	uint8_t rtp_at;	 // where the RTP header begins
	uint8_t n_lines; // that are copied, whole: 1 to SRTP_HEAD_LINES
};

// Packets of one session and one SSRC to seal, out of place.
struct srtp_seal_op {
	struct srtp_session *session;
	const struct srtp_text *texts; // n in a row, borrowed until they are sealed
	// Of each its RTP header, hdr_bytes long; out: ciphertext and tag behind. As borrowed.
	uint8_t *const *pkts;
	// Written before each: there must be room for its lines, wherever they end. NULL: the RTP
	// headers stand there.
	const struct srtp_head *head;
	// ROC << 16 | SEQ is texts[].seq + index_shift. A header that stands there has that SEQ.
	int64_t index_shift;
	uint16_t hdr_bytes; // with CSRC list and extension
	uint16_t n;	    // 1 to SRTP_OP_PACKETS_MAX
};

// Return: whether this CPU and this build can run the engine at all.
bool srtp_engine_usable(enum srtp_engine_kind);

// out:    owned by the caller, ended with srtp_engine_destroy.
// Return: 0; -ENOTSUP no such engine on this CPU, -ENOMEM.
int srtp_engine_create(enum srtp_engine_kind, struct srtp_engine **out);

// The sessions made from it must be gone. NULL is fine.
void srtp_engine_destroy(struct srtp_engine *);

// The name as the configuration file writes it: "fast", "libsrtp2".
const char *srtp_engine_name(const struct srtp_engine *);

// Derive a viewer's session keys.
// local:  master of what we send (the server's write keys); copied.
// remote: master of what the viewer sends (the client's write keys); copied.
// out:    owned by the caller, ended with srtp_session_destroy.
// Return: 0; -EINVAL a profile that is none, -ENOTSUP one this engine lacks, -ENOMEM.
// Source: RFC 3711 4.3.1 (labels 0 to 5, rate 0); RFC 7714 11.
int srtp_session_create(struct srtp_engine *, uint16_t profile, const struct srtp_master *local,
	const struct srtp_master *remote, struct srtp_session **out);

// Wipe the keys and free. NULL is fine.
void srtp_session_destroy(struct srtp_session *);

// Heap and engine memory that one session takes, for sizing and for the bench. What libsrtp2
// allocates cannot be asked: there it is a measured number.
size_t srtp_session_bytes(const struct srtp_session *);

// What an engine keeps for its sessions beside them, at most, however many there are.
size_t srtp_engine_shared_bytes(const struct srtp_engine *);

// Fetch what sealing reads first of a session, a little while before.
static inline void srtp_fetch(const struct srtp_session *s)
{
	__builtin_prefetch(s, 0, 3);
}

// Seal a burst. Ops of different sessions and profiles may be mixed; the order within one session
// is kept. A packet grows by its profile's tag_bytes; the room must be there.
// The same (key, index) must never come with another plaintext; the same with the same is a resend.
// status: per packet, in the order of the ops, 0 or -errno: -EMSGSIZE a header below 12 bytes or a
//         packet above a datagram, -EIO the engine failed. Of one that was refused what its head
//         would cover is undefined. The libsrtp2 engine also: -ESTALE an
//         index 32704 or more behind the highest, -ENOBUFS more than 8 SSRCs sent, -EINVAL
//         hdr_bytes is not what the header says.
// Return: how many packets were sealed; on return none is in flight.
// Source: RFC 3711 3.3, 4.1.1, 4.2; RFC 7714 8.1, 8.2.
unsigned int srtp_seal_rtp(
	struct srtp_engine *, const struct srtp_seal_op *ops, unsigned int n_ops, int *status);

// Seal one RTCP compound packet in place.
// pkt:       pkt_bytes of plain RTCP with SRTP_RTCP_OVERHEAD_MAX_BYTES of room behind.
// index:     31 bits; starts at 1, rises with each packet of one sender SSRC.
// out_bytes: size after sealing; untouched on failure.
// Return:    0; -EMSGSIZE shorter than 8 bytes or too long to seal, -ERANGE index 0 or spent, -EIO.
//            The libsrtp2 engine also: -ERANGE an index not above the last or 2^20 past it,
//            -ENOBUFS more than 8 SSRCs sent.
// Source:    RFC 3711 3.4; RFC 7714 9.
int srtp_seal_rtcp(struct srtp_session *, uint8_t *pkt, uint16_t pkt_bytes, uint32_t index,
	uint16_t *out_bytes);

// Fetch what opening reads, a little while before.
void srtp_fetch_rtcp(const struct srtp_engine *, const struct srtp_session *);

// Check for replay per sender SSRC, authenticate, then decrypt one SRTCP packet in place.
// A packet with E=0 is authenticated and handed on as it is.
// pkt:       after a refusal its bytes are undefined.
// out_bytes: size of the plain compound packet; untouched on failure.
// Return:    0; -EBADMSG tag, -ESTALE replay or 128 behind, -EMSGSIZE short, -ENOBUFS a fifth
//            sender SSRC, -EIO or -ENOMEM the engine failed.
// State:     window and SSRC table move only once the tag verifies.
// Source:    RFC 3711 3.3.2, 3.4; RFC 7714 9.3.
int srtp_open_rtcp(struct srtp_session *, uint8_t *pkt, uint16_t pkt_bytes, uint16_t *out_bytes);

// What SRTCP the session has taken, and a fresh session that goes on from there: nothing up to the
// marks is taken again, whatever the window says.
// Return: how many marks were written.
uint32_t srtp_rtcp_marks(
	const struct srtp_session *, struct srtp_rtcp_mark out[SRTP_RTCP_SOURCES_MAX]);
void srtp_rtcp_resume(struct srtp_session *, const struct srtp_rtcp_mark *, uint32_t n_marks);
