// A packet is a row of blocks: its header, the ciphertext, its lengths. Header and ciphertext are
// taken as one text that begins 16 bytes before the payload, so that the counter of its first block
// is the one that enciphers the tag, whose key stream costs no vector of its own so. Four blocks
// are a vector, four vectors a step.
//
// Blocks are hashed with their bytes reversed, and the hash key's powers times x^-1, so that a
// carry-less product needs no shift (Gueron, Kounavis: "Intel Carry-Less Multiplication Instruction
// and its Usage for Computing the GCM Mode"). A vector's four lanes are four sums, brought together
// at a packet's end.
#include "dataplane/srtp/gcm_wide.h"

#include <immintrin.h>
#include <string.h>

#include "dataplane/srtp/priv/engine.h"
#include "dataplane/srtp/priv/wire.h"

#define INLINE static inline __attribute__((always_inline))

enum {
	BLOCK_BYTES = 16,
	VECTOR_BLOCKS = 4,
	VECTOR_BYTES = VECTOR_BLOCKS * BLOCK_BYTES,
	STEP_VECTORS = 4,
	STEP_BYTES = STEP_VECTORS * VECTOR_BYTES,
	ROUNDS_MAX = GCM_WIDE_ROUNDS_256,
	// The fan-out seals from deeper in the stack than who ends a session.
	FORGET_BYTES = 64 * 1024,
};

// A step before the last vector, that vector, and the lengths.
_Static_assert(GCM_WIDE_POWERS == (STEP_VECTORS + 1) * VECTOR_BLOCKS + 1, "hashed at once");

// The field's polynomial as products of reversed bits are reduced by it.
#define POLYNOMIAL ((long long)0xc200000000000000ull)

// Products to be reduced together: 256 bits in three overlapping parts.
struct product {
	__m512i low, mid, high;
};

// A packet on its way.
struct row {
	__m512i counters; // of the next vector, the last word of each block the low one
	__m512i header;	  // in the first lane; zeros
	__m512i tag_stream;
	const uint8_t *src; // both 16 bytes before the payload at first
	uint8_t *dst;
};

INLINE __m128i reversed_128(__m128i x)
{
	return _mm_shuffle_epi8(
		x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

INLINE __m512i reversed(__m512i x)
{
	const __m128i order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

	return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(order));
}

INLINE __m512i xor_3(__m512i a, __m512i b, __m512i c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

INLINE __m512i zeros(void)
{
	return _mm512_setzero_si512();
}

// ---- the hash ----------------------------------------------------------------------------------

INLINE void product_add(struct product *p, __m512i x, __m512i power)
{
	p->low = _mm512_xor_si512(p->low, _mm512_clmulepi64_epi128(x, power, 0x00));
	p->high = _mm512_xor_si512(p->high, _mm512_clmulepi64_epi128(x, power, 0x11));
	p->mid = xor_3(p->mid, _mm512_clmulepi64_epi128(x, power, 0x01),
		_mm512_clmulepi64_epi128(x, power, 0x10));
}

// Twice the lowest 64 bits are cleared by adding a multiple of the polynomial.
INLINE __m512i product_reduce(const struct product *p)
{
	const __m512i poly = _mm512_set1_epi64(POLYNOMIAL);
	__m512i mid = xor_3(p->mid, _mm512_shuffle_epi32(p->low, 0x4e),
		_mm512_clmulepi64_epi128(p->low, poly, 0x00));

	return xor_3(p->high, _mm512_shuffle_epi32(mid, 0x4e),
		_mm512_clmulepi64_epi128(mid, poly, 0x00));
}

INLINE struct product product_none(void)
{
	return (struct product){ zeros(), zeros(), zeros() };
}

INLINE __m128i multiply(__m128i x, __m128i power)
{
	struct product p = product_none();

	product_add(&p, _mm512_zextsi128_si512(x), _mm512_zextsi128_si512(power));
	return _mm512_castsi512_si128(product_reduce(&p));
}

INLINE const uint8_t *power_at(const struct gcm_wide_key *key, int n)
{
	return key->powers[GCM_WIDE_POWERS - n];
}

// The n-th power, and the three below it in the lanes behind.
INLINE __m512i powers_down_from(const struct gcm_wide_key *key, int n)
{
	return _mm512_loadu_si512(power_at(key, n));
}

INLINE __m512i power_in_all(const struct gcm_wide_key *key, int n)
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)power_at(key, n)));
}

INLINE __m128i first_power(const struct gcm_wide_key *key)
{
	return _mm_loadu_si128((const __m128i *)power_at(key, 1));
}

