// What all viewers of this process share.
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "tests/load/dtls.h"
#include "tests/load/http.h"
#include "tests/load/offer.h"
#include "tests/load/options.h"
#include "tests/load/report.h"
#include "tests/load/source.h"

struct viewer;
TAILQ_HEAD(viewer_list, viewer);

enum {
	WHEEL_SLOT_US = 4000,
	WHEEL_SLOTS = 2048, // 8 s; what is due later is looked at earlier
};

struct load {
	struct load_options options;
	struct load_report report;
	struct http *http;
	struct dtls_client *dtls;
	struct offer_local local;
	struct source sources[OFFER_LEGS];
	int epoll_fd;
	uint32_t requests;	 // HTTP requests under way
	uint64_t leave_us;	 // when all leave; 0: not known yet
	struct viewer_list all;	 // with a timer
	struct viewer_list dead; // freed when no event can name them any more
	struct viewer_list wheel[WHEEL_SLOTS];
	uint64_t wheel_at; // slot number, not wrapped
};
