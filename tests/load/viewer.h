// One viewer from POST to the end.
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "tests/load/load.h"
#include "tests/load/media.h"
#include "tests/load/stun.h"

enum viewer_state {
	VIEWER_ASKING,	 // POST is under way
	VIEWER_CHECKING, // ICE
	VIEWER_SHAKING,	 // DTLS
	VIEWER_PLAYING,
	VIEWER_LEAVING, // the good-bye is said; waits for the answer and the BYE
	VIEWER_DEAD,
};

struct viewer {
	struct load *load;
	unsigned int id;
	enum viewer_state state;
	int fd;
	char *session_url;
	struct offer_answer answer;
	struct sockaddr_storage self;
	struct dtls_assoc *dtls;
	struct media media;
	uint8_t check_id[STUN_ID_BYTES];
	bool check_answered;
	unsigned int checks_lost;
	bool asked_to_leave, delete_done, media_seen;
	uint32_t overruns;
	uint64_t began_us, answered_us, ready_us, left_us;
	uint64_t check_us, check_wait_us, dtls_us, report_us; // when each is due
	uint64_t due_us;				      // when it is in the wheel for
	TAILQ_ENTRY(viewer) link, wheel_link;
};

// Start one: POSTs.
// Return: 0; -ENOMEM.
int viewer_start(struct load *, unsigned int id);

// Its socket is readable.
void viewer_readable(struct viewer *);

// Do what is due.
void viewer_tick(struct viewer *, uint64_t now_us);

// Begin to leave.
void viewer_leave(struct viewer *, uint64_t now_us);

void viewer_free(struct viewer *);

// wheel.c: call viewer_tick at about due_us.
void wheel_put(struct viewer *, uint64_t due_us);
void wheel_take(struct viewer *);
void wheel_run(struct load *, uint64_t now_us);
