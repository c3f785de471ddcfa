// The text of an answer.
// Source: RFC 3264 6, 9143 7.3, 9429 5.3.1, 8839 5; checklist B2 to B42.
#pragma once

#include "control/sdp/priv/choose.h"
#include "control/sdp/priv/writer.h"

void sdp_answer_write(struct sdp_writer *, const struct sdp_offer *, const struct sdp_choice *,
	const struct sdp_stream_leg *legs, const struct sdp_local *);
