// What happens when memory runs out, at each step, and what is left in memory that is freed.
// The allocators are wrapped by the linker.
#include "tests/unit/srtp/srtp_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <openssl/evp.h>

#include "dataplane/mem/slab.h"

static unsigned int calls_until_failure; // 0: none fails
static const void *watched;		 // looked at when it is freed
static size_t watched_bytes;
static bool watched_was_wiped;

void *__real_aligned_alloc(size_t, size_t);
void *__wrap_aligned_alloc(size_t, size_t);
void *__real_calloc(size_t, size_t);
void *__wrap_calloc(size_t, size_t);
void *__real_slab_get(struct slab *);
void *__wrap_slab_get(struct slab *);
void __real_slab_put(struct slab *, void *);
void __wrap_slab_put(struct slab *, void *);
EVP_CIPHER_CTX *__real_EVP_CIPHER_CTX_new(void);
EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void);
IMB_MGR *__real_alloc_mb_mgr(uint64_t);
IMB_MGR *__wrap_alloc_mb_mgr(uint64_t);
srtp_err_status_t __real_srtp_create(srtp_t *, const srtp_policy_t *);
srtp_err_status_t __wrap_srtp_create(srtp_t *, const srtp_policy_t *);

static bool must_fail(void)
{
	return calls_until_failure > 0 && --calls_until_failure == 0;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	return must_fail() ? NULL : __real_aligned_alloc(alignment, bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return must_fail() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_slab_get(struct slab *s)
{
	return must_fail() ? NULL : __real_slab_get(s);
}

void __wrap_slab_put(struct slab *s, void *p)
{
	if (p != NULL && p == watched) {
		const uint8_t *at = p;

		watched_was_wiped = true;
		for (size_t i = 0; i < watched_bytes; i++)
			watched_was_wiped = watched_was_wiped && at[i] == 0;
	}
	__real_slab_put(s, p);
}

EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void)
{
	return must_fail() ? NULL : __real_EVP_CIPHER_CTX_new();
}

IMB_MGR *__wrap_alloc_mb_mgr(uint64_t flags)
{
	return must_fail() ? NULL : __real_alloc_mb_mgr(flags);
}

srtp_err_status_t __wrap_srtp_create(srtp_t *out, const srtp_policy_t *policy)
{
	return must_fail() ? srtp_err_status_alloc_fail : __real_srtp_create(out, policy);
}

static void engine_create_survives_each(void **state)
{
	static const unsigned int n_steps[KIT_N_ENGINES] = { 3, 1 };

	for (int kind = 0; kind < KIT_N_ENGINES; kind++) {
		struct srtp_engine *engine = NULL;

		for (unsigned int step = 1; step <= n_steps[kind]; step++) {
			calls_until_failure = step;
			assert_int_equal(
				srtp_engine_create((enum srtp_engine_kind)kind, &engine), -ENOMEM);
			assert_null(engine);
		}
		calls_until_failure = n_steps[kind] + 1;
		assert_int_equal(srtp_engine_create((enum srtp_engine_kind)kind, &engine), 0);
		assert_int_equal(calls_until_failure, 1);
		calls_until_failure = 0;
		srtp_engine_destroy(engine);
	}
}

static void session_create_survives_each(void **state)
{
	// Three derivations of two keys, of three under CM, and the session; a session and its
	// three contexts.
	static const unsigned int n_steps[KIT_N_ENGINES][KIT_N_PROFILES] = {
		{ 7, 7, 10 },
		{ 4, 4, 4 },
	};

	for (int kind = 0; kind < KIT_N_ENGINES; kind++) {
		for (int i = 0; i < KIT_N_PROFILES; i++) {
			struct srtp_master m = kit_master(kit_profiles[i], 1);
			struct srtp_session *s = NULL;

			for (unsigned int step = 1; step <= n_steps[kind][i]; step++) {
				calls_until_failure = step;
				assert_int_equal(srtp_session_create(kit_engines[kind],
							 kit_profiles[i], &m, &m, &s),
					-ENOMEM);
				assert_null(s);
			}
			calls_until_failure = n_steps[kind][i] + 1;
			assert_int_equal(
				srtp_session_create(kit_engines[kind], kit_profiles[i], &m, &m, &s),
				0);
			assert_int_equal(calls_until_failure, 1);
			calls_until_failure = 0;
			srtp_session_destroy(s);
		}
	}
}

static void destroy_wipes_the_keys(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		struct srtp_session *s = kit_session(SRTP_ENGINE_FAST, kit_profiles[i], 1, 2);

		watched = s;
		watched_bytes = srtp_session_bytes(s);
		watched_was_wiped = false;
		srtp_session_destroy(s);
		watched = NULL;
		assert_true(watched_was_wiped);
	}
}

// Key data where the vector code likes it.
static void sessions_are_aligned(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		struct srtp_session *s = kit_session(SRTP_ENGINE_FAST, kit_profiles[i], 1, 2);

		assert_int_equal((uintptr_t)s % 64, 0);
		srtp_session_destroy(s);
	}
}

// An engine that goes must not take the library from under another one.
static void engines_share_the_portable_library(void **state)
{
	struct srtp_master m = kit_master(SRTP_PROFILE_GCM128, 1);
	struct srtp_engine *second = NULL;
	struct srtp_session *s = NULL;
	uint8_t pkt[64] = { 0x80, 201, 0, 1 };
	uint16_t bytes = 8;

	assert_int_equal(srtp_engine_create(SRTP_ENGINE_LIBSRTP2, &second), 0);
	srtp_engine_destroy(second);
	assert_int_equal(srtp_session_create(kit_engines[SRTP_ENGINE_LIBSRTP2], SRTP_PROFILE_GCM128,
				 &m, &m, &s),
		0);
	assert_int_equal(srtp_seal_rtcp(s, pkt, bytes, 1, &bytes), 0);
	srtp_session_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine_create_survives_each),
		cmocka_unit_test(session_create_survives_each),
		cmocka_unit_test(destroy_wipes_the_keys),
		cmocka_unit_test(sessions_are_aligned),
		cmocka_unit_test(engines_share_the_portable_library),
	};

	return kit_run(tests);
}
