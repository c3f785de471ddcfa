#include "dataplane/srtp/priv/mgr.h"

#include <errno.h>

#include "dataplane/abi/srtp_keys.h"

int mgr_create(bool once, IMB_MGR **out)
{
	IMB_MGR *mgr = alloc_mb_mgr(0);

	if (mgr == NULL)
		return -ENOMEM;
	if (once && (imb_get_feature_flags() & IMB_FEATURE_AVX2))
		init_mb_mgr_avx2(mgr);
	else
		init_mb_mgr_auto(mgr, NULL);
	if (imb_get_errno(mgr) != 0 || ((mgr->features & IMB_FEATURE_SELF_TEST) &&
					       !(mgr->features & IMB_FEATURE_SELF_TEST_PASS))) {
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
