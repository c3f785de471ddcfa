// Key frames without parameter sets get them, nobody gets delimiters and filler, and viewers'
// numbers run on over both: whole workers, crafted packets. Source: RFC 6184 5.6 to 5.8; checklist
// F2, F6, F7.
#include "tests/unit/fanout/edge_kit.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

// Pictures as text. A word is a packet: one letter a NAL unit, several a STAP-A, ":x" the start and
// ";x" the end of an FU-A. "." behind it is the marker, "/" begins the next picture, "-" is a
// packet that is lost.
static const struct unit {
	char letter;
	uint8_t bytes[8];
	uint8_t n;
} units[] = {
	{ 'A', { 0x09, 0x10 }, 2 },
	{ 'F', { 0x0c, 0xff, 0xff, 0x80 }, 4 },
	{ 'f', { 0x0c, 0x80 }, 2 }, // what is left of filler that carries the marker
	{ 'S', { 0x67, 0x42, 0xc0, 0x1f, 0x8c, 1 }, 6 },
	{ 'Z', { 0x67, 0x42, 0xc0, 0x1f, 0x8c, 2 }, 6 }, // another SPS with its id
	{ 'P', { 0x68, 0xce, 0x3c, 0x80 }, 4 },
	{ 'Q', { 0x68, 0x5e, 0x3c, 0x80 }, 4 }, // PPS 1
	{ 'E', { 0x06, 5, 1, 0x80 }, 4 },
	{ 'I', { 0x65, 0x88, 1, 2 }, 4 },
	{ 'i', { 0x65, 0x30, 1, 2 }, 4 }, // first_mb_in_slice 5
	{ 'p', { 0x41, 0x9a, 1, 2 }, 4 },
};

static const struct row {
	const char *what, *in, *out;
	const char *sprop;
} rows[] = {
	{ "in band", "SP I. / p. / S P I. / p.", "SP I. / p. / S P I. / p.", "" },
	{ "in band, configured too", "SP I. / S P E I.", "SP I. / S P E I.", "SP" },
	{ "all in one packet", "SPI. / SPEI i.", "SPI. / SPEI i.", "SP" },
	{ "configured", "I. / p. / I i.", "SP I. / p. / SP I i.", "SP" },
	{ "configured, SEI first", "E I. / E I i.", "E SP I. / E SP I i.", "SP" },
	{ "seen once", "S P I. / p. / I. / I.", "S P I. / p. / SP I. / SP I.", "" },
	{ "in fragments", "S P :I ;I. / :I ;I.", "S P :I ;I. / SP :I ;I.", "" },
	{ "half of them", "S P I. / S I. / P I.", "S P I. / S =P I. / P =S I.", "" },
	{ "changed in band", "SP I. / Z I. / I.", "SP I. / Z =P I. / PZ I.", "" },
	{ "two PPS", "SPQ I. / I.", "SPQ I. / SPQ I.", "" },
	{ "nothing known", "I. / p. / I.", "I. / p. / I.", "" },
	{ "SPS alone known", "S I. / I.", "S I. / I.", "" },
	{ "not before other pictures", "I. / p p. / p.", "SP I. / p p. / p.", "SP" },
	{ "second slice alone", "SP I. / i.", "SP I. / i.", "" },
	{ "delimiters", "A SP I. / A p. / A p p.", "SP I. / p. / p p.", "" },
	{ "delimiter before a bare key frame", "A I. / A E I.", "SP I. / E SP I.", "SP" },
	{ "delimiters in STAP-A", "ASP I. / Ap. / AE I.", "SP I. / =p. / =E SP I.", "" },
	{ "filler", "SP I F F. / p F. / F p.", "SP I f. / p f. / p.", "" },
	{ "filler in STAP-A", "SPF I. / pF. / FF. / F p.", "SP I. / =p. / f. / p.", "" },
	{ "filler in fragments", "SP I :F ;F p. / p :F ;F.", "SP I p. / p f.", "" },
	{ "losses stay", "SP I. / - p. / A - p.", "SP I. / - p. / - p.", "" },
	{ "a key frame's head is lost", "SP I. / p. / - i.", "SP I. / p. / - i.", "" },
};

static uint16_t put_unit(char letter, uint8_t *at)
{
	for (size_t i = 0; i < N(units); i++) {
		if (units[i].letter != letter)
			continue;
		memcpy(at, units[i].bytes, units[i].n);
		return units[i].n;
	}
	fail_msg("no unit %c", letter);
	return 0;
}

static uint16_t put_fragment(const char *word, uint8_t *at)
{
	uint8_t unit[8];
	uint16_t n = put_unit(word[1], unit);

	at[0] = (uint8_t)(0x7c & (0x1c | unit[0]));
	at[1] = (uint8_t)((word[0] == ':' ? 0x80 : 0x40) | (unit[0] & 0x1f));
	memcpy(at + 2, unit + 1, n - 1u);
	return (uint16_t)(n + 1);
}

// "=" is a STAP-A though it has one unit.
static uint16_t put_payload(const char *word, size_t chars, uint8_t *at)
{
	uint16_t n = 1;

	if (word[0] == ':' || word[0] == ';')
		return put_fragment(word, at);
	if (chars == 1)
		return put_unit(word[0], at);
	at[0] = 0x78;
	for (size_t i = word[0] == '='; i < chars; i++) {
		uint16_t bytes = put_unit(word[i], at + n + 2);

		at[n] = 0;
		at[n + 1] = (uint8_t)bytes;
		n = (uint16_t)(n + 2 + bytes);
	}
	return n;
}

