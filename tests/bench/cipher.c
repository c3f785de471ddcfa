// Ways to seal RTP, side by side in one process. Rounds take turns and medians are compared, so
// that a neighbour's load falls on all alike. Before it is timed, each way must make the packets
// that srtp_seal_rtp makes.
#include "tests/bench/cipher.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <intel-ipsec-mb.h>
#include <rte_eal.h>
#include <rte_version.h>

#include "dataplane/srtp/srtp.h"
#include "dataplane/testfan/floor.h"

enum {
	ROUNDS_MAX = 201,
	PER_KEY = 8,
	ENGINE_BATCH = 64,
	FLOOR_MS = 10,
	SAMPLE = 256, // packets compared; no destination twice
	SAMPLE_ROC = 1,
	SLICES = 21,
	SLICE_PACKETS_MIN = 1024,
	TAIL_BYTES = 32, // tag, and what the library writes over
	WAYS_MAX = 16,
};

_Static_assert(
	SAMPLE <= (int)BENCH_DESTS && SAMPLE % (int)BENCH_BATCH_MAX == 0, "one pass, full batches");

static const char help[] = "usage: bench_cipher [OPTION...]\n"
			   "\n"
			   "Times a packet's sealing on this core, which should be pinned: the "
			   "cipher alone (floor:\n"
			   "the one that the engine has), the fast engine, DPDK's cryptodev. "
			   "Takes huge pages if it\nruns as root.\n"
			   "\n"
			   "  --keys N     viewers, each with its own (default 5000)\n"
			   "  --bytes N    payload (default 1200)\n"
			   "  --rounds N   the median of so many is told (default 21)\n"
			   "  --no-huge    run without huge pages\n"
			   "  --json       print a JSON object a line\n";

struct options {
	uint32_t n_keys;
	uint16_t payload_bytes;
	unsigned int n_rounds;
	bool no_huge;
	bool json;
};

struct engine {
	struct srtp_engine *engine;
	struct srtp_session **sessions;
};

// What became of a way when it was compared.
enum verdict {
	VERDICT_WRONG,
	VERDICT_SAME,
	VERDICT_SOURCE_HEADER, // only if the plaintext brings the viewer's header and ROC
};

struct result {
	enum verdict verdict;
	double ns[ROUNDS_MAX];
};

static void die(const char *what)
{
	fprintf(stderr, "bench_cipher: %s\n", what);
	exit(1);
}

// One op a key, as the fan-out makes them: per_key packets in a row, of which a batch holds
// several.
static unsigned int engine_run(struct bench *b, const struct bench_way *way, unsigned int n_packets)
{
	const struct engine *e = way->priv;
	struct srtp_seal_op ops[ENGINE_BATCH];
	struct srtp_text texts[ENGINE_BATCH];
	uint8_t *pkts[ENGINE_BATCH];
	int status[ENGINE_BATCH];
	unsigned int n_sealed = 0;

	for (unsigned int n = 0; n < n_packets; n += way->batch) {
		unsigned int n_ops = 0;

		for (unsigned int i = 0; i < way->batch; i++) {
			unsigned int turn = (n + i) % way->per_key;

			if (turn == 0)
				ops[n_ops++] =
					(struct srtp_seal_op){ .session = e->sessions[bench_key(b)],
						.texts = texts + i,
						.pkts = pkts + i,
						.hdr_bytes = BENCH_HDR_BYTES };
			texts[i] = (struct srtp_text){ .payload = bench_payload(b->plain[turn]),
				.seq = b->index++,
				.payload_bytes = b->payload_bytes };
			pkts[i] = bench_payload(bench_dest(b)) - BENCH_HDR_BYTES;
			ops[n_ops - 1].n++;
		}
		n_sealed += srtp_seal_rtp(e->engine, ops, n_ops, status);
	}
	return n_sealed;
}

static void engine_init(const struct bench *b, struct engine *e)
{
	if (srtp_engine_create(SRTP_ENGINE_FAST, &e->engine) < 0)
		die("the fast engine does not run on this CPU");
	e->sessions = calloc(b->n_keys, sizeof(struct srtp_session *));
	if (e->sessions == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < b->n_keys; i++) {
		struct srtp_master master = {};

		bench_master_key(i, master.key);
		if (srtp_session_create(e->engine, b->profile, &master, &master, &e->sessions[i]) <
			0)
			die("no session");
	}
}

