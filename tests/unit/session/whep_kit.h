// What the WHEP tests share: a stage with an HTTP server before it, and a client that asks one
// thing at a time.
#pragma once

#include "control/api.h"
#include "tests/unit/http/client.h"
#include "tests/unit/session/rig.h"

#define TYPE_SDP      "application/sdp"
#define TYPE_FRAGMENT "application/trickle-ice-sdpfrag"

enum {
	OFFER_MAX_BYTES = 64 * 1024,
};

struct house {
	struct stage *stage;
	struct api api;
	struct http_server *http;
	struct response last;
};

// For cmocka: *state becomes a struct house.
int house_setup(void **state);
int house_teardown(void **state);

// As the core thread does when the data plane leaves.
void house_lose_link(struct house *);

// An offer of tests/data/offers, in a static buffer.
const char *offer_read(const char *name);

// The same with each of what replaced.
const char *offer_change(const char *name, const char *what, const char *with);

// Send a request; the core thread takes it and hands it to its handler.
// headers: lines, each with CR LF; may be "".
// Return:  the connection; nothing is carried or read yet.
int house_send(struct house *, const char *method, const char *path, const char *headers,
	const char *body);

// Read the answer into last, and close the connection.
// Return: the status.
int house_read(struct house *, int fd);

// Both, with all that moves in between.
int house_ask(struct house *, const char *method, const char *path, const char *headers,
	const char *body);

// POST an offer with its media type.
int house_post(struct house *, const char *path, const char *offer);

// PATCH a fragment with its media type and further header lines.
int house_patch(struct house *, const char *path, const char *headers, const char *fragment);

// Return: a field of the last answer; NULL it has none.
const char *house_field(struct house *, const char *name);

// Assert that a field of the last answer has this value; NULL: that it is not there.
void house_expect_field(struct house *, const char *name, const char *value);

// POST chromium-av, which must work; location becomes the session's path.
void house_enter(struct house *, char location[HTTP_PATH_MAX_BYTES]);
