// Asked of the CPU by code that any CPU runs: gcm_wide.c is compiled for those that have it all.
#include <cpuid.h>

#include "dataplane/srtp/gcm_wide.h"

// clang 14 has no names for these two.
static bool has_vector_aes(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ecx & bit_VAES) &&
	       (ecx & bit_VPCLMULQDQ);
}

// Of AVX-512 the compiler's function also asks whether the system keeps its registers.
bool gcm_wide_is_usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
	       has_vector_aes();
}
