// GCM goes by our own cipher where that runs, one call for a viewer's packets, and by the library
// one call a packet. CM goes as two bursts, all ciphers and then all hashes, of as many packets as
// the library takes at once. The library's job interface, where SHA-1's lanes fill across viewers
// by themselves, is as quick while destinations are in the cache and up to 30 % slower when they
// are not; bursts of 64, 32 and 16 cost 3, 6 and 9 % more than 128.
//
// Destinations: 512 of them, about what a worker's mempool cache gives out over and over while the
// port frees at once (net_null). That is 0.6 MiB of ciphertext, past L1 and within L2; 64 cost the
// same. 4096, from L3, cost GCM 3 to 90 % more, as the neighbours on it have it: a floor taken
// there would be easier to reach. Prefetching destinations gains nothing within L2. Their stride is
// an mbuf's, an odd number of cache lines: one of 2048 bytes would lay all of them onto the same
// sets of L1.
//
// The next viewer's keys are prefetched while this one's are used. With one packet a viewer that is
// worth 3 %, with eight nothing.
//
// GCM's IV is made of whole words. Written as bytes, or as an 8-byte copy into 12, it stalls the
// 16-byte load in the library: 12 of 106 ns.
#include "dataplane/testfan/floor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/mman.h>

#include <intel-ipsec-mb.h>
#include <rte_cycles.h>

#include "dataplane/abi/srtp_keys.h"
#include "dataplane/srtp/gcm_wide.h"

enum {
	FLOOR_LINE_BYTES = 64,
	FLOOR_DESTS = 512,
	FLOOR_DEST_BYTES = 37 * FLOOR_LINE_BYTES,
	FLOOR_PKT_MAX_BYTES = 2048,
	// Where the payload begins is a cache line, as a careful caller would lay it out. Our own
	// cipher's vectors begin 16 bytes before; to align those gains nothing.
	FLOOR_HDR_ROOM_BYTES = 128,
	FLOOR_TAIL_BYTES = FLOOR_DEST_BYTES - FLOOR_PKT_MAX_BYTES - FLOOR_HDR_ROOM_BYTES,
	FLOOR_BURST = IMB_MAX_BURST_SIZE,
	FLOOR_HUGE_BYTES = 2 << 20,
	FLOOR_ROUNDS = 21,
	FLOOR_ROC_BYTES = 4,
};

_Static_assert(FLOOR_TAIL_BYTES >= 20 + FLOOR_ROC_BYTES, "20 bytes of SHA-1 are written");

struct floor_cm_key {
	_Alignas(FLOOR_LINE_BYTES) uint8_t schedule[11 * 16];
	uint8_t inner[20];
	uint8_t outer[20];
};

// One measurement.
struct floor {
	const struct floor_conf *conf;
	IMB_MGR *mgr;
	struct gcm_key_data *gcm; // one of the three
	struct gcm_wide_key *wide;
	struct floor_cm_key *cm;
	uint8_t *plain; // one burst of payloads
	uint8_t *dests; // FLOOR_DESTS of FLOOR_DEST_BYTES
	uint32_t key;	// whose turn it is
	uint32_t dest;
	uint64_t packet; // goes into the IV
	bool failed;	 // the library left a job undone
	unsigned int n;	 // in the CM burst below
	IMB_JOB cipher[FLOOR_BURST];
	IMB_JOB hash[FLOOR_BURST];
	uint8_t iv[FLOOR_BURST][16];
	struct srtp_text texts[SRTP_OP_PACKETS_MAX]; // a viewer's, for our own cipher
};

// Memory under huge pages where the kernel gives them, as mbufs are.
static void *huge_alloc(size_t bytes)
{
	size_t rounded = (bytes + FLOOR_HUGE_BYTES - 1) / FLOOR_HUGE_BYTES * FLOOR_HUGE_BYTES;
	void *at = aligned_alloc(FLOOR_HUGE_BYTES, rounded);

	if (at == NULL)
		return NULL;
	madvise(at, rounded, MADV_HUGEPAGE);
	memset(at, 0x5a, rounded);
	return at;
}