// A step that others follow: each lane goes on to the same lane of the step to come.
INLINE void hash_step_vector(
	struct product *p, const struct gcm_wide_key *key, const __m512i *step, int i)
{
	product_add(p, step[i], power_in_all(key, (STEP_VECTORS - i) * VECTOR_BLOCKS));
}

// ---- the cipher --------------------------------------------------------------------------------

INLINE void load_rounds(const struct gcm_wide_key *key, int n_rounds, __m512i *out)
{
#pragma GCC unroll 16
	for (int r = 0; r <= n_rounds; r++)
		out[r] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)key->rounds[r]));
}

INLINE void take_counters(struct row *row, __m512i *out, int n)
{
	const __m512i next = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, VECTOR_BLOCKS));

#pragma GCC unroll 8
	for (int i = 0; i < n; i++) {
		out[i] = reversed(row->counters);
		row->counters = _mm512_add_epi32(row->counters, next);
	}
}

// Make key stream of n vectors of counters; between the rounds the step that waits is hashed, if
// there is one: the two have units of their own.
INLINE void encipher(__m512i *x, int n, const __m512i *rounds, int n_rounds,
	const struct gcm_wide_key *key, const __m512i *waits, struct product *p)
{
#pragma GCC unroll 8
	for (int i = 0; i < n; i++)
		x[i] = _mm512_xor_si512(x[i], rounds[0]);
#pragma GCC unroll 16
	for (int r = 1; r < n_rounds; r++) {
#pragma GCC unroll 8
		for (int i = 0; i < n; i++)
			x[i] = _mm512_aesenc_epi128(x[i], rounds[r]);
		if (waits && r % 2 && r / 2 < STEP_VECTORS)
			hash_step_vector(p, key, waits, r / 2);
	}
#pragma GCC unroll 8
	for (int i = 0; i < n; i++)
		x[i] = _mm512_aesenclast_epi128(x[i], rounds[n_rounds]);
}

// The row's first vector, whose first block is the header, or its last, or both.
// mask: which of its bytes are payload.
INLINE __m512i put_part(const struct row *row, int i, __m512i stream, __mmask64 mask, __m512i other)
{
	__m512i c = _mm512_xor_si512(
		_mm512_maskz_loadu_epi8(mask, row->src + i * VECTOR_BYTES), stream);

	_mm512_mask_storeu_epi8(row->dst + i * VECTOR_BYTES, mask, c);
	return _mm512_mask_mov_epi8(other, mask, c);
}

INLINE __m512i put_whole(const struct row *row, int i, __m512i stream)
{
	__m512i c = _mm512_xor_si512(_mm512_loadu_si512(row->src + i * VECTOR_BYTES), stream);

	_mm512_storeu_si512(row->dst + i * VECTOR_BYTES, c);
	return c;
}

// Write ciphertext of n vectors.
// x:     in: key stream; out: what is hashed of them.
// begins, ends: whether the first is the row's first, the last its last.
// mask:  of the last, what belongs to the row; all where it does not end.
INLINE void put_ciphertext(
	struct row *row, __m512i *x, int n, bool begins, bool ends, __mmask64 mask)
{
	const __mmask64 header = (1u << BLOCK_BYTES) - 1;

	if (begins)
		row->tag_stream = x[0];
#pragma GCC unroll 8
	for (int i = 0; i < n; i++) {
		__mmask64 payload = ends && i == n - 1 ? mask : ~(__mmask64)0;

		if (begins && i == 0)
			x[i] = put_part(row, i, x[i], payload & ~header, row->header);
		else if (ends && i == n - 1)
			x[i] = put_part(row, i, x[i], payload, zeros());
		else
			x[i] = put_whole(row, i, x[i]);
		x[i] = reversed(x[i]);
	}
	row->src += n * VECTOR_BYTES;
	row->dst += n * VECTOR_BYTES;
}

// ---- a packet ----------------------------------------------------------------------------------

INLINE __m128i load_part(const uint8_t *at, unsigned int bytes)
{
	return _mm_maskz_loadu_epi8(
		(__mmask16)(bytes < BLOCK_BYTES ? (1u << bytes) - 1 : 0xffff), at);
}

// What is left of a header that is longer than the block it has in the row is hashed before.
// block:  the header's first.
INLINE __m512i header_block(
	const struct gcm_wide_key *key, const uint8_t *header, __m128i block, unsigned int bytes)
{
	__m128i sum = _mm_setzero_si128();

	while (bytes > BLOCK_BYTES) {
		sum = multiply(_mm_xor_si128(sum, reversed_128(block)), first_power(key));
		bytes -= BLOCK_BYTES;
		header += BLOCK_BYTES;
		block = load_part(header, bytes);
	}
	return _mm512_zextsi128_si512(_mm_xor_si128(reversed_128(sum), block));
}

