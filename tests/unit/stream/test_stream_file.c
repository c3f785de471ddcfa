// Streams that survive a restart: what is written, when, and what is made of a file that is read.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/stream/store_rig.h"

enum {
	TEXT_MAX = 16384,
	LATE_MS = 1000, // no change is kept later
};

struct kept {
	struct rig rig;
	char dir[64];
	char path[96];
};

#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int set_up(void **state)
{
	struct kept *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	strcpy(k->dir, "/tmp/millrace-streams.XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	snprintf(k->path, sizeof(k->path), "%s/streams.json", k->dir);
	k->rig.conf = edge_conf();
	assert_int_equal(stream_store_create(&k->rig.conf, &k->rig.store), 0);
	assert_int_equal(stream_store_keep(k->rig.store, k->path), 0);
	k->rig.link = edge_create(EDGE_STREAMS, true);
	stream_store_attach(k->rig.store, k->rig.link);
	*state = k;
	return 0;
}

static void remove_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX];

	while (d && (entry = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
}

static int tear_down(void **state)
{
	struct kept *k = *state;

	edge_destroy(k->rig.link);
	stream_store_destroy(k->rig.store);
	remove_files(k->dir);
	rmdir(k->dir);
	free(k);
	return 0;
}

// Both programs end and start again; the old control is simply gone, unless it ended well.
static void begin_anew(struct kept *k, bool ended_well, bool same_region)
{
	struct rig *r = &k->rig;
	char text[TEXT_MAX] = "";
	FILE *f = fopen(k->path, "r");

	if (f) {
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
	}
	if (!same_region) {
		edge_destroy(r->link);
		r->link = NULL;
	} else {
		edge_reconnect(r->link);
	}
	stream_store_attach(r->store, NULL);
	stream_store_destroy(r->store);
	if (!ended_well) {
		f = fopen(k->path, "w");
		assert_non_null(f);
		fputs(text, f);
		fclose(f);
	}
	assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
	assert_int_equal(stream_store_keep(r->store, k->path), 0);
}

static void attach(struct kept *k)
{
	if (!k->rig.link)
		k->rig.link = edge_create(EDGE_STREAMS, true);
	stream_store_attach(k->rig.store, k->rig.link);
	edge_run(k->rig.link);
}

static void write_text(const struct kept *k, const char *text, size_t bytes)
{
	FILE *f = fopen(k->path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, bytes, f), bytes);
	fclose(f);
}

// Return: how many files of that beginning are in the directory; the last one's path in found.
static int files_of(const struct kept *k, const char *prefix, char found[PATH_MAX])
{
	DIR *d = opendir(k->dir);
	struct dirent *entry;
	int n = 0;

	assert_non_null(d);
	while ((entry = readdir(d))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		n++;
		snprintf(found, PATH_MAX, "%s/%s", k->dir, entry->d_name);
	}
	closedir(d);
	return n;
}

static size_t read_text_of(const char *path, char text[TEXT_MAX])
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, TEXT_MAX - 1, f);
	text[n] = '\0';
	fclose(f);
	return n;
}

// ---- writing and reading -----------------------------------------------------------------------