static void expand_cm(IMB_MGR *mgr, const uint8_t *key, struct floor_cm_key *out)
{
	_Alignas(16) uint8_t enc[sizeof(out->schedule)], dec[sizeof(out->schedule)];
	uint8_t block[64] = {};

	IMB_AES_KEYEXP_128(mgr, key, enc, dec);
	memcpy(out->schedule, enc, sizeof(enc));
	for (int i = 0; i < 64; i++)
		block[i] = 0x36 ^ (i < 16 ? key[i] : 0);
	IMB_SHA1_ONE_BLOCK(mgr, block, out->inner);
	for (int i = 0; i < 64; i++)
		block[i] ^= 0x36 ^ 0x5c;
	IMB_SHA1_ONE_BLOCK(mgr, block, out->outer);
}

static unsigned int rounds_of(const struct floor *f)
{
	return f->conf->profile == SRTP_PROFILE_GCM256 ? GCM_WIDE_ROUNDS_256 : GCM_WIDE_ROUNDS_128;
}

static void expand_wide(
	IMB_MGR *mgr, const uint8_t *key, unsigned int n_rounds, struct gcm_wide_key *out)
{
	_Alignas(16) uint8_t enc[sizeof(out->rounds)], dec[sizeof(out->rounds)];

	if (n_rounds == GCM_WIDE_ROUNDS_256)
		IMB_AES_KEYEXP_256(mgr, key, enc, dec);
	else
		IMB_AES_KEYEXP_128(mgr, key, enc, dec);
	gcm_wide_key_init(enc, n_rounds, out);
}

static void expand_key(struct floor *f, uint32_t i)
{
	uint8_t key[32] = {};

	memcpy(key, &i, sizeof(i));
	if (f->cm)
		expand_cm(f->mgr, key, &f->cm[i]);
	else if (f->wide)
		expand_wide(f->mgr, key, rounds_of(f), &f->wide[i]);
	else if (f->conf->profile == SRTP_PROFILE_GCM256)
		IMB_AES256_GCM_PRE(f->mgr, key, &f->gcm[i]);
	else
		IMB_AES128_GCM_PRE(f->mgr, key, &f->gcm[i]);
}

static int make_keys(struct floor *f)
{
	const struct floor_conf *conf = f->conf;

	if (conf->profile == SRTP_PROFILE_CM80)
		f->cm = huge_alloc(sizeof(*f->cm) * conf->n_keys);
	else if (!conf->by_library && gcm_wide_is_usable())
		f->wide = huge_alloc(sizeof(*f->wide) * conf->n_keys);
	else
		f->gcm = huge_alloc(sizeof(*f->gcm) * conf->n_keys);
	if (f->cm == NULL && f->wide == NULL && f->gcm == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->n_keys; i++)
		expand_key(f, i);
	return 0;
}

static int make_mgr(struct floor *f)
{
	if ((imb_get_feature_flags() & IMB_CPUFLAGS_SSE) != IMB_CPUFLAGS_SSE)
		return -ENOTSUP;
	f->mgr = alloc_mb_mgr(0);
	if (f->mgr == NULL)
		return -ENOMEM;
	init_mb_mgr_auto(f->mgr, NULL);
	return imb_get_errno(f->mgr) == 0 ? 0 : -ENOTSUP;
}

static void fini(struct floor *f)
{
	free(f->gcm);
	free(f->wide);
	free(f->cm);
	free(f->plain);
	free(f->dests);
	if (f->mgr != NULL)
		free_mb_mgr(f->mgr);
	free(f);
}

static int init(const struct floor_conf *conf, struct floor **out)
{
	struct floor *f = aligned_alloc(FLOOR_LINE_BYTES,
		(sizeof(*f) + FLOOR_LINE_BYTES - 1) / FLOOR_LINE_BYTES * FLOOR_LINE_BYTES);
	int ret;

	if (f == NULL)
		return -ENOMEM;
	memset(f, 0, sizeof(*f));
	f->conf = conf;
	ret = make_mgr(f);
	if (ret == 0)
		ret = make_keys(f);
	f->plain = huge_alloc((size_t)conf->pkts_per_key * FLOOR_DEST_BYTES);
	f->dests = huge_alloc((size_t)FLOOR_DESTS * FLOOR_DEST_BYTES);
	if (ret == 0 && (f->plain == NULL || f->dests == NULL))
		ret = -ENOMEM;
	if (ret < 0) {
		fini(f);
		return ret;
	}
	*out = f;
	return 0;
}

