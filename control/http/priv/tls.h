// What the server gives libmicrohttpd for HTTPS.
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

// TLS 1.2 and 1.3, forward secrecy, authenticated ciphers only.
#define HTTP_TLS_PRIORITIES                                                                       \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:" \
	"+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE"

// gnutls_certificate_retrieve_function2. Any thread.
int http_tls_on_certificate(gnutls_session_t, const gnutls_datum_t *ca_names, int n_ca_names,
	const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain,
	unsigned int *n_chain, gnutls_privkey_t *key);