static void streams_come_back_as_they_were(void **state)
{
	struct kept *k = *state;
	struct stream *a, *b;
	struct stream_want a_want, b_want;

	a = store_rig_put_done(&k->rig, "cam.1",
		"{\"video\":{\"port\":20004,\"refuse_b_frames\":true,\"sprop_parameter_sets\":"
		"\"Z0LAH9kAUAW7ARAAAAMAEAAAAwPA8YMkgA==,aMuMsg==\"},"
		"\"audio\":{\"stereo\":true,\"payload_type\":97,\"group\":\"ff15::1\"},\"max_"
		"peers\":7,"
		"\"require_live\":true,\"instant_start\":false,\"feedback\":\"off\","
		"\"allowed_sources\":[\"198.18.77.0/24\",\"fd77::2\"],\"source\":\"primary\","
		"\"backup\":{\"video\":{\"sprop_parameter_sets\":"
		"\"Z2QAKKzZQHgCJ+WEAAADAAQAAAMA8DxgxlgA,aMuMsg==\"},\"audio\":{\"group\":"
		"\"ff15::2\",\"payload_type\":98},\"failback\":\"auto\",\"failback_s\":99,"
		"\"allowed_sources\":[\"fd77::2\"]}}");
	b = store_rig_put_done(&k->rig, "b", "{\"audio\":{}}");
	a_want = a->want;
	b_want = b->want;
	assert_int_equal(a->want.sprop.bytes, 33);
	begin_anew(k, true, false);
	a = stream_find(k->rig.store, "cam.1");
	b = stream_find(k->rig.store, "b");
	assert_non_null(a);
	assert_non_null(b);
	assert_memory_equal(&a->want, &a_want, sizeof(a_want));
	assert_memory_equal(&b->want, &b_want, sizeof(b_want));
	attach(k);
	assert_true(edge_serves(k->rig.link, 20004, a) && edge_serves(k->rig.link, 20000, a));
	assert_true(edge_serves(k->rig.link, 20008, b));
	assert_int_equal(edge_steered(k->rig.link), 10);
	assert_int_equal(stream_shared(a)->conf.max_peers, 7);
	assert_int_equal(stream_shared(a)->conf.require_live, 1);
	assert_int_equal(stream_shared(a)->conf.no_instant_start, 1);
	assert_int_equal(stream_shared(a)->conf.no_feedback, 1);
	assert_int_equal(stream_shared(a)->conf.legs[LEG_VIDEO].refuse_b_frames, 1);
}

static void a_removed_stream_does_not_come_back(void **state)
{
	struct kept *k = *state;
	struct stream *s = store_rig_put_done(&k->rig, "a", "{\"video\":{}}");

	store_rig_put_done(&k->rig, "b", "{\"video\":{}}");
	store_rig_remove(&k->rig, s);
	begin_anew(k, true, false);
	assert_null(stream_find(k->rig.store, "a"));
	assert_non_null(stream_find(k->rig.store, "b"));
	// Nor does one that is taken away before there is a data plane.
	store_rig_remove(&k->rig, stream_find(k->rig.store, "b"));
	begin_anew(k, true, false);
	assert_null(stream_first(k->rig.store));
}

static void changes_are_gathered_and_written_in_time(void **state)
{
	struct kept *k = *state;
	struct stat first, now;

	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	stream_store_save(k->rig.store, 5000);
	store_rig_put_done(&k->rig, "b", "{\"video\":{}}");
	stream_store_save(k->rig.store, 5050);
	assert_int_equal(stat(k->path, &first), -1);
	stream_store_save(k->rig.store, 5000 + LATE_MS);
	assert_int_equal(stat(k->path, &first), 0);
	begin_anew(k, false, false);
	assert_non_null(stream_find(k->rig.store, "b"));
	// Nothing changed: nothing is written.
	assert_int_equal(stat(k->path, &first), 0);
	stream_store_save(k->rig.store, 20000);
	stream_store_save(k->rig.store, 30000);
	assert_int_equal(stat(k->path, &now), 0);
	assert_int_equal(now.st_ino, first.st_ino);
}

static void a_change_of_what_only_control_reads_is_kept(void **state)
{
	struct kept *k = *state;

	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	store_rig_put_done(&k->rig, "a", "{\"video\":{},\"max_peers\":3}");
	begin_anew(k, true, true);
	attach(k);
	assert_int_equal(stream_peer_cap(stream_find(k->rig.store, "a")), 3);
}

static void a_change_under_way_is_not_kept(void **state)
{
	struct kept *k = *state;

	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	store_rig_put(&k->rig, "a", "{\"video\":{\"port\":20008}}");
	store_rig_put(&k->rig, "b", "{\"video\":{}}");
	stream_store_save(k->rig.store, 1000);
	stream_store_save(k->rig.store, 2000);
	begin_anew(k, false, false);
	assert_int_equal(video_port(stream_find(k->rig.store, "a")), 20000);
	assert_null(stream_find(k->rig.store, "b"));
}

// ---- the region
// ----------------------------------------------------------------------------------

