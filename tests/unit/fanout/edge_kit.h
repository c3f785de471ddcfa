// Workers whose loop is called by hand, ports that are rings of ours, a control that fills slots
// and sends commands, and viewers that open what they get with libsrtp2 itself.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <srtp2/srtp.h>

#include "dataplane/fanout/worker.h"

enum {
	KIT_WORKERS = 2,
	KIT_STREAMS = 4,
	KIT_PEERS = 16,
	KIT_MEDIA_PORT = 8189,
	KIT_VIDEO_PORT = 20000, // of stream 0; ten more for each further one
	KIT_AUDIO_PORT = 20002,
	KIT_VIDEO_PT = 96,
	KIT_AUDIO_PT = 97,
	KIT_RTX_PT = 103, // that viewers agreed on
	KIT_PKT_BYTES = 2048,
	KIT_MAX_EVENTS = 64,
};

struct edge_kit {
	struct conf conf;
	struct region region;
	struct port_set ports;
	struct edge edge;
	struct worker workers[KIT_WORKERS];
	_Atomic uint32_t viewers_on[KIT_STREAMS];
	_Atomic uint64_t key_wanted[KIT_STREAMS];
	uint64_t command_seq;
	bool reports; // else none ever falls due: what is sent is what a test asked for
	struct ring_event events[KIT_MAX_EVENTS]; // but for acknowledgements
	unsigned int n_events;
	uint8_t sent_dscp; // of what kit_sent gave last
};

extern struct edge_kit kit;

// The EAL without huge pages, ports and pool: once a program.
int kit_group_setup(void **state);
int kit_group_teardown(void **state);

// Fresh region and workers for a test; afterwards every mbuf must be back in the pool.
int kit_setup(void **state);
int kit_teardown(void **state);

// The workers end without a word and others take up the region. Pointers into it are dead.
void kit_restart(void);

#define kit_test(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

// ---- control -----------------------------------------------------------------------------------

// Fill a stream's slot: generation 1, both legs.
struct region_stream_conf *kit_stream_fill(uint16_t slot, uint16_t owner);

// Tell every worker. Return: the first status that is not 0.
int kit_stream_set(uint16_t slot);

// Fill a viewer's slot with keys, path and both legs; READY, generation 1.
struct region_peer_conf *kit_peer_fill(
	uint16_t slot, uint16_t stream, uint16_t worker, uint16_t profile);

// Fill, reserve and install.
void kit_peer_add(uint16_t slot, uint16_t stream, uint16_t worker, uint16_t profile);

// Send a command, step the worker until it acknowledges. Return: its status.
int kit_command(uint16_t worker, enum ring_command_kind kind, uint16_t slot, uint32_t generation);

// Take the events that wait into kit.events.
void kit_events(uint16_t worker);
unsigned int kit_count_events(enum ring_event_kind kind, uint8_t leg);

// ---- the wire ----------------------------------------------------------------------------------

struct net_addr kit_addr(const char *ip, uint16_t port);
struct net_addr kit_viewer_addr(uint16_t slot);

// One datagram to that address waits in the worker's receive queue.
void kit_feed_to(uint16_t worker, const struct net_addr *from, const struct net_addr *to,
	const uint8_t *payload, uint16_t payload_bytes);

// One datagram to our address waits in the worker's receive queue.
void kit_feed(uint16_t worker, const struct net_addr *from, uint16_t to_port,
	const uint8_t *payload, uint16_t payload_bytes);

// Any frame waits there; and the next frame that the worker sent. Return: its size; 0 none.
void kit_feed_frame(uint16_t worker, const uint8_t *frame, uint16_t bytes);
uint16_t kit_sent_frame(uint16_t worker, uint8_t frame[KIT_PKT_BYTES]);

// One packet of the test's encoder.
struct kit_rtp {
	uint16_t seq;
	uint32_t ts;
	bool marker;
	uint8_t payload[1200];
	uint16_t payload_bytes;
};

// nal: the payload's first byte; the rest is told by seq, so that each packet is different.
struct kit_rtp kit_rtp_make(uint16_t seq, uint32_t ts, uint8_t nal, bool marker);
void kit_feed_rtp(uint16_t worker, uint16_t stream, enum leg_kind leg, const struct kit_rtp *);

void kit_step(uint16_t worker);

// Step the worker for so long.
void kit_step_ms(uint16_t worker, unsigned int ms);

// The next datagram that the worker sent.
// Return: its payload's size; 0: there is none.
uint16_t kit_sent(uint16_t worker, struct net_addr *to, uint8_t pkt[KIT_PKT_BYTES]);
// The next one that the worker sent to an address, whatever went elsewhere before it.
// Return: its payload's size; 0: there is none.
uint16_t kit_sent_to(uint16_t worker, const struct net_addr *to, uint8_t pkt[KIT_PKT_BYTES]);
unsigned int kit_sent_count(uint16_t worker);

// One more frame of nobody's in what the worker sends to.
// Return: whether there was room.
bool kit_fill_port(uint16_t worker);

// Sent datagrams of no interest: the next one, all.
void kit_forget_one(uint16_t worker);
void kit_forget_sent(uint16_t worker);

// ---- viewers -----------------------------------------------------------------------------------

struct kit_viewer {
	struct net_addr addr;
	struct region_peer_conf *conf;
	srtp_t in;
	srtp_t out;
};

// With the keys that stand in the slot now.
void kit_viewer_init(struct kit_viewer *, uint16_t slot);
void kit_viewer_fini(struct kit_viewer *);

// The next datagram must be media of that leg for this viewer, and carry just that packet.
void kit_viewer_expect(struct kit_viewer *, uint16_t worker, enum leg_kind leg,
	const struct kit_rtp *, uint16_t seq);

// Take sent datagrams until one is SRTCP for this viewer, and open it.
// Return: its size; 0: there is none.
uint16_t kit_viewer_rtcp(struct kit_viewer *, uint16_t worker, uint8_t pkt[KIT_PKT_BYTES]);

// Seal a compound packet as the viewer does. Return: its size.
uint16_t kit_viewer_seal(struct kit_viewer *, uint8_t *pkt, uint16_t pkt_bytes);
