// What a run of testfan is made of: one table of settings, which are command-line options
// (--peers=5000) and commands (set peers 5000) alike.
// Owner: the main thread; a run reads its own copy.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/net.h"

enum {
	SETTINGS_SIZE_MIN = 64,
	SETTINGS_SIZE_MAX = 1398, // with REGION_OVERHEAD_BYTES on an MTU of 1500
	SETTINGS_BURST_MAX = 64,
	SETTINGS_NACK_MAX = 50,
	SETTINGS_TEXT_BYTES = 128,
};

enum media {
	MEDIA_VIDEO,
	MEDIA_AUDIO,
	MEDIA_BOTH,
};

struct settings {
	uint64_t peers;
	uint64_t streams;
	uint64_t profile; // enum srtp_profile
	uint64_t engine;  // enum conf_engine
	uint64_t size;	  // bytes of RTP payload
	uint64_t rate;	  // packets a second and stream; 0: as many as the workers take
	uint64_t burst;	  // packets of a stream that arrive together
	uint64_t media;	  // enum media
	uint64_t pacing;  // [media] pacing_percent; 0: off
	double load;	  // share of the capacity, measured first; 0: rate holds
	uint64_t latency; // measure it
	uint64_t verify;  // open packets of every Nth peer; 0: none
	double nack;	  // percent that viewers lose and ask for again; 0: none
	uint64_t rtx;	  // resends have an SSRC of their own (RFC 4588)
	uint64_t bitrate; // of one viewer, bit/s: for viewers a core
	uint64_t ip6;
	uint64_t udp_base;
	uint8_t eth_peer[6];
	struct net_addr local, remote; // ports 0; remote is the first viewer's
};

void settings_init(struct settings *);

// Set one by its name.
// wrong:  told what is accepted, in one line.
// Return: 0; -ENOENT no such name, -EINVAL.
int settings_set(
	struct settings *, const char *name, const char *value, char wrong[SETTINGS_TEXT_BYTES]);

// What settings are there: name and help by number, and the value as settings_set takes it.
// Return: false past the last.
bool settings_get(const struct settings *, unsigned int at, const char **name, const char **help,
	char value[SETTINGS_TEXT_BYTES]);

// Whether the settings fit each other.
// Return: 0; -EINVAL.
int settings_check(const struct settings *, char wrong[SETTINGS_TEXT_BYTES]);

// Our address, port 0.
struct net_addr settings_local(const struct settings *);

// Where viewer i is: one address and port of its own.
struct net_addr settings_viewer(const struct settings *, uint32_t i);
