// The certificate that HTTPS shows. Replaced while the server runs: handshakes after that see the
// new one, connections go on.
// GnuTLS asks for it on libmicrohttpd's thread and by a callback without a context, so a process
// has one of these at a time.
// Owner: control's core thread; all functions here are for that thread alone.
#pragma once

#include "control/secret_file.h"

struct http_tls;

// Read both files.
// certificate_path, key_path: PEM; borrowed, for reloads. The key must not be open to every user.
// out:    destroyed by http_tls_destroy, after the server.
// fault:  one line, on failure.
// Return: 0; -errno of reading; -EACCES the key is open to all; -EINVAL no good certificate or key,
//         or they do not belong together; -EBUSY there is one already; -ENOMEM.
int http_tls_create(const char *certificate_path, const char *key_path, struct http_tls **out,
	char fault[SECRET_FAULT_MAX]);

// Read both files again. On failure the old certificate stays.
// Return: as http_tls_create.
int http_tls_reload(struct http_tls *, char fault[SECRET_FAULT_MAX]);

// NULL is fine.
void http_tls_destroy(struct http_tls *);
