// The certificate of HTTPS: what is refused, and that a reload is seen by the next handshake only.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/http/tls.h"
#include "tests/unit/http/client.h"

static char directory[] = "/tmp/millrace-tls.XXXXXX";
static char certificate_path[64], key_path[64];

// A pair in memory, self-signed.
struct pair {
	EVP_PKEY *key;
	X509 *certificate;
};

static struct pair make_pair(const char *name)
{
	struct pair p = { .key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
		.certificate = X509_new() };
	X509_NAME *subject = X509_get_subject_name(p.certificate);

	X509_set_version(p.certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(p.certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(p.certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(p.certificate), 3600);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(p.certificate, subject);
	X509_set_pubkey(p.certificate, p.key);
	assert_true(X509_sign(p.certificate, p.key, EVP_sha256()) > 0);
	return p;
}

static void free_pair(struct pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->certificate);
}

static void write_certificate(const struct pair *p)
{
	FILE *f = fopen(certificate_path, "w");

	assert_int_equal(PEM_write_X509(f, p->certificate), 1);
	fclose(f);
}

static void write_key(const struct pair *p, unsigned int mode)
{
	FILE *f = fopen(key_path, "w");

	assert_int_equal(PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	assert_int_equal(chmod(key_path, mode), 0);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	chmod(path, 0600);
}

static void faults(void **state)
{
	struct pair a = make_pair("a"), b = make_pair("b");
	char fault[SECRET_FAULT_MAX];
	struct http_tls *tls = NULL, *second = NULL;

	write_certificate(&a);
	write_key(&a, 0644);
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), -EACCES);
	assert_non_null(strstr(fault, key_path));
	write_key(&b, 0600);
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), -EINVAL);
	write_text(key_path, "no key");
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), -EINVAL);
	write_key(&a, 0600);
	write_text(certificate_path, "");
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), -EINVAL);
	write_text(certificate_path, "-----BEGIN CERTIFICATE-----\nAAAA\n");
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), -EINVAL);
	assert_null(strchr(fault, '\n'));
	assert_int_equal(http_tls_create("/nonexistent", key_path, &tls, fault), -ENOENT);
	assert_null(tls);
	write_certificate(&a);
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), 0);
	assert_int_equal(http_tls_create(certificate_path, key_path, &second, fault), -EBUSY);
	assert_null(second);
	http_tls_destroy(tls);
	http_tls_destroy(NULL);
	free_pair(&a);
	free_pair(&b);
}

static SSL *shake_hands(const struct http_server *server, SSL_CTX *context)
{
	SSL *ssl = SSL_new(context);

	SSL_set_fd(ssl, client_connect(server));
	assert_int_equal(SSL_connect(ssl), 1);
	return ssl;
}

static bool shows(SSL *ssl, const struct pair *p)
{
	X509 *shown = SSL_get1_peer_certificate(ssl);
	bool same = X509_cmp(shown, p->certificate) == 0;

	X509_free(shown);
	return same;
}

static void hang_up(SSL *ssl)
{
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
}

static void ask(struct http_server *server, SSL *ssl)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	char answer[2048];
	int n;

	assert_int_equal(SSL_write(ssl, request, sizeof(request) - 1), sizeof(request) - 1);
	client_answer(client_take(server), 200, "");
	n = SSL_read(ssl, answer, sizeof(answer) - 1);
	assert_true(n > 0);
	answer[n] = '\0';
	assert_non_null(strstr(answer, "HTTP/1.1 200 "));
}

static void replaced_while_served(void **state)
{
	struct pair a = make_pair("a"), b = make_pair("b");
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct http_server_conf conf = client_conf();
	char fault[SECRET_FAULT_MAX];
	struct http_server *server;
	struct http_tls *tls;
	SSL *before, *after;

	write_certificate(&a);
	write_key(&a, 0600);
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), 0);
	conf.tls = tls;
	server = client_server(&conf);
	before = shake_hands(server, context);
	assert_true(shows(before, &a));
	ask(server, before);
	// Half a pair changes nothing.
	write_certificate(&b);
	assert_int_equal(http_tls_reload(tls, fault), -EINVAL);
	after = shake_hands(server, context);
	assert_true(shows(after, &a));
	hang_up(after);
	write_key(&b, 0600);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(http_tls_reload(tls, fault), 0);
	after = shake_hands(server, context);
	assert_true(shows(after, &b));
	ask(server, after);
	ask(server, before);
	hang_up(after);
	hang_up(before);
	http_server_stop(server);
	http_tls_destroy(tls);
	SSL_CTX_free(context);
	free_pair(&a);
	free_pair(&b);
}

// What an old or careless client may offer, alone.
static void versions_and_ciphers(void **state)
{
	static const struct {
		int version;
		const char *ciphers;
		bool good;
	} rows[] = {
		{ TLS1_3_VERSION, NULL, true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", false },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", false },
		{ TLS1_1_VERSION, "ALL:@SECLEVEL=0", false },
	};
	struct pair a = make_pair("a");
	struct http_server_conf conf = client_conf();
	char fault[SECRET_FAULT_MAX];
	struct http_server *server;
	struct http_tls *tls;

	write_certificate(&a);
	write_key(&a, 0600);
	assert_int_equal(http_tls_create(certificate_path, key_path, &tls, fault), 0);
	conf.tls = tls;
	server = client_server(&conf);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		SSL *ssl;

		SSL_CTX_set_min_proto_version(context, rows[i].version);
		SSL_CTX_set_max_proto_version(context, rows[i].version);
		if (rows[i].ciphers)
			assert_int_equal(SSL_CTX_set_cipher_list(context, rows[i].ciphers), 1);
		ssl = SSL_new(context);
		SSL_set_fd(ssl, client_connect(server));
		if ((SSL_connect(ssl) == 1) != rows[i].good)
			fail_msg("row %zu", i);
		hang_up(ssl);
		SSL_CTX_free(context);
	}
	http_server_stop(server);
	http_tls_destroy(tls);
	free_pair(&a);
}

static int start(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(certificate_path, sizeof(certificate_path), "%s/crt", directory);
	snprintf(key_path, sizeof(key_path), "%s/key", directory);
	return 0;
}

static int stop(void **state)
{
	unlink(certificate_path);
	unlink(key_path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),
		cmocka_unit_test(replaced_while_served),
		cmocka_unit_test(versions_and_ciphers),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
