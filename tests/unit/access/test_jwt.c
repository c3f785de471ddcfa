// JWTs: good ones, and every way in which one can be bad. The vector of RFC 7515 A.3.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/access/priv/jwt.h"
#include "tests/unit/access/access_kit.h"

#define N(rows)	  (sizeof(rows) / sizeof((rows)[0]))
#define HS256	  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define RS256	  "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"
#define ES256	  "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"
#define LIVE	  "{\"stream\":\"live\"}"
#define AT(claim) "{\"stream\":\"live\"," claim "}"

static const struct jwt_rules rules = {
	.stream_claim = "stream", .api_scope = "millrace-api", .audience = ""
};
static char token[KIT_TOKEN_BYTES];

static struct jwt_key *load(const char *path)
{
	char fault[SECRET_FAULT_MAX];
	struct jwt_key *key = NULL;

	if (jwt_key_load(path, &key, fault))
		fail_msg("%s", fault);
	return key;
}

static struct jwt_key *load_secret(void)
{
	return load(kit_text("jwt", 0600, KIT_SECRET "\n"));
}

static enum access_verdict judge(const struct jwt_key *key, const char *text, const char *stream)
{
	struct access_holder holder;

	return jwt_judge(key, &rules, text, stream, KIT_NOW_S, &holder);
}

// Claims in a token that is signed well; now is 1800000000, the leeway 30 s.
static void claims(void **state)
{
	static const struct {
		const char *claims, *stream; // NULL: the API
		enum access_verdict verdict;
	} rows[] = {
		{ LIVE, "live", ACCESS_OK },
		{ LIVE, "other", ACCESS_NOT_ENTITLED },
		{ LIVE, "liv", ACCESS_NOT_ENTITLED },
		{ "{\"stream\":\"*\"}", "other", ACCESS_OK },
		{ "{\"stream\":\"l*\"}", "live", ACCESS_NOT_ENTITLED },
		{ "{\"stream\":[\"a\",\"live\"]}", "live", ACCESS_OK },
		{ "{\"stream\":[\"a\",\"live\"]}", "b", ACCESS_NOT_ENTITLED },
		{ "{\"stream\":[1,null,{},\"*\"]}", "b", ACCESS_OK },
		{ "{\"stream\":[[\"live\"]]}", "live", ACCESS_NOT_ENTITLED },
		{ "{\"stream\":\"live other\"}", "live", ACCESS_NOT_ENTITLED },
		{ "{\"stream\":1}", "live", ACCESS_NOT_ENTITLED },
		{ "{\"stream\":null}", "live", ACCESS_NOT_ENTITLED },
		{ "{}", "live", ACCESS_NOT_ENTITLED },
		{ AT("\"exp\":1800000001"), "live", ACCESS_OK },
		{ AT("\"exp\":1799999971"), "live", ACCESS_OK },
		{ AT("\"exp\":1799999970"), "live", ACCESS_BAD_TOKEN },
		{ AT("\"exp\":1799999970.5"), "live", ACCESS_OK },
		{ AT("\"exp\":0"), "live", ACCESS_BAD_TOKEN },
		{ AT("\"exp\":-1"), "live", ACCESS_BAD_TOKEN },
		{ AT("\"exp\":\"1800000001\""), "live", ACCESS_BAD_TOKEN },
		{ AT("\"exp\":null"), "live", ACCESS_BAD_TOKEN },
		{ AT("\"exp\":true"), "live", ACCESS_BAD_TOKEN },
		{ AT("\"exp\":99999999999999999999999"), "live", ACCESS_BAD_TOKEN },
		{ AT("\"nbf\":1800000030"), "live", ACCESS_OK },
		{ AT("\"nbf\":1800000031"), "live", ACCESS_BAD_TOKEN },
		{ AT("\"nbf\":\"0\""), "live", ACCESS_BAD_TOKEN },
		{ AT("\"nbf\":0,\"exp\":1800000100"), "live", ACCESS_OK },
		{ AT("\"aud\":\"edge\""), "live", ACCESS_BAD_TOKEN },
		// An expired token says nothing about what it would have opened.
		{ "{\"stream\":\"other\",\"exp\":1}", "live", ACCESS_BAD_TOKEN },
		{ LIVE, NULL, ACCESS_NOT_ENTITLED },
		{ "{\"stream\":\"*\"}", NULL, ACCESS_NOT_ENTITLED },
		{ "{\"scope\":\"millrace-api\"}", NULL, ACCESS_OK },
		{ "{\"scope\":\"openid millrace-api\"}", NULL, ACCESS_OK },
		{ "{\"scope\":[\"openid\",\"millrace-api\"]}", NULL, ACCESS_OK },
		{ "{\"scope\":\"millrace-apis my-millrace-api\"}", NULL, ACCESS_NOT_ENTITLED },
		{ "{\"scope\":\"*\"}", NULL, ACCESS_NOT_ENTITLED },
		{ "{\"scope\":\"millrace-api\"}", "live", ACCESS_NOT_ENTITLED },
		{ "[\"stream\"]", "live", ACCESS_BAD_TOKEN },
		{ "\"live\"", "live", ACCESS_BAD_TOKEN },
		{ "{\"stream\":\"live\"", "live", ACCESS_BAD_TOKEN },
		{ " ", "live", ACCESS_BAD_TOKEN },
	};
	struct jwt_key *key = load_secret();

	for (size_t i = 0; i < N(rows); i++) {
		enum access_verdict verdict;

		kit_hmac(HS256, rows[i].claims, KIT_SECRET, strlen(KIT_SECRET), token);
		verdict = judge(key, token, rows[i].stream);
		if (verdict != rows[i].verdict)
			fail_msg("%s for %s: %d, not %d", rows[i].claims,
				rows[i].stream ? rows[i].stream : "the API", verdict,
				rows[i].verdict);
	}
	jwt_key_free(key);
}

