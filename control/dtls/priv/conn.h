// One association from the inside, for the callbacks that judge its peer.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "control/dtls/dtls.h"
#include "control/dtls/priv/datagram_bio.h"

struct dtls_conn {
	SSL *ssl; // its app data is this struct
	struct datagram_io io;
	enum dtls_state state;
	const char *error;     // static; NULL: none
	struct dtls_keys keys; // all zero unless DTLS_ESTABLISHED
	size_t n_fingerprints;
	struct sdp_fingerprint fingerprints[];
};
