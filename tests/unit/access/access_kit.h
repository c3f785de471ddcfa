// What the access tests share: files in a directory of their own, keys, and tokens that are put
// together by hand, so that they can be wrong in any way.
#pragma once

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "control/access/access.h"

enum {
	KIT_TOKEN_BYTES = 16384,
	KIT_NOW_S = 1800000000, // the tests' present
};

#define KIT_SECRET "0123456789abcdef0123456789abcdef"

// cmocka's set-up and tear-down of a group.
int kit_start(void **state);
int kit_stop(void **state);

// Write a file of n bytes below the directory, replacing the one of that name.
// Return: its path, static; eight calls later it is overwritten.
const char *kit_file(const char *name, unsigned int mode, const void *data, size_t n);
const char *kit_text(const char *name, unsigned int mode, const char *text);

// The public part in PEM, world-readable. Return: as kit_file.
const char *kit_public(const char *name, EVP_PKEY *key);
EVP_PKEY *kit_rsa(int bits);
EVP_PKEY *kit_ec(const char *curve);

// A token over these two JSON texts. kit_hmac signs with any secret, kit_sign with a private key
// (EC: r and s side by side, as RFC 7518 3.4 has it), kit_bare with the given text.
// Return: out.
const char *kit_hmac(const char *header, const char *claims, const void *secret, size_t n,
	char out[KIT_TOKEN_BYTES]);
const char *kit_sign(
	const char *header, const char *claims, EVP_PKEY *key, char out[KIT_TOKEN_BYTES]);
const char *kit_bare(
	const char *header, const char *claims, const char *signature, char out[KIT_TOKEN_BYTES]);

// A configuration with defaults and nothing configured.
struct conf *kit_conf(void);
