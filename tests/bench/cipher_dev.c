// DPDK's cryptodev over the same library: crypto_aesni_gcm for GCM, crypto_aesni_mb for CM.
#include "tests/bench/cipher.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <rte_cryptodev.h>
#include <rte_errno.h>

#include "dataplane/abi/srtp_keys.h"

enum {
	OPS = 256, // in flight at most
	DESCRIPTORS = 1024,
	IV_AT = sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op),
	IV_BYTES = 16,
	AUTH_KEY_BYTES = 20,
	ROC_BYTES = 4,
};

struct dev_key {
	void *session;
	uint64_t salt[2]; // padded with zeros to the IV
};

struct bench_dev {
	uint8_t id;
	bool is_gcm;
	struct rte_mempool *sessions;
	struct rte_mempool *ops;
	struct dev_key *keys;
	uint32_t n_keys;
	struct rte_crypto_op *unused[OPS];
	unsigned int n_unused;
};

// Source: RFC 3711 4.3.1, a zero master salt.
static int derive(const uint8_t *master, uint8_t label, uint8_t *out, int out_bytes)
{
	static const uint8_t zeros[32];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = { [7] = label };
	int n, ok;

	ok = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_128_ctr(), NULL, master, iv) == 1 &&
	     EVP_EncryptUpdate(ctx, out, &n, zeros, out_bytes) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -1;
}

static int add_key(struct bench_dev *dev, uint32_t i)
{
	uint8_t master[16], key[16], auth[AUTH_KEY_BYTES], salt[IV_BYTES] = {};
	struct rte_crypto_sym_xform hash = { .type = RTE_CRYPTO_SYM_XFORM_AUTH,
		.auth = { .op = RTE_CRYPTO_AUTH_OP_GENERATE,
			.algo = RTE_CRYPTO_AUTH_SHA1_HMAC,
			.key = { .data = auth, .length = sizeof(auth) },
			.digest_length = 10 } };
	struct rte_crypto_sym_xform cipher = { .type = RTE_CRYPTO_SYM_XFORM_CIPHER,
		.next = &hash,
		.cipher = { .op = RTE_CRYPTO_CIPHER_OP_ENCRYPT,
			.algo = RTE_CRYPTO_CIPHER_AES_CTR,
			.key = { .data = key, .length = sizeof(key) },
			.iv = { .offset = IV_AT, .length = IV_BYTES } } };
	struct rte_crypto_sym_xform aead = { .type = RTE_CRYPTO_SYM_XFORM_AEAD,
		.aead = { .op = RTE_CRYPTO_AEAD_OP_ENCRYPT,
			.algo = RTE_CRYPTO_AEAD_AES_GCM,
			.key = { .data = key, .length = sizeof(key) },
			.iv = { .offset = IV_AT, .length = 12 },
			.digest_length = 16,
			.aad_length = BENCH_HDR_BYTES } };

	bench_master_key(i, master);
	if (derive(master, 0, key, sizeof(key)) < 0 || derive(master, 1, auth, sizeof(auth)) < 0 ||
		derive(master, 2, salt, dev->is_gcm ? 12 : 14) < 0)
		return -1;
	memcpy(dev->keys[i].salt, salt, sizeof(salt));
	dev->keys[i].session = rte_cryptodev_sym_session_create(
		dev->id, dev->is_gcm ? &aead : &cipher, dev->sessions);
	return dev->keys[i].session == NULL ? -1 : 0;
}

static int start(struct bench_dev *dev, const char *name)
{
	struct rte_cryptodev_config conf = { .socket_id = (int)rte_socket_id(),
		.nb_queue_pairs = 1,
		.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO };
	struct rte_cryptodev_qp_conf queue = { .nb_descriptors = DESCRIPTORS };
	int id = rte_cryptodev_get_dev_id(name);

	if (id < 0)
		return id;
	dev->id = (uint8_t)id;
	dev->sessions = rte_cryptodev_sym_session_pool_create(name, dev->n_keys + 1,
		rte_cryptodev_sym_get_private_session_size(dev->id), 0, 0, conf.socket_id);
	dev->ops = rte_crypto_op_pool_create(dev->is_gcm ? "gcm_ops" : "mb_ops",
		RTE_CRYPTO_OP_TYPE_SYMMETRIC, OPS - 1, 0, IV_BYTES, conf.socket_id);
	if (dev->sessions == NULL || dev->ops == NULL)
		return -rte_errno;
	queue.mp_session = dev->sessions;
	if (rte_cryptodev_configure(dev->id, &conf) < 0 ||
		rte_cryptodev_queue_pair_setup(dev->id, 0, &queue, conf.socket_id) < 0)
		return -1;
	return rte_cryptodev_start(dev->id);
}