static void rules_are_configured(void **state)
{
	const struct jwt_rules other = {
		.stream_claim = "room", .api_scope = "steer", .audience = "edge"
	};
	static const struct {
		const char *claims, *stream;
		enum access_verdict verdict;
	} rows[] = {
		{ "{\"room\":\"live\",\"aud\":\"edge\"}", "live", ACCESS_OK },
		{ "{\"room\":\"live\",\"aud\":[\"x\",\"edge\"]}", "live", ACCESS_OK },
		{ "{\"room\":\"live\",\"aud\":\"edges\"}", "live", ACCESS_BAD_TOKEN },
		{ "{\"room\":\"live\",\"aud\":\"x edge\"}", "live", ACCESS_BAD_TOKEN },
		{ "{\"room\":\"live\"}", "live", ACCESS_BAD_TOKEN },
		{ "{\"stream\":\"live\",\"aud\":\"edge\"}", "live", ACCESS_NOT_ENTITLED },
		{ "{\"scope\":\"steer\",\"aud\":\"edge\"}", NULL, ACCESS_OK },
		{ "{\"scope\":\"millrace-api\",\"aud\":\"edge\"}", NULL, ACCESS_NOT_ENTITLED },
	};
	struct jwt_key *key = load_secret();

	for (size_t i = 0; i < N(rows); i++) {
		kit_hmac(HS256, rows[i].claims, KIT_SECRET, strlen(KIT_SECRET), token);
		if (jwt_judge(key, &other, token, rows[i].stream, KIT_NOW_S, NULL) !=
			rows[i].verdict)
			fail_msg("row %zu", i);
	}
	jwt_key_free(key);
}

