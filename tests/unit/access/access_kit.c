#include "tests/unit/access/access_kit.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/millrace-access.XXXXXX";
static const char *const names[] = { "api", "viewers", "jwt", "other" };

int kit_start(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

int kit_stop(void **state)
{
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

const char *kit_file(const char *name, unsigned int mode, const void *data, size_t n)
{
	static char paths[8][128];
	static unsigned int turn;
	char *path = paths[turn++ % 8];
	int fd;

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), (ssize_t)n);
	assert_int_equal(fchmod(fd, mode), 0); // whatever the umask is
	close(fd);
	return path;
}

const char *kit_text(const char *name, unsigned int mode, const char *text)
{
	return kit_file(name, mode, text, strlen(text));
}

const char *kit_public(const char *name, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const char *path;
	char *text;
	long n;

	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	n = BIO_get_mem_data(bio, &text);
	path = kit_file(name, 0644, text, (size_t)n);
	BIO_free(bio);
	return path;
}

EVP_PKEY *kit_rsa(int bits)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);

	assert_non_null(key);
	return key;
}

EVP_PKEY *kit_ec(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);

	assert_non_null(key);
	return key;
}

// base64url without padding (RFC 7515 2), behind what stands in out.
static void append(char *out, const void *data, size_t n)
{
	char *at = out + strlen(out);
	int chars;

	assert_true(strlen(out) + n * 4 / 3 + 8 < KIT_TOKEN_BYTES);
	chars = EVP_EncodeBlock((unsigned char *)at, data, (int)n);
	while (chars > 0 && at[chars - 1] == '=')
		at[--chars] = '\0';
	for (; *at; at++)
		*at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
}

static void begin(const char *header, const char *claims, char *out)
{
	out[0] = '\0';
	append(out, header, strlen(header));
	strcat(out, ".");
	append(out, claims, strlen(claims));
}

static const char *finish(char *out, const void *signature, size_t n)
{
	strcat(out, ".");
	append(out, signature, n);
	return out;
}

const char *kit_hmac(const char *header, const char *claims, const void *secret, size_t n,
	char out[KIT_TOKEN_BYTES])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int mac_bytes;

	begin(header, claims, out);
	assert_non_null(HMAC(
		EVP_sha256(), secret, (int)n, (unsigned char *)out, strlen(out), mac, &mac_bytes));
	return finish(out, mac, mac_bytes);
}

// DER to r and s side by side.
static size_t flatten(unsigned char *signature, size_t n)
{
	const unsigned char *at = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)n);
	unsigned char flat[64];

	assert_non_null(sig);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), flat, 32), 32);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), flat + 32, 32), 32);
	ECDSA_SIG_free(sig);
	memcpy(signature, flat, sizeof(flat));
	return sizeof(flat);
}

const char *kit_sign(
	const char *header, const char *claims, EVP_PKEY *key, char out[KIT_TOKEN_BYTES])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char signature[1024];
	size_t n = sizeof(signature);

	begin(header, claims, out);
	assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(md, signature, &n, (unsigned char *)out, strlen(out)), 1);
	EVP_MD_CTX_free(md);
	if (EVP_PKEY_is_a(key, "EC"))
		n = flatten(signature, n);
	return finish(out, signature, n);
}

const char *kit_bare(
	const char *header, const char *claims, const char *signature, char out[KIT_TOKEN_BYTES])
{
	begin(header, claims, out);
	strcat(out, ".");
	return strcat(out, signature);
}

struct conf *kit_conf(void)
{
	static struct conf conf;

	memset(&conf, 0, sizeof(conf));
	strcpy(conf.access.jwt_stream_claim, "stream");
	strcpy(conf.access.jwt_api_scope, "millrace-api");
	return &conf;
}
