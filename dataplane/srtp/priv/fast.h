// The door that the tests of published vectors need into the fast engine: RFC 7714 16 and 17 give
// session keys, not master keys.
#pragma once

#include "dataplane/srtp/priv/kdf.h"
#include "dataplane/srtp/srtp.h"

// A session from derived keys.
// engine:  a fast one.
// profile: a valid one.
// rtp:     keys of the RTP we send; copied, as the others.
// Return:  0; -ENOMEM.
int srtp_fast_session_create(struct srtp_engine *engine, uint16_t profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp_local,
	const struct srtp_keys *rtcp_remote, struct srtp_session **out);
