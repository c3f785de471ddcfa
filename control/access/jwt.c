#include "control/access/priv/jwt.h"

#include <errno.h>
#include <jansson.h>
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

struct jwt_key {
	jwt_alg_t alg;
	unsigned char *bytes; // as libjwt takes it: PEM, or the secret
	size_t n_bytes;
};

// ---- the key -----------------------------------------------------------------------------------

static int wrong(const char *path, const char *what, char fault[SECRET_FAULT_MAX])
{
	snprintf(fault, SECRET_FAULT_MAX, "%s: %s", path, what);
	return -EINVAL;
}

// Return: JWT_ALG_INVAL for a key that fits none of ours.
static jwt_alg_t alg_of(EVP_PKEY *key)
{
	char group[32];

	if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= JWT_RSA_MIN_BITS)
		return JWT_ALG_RS256;
	if (EVP_PKEY_is_a(key, "EC") &&
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
		strcmp(group, "prime256v1") == 0)
		return JWT_ALG_ES256;
	return JWT_ALG_INVAL;
}

static int keep(struct jwt_key *key, const void *bytes, size_t n_bytes)
{
	key->bytes = malloc(n_bytes + 1);
	if (!key->bytes)
		return -ENOMEM;
	memcpy(key->bytes, bytes, n_bytes);
	key->bytes[n_bytes] = '\0';
	key->n_bytes = n_bytes;
	return 0;
}

// What libjwt gets is written anew: the key alone, whatever else stood in the file.
static int keep_public(struct jwt_key *key, EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;
	int err = -ENOMEM;

	if (bio && PEM_write_bio_PUBKEY(bio, pkey) == 1) {
		n = BIO_get_mem_data(bio, &text);
		err = keep(key, text, (size_t)n);
	}
	BIO_free(bio);
	return err;
}

static int read_public(struct jwt_key *key, const char *path, const struct secret_file *file,
	char fault[SECRET_FAULT_MAX])
{
	BIO *bio = BIO_new_mem_buf(file->text, (int)file->bytes);
	EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	int err;

	BIO_free(bio);
	if (!pkey)
		return wrong(path, "expected a public key in PEM (BEGIN PUBLIC KEY)", fault);
	key->alg = alg_of(pkey);
	if (key->alg == JWT_ALG_INVAL)
		err = wrong(path, "expected an RSA key of 2048 bits or more, or an EC key on P-256",
			fault);
	else
		err = keep_public(key, pkey);
	EVP_PKEY_free(pkey);
	return err;
}

static int read_secret(struct jwt_key *key, const char *path, const struct secret_file *file,
	char fault[SECRET_FAULT_MAX])
{
	size_t n = file->bytes;

	if (file->exposed) {
		wrong(path, "every user may read or write this secret; chmod o= it", fault);
		return -EACCES;
	}
	if (n > 0 && file->text[n - 1] == '\n')
		n--;
	if (n > 0 && file->text[n - 1] == '\r')
		n--;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)file->text[i] < ' ' || file->text[i] == 0x7f)
			return wrong(path, "expected a PEM public key, or one line of text", fault);
	}
	if (n < JWT_SECRET_MIN_CHARS)
		return wrong(path, "expected a secret of 32 characters or more", fault);
	key->alg = JWT_ALG_HS256;
	return keep(key, file->text, n);
}

int jwt_key_load(const char *path, struct jwt_key **out, char fault[SECRET_FAULT_MAX])
{
	struct jwt_key *key;
	struct secret_file file;
	int err = secret_file_read(path, &file, fault);

	if (err)
		return err;
	key = calloc(1, sizeof(*key));
	err = key ? 0 : -ENOMEM;
	// A damaged PEM file must never become a secret that everybody knows.
	if (key && memmem(file.text, file.bytes, "-----", 5))
		err = read_public(key, path, &file, fault);
	else if (key)
		err = read_secret(key, path, &file, fault);
	if (err == -ENOMEM)
		snprintf(fault, SECRET_FAULT_MAX, "%s: no memory", path);
	secret_file_free(&file);
	if (err)
		jwt_key_free(key);
	else
		*out = key;
	return err;
}

void jwt_key_free(struct jwt_key *key)
{
	if (!key)
		return;
	if (key->bytes)
		explicit_bzero(key->bytes, key->n_bytes);
	free(key->bytes);
	free(key);
}

// ---- a token -----------------------------------------------------------------------------------