// Signed with the secret, but wrong in the header, or not signed at all.
static void forged_with_a_secret(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"HS384\"}",
		"{\"alg\":\"HS512\"}",
		RS256,
		ES256,
		"{\"alg\":\"none\"}",
		"{\"alg\":\"None\"}",
		"{\"alg\":\"\"}",
		"{\"alg\":null}",
		"{\"alg\":[\"HS256\"]}",
		"{}",
		"[]",
		"",
		"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"crit\":[\"exp\"]}",
		"{\"alg\":\"HS256\",\"crit\":[]}",
		"{\"alg\":\"HS256\",\"crit\":null}",
	};
	static const char other[] = "0123456789abcdef0123456789abcdeg";
	struct jwt_key *key = load_secret();

	assert_int_equal(
		judge(key, kit_hmac(HS256, LIVE, KIT_SECRET, 32, token), "live"), ACCESS_OK);
	for (size_t i = 0; i < N(headers); i++) {
		kit_hmac(headers[i], LIVE, KIT_SECRET, 32, token);
		if (judge(key, token, "live") != ACCESS_BAD_TOKEN)
			fail_msg("header %s passes", headers[i]);
		kit_bare(headers[i], LIVE, "", token);
		if (judge(key, token, "live") != ACCESS_BAD_TOKEN)
			fail_msg("header %s passes without a signature", headers[i]);
		kit_bare(headers[i], LIVE, "AAAA", token);
		if (judge(key, token, "live") != ACCESS_BAD_TOKEN)
			fail_msg("header %s passes with any signature", headers[i]);
	}
	assert_int_equal(
		judge(key, kit_hmac(HS256, LIVE, other, 32, token), "live"), ACCESS_BAD_TOKEN);
	assert_int_equal(judge(key, kit_hmac(HS256, LIVE, "", 0, token), "live"), ACCESS_BAD_TOKEN);
	// With the line break that ends the file.
	assert_int_equal(judge(key, kit_hmac(HS256, LIVE, KIT_SECRET "\n", 33, token), "live"),
		ACCESS_BAD_TOKEN);
	jwt_key_free(key);
}

// The public key is public: whoever signs with it as a secret must not get in (RFC 8725 2.1).
static void confused_algorithms(void **state)
{
	EVP_PKEY *keys[] = { kit_rsa(2048), kit_ec("P-256"), kit_rsa(2048), kit_ec("P-256") };
	static const char *const headers[] = { RS256, ES256 };

	for (unsigned int i = 0; i < 2; i++) {
		const char *path = kit_public("jwt", keys[i]);
		struct jwt_key *key = load(path);
		char pem[1024];
		size_t n;
		FILE *f = fopen(path, "r");

		n = fread(pem, 1, sizeof(pem), f);
		fclose(f);
		assert_int_equal(
			judge(key, kit_sign(headers[i], LIVE, keys[i], token), "live"), ACCESS_OK);
		for (size_t less = 0; less < 3; less++) {
			kit_hmac(HS256, LIVE, pem, n - less, token);
			assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
		}
		// Another key of its kind, a key of the other kind, another algorithm's name.
		kit_sign(headers[i], LIVE, keys[i + 2], token);
		assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
		kit_sign(headers[1 - i], LIVE, keys[1 - i], token);
		assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
		kit_sign(headers[1 - i], LIVE, keys[i], token);
		assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
		kit_sign("{\"alg\":\"RS512\"}", LIVE, keys[i], token);
		assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
		kit_sign("{\"alg\":\"PS256\"}", LIVE, keys[i], token);
		assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
		kit_bare("{\"alg\":\"none\"}", LIVE, "", token);
		assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
		jwt_key_free(key);
	}
	for (unsigned int i = 0; i < 4; i++)
		EVP_PKEY_free(keys[i]);
}

