// An offer as a browser makes it, and what a viewer needs of the answer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	OFFER_MAX_BYTES = 4096,
	OFFER_UFRAG_MAX = 64,
	OFFER_PWD_MAX = 128,
	OFFER_DIGEST_BYTES = 32,
	OFFER_VIDEO_TYPE = 96,
	OFFER_AUDIO_TYPE = 111,
};

enum offer_leg {
	OFFER_VIDEO,
	OFFER_AUDIO,
	OFFER_LEGS,
};

// Of all viewers of this process.
struct offer_local {
	char ufrag[OFFER_UFRAG_MAX];
	char pwd[OFFER_PWD_MAX];
	char fingerprint[3 * OFFER_DIGEST_BYTES]; // "AB:CD:..."
};

struct offer_answer {
	char ufrag[OFFER_UFRAG_MAX];
	char pwd[OFFER_PWD_MAX];
	uint8_t digest[OFFER_DIGEST_BYTES];
	struct sockaddr_storage candidate; // the first
	socklen_t candidate_bytes;
	struct {
		bool accepted;
		uint8_t payload_type;
		uint32_t ssrc;
	} legs[OFFER_LEGS];
};

// Return: length of the text.
size_t offer_write(const struct offer_local *, uint64_t session_id, char out[OFFER_MAX_BYTES]);

// Return: NULL; else what is missing or wrong.
const char *offer_read_answer(const char *sdp, struct offer_answer *out);
