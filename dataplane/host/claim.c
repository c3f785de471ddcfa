#include "dataplane/host/claim.h"

#define NS_PER_S 1000000000ULL

enum {
	PROBES = 3,	    // RFC 5227 1.1: PROBE_NUM
	PROBE_S = 1,	    // PROBE_MIN
	ANSWER_S = 2,	    // ANNOUNCE_WAIT
	ANNOUNCEMENTS = 3,  // RFC 4861 10: MAX_NEIGHBOR_ADVERTISEMENT; RFC 5227: 2
	ANNOUNCEMENT_S = 1, // RFC 4861 10: RetransTimer
	DEFEND_S = 10,	    // RFC 5227 1.1: DEFEND_INTERVAL
};

void host_claim_begin(struct host_claim *c, uint64_t now_ns)
{
	c->probes = c->asked ? 0 : PROBES;
	c->announcements = ANNOUNCEMENTS;
	c->due_ns = now_ns;
}

enum host_word host_claim_due(struct host_claim *c, uint64_t now_ns)
{
	if (now_ns < c->due_ns)
		return HOST_SAY_NOTHING;
	if (c->probes) {
		c->probes--;
		c->due_ns = now_ns + (c->probes ? PROBE_S : ANSWER_S) * NS_PER_S;
		return HOST_SAY_PROBE;
	}
	if (c->announcements == 0)
		return HOST_SAY_NOTHING;
	c->asked = true;
	c->announcements--;
	c->due_ns = now_ns + ANNOUNCEMENT_S * NS_PER_S;
	return HOST_SAY_ANNOUNCEMENT;
}

void host_claim_defend(struct host_claim *c, uint64_t now_ns)
{
	if (!c->asked || (c->defended_ns && now_ns - c->defended_ns <= DEFEND_S * NS_PER_S))
		return;
	c->defended_ns = now_ns;
	if (c->announcements == 0)
		c->announcements = 1;
}