static void engine_fini(const struct bench *b, struct engine *e)
{
	for (uint32_t i = 0; i < b->n_keys; i++)
		srtp_session_destroy(e->sessions[i]);
	free(e->sessions);
	srtp_engine_destroy(e->engine);
}

static void put_header(struct rte_mbuf *m)
{
	static const uint8_t header[BENCH_HDR_BYTES] = { 0x80, 96, 0, 0, 0, 0, 0, 0,
		BENCH_SSRC >> 24, BENCH_SSRC >> 16 & 0xff, BENCH_SSRC >> 8 & 0xff,
		BENCH_SSRC & 0xff };

	memcpy(rte_pktmbuf_mtod(m, uint8_t *), header, sizeof(header));
}

// with_header: the viewer's header before the payload, and the ROC of the sample behind.
static void fill_plain(struct bench *b, bool with_header)
{
	static const uint8_t roc[4] = { [3] = SAMPLE_ROC };

	for (unsigned int i = 0; i < BENCH_PER_KEY_MAX; i++) {
		uint8_t *payload = bench_payload(b->plain[i]);

		memset(payload - BENCH_HDR_BYTES, 0xee, BENCH_HDR_BYTES);
		if (with_header)
			put_header(b->plain[i]);
		for (unsigned int j = 0; j < b->payload_bytes; j++)
			payload[j] = (uint8_t)(j * 7 + i);
		memset(payload + b->payload_bytes, 0xee, TAIL_BYTES);
		if (with_header)
			memcpy(payload + b->payload_bytes, roc, sizeof(roc));
	}
}

static struct rte_mbuf *mbuf_get(struct bench *b, struct rte_mempool *pool)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	if (m == NULL)
		die("no mbufs");
	m->data_off = BENCH_HDR_AT;
	m->data_len = (uint16_t)(BENCH_HDR_BYTES + b->payload_bytes + TAIL_BYTES);
	m->pkt_len = m->data_len;
	return m;
}

static void mbufs_init(struct bench *b, struct rte_mempool *pool)
{
	for (unsigned int i = 0; i < BENCH_PER_KEY_MAX; i++)
		b->plain[i] = mbuf_get(b, pool);
	for (unsigned int i = 0; i < BENCH_DESTS; i++)
		b->dests[i] = mbuf_get(b, pool);
	fill_plain(b, false);
}

static void mbufs_fini(struct bench *b)
{
	rte_pktmbuf_free_bulk(b->plain, BENCH_PER_KEY_MAX);
	rte_pktmbuf_free_bulk(b->dests, BENCH_DESTS);
}

// Seal the sample from the same start.
// out: SAMPLE packets with tags, sealed_bytes each.
static void seal_sample(
	struct bench *b, const struct bench_way *way, uint8_t *out, unsigned int sealed_bytes)
{
	for (unsigned int i = 0; i < BENCH_DESTS; i++) {
		memset(rte_pktmbuf_mtod(b->dests[i], uint8_t *), 0, b->dests[i]->data_len);
		put_header(b->dests[i]);
	}
	b->key = b->n_keys - 1; // past the turn
	b->dest = 0;
	b->index = SAMPLE_ROC << 16 | 1;
	if (way->run(b, way, SAMPLE) != SAMPLE)
		memset(rte_pktmbuf_mtod(b->dests[0], uint8_t *), 0, sealed_bytes);
	for (unsigned int i = 0; i < SAMPLE; i++)
		memcpy(out + i * sealed_bytes, rte_pktmbuf_mtod(b->dests[i], uint8_t *),
			sealed_bytes);
}

static enum verdict judge(struct bench *b, const struct bench_way *way, const struct engine *e)
{
	const struct bench_way ours = {
		.run = engine_run, .priv = (void *)e, .per_key = way->per_key, .batch = ENGINE_BATCH
	};
	unsigned int bytes = BENCH_HDR_BYTES + b->payload_bytes +
			     srtp_profile_sizes(b->profile).tag_bytes;
	uint8_t *expected = malloc((size_t)SAMPLE * bytes);
	uint8_t *got = malloc((size_t)SAMPLE * bytes);
	enum verdict verdict = VERDICT_WRONG;

