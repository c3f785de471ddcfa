// What we demand of a peer beyond what OpenSSL does: callbacks that let it send the alert itself.
#pragma once

#include <openssl/ssl.h>

// For SSL_CTX_set_client_hello_cb; arg is the struct dtls_context.
// A hello that shares no SRTP profile with us is refused with handshake_failure: OpenSSL alone
// would go on without use_srtp.
// Source: RFC 5764 4.1; checklist D7.
int judge_hello(SSL *, int *alert, void *arg);

// For SSL_CTX_set_cert_verify_callback. Chain, dates and names are not looked at; the digest must
// be an offered one, else the alert is bad_certificate.
// Source: RFC 8122 6; checklist D10.
int judge_certificate(X509_STORE_CTX *, void *arg);
