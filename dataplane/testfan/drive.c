#include "dataplane/testfan/drive.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "dataplane/abi/log.h"
#include "dataplane/testfan/source.h"

enum {
	COMMAND_S = 60,
	POLL_US = 200,
	MAX_UNDER_WAY = REGION_COMMAND_SLOTS - 1,
};

static void fill_random(void *at, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		size_t n = bytes - done < 256 ? bytes - done : 256;

		if (getrandom((uint8_t *)at + done, n, 0) == (ssize_t)n)
			done += n;
	}
}

void drive_init(struct drive *d, struct region *region, const struct settings *settings,
	const uint8_t mac[6], uint16_t media_port)
{
	*d = (struct drive){ .region = region, .settings = settings, .media_port = media_port };
	memcpy(d->mac, mac, 6);
	fill_random(&d->ssrc_base, sizeof(d->ssrc_base));
}

static void take_event(struct drive *d, uint16_t worker, const struct ring_event *e)
{
	if (e->kind != RING_ACK)
		return;
	d->under_way[worker]--;
	if (e->status == 0 || d->status < 0)
		return;
	d->status = e->status;
	log_error("worker %u refused slot %u: %s", worker, e->slot, strerror(-e->status));
}

void drive_poll(struct drive *d)
{
	static struct ring_packet packet;
	struct ring_event e;

	for (uint16_t w = 0; w < d->region->n_workers; w++) {
		while (ring_get(d->region->rings[w].event, &e, sizeof(e)) == 0)
			take_event(d, w, &e);
		while (ring_get(d->region->rings[w].punt, &packet, sizeof(packet)) == 0)
			d->punted++;
	}
}

static bool timed_out(uint64_t since_ns)
{
	return region_now_ns() - since_ns > COMMAND_S * 1000000000ULL;
}

static int await_all(struct drive *d)
{
	uint64_t since = region_now_ns();

	for (uint16_t w = 0; w < d->region->n_workers; w++) {
		while (d->under_way[w] > 0) {
			drive_poll(d);
			if (timed_out(since)) {
				log_error("worker %u does not answer", w);
				return -ETIMEDOUT;
			}
			usleep(POLL_US);
		}
	}
	return d->status;
}

static int command(struct drive *d, uint16_t worker, enum ring_command_kind kind, uint16_t slot,
	uint32_t generation)
{
	const struct ring_command c = {
		.seq = ++d->seq, .kind = (uint8_t)kind, .slot = slot, .generation = generation
	};
	uint64_t since = region_now_ns();

	// Every answer needs its place among the events.
	while (d->under_way[worker] >= MAX_UNDER_WAY ||
		ring_put(d->region->rings[worker].command, &c, sizeof(c)) < 0) {
		drive_poll(d);
		if (timed_out(since))
			return -ETIMEDOUT;
		usleep(POLL_US);
	}
	d->under_way[worker]++;
	return 0;
}

static void fill_stream(const struct drive *d, uint16_t slot)
{
	const bool has[LEG_COUNT] = { d->settings->media != MEDIA_AUDIO,
		d->settings->media != MEDIA_VIDEO };
	struct region_stream_conf *conf = &d->region->streams[slot].conf;

	*conf = (struct region_stream_conf){ .generation = 1,
		.owner = (uint16_t)(slot % d->region->n_workers) };
	snprintf(conf->id, sizeof(conf->id), "testfan%u", slot);
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		conf->legs[leg].present = has[leg];
		conf->legs[leg].payload_type = leg == LEG_VIDEO ? SOURCE_VIDEO_PT : SOURCE_AUDIO_PT;
		conf->legs[leg].port = source_port(slot, leg);
	}
}

static void fill_master(struct srtp_master *m, uint16_t profile)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);

	memset(m, 0, sizeof(*m));
	fill_random(m->key, sizes.key_bytes);
	fill_random(m->salt, sizes.salt_bytes);
}

