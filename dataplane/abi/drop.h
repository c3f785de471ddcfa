// The numbered list of reasons for which a worker drops a packet. Numbers never change meaning;
// new ones go before DROP_COUNT. The names are what the API and metrics show.
#pragma once

#define DROP_REASONS(X)                                                                      \
	X(NOT_IP, "not_ip")		  /* neither IPv4 nor IPv6 UDP, or cut short */      \
	X(FRAGMENT, "fragment")		  /* IP fragment */                                  \
	X(BAD_CHECKSUM, "bad_checksum")	  /* by the port's offload flags */                  \
	X(NOT_OURS, "not_ours")		  /* UDP to a port or address that is not served */  \
	X(DEMUX_UNKNOWN, "demux_unknown") /* first byte outside RFC 7983 */                  \
	X(PUNT_TOO_LONG, "punt_too_long") /* STUN or DTLS over the ring's slot */            \
	X(PUNT_RING_FULL, "punt_ring_full")                                                  \
	X(INGEST_NOT_RTP, "ingest_not_rtp") /* version, header or padding do not add up */   \
	X(INGEST_SHORT, "ingest_short")	    /* shorter than an RTP header with a payload */  \
	X(INGEST_LONG, "ingest_long")	    /* would not fit the path MTU after sealing */   \
	X(INGEST_PAYLOAD_TYPE, "ingest_payload_type")                                        \
	X(INGEST_SOURCE, "ingest_source") /* sender not among the allowed ones */            \
	X(INGEST_LATE, "ingest_late")	  /* older than the reorder window, or repeated */   \
	X(INGEST_RTCP_BAD, "ingest_rtcp_bad")                                                \
	X(INGEST_SSRC, "ingest_ssrc")	/* a second sender while the first is alive */       \
	X(PEER_UNKNOWN, "peer_unknown") /* SRTP or SRTCP from an address of no viewer */     \
	X(PEER_MEDIA, "peer_media")	/* a viewer sends RTP: never wanted */               \
	X(SRTCP_AUTH, "srtcp_auth")                                                          \
	X(SRTCP_REPLAY, "srtcp_replay")                                                      \
	X(SRTCP_MALFORMED, "srtcp_malformed")                                                \
	X(SRTCP_SSRCS, "srtcp_ssrcs") /* more sender SSRCs than a viewer may use */          \
	X(NO_MBUF, "no_mbuf")                                                                \
	X(SEAL, "seal")			  /* the engine refused */                           \
	X(TX_FULL, "tx_full")		  /* the port did not take it */                     \
	X(HANDOFF_FULL, "handoff_full")	  /* another worker's inbox is full */               \
	X(INJECT_BAD, "inject_bad")	  /* control asked for something impossible */       \
	X(MULTI_SEGMENT, "multi_segment") /* packet in several buffers */                    \
	X(OVERLOAD, "overload")		  /* pictures came quicker than they could go */     \
	X(HOST_BAD, "host_bad")		  /* ARP, ping or ND against its rules */            \
	X(HOST_RATE, "host_rate")	  /* more pings than are answered */                 \
	X(EXCEPTION_FULL, "exception_full")                                                  \
	X(INGEST_B_FRAMES, "ingest_b_frames") /* the stream refuses sources with B-frames */ \
	X(INGEST_WAITS, "ingest_waits")	      /* new source: before its first key frame */

enum drop_reason {
#define X(name, text) DROP_##name,
	DROP_REASONS(X)
#undef X
		DROP_COUNT,
};

// A stage that refuses a packet returns the reason as a negative number, and 0 for a good one.
static inline int drop_as_error(enum drop_reason reason)
{
	return -(int)reason - 1;
}

static inline enum drop_reason drop_of_error(int rc)
{
	return (enum drop_reason)(-rc - 1);
}

// Return: the text of a reason; "?" past the end.
static inline const char *drop_name(unsigned int reason)
{
	static const char *const names[] = {
#define X(name, text) text,
		DROP_REASONS(X)
#undef X
	};

	return reason < DROP_COUNT ? names[reason] : "?";
}
