// Asked of the CPU by code that any CPU runs: gcm_wide.c is compiled for those that have it all.
#include "dataplane/srtp/gcm_wide.h"

bool gcm_wide_is_usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq");
}
