#include "dataplane/srtp/priv/mgr.h"

#include <errno.h>
#include <string.h>

#include "dataplane/abi/srtp_keys.h"

static bool is_fit(IMB_MGR *mgr)
{
	const uint64_t tested = IMB_FEATURE_SELF_TEST, passed = IMB_FEATURE_SELF_TEST_PASS;

	return imb_get_errno(mgr) == 0 && (!(mgr->features & tested) || (mgr->features & passed));
}

int mgr_create(bool once, IMB_MGR **out)
{
	bool lean = once && (imb_get_feature_flags() & IMB_FEATURE_AVX2);
	IMB_MGR *mgr = alloc_mb_mgr(0);

	if (mgr == NULL)
		return -ENOMEM;
	if (lean)
		init_mb_mgr_avx2(mgr);
	// What serves all packets serves one, if less quickly.
	if (!lean || !is_fit(mgr))
		init_mb_mgr_auto(mgr, NULL);
	if (!is_fit(mgr)) {
		free_mb_mgr(mgr);
		return -ENOTSUP;
	}
	*out = mgr;
	return 0;
}

void mgr_expand_gcm(IMB_MGR *mgr, uint16_t profile, const uint8_t *key, struct gcm_key_data *out)
{
	if (profile == SRTP_PROFILE_GCM256)
		IMB_AES256_GCM_PRE(mgr, key, out);
	else
		IMB_AES128_GCM_PRE(mgr, key, out);
}

void mgr_expand_wide(
	IMB_MGR *mgr, unsigned int n_rounds, const uint8_t *key, struct gcm_wide_key *out)
{
	_Alignas(16) uint8_t schedules[2][(GCM_WIDE_ROUNDS_256 + 1) * 16]; // the second goes unused

	if (n_rounds == GCM_WIDE_ROUNDS_256)
		IMB_AES_KEYEXP_256(mgr, key, schedules[0], schedules[1]);
	else
		IMB_AES_KEYEXP_128(mgr, key, schedules[0], schedules[1]);
	gcm_wide_key_init(schedules[0], n_rounds, out);
	explicit_bzero(schedules, sizeof(schedules));
}