	if (expected == NULL || got == NULL)
		die("out of memory");
	seal_sample(b, &ours, expected, bytes);
	for (int with_header = 0; with_header < 2 && verdict == VERDICT_WRONG; with_header++) {
		fill_plain(b, with_header);
		seal_sample(b, way, got, bytes);
		if (memcmp(expected, got, (size_t)SAMPLE * bytes) == 0)
			verdict = with_header ? VERDICT_SOURCE_HEADER : VERDICT_SAME;
	}
	fill_plain(b, false);
	free(expected);
	free(got);
	return verdict;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

// Every viewer once before the clock starts, and once or more after. The median of slices, as
// floor_run takes it too: a slice in which somebody else had the core does not count.
static double time_way(struct bench *b, const struct bench_way *way)
{
	unsigned int n = b->n_keys * way->per_key / SLICES;
	double ns[SLICES];

	if (n < SLICE_PACKETS_MIN)
		n = SLICE_PACKETS_MIN;
	n = (n + BENCH_BATCH_MAX - 1) / BENCH_BATCH_MAX * BENCH_BATCH_MAX;
	way->run(b, way, n * SLICES);
	for (unsigned int i = 0; i < SLICES; i++) {
		uint64_t from = now_ns();

		if (way->run(b, way, n) != n)
			die("a way left packets unsealed");
		ns[i] = (double)(now_ns() - from) / n;
	}
	return median(ns, SLICES);
}

static double time_floor(const struct bench *b, bool by_library)
{
	const struct floor_conf conf = { .profile = b->profile,
		.n_keys = b->n_keys,
		.payload_bytes = b->payload_bytes,
		.hdr_bytes = BENCH_HDR_BYTES,
		.pkts_per_key = PER_KEY,
		.by_library = by_library,
		.ms = FLOOR_MS };
	struct floor_result result;

	if (floor_run(&conf, &result) < 0)
		die("no floor");
	return result.ns_per_packet;
}

static unsigned int list_ways(
	uint16_t profile, struct engine *e, struct bench_dev *dev, struct bench_way *ways)
{
	const struct bench_way gcm[] = {
		{ "engine", engine_run, e, PER_KEY, ENGINE_BATCH, false },
		{ "engine, 32 a viewer", engine_run, e, 32, ENGINE_BATCH, false },
		{ "call of 1, in place", bench_dev_call, dev, PER_KEY, 1, true },
		{ "call of 8, in place", bench_dev_call, dev, PER_KEY, 8, true },
		{ "call of 32, in place, 32 a viewer", bench_dev_call, dev, 32, 32, true },
		{ "call of 1, out of place", bench_dev_call, dev, PER_KEY, 1, false },
		{ "call of 8, out of place", bench_dev_call, dev, PER_KEY, 8, false },
		{ "call of 32, out of place, 32 a viewer", bench_dev_call, dev, 32, 32, false },
		{ "queue of 32, in place", bench_dev_queue, dev, PER_KEY, 32, true },
		{ "queue of 32, out of place", bench_dev_queue, dev, PER_KEY, 32, false },
		{ "queue of 64, in place", bench_dev_queue, dev, PER_KEY, 64, true },
		{ "queue of 64, out of place", bench_dev_queue, dev, PER_KEY, 64, false },
	};
	unsigned int n = 0;

	for (unsigned int i = 0; i < sizeof(gcm) / sizeof(gcm[0]); i++)
		if (profile != SRTP_PROFILE_CM80 || gcm[i].run != bench_dev_call)
			ways[n++] = gcm[i];
	return n;
}

static void print_way(const struct options *o, const struct bench *b, const char *name,
	enum verdict verdict, double ns, double floor_ns)
{
	static const char *const notes[] = { [VERDICT_WRONG] = "wrong",
		[VERDICT_SAME] = "",
		[VERDICT_SOURCE_HEADER] = "header and ROC of the source" };

	char figures[64] = "\"ns\": null, \"floor_over_way\": null";

