#include "control/dtls/priv/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/rand.h>

enum {
	CERT_SECONDS_BACK = 24 * 3600,		   // for a viewer whose clock is late
	CERT_SECONDS_VALID = 10 * 365 * 24 * 3600, // nobody checks; a process never outlives it
	SHA256_BYTES = 32,
};

static bool certificate_set_names(X509 *cert)
{
	static const unsigned char name[] = "WebRTC"; // as browsers do: says nothing about the node
	X509_NAME *subject = X509_get_subject_name(cert);

	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(cert, subject) == 1;
}

static bool certificate_set_serial(X509 *cert)
{
	uint64_t serial;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return false;
	// Positive and never 0 (RFC 5280 4.1.2.2).
	serial = (serial >> 1) | 1;
	return ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial) == 1;
}

static bool certificate_fill(X509 *cert, EVP_PKEY *key)
{
	return X509_set_version(cert, X509_VERSION_3) == 1 && certificate_set_serial(cert) &&
	       certificate_set_names(cert) &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -CERT_SECONDS_BACK) != NULL &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), CERT_SECONDS_VALID) != NULL &&
	       X509_set_pubkey(cert, key) == 1 && X509_sign(cert, key, EVP_sha256()) != 0;
}

int certificate_create(EVP_PKEY **key, X509 **cert)
{
	EVP_PKEY *new_key = EVP_EC_gen("P-256");
	X509 *new_cert = X509_new();

	if (new_key == NULL || new_cert == NULL || !certificate_fill(new_cert, new_key)) {
		X509_free(new_cert);
		EVP_PKEY_free(new_key);
		return -EIO;
	}
	*key = new_key;
	*cert = new_cert;
	return 0;
}

int certificate_fingerprint(const X509 *cert, char text[DTLS_FINGERPRINT_TEXT_BYTES])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int digest_bytes;

	if (X509_digest(cert, EVP_sha256(), digest, &digest_bytes) != 1 ||
		digest_bytes != SHA256_BYTES)
		return -EIO;
	for (size_t i = 0; i < SHA256_BYTES; i++)
		snprintf(text + 3 * i, 4, i + 1 < SHA256_BYTES ? "%02X:" : "%02X", digest[i]);
	return 0;
}

static const EVP_MD *hash_of_bits(uint16_t hash_bits)
{
	switch (hash_bits) {
	case 256:
		return EVP_sha256();
	case 384:
		return EVP_sha384();
	case 512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

bool certificate_matches(const X509 *cert, const struct sdp_fingerprint *fingerprints, size_t n)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int digest_bytes;

	for (size_t i = 0; i < n; i++) {
		const EVP_MD *hash = hash_of_bits(fingerprints[i].hash_bits);

		if (hash == NULL || X509_digest(cert, hash, digest, &digest_bytes) != 1)
			continue;
		if (memcmp(digest, fingerprints[i].digest, digest_bytes) == 0)
			return true;
	}
	return false;
}
