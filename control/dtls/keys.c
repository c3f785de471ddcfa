#include "control/dtls/priv/keys.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/srtp.h>

enum {
	MATERIAL_MAX_BYTES = 2 * (SRTP_MASTER_KEY_MAX_BYTES + SRTP_MASTER_SALT_MAX_BYTES),
};

// material: client key, server key, client salt, server salt. We are the server.
static void keys_split(
	const uint8_t *material, struct srtp_profile_sizes sizes, struct dtls_keys *out)
{
	const uint8_t *salts = material + 2 * sizes.key_bytes;

	memcpy(out->remote.key, material, sizes.key_bytes);
	memcpy(out->local.key, material + sizes.key_bytes, sizes.key_bytes);
	memcpy(out->remote.salt, salts, sizes.salt_bytes);
	memcpy(out->local.salt, salts + sizes.salt_bytes, sizes.salt_bytes);
}

int keys_export(SSL *ssl, struct dtls_keys *out)
{
	static const char label[] = "EXTRACTOR-dtls_srtp";
	const SRTP_PROTECTION_PROFILE *agreed = SSL_get_selected_srtp_profile(ssl);
	uint16_t profile = agreed != NULL ? agreed->id : SRTP_PROFILE_NONE;
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);
	uint8_t material[MATERIAL_MAX_BYTES];
	size_t material_bytes = 2 * (sizes.key_bytes + sizes.salt_bytes);

	if (material_bytes == 0)
		return -EPROTO;
	if (SSL_export_keying_material(
		    ssl, material, material_bytes, label, sizeof(label) - 1, NULL, 0, 0) != 1)
		return -EIO;
	*out = (struct dtls_keys){ .profile = profile };
	keys_split(material, sizes, out);
	OPENSSL_cleanse(material, sizeof(material));
	return 0;
}
