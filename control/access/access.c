#include "control/access/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/access/priv/jwt.h"
#include "control/access/priv/keys.h"

// What the files say.
struct grants {
	struct keys *api;
	struct keys *viewers;
	struct jwt_key *jwt;
};

struct access {
	const struct conf *conf;
	struct jwt_rules rules;
	struct grants grants;
};

static void free_grants(struct grants *g)
{
	keys_free(g->api);
	keys_free(g->viewers);
	jwt_key_free(g->jwt);
	*g = (struct grants){ 0 };
}

// Return: as access_create; out is written on success only.
static int read_grants(const struct conf *conf, struct grants *out, char fault[SECRET_FAULT_MAX])
{
	struct grants g = { 0 };
	int err = 0;

	if (*conf->access.api_keys_file)
		err = keys_load(conf->access.api_keys_file, false, &g.api, fault);
	if (!err && *conf->access.viewer_keys_file)
		err = keys_load(conf->access.viewer_keys_file, true, &g.viewers, fault);
	if (!err && *conf->access.jwt_key_file)
		err = jwt_key_load(conf->access.jwt_key_file, &g.jwt, fault);
	if (err)
		free_grants(&g);
	else
		*out = g;
	return err;
}

int access_create(const struct conf *conf, struct access **out, char fault[SECRET_FAULT_MAX])
{
	struct access *access = calloc(1, sizeof(*access));
	int err;

	if (!access) {
		snprintf(fault, SECRET_FAULT_MAX, "no memory for the keys");
		return -ENOMEM;
	}
	access->conf = conf;
	access->rules = (struct jwt_rules){ .stream_claim = conf->access.jwt_stream_claim,
		.api_scope = conf->access.jwt_api_scope,
		.audience = conf->access.jwt_audience };
	err = read_grants(conf, &access->grants, fault);
	if (err)
		access_destroy(access);
	else
		*out = access;
	return err;
}

void access_destroy(struct access *access)
{
	if (!access)
		return;
	free_grants(&access->grants);
	free(access);
}

int access_reload(struct access *access, char fault[SECRET_FAULT_MAX])
{
	struct grants fresh;
	int err = read_grants(access->conf, &fresh, fault);

	if (err)
		return err;
	free_grants(&access->grants);
	access->grants = fresh;
	return 0;
}

bool access_has_api_keys(const struct access *access)
{
	return access->grants.api;
}

bool access_has_jwt(const struct access *access)
{
	return access->grants.jwt;
}

bool access_guards_viewers(const struct access *access)
{
	return access->grants.viewers || access->grants.jwt;
}

enum access_verdict access_judge_viewer(const struct access *access, const char *token,
	const char *stream, int64_t now_s, struct access_holder *holder)
{
	const struct grants *g = &access->grants;
	enum keys_verdict key = keys_find(g->viewers, token, stream);

	if (keys_find(g->api, token, NULL) == KEYS_OK || key == KEYS_OK) {
		*holder = (struct access_holder){ 0 };
		return ACCESS_OK;
	}
	if (key == KEYS_OTHER_STREAM)
		return ACCESS_NOT_ENTITLED;
	if (g->jwt)
		return jwt_judge(g->jwt, &access->rules, token, stream, now_s, holder);
	return ACCESS_BAD_TOKEN;
}

enum access_verdict access_judge_api(const struct access *access, const char *token, int64_t now_s)
{
	const struct grants *g = &access->grants;

	if (keys_find(g->api, token, NULL) == KEYS_OK)
		return ACCESS_OK;
	// A viewer's key is known, and not enough.
	if (keys_find(g->viewers, token, NULL) == KEYS_OK)
		return ACCESS_NOT_ENTITLED;
	if (g->jwt)
		return jwt_judge(g->jwt, &access->rules, token, NULL, now_s, NULL);
	return ACCESS_BAD_TOKEN;
}
