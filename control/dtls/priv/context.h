// What all associations of a process share. Written by context.c only, then read-only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "control/dtls/dtls.h"

enum {
	DTLS_MAX_PROFILES = 3,
};

struct dtls_context {
	SSL_CTX *ssl_ctx;
	BIO_METHOD *bio_method;
	uint16_t profiles[DTLS_MAX_PROFILES]; // in order of preference
	size_t n_profiles;
	char fingerprint[DTLS_FINGERPRINT_TEXT_BYTES];
};
