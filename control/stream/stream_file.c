// The file in which streams survive a restart:
//     {"version": 1, "streams": {"live": {"max_peers": 0, "video": {"port": 20000, …}}, …}}
// Each stream is a PUT body with all its ports, and is checked like one.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/http/path.h"
#include "control/stream/priv/store.h"
#include "dataplane/abi/log.h"

enum {
	FILE_VERSION = 1,
	FILE_MAX_BYTES = 8 * 1024 * 1024,
	SETTLE_MS = 200,   // further changes are waited for
	RETRY_MS = 1000,   // after a write that failed
	REASON_MAX = 320,  // a stream's name and what is wrong with it
	SUFFIX_BYTES = 32, // ".damaged-1700000000-1"
	ASIDE_TRIES = 10,
};

struct stream_file {
	char path[PATH_MAX];
	bool changed;
	uint64_t due_ms; // 0: not known yet
	int status;	 // of the last write: said once
};

// ---- writing -----------------------------------------------------------------------------------

static int put_leg(json_t *stream, const struct stream_want *want, enum leg_kind kind)
{
	const struct stream_leg_want *leg = &want->legs[kind];
	const uint8_t *p = leg->profile_level_id;
	json_t *out;
	int rc;

	if (!leg->present)
		return 0;
	out = json_pack("{s:i, s:i}", "port", leg->port, "payload_type", leg->payload_type);
	rc = stream_json_put(stream, leg_name(kind), out);
	if (rc == 0 && leg->group.family != NET_NONE)
		rc = stream_json_put(out, "group", stream_group_text(&leg->group));
	if (rc == 0 && kind == LEG_AUDIO)
		rc = stream_json_put(out, "stereo", json_boolean(leg->stereo));
	if (rc == 0 && leg->profile_known)
		rc = stream_json_put(
			out, "profile_level_id", json_sprintf("%02x%02x%02x", p[0], p[1], p[2]));
	if (rc == 0 && leg->refuse_b_frames)
		rc = stream_json_put(out, "refuse_b_frames", json_true());
	if (rc == 0 && kind == LEG_VIDEO && want->sprop.bytes)
		rc = stream_json_put(out, "sprop_parameter_sets", stream_sprop_text(&want->sprop));
	return rc;
}

static json_t *want_text(const struct stream_want *want)
{
	json_t *out = json_object();
	int rc = stream_json_put(out, "max_peers", json_integer(want->max_peers));

	rc |= stream_json_put(out, "require_live", json_boolean(want->require_live));
	rc |= stream_json_put(out, "instant_start", json_boolean(!want->no_instant_start));
	rc |= stream_json_put(out, "feedback", json_string(want->no_feedback ? "off" : "auto"));
	rc |= stream_json_put(
		out, "allowed_sources", stream_sources(want->sources, want->n_sources));
	rc |= put_leg(out, want, LEG_VIDEO);
	rc |= put_leg(out, want, LEG_AUDIO);
	if (want->backup.present) {
		rc |= stream_json_put(out, "backup", stream_backup_text(&want->backup));
		rc |= stream_json_put(out, "source", json_string(stream_pick_name(want->pick)));
	}
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}