static void the_region_wins_and_the_file_fills_up(void **state)
{
	struct kept *k = *state;
	const char *old = "{\"version\":1,\"streams\":{"
			  "\"a\":{\"video\":{\"port\":20008},\"max_peers\":5},"
			  "\"b\":{\"video\":{\"port\":20000}},\"c\":{\"audio\":{\"port\":20006}}}}";
	struct stream *a, *b, *c;

	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	begin_anew(k, true, true);
	stream_store_destroy(k->rig.store);
	write_text(k, old, strlen(old));
	assert_int_equal(stream_store_create(&k->rig.conf, &k->rig.store), 0);
	assert_int_equal(stream_store_keep(k->rig.store, k->path), 0);
	attach(k);
	a = stream_find(k->rig.store, "a");
	b = stream_find(k->rig.store, "b");
	c = stream_find(k->rig.store, "c");
	assert_int_equal(video_port(a), 20000);
	assert_int_equal(stream_peer_cap(a), 8);
	assert_true(edge_serves(k->rig.link, 20000, a));
	// b's old port is a's in the region; c keeps its own.
	assert_int_equal(video_port(b), 20002);
	assert_true(edge_serves(k->rig.link, 20002, b));
	assert_true(edge_serves(k->rig.link, 20006, c));
	assert_int_equal(edge_slots(k->rig.link), 3);
}

static void ports_of_another_range_are_assigned_anew(void **state)
{
	struct kept *k = *state;
	struct stream *s;

	store_rig_put_done(&k->rig, "a", "{\"video\":{},\"audio\":{\"port\":20008}}");
	begin_anew(k, true, false);
	k->rig.conf.ingest.first_port = 20004;
	attach(k);
	s = stream_find(k->rig.store, "a");
	assert_int_equal(video_port(s), 20004);
	assert_int_equal(audio_port(s), 20008);
	assert_true(edge_serves(k->rig.link, 20004, s) && edge_serves(k->rig.link, 20008, s));
}

// ---- files that are not as they should be
// --------------------------------------------------------

static const char *const damaged[] = {
	"",
	"{",
	"[]",
	"null",
	"{}",
	"{\"version\":2,\"streams\":{}}",
	"{\"version\":\"1\",\"streams\":{}}",
	"{\"version\":1,\"streams\":[]}",
	"{\"version\":1,\"streams\":{},\"more\":1}",
	"{\"version\":1,\"streams\":{}} x",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{}},\"a\":{\"audio\":{}}}}",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{}},\"b c\":{\"audio\":{}}}}",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{}},\"../b\":{\"audio\":{}}}}",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{}},\"b\":{}}}",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{}},\"b\":{\"audio\":{\"port\":7}}}}",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{}},\"b\":{\"audio\":{},\"x\":1}}}",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{\"port\":20002}},"
	"\"b\":{\"video\":{\"port\":20002}}}}",
	"{\"version\":1,\"streams\":{\"a\":{\"video\":{}},\"\xff\":{\"audio\":{}}}}",
};

static void expect_put_aside(struct kept *k, const char *text, size_t bytes)
{
	char found[PATH_MAX], read_back[TEXT_MAX];

	stream_store_destroy(k->rig.store);
	write_text(k, text, bytes);
	assert_int_equal(stream_store_create(&k->rig.conf, &k->rig.store), 0);
	assert_int_equal(stream_store_keep(k->rig.store, k->path), 0);
	assert_null(stream_first(k->rig.store));
	assert_int_equal(access(k->path, F_OK), -1);
	assert_int_equal(files_of(k, "streams.json.damaged-", found), 1);
	assert_int_equal(read_text_of(found, read_back), bytes);
	assert_memory_equal(read_back, text, bytes);
	unlink(found);
}

static void a_damaged_file_is_put_aside_whole(void **state)
{
	struct kept *k = *state;

	edge_destroy(k->rig.link);
	k->rig.link = NULL;
	stream_store_attach(k->rig.store, NULL);
	for (size_t i = 0; i < sizeof(damaged) / sizeof(*damaged); i++)
		expect_put_aside(k, damaged[i], strlen(damaged[i]));
	// Streams can be made and kept all the same.
	attach(k);
	store_rig_put_done(&k->rig, "new", "{\"video\":{}}");
	begin_anew(k, true, false);
	assert_non_null(stream_find(k->rig.store, "new"));
}