// Each single character of a good token counts.
static void one_character_wrong(void **state)
{
	EVP_PKEY *ec = kit_ec("P-256");
	struct jwt_key *keys[] = { load_secret(), load(kit_public("other", ec)) };
	char signed_[2][KIT_TOKEN_BYTES];

	kit_hmac(HS256, LIVE, KIT_SECRET, 32, signed_[0]);
	kit_sign(ES256, LIVE, ec, signed_[1]);
	for (unsigned int k = 0; k < 2; k++) {
		size_t n = strlen(signed_[k]);

		// The last one carries bits that base64 does not use.
		for (size_t i = 0; i + 1 < n; i++) {
			strcpy(token, signed_[k]);
			token[i] = token[i] == 'A' ? 'Q' : 'A';
			if (judge(keys[k], token, "live") == ACCESS_OK)
				fail_msg("key %u: passes with character %zu wrong", k, i);
		}
		for (size_t i = 0; i < n; i++) {
			strcpy(token, signed_[k]);
			token[i] = '\0';
			assert_int_equal(judge(keys[k], token, "live"), ACCESS_BAD_TOKEN);
		}
		jwt_key_free(keys[k]);
	}
	EVP_PKEY_free(ec);
}

static void no_tokens(void **state)
{
	static const char *const texts[] = { "", ".", "..", "...", "a", "a.b", "a.b.c", "a..c",
		".b.c", "a.b.", "a.b.c.d", "a.b.c.", " ", "e30.e30.e30",
		"e30=.e30=.e30=", "e+0.e/0.e30", "\xff\xfe.\x80.\x81" };
	struct jwt_key *key = load_secret();
	char good[KIT_TOKEN_BYTES];

	for (size_t i = 0; i < N(texts); i++) {
		if (judge(key, texts[i], "live") != ACCESS_BAD_TOKEN)
			fail_msg("%s passes", texts[i]);
	}
	kit_hmac(HS256, LIVE, KIT_SECRET, 32, good);
	strcat(strcpy(token, good), ".x");
	assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
	strcat(strcpy(token, good), "=");
	assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
	strcat(strcpy(token, " "), good);
	assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
	jwt_key_free(key);
}

// Signed well, and just within or above the limit; and nested deeper than any reader should go.
static void oversized(void **state)
{
	struct jwt_key *key = load_secret();
	char text[8192];
	size_t n = (size_t)sprintf(text, "{\"stream\":\"live\",\"x\":\"");
	size_t fill = 2900;

	memset(text + n, 'x', fill);
	strcpy(text + n + fill, "\"}");
	kit_hmac(HS256, text, KIT_SECRET, 32, token);
	assert_in_range(strlen(token), 3900, ACCESS_TOKEN_MAX_CHARS);
	assert_int_equal(judge(key, token, "live"), ACCESS_OK);
	memset(text + n, 'x', fill + 200);
	strcpy(text + n + fill + 200, "\"}");
	kit_hmac(HS256, text, KIT_SECRET, 32, token);
	assert_true(strlen(token) > ACCESS_TOKEN_MAX_CHARS);
	assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
	memset(text, '[', 2900);
	text[2900] = '\0';
	kit_hmac(HS256, text, KIT_SECRET, 32, token);
	assert_int_equal(judge(key, token, "live"), ACCESS_BAD_TOKEN);
	jwt_key_free(key);
}

static void holders(void **state)
{
	static const struct {
		const char *claims;
		int same_as; // an earlier row; -1: nobody
	} rows[] = {
		{ AT("\"sub\":\"ann\""), 0 },
		{ AT("\"sub\":\"ann\",\"jti\":\"1\""), 0 },
		{ AT("\"jti\":\"1\""), 2 },
		{ AT("\"sub\":7"), -1 },
		{ LIVE, -1 },
	};
	struct access_holder seen[N(rows)];
	struct jwt_key *key = load_secret();

	for (size_t i = 0; i < N(rows); i++) {
		memset(&seen[i], 0xff, sizeof(seen[i]));
		kit_hmac(HS256, rows[i].claims, KIT_SECRET, 32, token);
		assert_int_equal(
			jwt_judge(key, &rules, token, "live", KIT_NOW_S, &seen[i]), ACCESS_OK);
		assert_int_equal(seen[i].known, rows[i].same_as >= 0);
		if (rows[i].same_as >= 0)
			assert_memory_equal(
				seen[i].digest, seen[rows[i].same_as].digest, ACCESS_HOLDER_BYTES);
	}
	assert_memory_not_equal(seen[0].digest, seen[2].digest, ACCESS_HOLDER_BYTES);
	jwt_key_free(key);
}