// Return: freed by the caller; NULL no memory.
static char *store_text(const struct stream_store *store)
{
	json_t *streams = json_object();
	json_t *root = json_pack("{s:i, s:O?}", "version", FILE_VERSION, "streams", streams);
	char *text = NULL;
	int rc = streams && root ? 0 : -ENOMEM;

	for (const struct stream *s = store->first; s && rc == 0; s = s->next) {
		const struct stream_entry *e = (const struct stream_entry *)s;

		// A change that is not confirmed may yet be undone.
		if (!s->leaving)
			rc = stream_json_put(
				streams, s->id, want_text(e->changing ? &e->other : &s->want));
	}
	if (rc == 0)
		text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	json_decref(streams);
	return text;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		left -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_temporary(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write_all(fd, text);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

// A rename is on the disk once its directory is.
static int sync_directory(const char *path)
{
	char copy[PATH_MAX];
	int fd, rc;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

// The whole of it or nothing: at any time the name leads to a complete file.
static int replace(const char *path, const char *text)
{
	char temporary[PATH_MAX + SUFFIX_BYTES];
	int rc;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	rc = write_temporary(temporary, text);
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	if (rc < 0) {
		unlink(temporary);
		return rc;
	}
	return sync_directory(path);
}

static int save(struct stream_store *store)
{
	char *text = store_text(store);
	int rc = text ? replace(store->file->path, text) : -ENOMEM;

	free(text);
	return rc;
}

static void save_now(struct stream_store *store)
{
	struct stream_file *file = store->file;
	int rc = save(store);

	if (rc < 0 && rc != file->status)
		log_error("%s: the streams cannot be kept: %s; they go on as they are, and it is "
			  "tried again until it is done",
			file->path, strerror(-rc));
	else if (rc == 0 && file->status < 0)
		log_info("%s: the streams are kept again", file->path);
	file->status = rc;
	file->changed = rc < 0;
}

void stream_file_touch(struct stream_store *store)
{
	if (store->file)
		store->file->changed = true;
}

void stream_store_save(struct stream_store *store, uint64_t now_ms)
{
	struct stream_file *file = store->file;

	if (!file || !file->changed)
		return;
	if (file->due_ms == 0)
		file->due_ms = now_ms + SETTLE_MS;
	if (now_ms < file->due_ms)
		return;
	save_now(store);
	file->due_ms = file->changed ? now_ms + RETRY_MS : 0;
}

void stream_file_close(struct stream_store *store)
{
	if (store->file && store->file->changed)
		save_now(store);
	free(store->file);
	store->file = NULL;
}

// ---- reading -----------------------------------------------------------------------------------

// Return: 0 and the text, freed by the caller; -ENOENT none is there; -EFBIG; other -errno.
static int read_text(const char *path, char **out, size_t *out_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t bytes = 0;
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		close(fd);
		return S_ISREG(st.st_mode) ? -EFBIG : -EISDIR;
	}
	text = malloc((size_t)st.st_size + 1);
	n = text ? 1 : -1;
	while (n > 0 && bytes < (size_t)st.st_size) {
		n = read(fd, text + bytes, (size_t)st.st_size - bytes);
		bytes += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (n < 0) {
		free(text);
		return text ? -EIO : -ENOMEM;
	}
	*out = text;
	*out_bytes = bytes;
	return 0;
}

// One stream, as a body: its ports may be outside a range that was changed since, which is no
// damage, and which stream_ports_keep puts right.
static int take_stream(
	struct stream_store *store, const char *id, const json_t *body, char reason[REASON_MAX])
{
	struct conf conf = *store->conf;
	char error[STREAM_ERROR_MAX];
	struct stream_entry *e;
	struct stream_want want;
	int rc;

	conf.ingest.first_port = 2;
	conf.ingest.last_port = UINT16_MAX;
	if (!http_id_valid(id) || strlen(id) > REGION_STREAM_ID_MAX) {
		snprintf(reason, REASON_MAX, "a stream has a name that none can have");
		return -EINVAL;
	}
	rc = stream_want_read(&conf, body, &want, error);
	if (rc == 0)
		rc = stream_ports_resolve(store, NULL, &want, error);
	if (rc < 0) {
		snprintf(reason, REASON_MAX, "stream %s: %s", id, error);
		return rc;
	}
	e = stream_entry_create(store, id);
	if (!e)
		return -ENOMEM;
	want.pick_kept = false;
	e->pub.want = want;
	e->phase = STREAM_DETACHED;
	stream_entry_show(e);
	return 0;
}

static int take_root(struct stream_store *store, const json_t *root, char reason[REASON_MAX])
{
	const json_t *version = json_object_get(root, "version");
	json_t *streams = json_object_get(root, "streams");
	const char *id;
	json_t *body;
	int rc = 0;

	if (!json_is_integer(version) || json_integer_value(version) != FILE_VERSION) {
		snprintf(reason, REASON_MAX, "expected \"version\": %d", FILE_VERSION);
		return -EINVAL;
	}
	if (!json_is_object(streams) || json_object_size(root) != 2 ||
		json_object_size(streams) > REGION_MAX_STREAMS) {
		snprintf(reason, REASON_MAX,
			"expected version and streams, an object of at most %d",
			REGION_MAX_STREAMS);
		return -EINVAL;
	}
	json_object_foreach (streams, id, body) {
		rc = take_stream(store, id, body, reason);
		if (rc < 0)
			break;
	}
	return rc;
}

static void forget(struct stream_entry *e)
{
	stream_entry_free(e);
}

// Return: 0 every stream of it is in the store; -EINVAL it is damaged, and none is.
static int take_text(
	struct stream_store *store, const char *text, size_t bytes, char reason[REASON_MAX])
{
	json_error_t wrong = { 0 };
	json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &wrong);
	int rc;

	if (!root) {
		snprintf(reason, REASON_MAX, "line %d, column %d: %.160s", wrong.line, wrong.column,
			wrong.text);
		return json_error_code(&wrong) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
	}
	rc = take_root(store, root, reason);
	json_decref(root);
	if (rc < 0)
		stream_each_entry(store, forget);
	return rc == -EEXIST ? -EINVAL : rc;
}

// Return: 0 and the name it has now; -errno it is still where it was.
static int put_aside(const char *path, char aside[PATH_MAX + SUFFIX_BYTES])
{
	long long now = (long long)time(NULL);

	for (int i = 0; i < ASIDE_TRIES; i++) {
		snprintf(aside, PATH_MAX + SUFFIX_BYTES, "%s.damaged-%lld", path, now + i);
		if (renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return -errno;
}

static int read_file(struct stream_store *store, const char *path)
{
	char aside[PATH_MAX + SUFFIX_BYTES], reason[REASON_MAX] = "it is too long";
	size_t bytes = 0;
	char *text = NULL;
	int rc = read_text(path, &text, &bytes);

	if (rc == 0)
		rc = take_text(store, text, bytes, reason);
	free(text);
	if (rc == -ENOENT || rc == -ENOMEM)
		return rc == -ENOENT ? 0 : rc;
	if (rc == -EINVAL || rc == -EFBIG) {
		rc = put_aside(path, aside);
		if (rc == 0)
			log_error("%s is damaged (%s): it is now %s, and no stream of it is set up",
				path, reason, aside);
	}
	if (rc < 0)
		log_error("[control] state: %s can be neither used nor put aside (%s): nothing is "
			  "kept in this run",
			path, strerror(-rc));
	return rc;
}

// ---- beginning ---------------------------------------------------------------------------------

static void check_directory(const char *path)
{
	char copy[PATH_MAX];
	const char *dir;

	strcpy(copy, path);
	dir = dirname(copy);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		log_error("[control] state: streams are not kept: %s cannot be made: %s", dir,
			strerror(errno));
	else if (access(dir, W_OK) < 0)
		log_error("[control] state: streams are not kept: %s cannot be written to: %s", dir,
			strerror(errno));
}

int stream_store_keep(struct stream_store *store, const char *path)
{
	struct stream_file *file;
	unsigned int n = 0;
	int rc;

	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	check_directory(path);
	rc = read_file(store, path);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	strcpy(file->path, path);
	store->file = file;
	for (const struct stream *s = store->first; s; s = s->next)
		n++;
	if (n)
		log_info("%u stream%s kept in %s", n, n == 1 ? " is" : "s are", path);
	return 0;
}