// Write a packet's head, if the op has one. It is hashed from registers: a load of what was just
// stored in parts would wait for the cache.
// Return: the header as header_block gives it.
INLINE __m512i put_header(
	const struct gcm_wide_key *key, const struct srtp_seal_op *op, unsigned int i)
{
	const uint8_t *header = srtp_seal_header(op, i);
	__m128i block = load_part(header, op->hdr_bytes);

	if (op->head)
		block = _mm_insert_epi64(block, (long long)srtp_put_head(op, i), 0);
	return header_block(key, header, block, op->hdr_bytes);
}

// The row's last n vectors, after a step that waits (its sum already in it) or none.
// last_bytes: of the very last, 1 to 64.
// lengths:    the block of both lengths, reversed.
INLINE __m512i finish(struct row *row, const struct gcm_wide_key *key, const __m512i *rounds,
	int n_rounds, const __m512i *waits, int n, int last_bytes, __m128i lengths)
{
	const __mmask64 mask = ~(__mmask64)0 >> (VECTOR_BYTES - last_bytes);
	// The last block of the text is followed by the lengths alone.
	const int n_last = (last_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct product p = product_none();
	__m512i sum = zeros();
	__m512i x[STEP_VECTORS];

	take_counters(row, x, n);
	// One vector need not have the lanes into which the step before it would go on.
	encipher(x, n, rounds, n_rounds, key, n == 1 ? NULL : waits, &p);
	if (waits && n == 1) {
#pragma GCC unroll 8
		for (int i = 0; i < STEP_VECTORS; i++)
			product_add(&p, waits[i],
				powers_down_from(
					key, 1 + n_last + (STEP_VECTORS - i) * VECTOR_BLOCKS));
	} else if (waits) {
		sum = product_reduce(&p);
		p = product_none();
	}
	put_ciphertext(row, x, n, !waits, true, mask);
	x[0] = _mm512_xor_si512(x[0], sum);
	product_add(&p, _mm512_zextsi128_si512(lengths), _mm512_zextsi128_si512(first_power(key)));
#pragma GCC unroll 8
	for (int i = 0; i < n; i++)
		product_add(
			&p, x[i], powers_down_from(key, 1 + n_last + (n - 1 - i) * VECTOR_BLOCKS));
	return product_reduce(&p);
}

INLINE __m512i finish_any(struct row *row, const struct gcm_wide_key *key, const __m512i *rounds,
	int n_rounds, const __m512i *waits, uint64_t bytes, __m128i lengths)
{
	const int last_bytes = (int)((bytes - 1) % VECTOR_BYTES + 1);

	switch ((bytes - 1) / VECTOR_BYTES) {
	case 0:
		return finish(row, key, rounds, n_rounds, waits, 1, last_bytes, lengths);
	case 1:
		return finish(row, key, rounds, n_rounds, waits, 2, last_bytes, lengths);
	case 2:
		return finish(row, key, rounds, n_rounds, waits, 3, last_bytes, lengths);
	default:
		return finish(row, key, rounds, n_rounds, waits, 4, last_bytes, lengths);
	}
}

// Every step but the row's last one, then that.
INLINE __m512i walk_steps(struct row *row, const struct gcm_wide_key *key, const __m512i *rounds,
	int n_rounds, uint64_t bytes, __m128i lengths)
{
	const __mmask64 whole = ~(__mmask64)0;
	__m512i waits[STEP_VECTORS], x[STEP_VECTORS];

	take_counters(row, waits, STEP_VECTORS);
	encipher(waits, STEP_VECTORS, rounds, n_rounds, key, NULL, NULL);
	put_ciphertext(row, waits, STEP_VECTORS, true, false, whole);
	for (bytes -= STEP_BYTES; bytes > STEP_BYTES; bytes -= STEP_BYTES) {
		struct product p = product_none();

		take_counters(row, x, STEP_VECTORS);
		encipher(x, STEP_VECTORS, rounds, n_rounds, key, waits, &p);
		put_ciphertext(row, x, STEP_VECTORS, false, false, whole);
		x[0] = _mm512_xor_si512(x[0], product_reduce(&p));
#pragma GCC unroll 8
		for (int i = 0; i < STEP_VECTORS; i++)
			waits[i] = x[i];
	}
	return finish_any(row, key, rounds, n_rounds, waits, bytes, lengths);
}

INLINE void put_tag(const struct row *row, __m512i sums, uint8_t *out)
{
	__m256i two = _mm256_xor_si256(
		_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
	__m128i sum = _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));

	_mm_storeu_si128((__m128i *)out,
		_mm_xor_si128(reversed_128(sum), _mm512_castsi512_si128(row->tag_stream)));
}

