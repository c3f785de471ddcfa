// What the command line asks for.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <netinet/in.h>

enum load_profile {
	LOAD_GCM128,
	LOAD_CM80,
	LOAD_MIXED, // viewers take turns
};

enum load_leave {
	LEAVE_DELETE, // DELETE on the session's URL
	LEAVE_CLOSE,  // DTLS close_notify
	LEAVE_VANISH, // say nothing
};

enum {
	OPTIONS_EXPECT_MAX = 4,
};

// So many answers of that status to POST; then none else is a fault, nor is that status.
struct load_expect {
	unsigned int status;
	uint32_t answers;
};

struct load_options {
	const char *url;
	char origin[128]; // http://host:port of url
	uint32_t viewers;
	double join_rate; // a second; 0: all at once
	double seconds;	  // goes on so long after the last join
	double stay;	  // a viewer leaves so long after it is set up; 0: when all do
	double setup_s;	  // limit from POST to keys
	enum load_profile profile;
	enum load_leave leave;
	uint32_t verify_every; // of so many viewers one opens its packets; 0: none
	uint32_t connections;  // HTTP connections at one time
	bool fresh;	       // a new one for each request
	bool sampled;	       // only pieces of the media get to us: gaps are no faults
	bool no_media;	       // the stream is silent: that nothing comes is no fault
	bool json;
	bool quiet;
	struct load_expect expect[OPTIONS_EXPECT_MAX];
	unsigned int n_expect;
};

// Read the command line. Ends the process for --help (status 0) and for what cannot be read
// (status 2, one line on stderr).
void options_read(int argc, char **argv, struct load_options *);