// Three parts in base64url, which alone libjwt gets to see.
static bool is_compact(const char *token)
{
	if (strlen(token) > ACCESS_TOKEN_MAX_CHARS)
		return false;
	for (unsigned int part = 0; part < 3; part++) {
		size_t n = strspn(token, BASE64URL);

		if (n == 0 || token[n] != (part < 2 ? '.' : '\0'))
			return false;
		token += n + 1;
	}
	return true;
}

// Return: the claims, for the caller to let go of; NULL the token is not the issuer's.
static json_t *verify(const struct jwt_key *key, const char *token)
{
	json_t *claims = NULL;
	char *text = NULL, *crit;
	jwt_t *jwt = NULL;

	if (!is_compact(token) || jwt_decode(&jwt, token, key->bytes, (int)key->n_bytes))
		return NULL;
	// libjwt went by the token's own algorithm: with HS256 and our public key for a secret,
	// anybody can sign.
	if (jwt_get_alg(jwt) == key->alg) {
		// What is critical and unknown to us makes a token bad (RFC 7515 4.1.11).
		crit = jwt_get_headers_json(jwt, "crit");
		if (!crit)
			text = jwt_get_grants_json(jwt, NULL);
		free(crit);
	}
	jwt_free(jwt);
	if (text)
		claims = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	return claims;
}

// Return: whether now lies in the token's time; what is there but no number is never right.
static bool is_current(const json_t *claims, int64_t now_s)
{
	const json_t *exp = json_object_get(claims, "exp");
	const json_t *nbf = json_object_get(claims, "nbf");

	if (exp && !(json_is_number(exp) && (double)now_s < json_number_value(exp) + JWT_LEEWAY_S))
		return false;
	return !nbf ||
	       (json_is_number(nbf) && (double)now_s + JWT_LEEWAY_S >= json_number_value(nbf));
}

// Whether a claim, a text or a list of texts, has this among its values.
// words: a text is many values with blanks between.
static bool names(const json_t *claim, const char *value, bool words)
{
	const char *text = json_string_value(claim);
	size_t n = strlen(value);
	size_t i;
	json_t *item;

	if (n == 0)
		return false; // nothing configured is nothing granted
	if (text && !words)
		return strcmp(text, value) == 0;
	while (text && *text) {
		size_t n_word = strcspn(text, " ");

		if (n_word == n && memcmp(text, value, n) == 0)
			return true;
		text += n_word + strspn(text + n_word, " ");
	}
	json_array_foreach (claim, i, item) {
		if (json_is_string(item) && strcmp(json_string_value(item), value) == 0)
			return true;
	}
	return false;
}

// RFC 7519 4.1.3: who is not named must refuse.
static bool is_for_us(const json_t *claims, const char *audience)
{
	const json_t *aud = json_object_get(claims, "aud");

	return *audience ? names(aud, audience, false) : !aud;
}

static bool opens(const json_t *claims, const struct jwt_rules *rules, const char *stream)
{
	const json_t *claim;

	if (!stream)
		return names(json_object_get(claims, "scope"), rules->api_scope, true);
	claim = json_object_get(claims, rules->stream_claim);
	return names(claim, stream, false) || names(claim, "*", false);
}

static void note_holder(const json_t *claims, struct access_holder *holder)
{
	const char *name = json_string_value(json_object_get(claims, "sub"));
	unsigned char digest[SHA256_DIGEST_LENGTH];

	if (!name)
		name = json_string_value(json_object_get(claims, "jti"));
	if (!name || !SHA256((const unsigned char *)name, strlen(name), digest))
		return;
	holder->known = true;
	memcpy(holder->digest, digest, sizeof(holder->digest));
}

enum access_verdict jwt_judge(const struct jwt_key *key, const struct jwt_rules *rules,
	const char *token, const char *stream, int64_t now_s, struct access_holder *holder)
{
	json_t *claims = verify(key, token);
	enum access_verdict verdict = ACCESS_BAD_TOKEN;

	if (json_is_object(claims) && is_current(claims, now_s) &&
		is_for_us(claims, rules->audience))
		verdict = opens(claims, rules, stream) ? ACCESS_OK : ACCESS_NOT_ENTITLED;
	if (verdict == ACCESS_OK && holder) {
		*holder = (struct access_holder){ 0 };
		note_holder(claims, holder);
	}
	json_decref(claims);
	return verdict;
}