static void no_cut_file_is_half_used(void **state)
{
	struct kept *k = *state;
	char text[TEXT_MAX];
	size_t bytes;

	store_rig_put_done(&k->rig, "a", "{\"video\":{},\"audio\":{}}");
	store_rig_put_done(&k->rig, "b", "{\"video\":{},\"allowed_sources\":[\"198.18.0.0/15\"]}");
	begin_anew(k, true, false);
	bytes = read_text_of(k->path, text);
	while (bytes > 0 && text[bytes - 1] == '\n')
		bytes--;
	assert_true(bytes > 100);
	for (size_t n = 0; n < bytes; n++)
		expect_put_aside(k, text, n);
}

static void what_is_no_file_is_left_alone(void **state)
{
	struct kept *k = *state;
	struct stat st;

	stream_store_attach(k->rig.store, NULL);
	stream_store_destroy(k->rig.store);
	assert_int_equal(mkdir(k->path, 0700), 0);
	assert_int_equal(stream_store_create(&k->rig.conf, &k->rig.store), 0);
	assert_int_equal(stream_store_keep(k->rig.store, k->path), 0);
	attach(k);
	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	stream_store_save(k->rig.store, 1000);
	stream_store_save(k->rig.store, 3000);
	assert_int_equal(stat(k->path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	rmdir(k->path);
}

// ---- disks that do not take it
// -------------------------------------------------------------------

static void a_change_that_cannot_be_kept_stands(void **state)
{
	struct kept *k = *state;
	char away[128];

	snprintf(away, sizeof(away), "%s.away", k->dir);
	assert_int_equal(rename(k->dir, away), 0);
	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	stream_store_save(k->rig.store, 1000);
	stream_store_save(k->rig.store, 2000);
	assert_non_null(stream_find(k->rig.store, "a"));
	assert_int_equal(rename(away, k->dir), 0);
	stream_store_save(k->rig.store, 2100);
	assert_int_equal(access(k->path, F_OK), -1);
	stream_store_save(k->rig.store, 4000);
	begin_anew(k, false, false);
	assert_non_null(stream_find(k->rig.store, "a"));
}

// A disk that is full in the middle of a write: a limit on the size of files does the same.
static void a_write_cut_short_leaves_the_old_file(void **state)
{
	struct kept *k = *state;
	struct rlimit before, small;
	char found[PATH_MAX];

	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	stream_store_save(k->rig.store, 1000);
	stream_store_save(k->rig.store, 2000);
	store_rig_put_done(&k->rig, "b", "{\"video\":{}}");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){ .rlim_cur = 20, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	stream_store_save(k->rig.store, 3000);
	stream_store_save(k->rig.store, 4000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(files_of(k, "streams.json", found), 1);
	begin_anew(k, false, false);
	assert_non_null(stream_find(k->rig.store, "a"));
	assert_null(stream_find(k->rig.store, "b"));
}

static void what_a_crash_left_is_replaced(void **state)
{
	struct kept *k = *state;
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s.new", k->path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("{\"version\":1,\"str", f);
	fclose(f);
	store_rig_put_done(&k->rig, "a", "{\"video\":{}}");
	begin_anew(k, true, false);
	assert_non_null(stream_find(k->rig.store, "a"));
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEPT_TEST(streams_come_back_as_they_were),
		KEPT_TEST(a_removed_stream_does_not_come_back),
		KEPT_TEST(changes_are_gathered_and_written_in_time),
		KEPT_TEST(a_change_of_what_only_control_reads_is_kept),
		KEPT_TEST(a_change_under_way_is_not_kept),
		KEPT_TEST(the_region_wins_and_the_file_fills_up),
		KEPT_TEST(ports_of_another_range_are_assigned_anew),
		KEPT_TEST(a_damaged_file_is_put_aside_whole),
		KEPT_TEST(no_cut_file_is_half_used),
		KEPT_TEST(what_is_no_file_is_left_alone),
		KEPT_TEST(a_change_that_cannot_be_kept_stands),
		KEPT_TEST(a_write_cut_short_leaves_the_old_file),
		KEPT_TEST(what_a_crash_left_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