static struct region_peer_leg make_leg(const struct drive *d, uint32_t viewer, enum leg_kind leg)
{
	struct region_peer_leg l = { .enabled = d->region->streams[0].conf.legs[leg].present,
		.payload_type = leg == LEG_VIDEO ? DRIVE_VIDEO_PT : DRIVE_AUDIO_PT,
		.mid_ext_id = DRIVE_MID_ID,
		.mid_bytes = 1,
		.mid = { (char)('0' + leg) },
		.ssrc = d->ssrc_base + 2 * viewer + leg,
		.nack = d->settings->nack > 0 };

	fill_random(&l.ts_base, sizeof(l.ts_base));
	fill_random(&l.seq_base, sizeof(l.seq_base));
	l.seq_base &= 0x7fff;
	if (!l.nack || !d->settings->rtx || leg != LEG_VIDEO)
		return l;
	l.rtx_ssrc = d->ssrc_base + 2 * (uint32_t)d->settings->peers + viewer;
	l.rtx_payload_type = DRIVE_RTX_PT;
	fill_random(&l.rtx_seq_base, sizeof(l.rtx_seq_base));
	l.rtx_seq_base &= 0x7fff;
	return l;
}

// A stream's viewers are dealt to the workers in turn, each stream beginning with another.
static uint16_t worker_of(const struct drive *d, uint32_t viewer)
{
	uint64_t stream = viewer % d->settings->streams, nth = viewer / d->settings->streams;

	return (uint16_t)((stream + nth) % d->region->n_workers);
}

static void fill_viewer(const struct drive *d, uint32_t viewer)
{
	struct region_peer_conf *conf = &d->region->peers[viewer].conf;

	*conf = (struct region_peer_conf){ .generation = 1,
		.stream = (uint16_t)(viewer % d->settings->streams),
		.worker = worker_of(d, viewer),
		.profile = (uint16_t)d->settings->profile,
		.phase = REGION_PEER_RESERVED,
		.stream_generation = 1,
		.key_id = 1,
		.path = { .remote = settings_viewer(d->settings, viewer),
			.local = settings_local(d->settings) },
		.legs = { make_leg(d, viewer, LEG_VIDEO), make_leg(d, viewer, LEG_AUDIO) },
		.cname = "testfan" };
	conf->path.local.port_be = htons(d->media_port);
	memcpy(conf->path.local_mac, d->mac, 6);
	memcpy(conf->path.remote_mac, d->settings->eth_peer, 6);
	fill_master(&conf->local, conf->profile);
	fill_master(&conf->remote, conf->profile);
}

static int command_viewers(struct drive *d, enum ring_command_kind kind)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < d->settings->peers; i++)
		rc = command(d, d->region->peers[i].conf.worker, kind, (uint16_t)i, 1);
	return rc < 0 ? rc : await_all(d);
}

static int populate_streams(struct drive *d)
{
	int rc = 0;

	for (uint16_t slot = 0; rc == 0 && slot < d->settings->streams; slot++) {
		fill_stream(d, slot);
		for (uint16_t w = 0; rc == 0 && w < d->region->n_workers; w++)
			rc = command(d, w, RING_STREAM_SET, slot, 1);
	}
	return rc < 0 ? rc : await_all(d);
}

int drive_populate(struct drive *d)
{
	int rc = populate_streams(d);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < d->settings->peers; i++)
		fill_viewer(d, i);
	rc = command_viewers(d, RING_PEER_ADD);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < d->settings->peers; i++)
		d->region->peers[i].conf.phase = REGION_PEER_READY;
	return command_viewers(d, RING_PEER_UPDATE);
}

int drive_flush(struct drive *d)
{
	int rc = 0;

	for (uint16_t w = 0; rc == 0 && w < d->region->n_workers; w++)
		rc = command(d, w, RING_FLUSH, 0, 0);
	return rc < 0 ? rc : await_all(d);
}
