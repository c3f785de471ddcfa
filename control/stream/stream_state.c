// What the workers say of a stream in the region, put together: whether it comes, and how much.
#include "control/stream/priv/store.h"

uint32_t stream_peer_cap(const struct stream *s)
{
	uint32_t cap = s->want.max_peers ? s->want.max_peers
					 : s->store->conf->whep.max_peers_per_stream;

	return cap ? cap : 8;
}

uint64_t stream_last_rx_ns(const struct stream *s)
{
	const struct region_stream *shared = stream_shared(s);
	uint64_t newest_ns = 0;

	for (int role = 0; shared && role < REGION_ROLE_COUNT; role++)
		for (int leg = 0; leg < LEG_COUNT; leg++) {
			uint64_t rx_ns = stream_leg_state(shared, role, leg)->last_rx_ns;

			newest_ns = rx_ns > newest_ns ? rx_ns : newest_ns;
		}
	return newest_ns;
}

bool stream_settled(const struct stream *s)
{
	return ((const struct stream_entry *)s)->phase == STREAM_READY;
}

bool stream_live(const struct stream *s)
{
	const struct region_stream *shared = stream_shared(s);

	for (int leg = 0; shared && leg < LEG_COUNT; leg++) {
		if (s->want.legs[leg].present && shared->legs[leg].up)
			return true;
		if (s->want.backup.present && shared->backup[leg].up)
			return true;
	}
	return false;
}

// ---- rates -------------------------------------------------------------------------------------

// A counter that fell began anew.
static double rate_of(uint64_t now, uint64_t before, double seconds)
{
	return now >= before ? (double)(now - before) / seconds : 0;
}

static void sample_leg(
	struct stream_rate *rate, const struct region_leg_state *state, double seconds)
{
	uint64_t packets = state->packets, bytes = state->bytes, frames = state->frames;

	rate->packet_rate = rate_of(packets, rate->packets, seconds);
	rate->bit_rate = rate_of(bytes, rate->bytes, seconds) * 8;
	rate->frame_rate = rate_of(frames, rate->frames, seconds);
	rate->packets = packets;
	rate->bytes = bytes;
	rate->frames = frames;
}

uint32_t stream_leg_load(const struct stream *s, enum leg_kind leg)
{
	// 2.5 Mbit/s in packets of 1200 bytes; Opus, a packet each 20 ms.
	static const uint32_t usual[LEG_COUNT] = { [LEG_VIDEO] = 260, [LEG_AUDIO] = 50 };
	double rate = s->rates[stream_active(s)][leg].packet_rate;

	if (!s->want.legs[leg].present)
		return 0;
	if (!(rate >= 1))
		return usual[leg];
	return rate < UINT16_MAX * 1000.0 ? (uint32_t)rate : UINT16_MAX * 1000u;
}

void stream_store_sample(struct stream_store *store, uint64_t now_ms)
{
	static const struct region_leg_state nothing;
	double seconds = (double)(now_ms - store->sampled_ms) / 1000;

	if (store->link) {
		stream_each_entry(store, stream_entry_settle);
		stream_groups_sync(store);
	}
	if (now_ms <= store->sampled_ms)
		return;
	for (struct stream *s = store->first; s; s = s->next) {
		const struct region_stream *shared = stream_shared(s);

		for (int leg = 0; leg < LEG_COUNT; leg++) {
			sample_leg(&s->rates[REGION_PRIMARY][leg],
				shared ? &shared->legs[leg] : &nothing, seconds);
			sample_leg(&s->rates[REGION_BACKUP][leg],
				shared ? &shared->backup[leg] : &nothing, seconds);
		}
	}
	store->sampled_ms = now_ms;
}