struct bench_dev *bench_dev_create(const struct bench *b)
{
	struct bench_dev *dev = calloc(1, sizeof(*dev));
	bool is_gcm = b->profile != SRTP_PROFILE_CM80;
	const char *name = is_gcm ? "crypto_aesni_gcm0" : "crypto_aesni_mb0";

	if (dev == NULL)
		return NULL;
	dev->is_gcm = is_gcm;
	dev->n_keys = b->n_keys;
	dev->keys = calloc(b->n_keys, sizeof(*dev->keys));
	if (dev->keys == NULL || start(dev, name) < 0)
		goto err;
	for (uint32_t i = 0; i < b->n_keys; i++)
		if (add_key(dev, i) < 0)
			goto err;
	while (dev->n_unused < OPS - 1 && (dev->unused[dev->n_unused] = rte_crypto_op_alloc(
						   dev->ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC)) != NULL)
		dev->n_unused++;
	return dev;
err:
	fprintf(stderr, "bench_cipher: %s does not start\n", name);
	bench_dev_destroy(dev);
	return NULL;
}

void bench_dev_destroy(struct bench_dev *dev)
{
	if (dev == NULL)
		return;
	for (uint32_t i = 0; dev->keys != NULL && i < dev->n_keys; i++)
		if (dev->keys[i].session != NULL)
			rte_cryptodev_sym_session_free(dev->id, dev->keys[i].session);
	if (dev->sessions != NULL)
		rte_cryptodev_stop(dev->id);
	rte_mempool_free(dev->ops);
	rte_mempool_free(dev->sessions);
	free(dev->keys);
	free(dev);
}

// Source: RFC 7714 8.1; RFC 3711 4.1.1.
static inline void put_iv(
	const struct bench_dev *dev, const struct dev_key *key, uint64_t index, uint64_t iv[2])
{
	uint64_t ssrc = BENCH_SSRC;

	if (dev->is_gcm) {
		iv[0] = key->salt[0] ^ htobe64(ssrc << 16 | (index >> 32 & 0xffff));
		iv[1] = key->salt[1] ^ htobe32((uint32_t)index);
	} else {
		iv[0] = key->salt[0] ^ htobe64(ssrc);
		iv[1] = key->salt[1] ^ htobe64(index << 16);
	}
}

static void copy_payload(const struct bench *b, struct rte_mbuf *m, unsigned int i)
{
	memcpy(bench_payload(m), bench_payload(b->plain[i]), b->payload_bytes);
}

struct call {
	struct rte_crypto_vec src[BENCH_PER_KEY_MAX];
	struct rte_crypto_vec dst[BENCH_PER_KEY_MAX];
	struct rte_crypto_sgl src_sgl[BENCH_PER_KEY_MAX];
	struct rte_crypto_sgl dst_sgl[BENCH_PER_KEY_MAX];
	struct rte_crypto_va_iova_ptr iv[BENCH_PER_KEY_MAX];
	struct rte_crypto_va_iova_ptr digest[BENCH_PER_KEY_MAX];
	struct rte_crypto_va_iova_ptr aad[BENCH_PER_KEY_MAX];
	int32_t status[BENCH_PER_KEY_MAX];
	uint64_t ivs[BENCH_PER_KEY_MAX][2];
};

static void fill_call(struct bench *b, const struct bench_way *way, const struct dev_key *key,
	struct call *c, unsigned int i)
{
	struct rte_mbuf *m = bench_dest(b);
	uint8_t *payload = bench_payload(m);

	if (way->in_place)
		copy_payload(b, m, i);
	put_iv(way->priv, key, b->index++, c->ivs[i]);
	c->src[i].base = way->in_place ? payload : bench_payload(b->plain[i]);
	c->dst[i].base = payload;
	c->digest[i].va = payload + b->payload_bytes;
	c->aad[i].va = payload - BENCH_HDR_BYTES;
}

// What is the same for every packet is written once.
static void prepare_call(const struct bench *b, struct call *c)
{
	memset(c, 0, sizeof(*c));
	for (unsigned int i = 0; i < BENCH_PER_KEY_MAX; i++) {
		c->src[i].len = c->src[i].tot_len = b->payload_bytes;
		c->dst[i].len = c->dst[i].tot_len = b->payload_bytes;
		c->src_sgl[i] = (struct rte_crypto_sgl){ .vec = &c->src[i], .num = 1 };
		c->dst_sgl[i] = (struct rte_crypto_sgl){ .vec = &c->dst[i], .num = 1 };
		c->iv[i].va = c->ivs[i];
	}
}