// Return: where the next packet's payload goes; the header stands before it.
static uint8_t *next_dest(struct floor *f)
{
	uint8_t *at = f->dests + (size_t)f->dest * FLOOR_DEST_BYTES + FLOOR_HDR_ROOM_BYTES;

	f->dest = f->dest + 1 == FLOOR_DESTS ? 0 : f->dest + 1;
	return at;
}

static const uint8_t *plain_of(const struct floor *f, unsigned int i)
{
	return f->plain + (size_t)i * FLOOR_DEST_BYTES;
}

// fetch_bytes: of the next key, what sealing reads.
static void turn_key(struct floor *f, const void *keys, size_t key_bytes, size_t fetch_bytes)
{
	const char *next;

	f->key = f->key + 1 == f->conf->n_keys ? 0 : f->key + 1;
	next = (const char *)keys + f->key * key_bytes;
	for (size_t off = 0; off < fetch_bytes; off += FLOOR_LINE_BYTES)
		__builtin_prefetch(next + off, 0, 3);
}

// All packets of the burst for one viewer.
static void gcm_viewer(struct floor *f)
{
	const struct floor_conf *conf = f->conf;
	const struct gcm_key_data *key = &f->gcm[f->key];
	bool is_256 = conf->profile == SRTP_PROFILE_GCM256;
	struct gcm_context_data ctx;
	uint64_t iv[2] = {};

	turn_key(f, f->gcm, sizeof(*f->gcm), sizeof(*f->gcm));
	for (unsigned int i = 0; i < conf->pkts_per_key; i++) {
		uint8_t *dst = next_dest(f);

		f->packet++;
		iv[0] = f->packet;
		if (is_256)
			IMB_AES256_GCM_ENC(f->mgr, key, &ctx, dst, plain_of(f, i),
				conf->payload_bytes, (const uint8_t *)iv, dst - conf->hdr_bytes,
				conf->hdr_bytes, dst + conf->payload_bytes, 16);
		else
			IMB_AES128_GCM_ENC(f->mgr, key, &ctx, dst, plain_of(f, i),
				conf->payload_bytes, (const uint8_t *)iv, dst - conf->hdr_bytes,
				conf->hdr_bytes, dst + conf->payload_bytes, 16);
	}
}

// What is the same for every viewer is written once.
static void wide_prepare(struct floor *f)
{
	for (unsigned int i = 0; i < f->conf->pkts_per_key; i++)
		f->texts[i] = (struct srtp_text){
			.payload = plain_of(f, i), .seq = i, .payload_bytes = f->conf->payload_bytes
		};
}

static void wide_viewer(struct floor *f)
{
	static const uint8_t salt[SRTP_MASTER_SALT_MAX_BYTES];
	const struct floor_conf *conf = f->conf;
	const struct gcm_wide_key *key = &f->wide[f->key];
	uint8_t *pkts[SRTP_OP_PACKETS_MAX];
	const struct srtp_seal_op op = { .texts = f->texts,
		.pkts = pkts,
		.index_shift = (int64_t)f->packet,
		.hdr_bytes = conf->hdr_bytes,
		.n = conf->pkts_per_key };

	turn_key(f, f->wide, sizeof(*f->wide), gcm_wide_key_bytes(rounds_of(f)));
	for (unsigned int i = 0; i < conf->pkts_per_key; i++)
		pkts[i] = next_dest(f) - conf->hdr_bytes;
	gcm_wide_seal(key, rounds_of(f), salt, &op);
	f->packet += conf->pkts_per_key;
}

static void cm_run(struct floor *f)
{
	unsigned int n = IMB_SUBMIT_CIPHER_BURST_NOCHECK(
		f->mgr, f->cipher, f->n, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);

	if (n != f->n ||
		IMB_SUBMIT_HASH_BURST_NOCHECK(f->mgr, f->hash, n, IMB_AUTH_HMAC_SHA_1) != n)
		f->failed = true;
	f->n = 0;
}