// Return: whether there was one more packet; text moves behind it.
static bool next_packet(const char **text, struct kit_rtp *p)
{
	for (;;) {
		size_t chars = strcspn(*text, " ");
		const char *word = *text;

		*text += chars + strspn(*text + chars, " ");
		if (chars == 0)
			return false;
		if (word[0] == '/') {
			p->ts += 3000;
			continue;
		}
		p->seq++;
		if (word[0] == '-')
			continue;
		p->marker = word[chars - 1] == '.';
		p->payload_bytes = put_payload(word, chars - p->marker, p->payload);
		return true;
	}
}

static void begin(const char *sprop)
{
	struct region_stream_conf *conf = kit_stream_fill(0, 0);
	uint8_t packet[100];

	if (*sprop) {
		conf->sprop[0].bytes = (uint16_t)(put_payload(sprop, strlen(sprop), packet) - 1);
		memcpy(conf->sprop[0].units, packet + 1, conf->sprop[0].bytes);
	}
	assert_int_equal(kit_stream_set(0), 0);
}

static void play(const struct row *row, struct kit_viewer *viewers)
{
	struct kit_rtp in = { .seq = 65530, .ts = 7 };
	const char *text = row->in;

	while (next_packet(&text, &in))
		kit_feed_rtp(0, 0, LEG_VIDEO, &in);
	kit_step(0);
	kit_step(1);
	for (uint16_t i = 0; i < 2; i++) {
		struct kit_rtp out = { .seq = viewers[i].conf->legs[LEG_VIDEO].seq_base, .ts = 7 };

		out.seq--;
		text = row->out;
		while (next_packet(&text, &out))
			kit_viewer_expect(&viewers[i], i, LEG_VIDEO, &out, out.seq);
		assert_int_equal(kit_sent_count(i), 0);
	}
}

// One viewer on the stream's owner, one elsewhere: both get the same.
static void pictures_are_cared_for(void **state)
{
	for (size_t i = 0; i < N(rows); i++) {
		struct kit_viewer viewers[2];

		print_message("%s\n", rows[i].what);
		begin(rows[i].sprop);
		for (uint16_t slot = 0; slot < 2; slot++) {
			kit_peer_add(slot, 0, slot, SRTP_PROFILE_GCM128);
			kit_viewer_init(&viewers[slot], slot);
		}
		play(&rows[i], viewers);
		for (uint16_t slot = 0; slot < 2; slot++)
			kit_viewer_fini(&viewers[slot]);
		kit_teardown(state);
		kit_setup(state);
	}
}

// What comes late has the number of its gap, whatever was put in or left out since: no number
// twice.
static void late_packets_keep_their_place(void **state)
{
	static const struct {
		const char *word;
		uint16_t seq, out;
		uint8_t picture;
	} steps[] = {
		{ "SPI", 10, 0, 1 },
		{ "p.", 11, 1, 1 },
		{ "A", 13, UINT16_MAX, 2 }, // left out; 12 would have been before it
		{ "p.", 15, 4, 2 },	    // 14 would have 3
		{ "p", 12, 2, 1 },
		{ "p", 14, 3, 2 },
	};
	const struct kit_rtp key = {
		.seq = 18, .ts = 40, .payload = { 0x65, 0x88, 1 }, .payload_bytes = 3
	};
	struct kit_viewer v;
	uint16_t base;

	begin("SP");
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	base = v.conf->legs[LEG_VIDEO].seq_base;
	for (size_t i = 0; i < N(steps); i++) {
		struct kit_rtp p = { .seq = steps[i].seq, .ts = 10u * steps[i].picture };
		size_t chars = strcspn(steps[i].word, ".");

		p.marker = steps[i].word[chars] == '.';
		p.payload_bytes = put_payload(steps[i].word, chars, p.payload);
		kit_feed_rtp(0, 0, LEG_VIDEO, &p);
		kit_step(0);
		if (steps[i].out != UINT16_MAX)
			kit_viewer_expect(&v, 0, LEG_VIDEO, &p, (uint16_t)(base + steps[i].out));
		assert_int_equal(kit_sent_count(0), 0);
	}
	// 16 and 17 are missing: 5 and 6. The sets are 7, the key frame 8.
	kit_feed_rtp(0, 0, LEG_VIDEO, &key);
	kit_step(0);
	kit_forget_one(0);
	kit_viewer_expect(&v, 0, LEG_VIDEO, &key, (uint16_t)(base + 8));
	for (uint16_t seq = 16; seq <= 17; seq++) {
		struct kit_rtp p = { .seq = seq,
			.ts = 30,
			.payload = { 0x41, 0x9a, (uint8_t)seq },
			.payload_bytes = 3 };

		kit_feed_rtp(0, 0, LEG_VIDEO, &p);
		kit_step(0);
		kit_viewer_expect(&v, 0, LEG_VIDEO, &p, (uint16_t)(base + 5 + seq - 16));
	}
	kit_viewer_fini(&v);
}

static void counts_say_what_was_done(void **state)
{
	const struct region_leg_state *leg = &kit.region.streams[0].legs[LEG_VIDEO];
	const struct row row = { .in = "A I. / A p. / F I.", .out = "SP I. / p. / SP I." };
	struct kit_viewer viewers[2];

	begin("SP");
	for (uint16_t slot = 0; slot < 2; slot++) {
		kit_peer_add(slot, 0, slot, SRTP_PROFILE_CM80);
		kit_viewer_init(&viewers[slot], slot);
	}
	play(&row, viewers);
	assert_int_equal(leg->sets_added, 2);
	assert_int_equal(leg->omitted, 3);
	assert_int_equal(leg->frames, 3);
	assert_int_equal(leg->key_frames, 2);
	for (uint16_t slot = 0; slot < 2; slot++)
		kit_viewer_fini(&viewers[slot]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(pictures_are_cared_for),
		kit_test(late_packets_keep_their_place),
		kit_test(counts_say_what_was_done),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
