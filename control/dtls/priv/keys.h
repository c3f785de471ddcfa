// From a finished handshake to SRTP keys.
#pragma once

#include <openssl/ssl.h>

#include "control/dtls/dtls.h"

// out:    filled on success; the caller wipes it.
// Return: 0; -EPROTO no SRTP profile was agreed, -EIO OpenSSL failed.
// Source: RFC 5764 4.2, RFC 5705 4; checklist D17.
int keys_export(SSL *, struct dtls_keys *out);
