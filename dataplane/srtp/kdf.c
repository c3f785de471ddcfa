#include "dataplane/srtp/priv/kdf.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

// The PRF is AES in counter mode, so its key stream is what zeros encrypt to. The label stands in
// the byte above the 48-bit index, which rate 0 leaves zero (RFC 3711 4.3.1, 4.3.3).
int srtp_kdf_expand(const uint8_t *key, size_t key_bytes, const uint8_t *salt, uint8_t label,
	uint8_t *out, size_t out_bytes)
{
	const EVP_CIPHER *cipher = key_bytes == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = {};
	int n, ret = -ENOMEM;

	memcpy(iv, salt, SRTP_MASTER_SALT_MAX_BYTES);
	iv[7] ^= label;
	memset(out, 0, out_bytes);
	if (ctx != NULL && EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv) == 1 &&
		EVP_EncryptUpdate(ctx, out, &n, out, (int)out_bytes) == 1)
		ret = 0;
	EVP_CIPHER_CTX_free(ctx);
	return ret;
}

int srtp_kdf_derive(uint16_t profile, const struct srtp_master *master, enum srtp_kdf_part part,
	struct srtp_keys *out)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);
	uint8_t salt[SRTP_MASTER_SALT_MAX_BYTES] = {};
	uint8_t label = (uint8_t)part;
	struct srtp_keys keys = {};
	int ret;

	memcpy(salt, master->salt, sizes.salt_bytes);
	ret = srtp_kdf_expand(master->key, sizes.key_bytes, salt, label, keys.key, sizes.key_bytes);
	if (ret == 0 && profile == SRTP_PROFILE_CM80)
		ret = srtp_kdf_expand(master->key, sizes.key_bytes, salt, label + 1, keys.auth,
			sizeof(keys.auth));
	if (ret == 0)
		ret = srtp_kdf_expand(
			master->key, sizes.key_bytes, salt, label + 2, keys.salt, sizes.salt_bytes);
	if (ret == 0)
		*out = keys;
	explicit_bzero(&keys, sizeof(keys));
	explicit_bzero(salt, sizeof(salt));
	return ret;
}
