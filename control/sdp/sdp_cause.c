#include "control/sdp/priv/cause.h"

#include <stdarg.h>
#include <stdio.h>

enum sdp_verdict sdp_refuse(
	char cause[SDP_CAUSE_MAX], enum sdp_verdict verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cause, SDP_CAUSE_MAX, format, args);
	va_end(args);
	return verdict;
}
