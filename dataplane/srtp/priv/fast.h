// Doors that tests need into the fast engine: RFC 7714 16 and 17 give session keys, not master
// keys; and a CPU that has what our own cipher takes must show what the others do.
#pragma once

#include "dataplane/srtp/priv/kdf.h"
#include "dataplane/srtp/srtp.h"

// A fast engine.
// is_wide: GCM of RTP by gcm_wide.h, which must be usable then; else by the library.
// Return:  0; -ENOTSUP the library does not run here, -ENOMEM.
int srtp_fast_create(bool is_wide, struct srtp_engine **out);

// A session from derived keys.
// engine:  a fast one.
// profile: a valid one.
// rtp:     keys of the RTP we send; copied, as the others.
// Return:  0; -ENOMEM.
int srtp_fast_session_create(struct srtp_engine *engine, uint16_t profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp_local,
	const struct srtp_keys *rtcp_remote, struct srtp_session **out);