// RFC 7515 A.3, which expired in 2011 and names no stream.
static void rfc7515_es256(void **state)
{
	static const char vector[] =
		"eyJhbGciOiJFUzI1NiJ9."
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb2"
		"90Ijp0cnVlfQ."
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6"
		"NU1Q";
	static const char pem[] =
		"-----BEGIN PUBLIC KEY-----\n"
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
		"6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
		"-----END PUBLIC KEY-----\n";
	struct jwt_key *key = load(kit_text("jwt", 0644, pem));

	// Good, but for no stream.
	assert_int_equal(
		jwt_judge(key, &rules, vector, "live", 1300819379, NULL), ACCESS_NOT_ENTITLED);
	assert_int_equal(jwt_judge(key, &rules, vector, "live", 1300819380 + JWT_LEEWAY_S, NULL),
		ACCESS_BAD_TOKEN);
	jwt_key_free(key);
}

static void expect_key_refused(const char *path, int err, const char *says)
{
	struct jwt_key *key = NULL;
	char fault[SECRET_FAULT_MAX];
	int rc = jwt_key_load(path, &key, fault);

	if (rc != err || !strstr(fault, says) || strncmp(fault, path, strlen(path)) != 0)
		fail_msg("%d: %s; expected %d: %s", rc, fault, err, says);
	assert_null(key);
}

static void key_files(void **state)
{
	EVP_PKEY *keys[] = { kit_rsa(1024), kit_ec("P-384"), kit_ec("secp256k1"),
		EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), kit_ec("P-256") };
	BIO *bio = BIO_new(BIO_s_mem());
	struct jwt_key *key;
	char *pem;
	long n;

	for (unsigned int i = 0; i < 4; i++)
		expect_key_refused(kit_public("jwt", keys[i]), -EINVAL, "expected an RSA key");
	// The private key is none of our business; a damaged key must not become a secret.
	assert_int_equal(PEM_write_bio_PrivateKey(bio, keys[4], NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &pem);
	expect_key_refused(
		kit_file("jwt", 0600, pem, (size_t)n), -EINVAL, "expected a public key in PEM");
	expect_key_refused(
		kit_text("jwt", 0600, "-----BEGIN PUBLIC KEY-----"), -EINVAL, "public key in PEM");
	expect_key_refused(kit_text("jwt", 0600, ""), -EINVAL, "32 characters");
	expect_key_refused(kit_text("jwt", 0600, "0123456789abcdef0123456789abcde\n"), -EINVAL,
		"32 characters");
	expect_key_refused(kit_text("jwt", 0600, KIT_SECRET "\n" KIT_SECRET "\n"), -EINVAL,
		"one line of text");
	expect_key_refused(kit_text("jwt", 0644, KIT_SECRET), -EACCES, "every user");
	expect_key_refused("/nonexistent", -ENOENT, "No such file");
	key = load(kit_text("jwt", 0640, KIT_SECRET "\r\n"));
	assert_int_equal(
		judge(key, kit_hmac(HS256, LIVE, KIT_SECRET, 32, token), "live"), ACCESS_OK);
	jwt_key_free(key);
	jwt_key_free(NULL);
	BIO_free(bio);
	for (size_t i = 0; i < N(keys); i++)
		EVP_PKEY_free(keys[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claims),
		cmocka_unit_test(rules_are_configured),
		cmocka_unit_test(forged_with_a_secret),
		cmocka_unit_test(confused_algorithms),
		cmocka_unit_test(one_character_wrong),
		cmocka_unit_test(no_tokens),
		cmocka_unit_test(oversized),
		cmocka_unit_test(holders),
		cmocka_unit_test(rfc7515_es256),
		cmocka_unit_test(key_files),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