	if (verdict != VERDICT_WRONG)
		snprintf(figures, sizeof(figures), "\"ns\": %.1f, \"floor_over_way\": %.3f", ns,
			floor_ns / ns);
	if (o->json)
		printf("{\"profile\": \"%s\", \"keys\": %u, \"bytes\": %u, \"way\": \"%s\", "
		       "%s, \"note\": \"%s\"}\n",
			srtp_profile_name(b->profile), b->n_keys, b->payload_bytes, name, figures,
			notes[verdict]);
	else if (verdict == VERDICT_WRONG)
		printf("  %-38s not timed: not the packets that the engine makes\n", name);
	else
		printf("  %-38s %6.1f ns  %.2f  %s\n", name, ns, floor_ns / ns, notes[verdict]);
}

static void measure(const struct options *o, struct rte_mempool *pool, uint16_t profile)
{
	static struct result results[WAYS_MAX], floor_result, library_result;
	struct bench b = {
		.profile = profile, .n_keys = o->n_keys, .payload_bytes = o->payload_bytes
	};
	struct bench_way ways[WAYS_MAX];
	struct bench_dev *dev = bench_dev_create(&b);
	struct engine e = {};
	unsigned int n_ways;
	double floor_ns;

	if (dev == NULL)
		exit(1);
	engine_init(&b, &e);
	mbufs_init(&b, pool);
	n_ways = list_ways(profile, &e, dev, ways);
	for (unsigned int i = 0; i < n_ways; i++)
		results[i].verdict = judge(&b, &ways[i], &e);
	fill_plain(&b, true);
	for (unsigned int r = 0; r < o->n_rounds; r++) {
		floor_result.ns[r] = time_floor(&b, false);
		library_result.ns[r] = time_floor(&b, true);
		for (unsigned int i = 0; i < n_ways; i++)
			results[i].ns[r] = results[i].verdict == VERDICT_WRONG
						   ? 0
						   : time_way(&b, &ways[i]);
	}
	floor_ns = median(floor_result.ns, o->n_rounds);
	if (!o->json)
		printf("%s, %u viewers, %u bytes: a packet, and floor over it\n",
			srtp_profile_name(profile), b.n_keys, b.payload_bytes);
	print_way(o, &b, "floor", VERDICT_SAME, floor_ns, floor_ns);
	print_way(o, &b, "the library alone", VERDICT_SAME, median(library_result.ns, o->n_rounds),
		floor_ns);
	for (unsigned int i = 0; i < n_ways; i++)
		print_way(o, &b, ways[i].name, results[i].verdict,
			median(results[i].ns, o->n_rounds), floor_ns);
	mbufs_fini(&b);
	engine_fini(&b, &e);
	bench_dev_destroy(dev);
}

static unsigned long number(const char *text, unsigned long least, unsigned long most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value < least || value > most)
		die("a number is out of range; see --help");
	return value;
}

static void read_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "keys", required_argument, NULL, 'k' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "no-huge", no_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int id;

	*o = (struct options){ .n_keys = 5000, .payload_bytes = 1200, .n_rounds = 21 };
	while ((id = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (id == 'k')
			o->n_keys = (uint32_t)number(optarg, 1, 100000);
		else if (id == 'b')
			o->payload_bytes = (uint16_t)number(optarg, 1, 1500);
		else if (id == 'r')
			o->n_rounds = (unsigned int)number(optarg, 1, ROUNDS_MAX);
		else if (id == 'n')
			o->no_huge = true;
		else if (id == 'j')
			o->json = true;
		else if (id == 'h') {
			fputs(help, stdout);
			exit(0);
		} else
			exit(2);
	}
	if (optind < argc)
		die("no argument was expected; see --help");
}

static void start_eal(const struct options *o)
{
	char *argv[] = { "bench_cipher", o->no_huge ? "--no-huge" : "--in-memory", "-m256",
		"--no-pci", "--no-shconf", "--no-telemetry", "--iova-mode=va",
		"--log-level=warning", "--lcores=0@(0-1023)", "--vdev=crypto_aesni_gcm0",
		"--vdev=crypto_aesni_mb0", NULL };
	char lcores[32];

	// Stay on the core that the caller chose.
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", sched_getcpu());
	argv[8] = lcores;
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0)
		die("DPDK does not start; try --no-huge");
}

int main(int argc, char **argv)
{
	struct rte_mempool *pool;
	struct options o;

	read_options(argc, argv, &o);
	start_eal(&o);
	pool = rte_pktmbuf_pool_create(
		"bench", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		die("no mbuf pool");
	if (!o.json)
		printf("%s, ipsec-mb %s, medians of %u rounds\n", rte_version(),
			imb_get_version_str(), o.n_rounds);
	measure(&o, pool, SRTP_PROFILE_GCM128);
	measure(&o, pool, SRTP_PROFILE_CM80);
	rte_eal_cleanup();
	return 0;
}
