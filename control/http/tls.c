#include "control/http/tls.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/priv/request.h"
#include "control/http/priv/tls.h"

enum {
	CHAIN_MAX = 8,
	// A handshake that began with a certificate is over by then, one way or the other: the
	// server closes a connection on which no request was read to its end in less.
	RETIRE_MS = 600 * 1000,
};

// One certificate with its key, as handshakes use it.
struct certificate {
	struct certificate *older; // replaced by this one, perhaps still in a handshake's hands
	uint64_t replaced_ms;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned int n_chain;
	gnutls_privkey_t key;
};

struct http_tls {
	const char *certificate_path;
	const char *key_path;
};

// core thread: rw, libmicrohttpd's thread: ro
static _Atomic(struct certificate *) shown;

int http_tls_on_certificate(gnutls_session_t session, const gnutls_datum_t *ca_names,
	int n_ca_names, const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
	gnutls_pcert_st **chain, unsigned int *n_chain, gnutls_privkey_t *key)
{
	struct certificate *c = atomic_load_explicit(&shown, memory_order_acquire);

	if (!c)
		return -1;
	*chain = c->chain;
	*n_chain = c->n_chain;
	*key = c->key;
	return 0;
}

static void free_certificate(struct certificate *c)
{
	for (unsigned int i = 0; i < c->n_chain; i++)
		gnutls_pcert_deinit(&c->chain[i]);
	if (c->key)
		gnutls_privkey_deinit(c->key);
	free(c);
}

static void free_all(struct certificate *c)
{
	while (c) {
		struct certificate *older = c->older;

		free_certificate(c);
		c = older;
	}
}

// GnuTLS' own loader knows whether the two belong together.
static int check_pair(const gnutls_datum_t *certificate, const gnutls_datum_t *key)
{
	gnutls_certificate_credentials_t probe;
	int rc = gnutls_certificate_allocate_credentials(&probe);

	if (rc < 0)
		return rc;
	rc = gnutls_certificate_set_x509_key_mem(probe, certificate, key, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(probe);
	return rc < 0 ? rc : 0;
}

// The chain first: GnuTLS 3.7's loader of pairs forgets to free a certificate that it cannot read.
static int import(
	struct certificate *c, const gnutls_datum_t *certificate, const gnutls_datum_t *key)
{
	unsigned int n = CHAIN_MAX;
	int rc = gnutls_pcert_list_import_x509_raw(
		c->chain, &n, certificate, GNUTLS_X509_FMT_PEM, 0);

	if (rc < 0)
		return rc;
	c->n_chain = n;
	rc = check_pair(certificate, key);
	if (rc == 0)
		rc = gnutls_privkey_init(&c->key);
	if (rc == 0)
		rc = gnutls_privkey_import_x509_raw(c->key, key, GNUTLS_X509_FMT_PEM, NULL, 0);
	return rc;
}

static gnutls_datum_t datum_of(const struct secret_file *file)
{
	return (gnutls_datum_t){ (unsigned char *)file->text, (unsigned int)file->bytes };
}

static int import_files(const struct http_tls *tls, const struct secret_file *certificate,
	const struct secret_file *key, struct certificate **out, char fault[SECRET_FAULT_MAX])
{
	const gnutls_datum_t certificate_pem = datum_of(certificate), key_pem = datum_of(key);
	struct certificate *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		snprintf(fault, SECRET_FAULT_MAX, "%s: no memory", tls->certificate_path);
		return -ENOMEM;
	}
	rc = import(c, &certificate_pem, &key_pem);
	if (rc < 0) {
		snprintf(fault, SECRET_FAULT_MAX, "%s with %s: %s", tls->certificate_path,
			tls->key_path, gnutls_strerror(rc));
		free_certificate(c);
		return -EINVAL;
	}
	*out = c;
	return 0;
}

static int load(const struct http_tls *tls, struct certificate **out, char fault[SECRET_FAULT_MAX])
{
	struct secret_file certificate, key;
	int err = secret_file_read(tls->certificate_path, &certificate, fault);

	if (err)
		return err;
	err = secret_file_read_private(tls->key_path, &key, fault);
	if (!err)
		err = import_files(tls, &certificate, &key, out, fault);
	secret_file_free(&key);
	secret_file_free(&certificate);
	return err;
}

// Free what was replaced long ago.
static void forget_retired(struct certificate *c, uint64_t now_ms)
{
	while (c->older && c->older->replaced_ms + RETIRE_MS > now_ms)
		c = c->older;
	free_all(c->older);
	c->older = NULL;
}

int http_tls_create(const char *certificate_path, const char *key_path, struct http_tls **out,
	char fault[SECRET_FAULT_MAX])
{
	struct certificate *first, *none = NULL;
	struct http_tls *tls = calloc(1, sizeof(*tls));
	int err;

	if (!tls) {
		snprintf(fault, SECRET_FAULT_MAX, "%s: no memory", certificate_path);
		return -ENOMEM;
	}
	tls->certificate_path = certificate_path;
	tls->key_path = key_path;
	err = load(tls, &first, fault);
	if (err) {
		free(tls);
		return err;
	}
	if (!atomic_compare_exchange_strong(&shown, &none, first)) {
		snprintf(fault, SECRET_FAULT_MAX, "%s: HTTPS is in use", certificate_path);
		free_certificate(first);
		free(tls);
		return -EBUSY;
	}
	*out = tls;
	return 0;
}

int http_tls_reload(struct http_tls *tls, char fault[SECRET_FAULT_MAX])
{
	struct certificate *fresh;
	int err = load(tls, &fresh, fault);

	if (err)
		return err;
	fresh->older = atomic_load_explicit(&shown, memory_order_relaxed);
	fresh->older->replaced_ms = http_now_ms();
	atomic_store_explicit(&shown, fresh, memory_order_release);
	forget_retired(fresh, fresh->older->replaced_ms);
	return 0;
}

void http_tls_destroy(struct http_tls *tls)
{
	if (!tls)
		return;
	free_all(atomic_exchange(&shown, NULL));
	free(tls);
}
