// A viewer as the API shows it.
#include "control/session/priv/session.h"

enum session_state session_state_of(const struct session *s)
{
	return s->state;
}

const char *session_state_name(enum session_state state)
{
	switch (state) {
	case SESSION_RESERVING:
		return "reserving";
	case SESSION_CONNECTING:
		return "connecting";
	case SESSION_READY:
		return "ready";
	case SESSION_CLOSING:
		return "closing";
	case SESSION_STATE_COUNT:
		break;
	}
	return "?";
}

// What was asked for again and not sent, by the reason why.
static json_t *describe_missed(const struct region_peer_leg_state *l)
{
	json_t *missed = json_object();

	for (unsigned int i = 0; i < REGION_MISS_COUNT; i++)
		json_object_set_new(
			missed, region_miss_name(i), json_integer((json_int_t)l->missed[i]));
	return missed;
}

static json_t *describe_leg(const struct region_peer_leg_state *l, enum leg_kind leg)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:o}",
		"packets", (json_int_t)l->sent.packets, "payload_bytes", (json_int_t)l->sent.bytes,
		"sender_reports", (json_int_t)l->sent.reports, "lost",
		(json_int_t)(int32_t)l->rr_lost, "loss_percent", l->rr_fraction_lost * 100.0 / 256,
		"jitter_ms", l->rr_jitter * 1000.0 / leg_clock_hz(leg), "rtt_ms",
		l->rtt_us / 1000.0, "receiver_reports", (json_int_t)l->rr_count, "plis",
		(json_int_t)(l->plis + l->firs), "instant_start", l->starts_instant != 0,
		"key_frames_resent", (json_int_t)l->keys_sent, "nacks", (json_int_t)l->nacks,
		"resent_packets", (json_int_t)l->resent, "resent_bytes",
		(json_int_t)l->resent_bytes, "missed", describe_missed(l));
}

json_t *session_describe(const struct session *s)
{
	const struct net_path *path = ice_agent_selected(&s->ice);
	char text[NET_ADDR_TEXT_BYTES];
	const struct region_peer *slot;
	json_t *legs;

	if (!s->table->link)
		return NULL;
	slot = session_slot(s);
	legs = json_object();
	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (slot->conf.legs[leg].enabled)
			json_object_set_new(
				legs, leg_name(leg), describe_leg(&slot->state.legs[leg], leg));
	return json_pack("{s:s, s:s, s:s?, s:s, s:i, s:I, s:o}", "resource", s->resource, "state",
		session_state_name(s->state), "address",
		path ? net_addr_text(&path->remote, text) : NULL, "profile",
		srtp_profile_name(s->has_keys ? slot->conf.profile : 0), "worker", (int)s->worker,
		"age_ms", (json_int_t)(s->table->now_ms - s->created_ms), "legs", legs);
}