unsigned int bench_dev_call(struct bench *b, const struct bench_way *way, unsigned int n_packets)
{
	const struct bench_dev *dev = way->priv;
	union rte_crypto_sym_ofs ofs = {};
	unsigned int n_sealed = 0;
	struct call c;

	prepare_call(b, &c);
	for (unsigned int n = 0; n < n_packets; n += way->per_key) {
		const struct dev_key *key = &dev->keys[bench_key(b)];

		for (unsigned int i = 0; i < way->per_key; i++)
			fill_call(b, way, key, &c, i);
		for (unsigned int i = 0; i < way->per_key; i += way->batch) {
			struct rte_crypto_sym_vec vec = { .num = way->batch,
				.src_sgl = &c.src_sgl[i],
				.dest_sgl = way->in_place ? NULL : &c.dst_sgl[i],
				.iv = &c.iv[i],
				.digest = &c.digest[i],
				.aad = &c.aad[i],
				.status = &c.status[i] };

			n_sealed += rte_cryptodev_sym_cpu_crypto_process(
				dev->id, key->session, ofs, &vec);
		}
	}
	return n_sealed;
}

static void fill_gcm(const struct bench *b, struct rte_crypto_sym_op *sym, uint8_t *payload)
{
	sym->aead.data.offset = BENCH_HDR_BYTES;
	sym->aead.data.length = b->payload_bytes;
	sym->aead.digest.data = payload + b->payload_bytes;
	sym->aead.aad.data = payload - BENCH_HDR_BYTES;
}

static void fill_cm(
	const struct bench *b, struct rte_crypto_sym_op *sym, uint8_t *payload, uint64_t index)
{
	uint32_t roc = htobe32((uint32_t)(index >> 16));

	memcpy(payload + b->payload_bytes, &roc, sizeof(roc));
	sym->cipher.data.offset = BENCH_HDR_BYTES;
	sym->cipher.data.length = b->payload_bytes;
	sym->auth.data.offset = 0;
	sym->auth.data.length = BENCH_HDR_BYTES + b->payload_bytes + ROC_BYTES;
	sym->auth.digest.data = payload + b->payload_bytes;
}

static void fill_op(struct bench *b, const struct bench_way *way, const struct dev_key *key,
	unsigned int i, struct rte_crypto_op *op)
{
	const struct bench_dev *dev = way->priv;
	struct rte_crypto_sym_op *sym = op->sym;
	struct rte_mbuf *m = bench_dest(b);

	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	sym->session = key->session;
	put_iv(dev, key, b->index, rte_crypto_op_ctod_offset(op, uint64_t *, IV_AT));
	if (way->in_place)
		copy_payload(b, m, i);
	sym->m_src = way->in_place ? m : b->plain[i];
	sym->m_dst = way->in_place ? NULL : m;
	if (dev->is_gcm)
		fill_gcm(b, sym, bench_payload(m));
	else
		fill_cm(b, sym, bench_payload(m), b->index);
	b->index++;
}

static unsigned int dequeue(struct bench_dev *dev, unsigned int batch)
{
	struct rte_crypto_op **at = &dev->unused[dev->n_unused];
	unsigned int n = rte_cryptodev_dequeue_burst(dev->id, 0, at, (uint16_t)batch);
	unsigned int n_sealed = 0;

	for (unsigned int i = 0; i < n; i++)
		n_sealed += at[i]->status == RTE_CRYPTO_OP_STATUS_SUCCESS;
	dev->n_unused += n;
	return n_sealed;
}

// The queue is not drained between batches: SHA-1's lanes stay filled by the next.
unsigned int bench_dev_queue(struct bench *b, const struct bench_way *way, unsigned int n_packets)
{
	struct bench_dev *dev = way->priv;
	struct rte_crypto_op *ops[BENCH_BATCH_MAX];
	const struct dev_key *key = NULL;
	unsigned int n_sealed = 0, n_all = dev->n_unused;

	for (unsigned int n = 0; n < n_packets; n += way->batch) {
		unsigned int sent = 0;

		while (dev->n_unused < way->batch)
			n_sealed += dequeue(dev, way->batch);
		for (unsigned int i = 0; i < way->batch; i++) {
			unsigned int turn = (n + i) % way->per_key;

			if (turn == 0)
				key = &dev->keys[bench_key(b)];
			ops[i] = dev->unused[--dev->n_unused];
			fill_op(b, way, key, turn, ops[i]);
		}
		while (sent < way->batch)
			sent += rte_cryptodev_enqueue_burst(
				dev->id, 0, ops + sent, (uint16_t)(way->batch - sent));
		n_sealed += dequeue(dev, way->batch);
	}
	while (dev->n_unused < n_all)
		n_sealed += dequeue(dev, way->batch);
	return n_sealed;
}
