#include "control/access/priv/keys.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/path.h"

#define BLANKS	  " \t\r"
#define KEY_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

struct key {
	// Digests are of one length, and tell nothing about the key to whoever sees our memory.
	unsigned char digest[SHA256_DIGEST_LENGTH];
	unsigned int n_streams; // 0: all
	char streams[KEY_MAX_STREAMS][HTTP_ID_MAX_CHARS + 1];
};

struct keys {
	size_t n;
	struct key list[];
};

static int digest_of(const char *key, size_t chars, unsigned char out[SHA256_DIGEST_LENGTH])
{
	return SHA256((const unsigned char *)key, chars, out) ? 0 : -ENOMEM;
}

static bool is_known(const struct keys *keys, const struct key *key)
{
	for (size_t i = 0; i < keys->n; i++) {
		if (memcmp(keys->list[i].digest, key->digest, sizeof(key->digest)) == 0)
			return true;
	}
	return false;
}

// Cut the next word off. Return: NULL there is none.
static char *next_word(char **cursor)
{
	char *word = *cursor + strspn(*cursor, BLANKS);
	size_t n = strcspn(word, BLANKS);

	if (n == 0)
		return NULL;
	*cursor = word + n;
	if (**cursor)
		*(*cursor)++ = '\0';
	return word;
}

static const char *take_streams(char *rest, bool with_streams, struct key *key)
{
	char *id;

	while ((id = next_word(&rest))) {
		if (!with_streams)
			return "expected one key and nothing behind it";
		if (key->n_streams == KEY_MAX_STREAMS)
			return "expected at most 8 streams behind the key";
		if (!http_id_valid(id))
			return "expected stream ids behind the key";
		strcpy(key->streams[key->n_streams++], id);
	}
	return NULL;
}

// Return: what is wrong with the line; NULL nothing.
static const char *take_line(struct keys *keys, char *line, bool with_streams)
{
	struct key *key = &keys->list[keys->n];
	char *word = next_word(&line);
	const char *wrong;
	size_t chars;

	if (!word || word[0] == '#')
		return NULL;
	chars = strlen(word);
	if (strspn(word, KEY_CHARS) != chars)
		return "expected a key of letters, digits and - . _ ~ + / =";
	if (chars < KEY_MIN_CHARS || chars > KEY_MAX_CHARS)
		return "expected a key of 16 to 256 characters";
	if (keys->n == KEYS_MAX)
		return "expected at most 1024 keys";
	memset(key, 0, sizeof(*key));
	wrong = take_streams(line, with_streams, key);
	if (wrong)
		return wrong;
	if (digest_of(word, chars, key->digest) < 0)
		return "cannot be digested";
	if (is_known(keys, key))
		return "this key stands there twice";
	keys->n++;
	return NULL;
}

static int take_lines(struct keys *keys, const char *path, struct secret_file *file,
	bool with_streams, char fault[SECRET_FAULT_MAX])
{
	char *next = file->text;
	unsigned int number = 0;

	if (memchr(file->text, '\0', file->bytes)) {
		snprintf(fault, SECRET_FAULT_MAX, "%s: expected text", path);
		return -EINVAL;
	}
	while (next) {
		char *line = strsep(&next, "\n");
		const char *wrong;

		number++;
		wrong = take_line(keys, line, with_streams);
		if (!wrong)
			continue;
		snprintf(fault, SECRET_FAULT_MAX, "%s:%u: %s", path, number, wrong);
		return keys->n == KEYS_MAX ? -E2BIG : -EINVAL;
	}
	if (keys->n > 0)
		return 0;
	snprintf(fault, SECRET_FAULT_MAX, "%s: expected at least one key", path);
	return -EINVAL;
}

int keys_load(const char *path, bool with_streams, struct keys **out, char fault[SECRET_FAULT_MAX])
{
	struct secret_file file;
	struct keys *keys;
	int err = secret_file_read_private(path, &file, fault);

	if (err)
		return err;
	// One more than is taken, so that the line too many has a place to be judged in.
	keys = calloc(1, sizeof(*keys) + (KEYS_MAX + 1) * sizeof(keys->list[0]));
	if (keys) {
		err = take_lines(keys, path, &file, with_streams, fault);
	} else {
		snprintf(fault, SECRET_FAULT_MAX, "%s: no memory for its keys", path);
		err = -ENOMEM;
	}
	secret_file_free(&file);
	if (err)
		keys_free(keys);
	else
		*out = keys;
	return err;
}

void keys_free(struct keys *keys)
{
	free(keys);
}

static bool opens(const struct key *key, const char *stream)
{
	if (!stream || key->n_streams == 0)
		return true;
	for (unsigned int i = 0; i < key->n_streams; i++) {
		if (strcmp(key->streams[i], stream) == 0)
			return true;
	}
	return false;
}

enum keys_verdict keys_find(const struct keys *keys, const char *token, const char *stream)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	const struct key *found = NULL;

	if (!keys || digest_of(token, strlen(token), digest) < 0)
		return KEYS_UNKNOWN;
	// To the end, even after a hit.
	for (size_t i = 0; i < keys->n; i++) {
		if (CRYPTO_memcmp(keys->list[i].digest, digest, sizeof(digest)) == 0)
			found = &keys->list[i];
	}
	if (!found)
		return KEYS_UNKNOWN;
	return opens(found, stream) ? KEYS_OK : KEYS_OTHER_STREAM;
}