// What is the same for every packet is written once.
static void cm_prepare(struct floor *f)
{
	const struct floor_conf *conf = f->conf;

	for (unsigned int i = 0; i < FLOOR_BURST; i++) {
		f->cipher[i].key_len_in_bytes = 16;
		f->cipher[i].iv = f->iv[i];
		f->cipher[i].iv_len_in_bytes = 16;
		f->cipher[i].msg_len_to_cipher_in_bytes = conf->payload_bytes;
		f->hash[i].msg_len_to_hash_in_bytes = conf->hdr_bytes + conf->payload_bytes +
						      FLOOR_ROC_BYTES;
		f->hash[i].auth_tag_output_len_in_bytes = 10;
	}
}

static void cm_viewer(struct floor *f)
{
	const struct floor_conf *conf = f->conf;
	const struct floor_cm_key *key = &f->cm[f->key];

	turn_key(f, f->cm, sizeof(*f->cm), sizeof(*f->cm));
	for (unsigned int i = 0; i < conf->pkts_per_key; i++) {
		uint8_t *dst = next_dest(f);
		IMB_JOB *cipher = &f->cipher[f->n], *hash = &f->hash[f->n];

		f->packet++;
		memcpy(f->iv[f->n], &f->packet, sizeof(f->packet));
		cipher->enc_keys = key->schedule;
		cipher->src = plain_of(f, i);
		cipher->dst = dst;
		hash->src = dst - conf->hdr_bytes;
		hash->auth_tag_output = dst + conf->payload_bytes;
		hash->u.HMAC._hashed_auth_key_xor_ipad = key->inner;
		hash->u.HMAC._hashed_auth_key_xor_opad = key->outer;
		if (++f->n == FLOOR_BURST)
			cm_run(f);
	}
}

static void viewers(struct floor *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (f->cm != NULL)
			cm_viewer(f);
		else if (f->wide != NULL)
			wide_viewer(f);
		else
			gcm_viewer(f);
	}
	if (f->n > 0)
		cm_run(f);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// Return: how many viewers one round takes to fill its share of the time.
static unsigned int round_size(struct floor *f)
{
	uint64_t share = (uint64_t)f->conf->ms * 1000000 / FLOOR_ROUNDS;
	uint64_t from = now_ns();
	unsigned int n = 0;

	// Full CM bursts, whatever pkts_per_key: a short one would be dearer.
	do {
		viewers(f, FLOOR_BURST);
		n += FLOOR_BURST;
	} while (now_ns() - from < share);
	return n;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct floor *f, struct floor_result *out)
{
	double ns[FLOOR_ROUNDS], cycles[FLOOR_ROUNDS];
	unsigned int n = round_size(f);
	double packets = (double)n * f->conf->pkts_per_key;

	for (int i = 0; i < FLOOR_ROUNDS; i++) {
		uint64_t from_ns = now_ns(), from_cycles = rte_rdtsc();

		viewers(f, n);
		cycles[i] = (double)(rte_rdtsc() - from_cycles) / packets;
		ns[i] = (double)(now_ns() - from_ns) / packets;
	}
	qsort(ns, FLOOR_ROUNDS, sizeof(ns[0]), compare);
	qsort(cycles, FLOOR_ROUNDS, sizeof(cycles[0]), compare);
	out->ns_per_packet = ns[FLOOR_ROUNDS / 2];
	out->cycles_per_packet = cycles[FLOOR_ROUNDS / 2];
	out->mpps = 1e3 / out->ns_per_packet;
}

int floor_run(const struct floor_conf *conf, struct floor_result *out)
{
	struct floor_result result;
	struct floor *f;
	int ret;

	if (srtp_profile_sizes(conf->profile).key_bytes == 0 || conf->n_keys == 0 ||
		conf->payload_bytes == 0 || conf->pkts_per_key == 0 || conf->ms == 0 ||
		conf->pkts_per_key > SRTP_OP_PACKETS_MAX ||
		conf->payload_bytes > FLOOR_PKT_MAX_BYTES || conf->hdr_bytes < 12 ||
		conf->hdr_bytes > FLOOR_HDR_ROOM_BYTES)
		return -EINVAL;
	ret = init(conf, &f);
	if (ret < 0)
		return ret;
	if (f->cm != NULL)
		cm_prepare(f);
	if (f->wide != NULL)
		wide_prepare(f);
	measure(f, &result);
	ret = f->failed ? -EIO : 0;
	fini(f);
	if (ret == 0)
		*out = result;
	return ret;
}
