// Our self-signed certificate, and digests of certificates.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "control/dtls/dtls.h"

// A fresh key pair and its certificate: ECDSA P-256 with SHA-256 (D9).
// Return: 0, both to be freed by the caller; -EIO OpenSSL failed.
int certificate_create(EVP_PKEY **key, X509 **cert);

// Return: 0; -EIO OpenSSL failed.
int certificate_fingerprint(const X509 *, char text[DTLS_FINGERPRINT_TEXT_BYTES]);

// Return: whether the certificate's digest is one of n fingerprints, each under its own hash.
bool certificate_matches(const X509 *, const struct sdp_fingerprint *fingerprints, size_t n);