// iv: the 12 bytes as a number, in the high words; 0 below.
INLINE void seal_packet(const struct gcm_wide_key *key, const __m512i *rounds, int n_rounds,
	__m128i iv, const struct srtp_seal_op *op, unsigned int i)
{
	const __m512i first = _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1);
	const struct srtp_text *text = &op->texts[i];
	const uint64_t bytes = (uint64_t)BLOCK_BYTES + text->payload_bytes;
	const __m128i lengths = _mm_set_epi64x(op->hdr_bytes * 8, text->payload_bytes * 8);
	uint8_t *payload = op->pkts[i] + op->hdr_bytes;
	struct row row = { .counters = _mm512_add_epi32(_mm512_broadcast_i32x4(iv), first),
		.header = put_header(key, op, i),
		.src = text->payload - BLOCK_BYTES,
		.dst = payload - BLOCK_BYTES };
	__m512i sums;

	if (bytes <= STEP_BYTES)
		sums = finish_any(&row, key, rounds, n_rounds, NULL, bytes, lengths);
	else
		sums = walk_steps(&row, key, rounds, n_rounds, bytes, lengths);
	put_tag(&row, sums, payload + text->payload_bytes);
}

INLINE void seal_run(const struct gcm_wide_key *key, int n_rounds, const uint8_t *salt,
	const struct srtp_seal_op *op)
{
	const uint32_t ssrc = srtp_get_be32(srtp_seal_header(op, 0) + 8);
	const uint64_t head = (uint64_t)srtp_get_be32(salt) << 32 | srtp_get_be32(salt + 4);
	const uint32_t tail = srtp_get_be32(salt + 8);
	__m512i rounds[ROUNDS_MAX + 1];

	load_rounds(key, n_rounds, rounds);
	for (unsigned int i = 0; i < op->n; i++) {
		uint64_t index = srtp_seal_index(op, i);
		uint64_t high = head ^ ((uint64_t)ssrc << 16 | (index >> 32 & 0xffff));
		uint64_t low = (uint64_t)(tail ^ (uint32_t)index) << 32;

		seal_packet(key, rounds, n_rounds, _mm_set_epi64x((long long)high, (long long)low),
			op, i);
	}
}

void gcm_wide_seal(const struct gcm_wide_key *key, unsigned int n_rounds, const uint8_t *salt,
	const struct srtp_seal_op *op)
{
	if (n_rounds == GCM_WIDE_ROUNDS_256)
		seal_run(key, GCM_WIDE_ROUNDS_256, salt, op);
	else
		seal_run(key, GCM_WIDE_ROUNDS_128, salt, op);
}

__attribute__((noinline)) void gcm_wide_forget(void)
{
	uint8_t stack[FORGET_BYTES];

	explicit_bzero(stack, sizeof(stack));
}

// ---- keys --------------------------------------------------------------------------------------

size_t gcm_wide_key_bytes(unsigned int n_rounds)
{
	return offsetof(struct gcm_wide_key, rounds) + (n_rounds + 1) * BLOCK_BYTES;
}

// The hash key, a block of zeros enciphered, times x^-1.
static __m128i hash_key(const struct gcm_wide_key *key, unsigned int n_rounds)
{
	const __m128i *rounds = (const __m128i *)key->rounds;
	__m128i x = _mm_loadu_si128(rounds);
	uint64_t low, high, carry;

	for (unsigned int r = 1; r < n_rounds; r++)
		x = _mm_aesenc_si128(x, _mm_loadu_si128(rounds + r));
	x = reversed_128(_mm_aesenclast_si128(x, _mm_loadu_si128(rounds + n_rounds)));
	low = (uint64_t)_mm_extract_epi64(x, 0);
	high = (uint64_t)_mm_extract_epi64(x, 1);
	carry = 0 - (high >> 63);
	high = (high << 1 | low >> 63) ^ (carry & (uint64_t)POLYNOMIAL);
	low = low << 1 ^ (carry & 1);
	return _mm_set_epi64x((long long)high, (long long)low);
}

void gcm_wide_key_init(const uint8_t *schedule, unsigned int n_rounds, struct gcm_wide_key *out)
{
	__m128i h, power;

	memset(out, 0, gcm_wide_key_bytes(n_rounds));
	memcpy(out->rounds, schedule, (n_rounds + 1) * BLOCK_BYTES);
	h = hash_key(out, n_rounds);
	power = h;
	for (int n = 1; n <= GCM_WIDE_POWERS; n++) {
		_mm_storeu_si128((__m128i *)out->powers[GCM_WIDE_POWERS - n], power);
		power = multiply(power, h);
	}
}
