// millrace-feed: an encoder's RTP without an encoder: H.264 and Opus legs at a rate that can be
// changed while it runs. A frame leaves in one burst, as FFmpeg sends it.
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/load/clock.h"
#include "tests/load/wire.h"

static const char help[] =
	"usage: millrace-feed --to ADDRESS --video PORT --audio PORT [OPTION...]\n"
	"\n"
	"Sends an H.264 and an Opus leg as plain RTP until stdin ends. A line on stdin is the new\n"
	"number of video packets a second; each is answered by one JSON object on stdout: what "
	"was\n"
	"sent up to then.\n"
	"\n"
	"  --pps N      video packets a second at first (default 250)\n"
	"  --fps N      frames a second (default 25); a frame's packets leave in one burst\n"
	"  --bytes N    of an RTP packet of video, header included (default 1200)\n"
	"  --gop N      frames from key frame to key frame (default 50)\n";

enum {
	RTP_BYTES = 12,
	AUDIO_BYTES = RTP_BYTES + 160, // 64 kbit/s
	AUDIO_MS = 20,
	PACKET_MAX = 1500,
	BURST = 64,
	VIDEO_TYPE = 96,
	AUDIO_TYPE = 111,
	REPORT_US = 1000000,
	NTP_1970 = 2208988800u,
};

struct feed_leg {
	int fd, rtcp_fd;
	uint8_t payload_type;
	uint32_t ssrc, clock_rate, ts;
	uint16_t seq;
	uint64_t packets, octets, refused; // refused: by our own kernel
	uint64_t report_us;
};

struct feed {
	double pps, fps;
	uint32_t pkt_bytes, gop;
	struct sockaddr_in to;
	uint16_t video_port, audio_port;
	struct feed_leg video, audio;
	uint64_t frames;
	double owed;	  // fraction of a packet
	uint64_t late_us; // the latest a burst ever left
	uint8_t filler[PACKET_MAX];
	// A burst.
	uint8_t pkts[BURST][PACKET_MAX];
	struct iovec iov[BURST];
	struct mmsghdr msgs[BURST];
	unsigned int n;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "millrace-feed: %s: %s\n", what, why);
	exit(1);
}

// ---- sending -----------------------------------------------------------------------------------

static void flush(struct feed *f, struct feed_leg *l)
{
	unsigned int sent = 0;

	while (sent < f->n) {
		int n = sendmmsg(l->fd, f->msgs + sent, f->n - sent, 0);

		if (n <= 0) {
			l->refused += f->n - sent;
			break;
		}
		sent += (unsigned int)n;
	}
	f->n = 0;
}

static void put(struct feed *f, struct feed_leg *l, const uint8_t *head, size_t head_bytes,
	size_t pkt_bytes, bool marker)
{
	uint8_t *pkt = f->pkts[f->n];

	pkt[0] = 0x80;
	pkt[1] = (uint8_t)(l->payload_type | (marker ? 0x80 : 0));
	wire_put16(pkt + 2, l->seq++);
	wire_put32(pkt + 4, l->ts);
	wire_put32(pkt + 8, l->ssrc);
	memcpy(pkt + RTP_BYTES, head, head_bytes);
	// No two packets are the same.
	if (pkt_bytes > RTP_BYTES + head_bytes) {
		memcpy(pkt + RTP_BYTES + head_bytes, f->filler, pkt_bytes - RTP_BYTES - head_bytes);
		if (pkt_bytes >= RTP_BYTES + head_bytes + 4)
			wire_put32(pkt + RTP_BYTES + head_bytes, (uint32_t)l->packets);
	}
	f->iov[f->n] = (struct iovec){ pkt, pkt_bytes };
	f->msgs[f->n].msg_hdr = (struct msghdr){ .msg_iov = &f->iov[f->n], .msg_iovlen = 1 };
	l->packets++;
	l->octets += pkt_bytes - RTP_BYTES;
	if (++f->n == BURST)
		flush(f, l);
}

static void send_report(struct feed_leg *l, uint64_t now_us)
{
	uint8_t pkt[28] = { 0x80, 200, 0, 6 };
	struct timespec wall;

	if (now_us < l->report_us)
		return;
	l->report_us = now_us + REPORT_US;
	clock_gettime(CLOCK_REALTIME, &wall);
	wire_put32(pkt + 4, l->ssrc);
	wire_put32(pkt + 8, (uint32_t)wall.tv_sec + NTP_1970);
	wire_put32(pkt + 12, (uint32_t)(((uint64_t)wall.tv_nsec << 32) / 1000000000));
	wire_put32(pkt + 16, l->ts);
	wire_put32(pkt + 20, (uint32_t)l->packets);
	wire_put32(pkt + 24, (uint32_t)l->octets);
	send(l->rtcp_fd, pkt, sizeof(pkt), 0);
}

// ---- legs --------------------------------------------------------------------------------------

// Parameter sets before a key frame, then the picture as one NAL unit in fragments (RFC 6184 5.8).
static void send_frame(struct feed *f)
{
	static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8 };
	static const uint8_t pps[] = { 0x68, 0xce, 0x3c, 0x80 };
	bool key = f->frames++ % f->gop == 0;
	uint8_t head[3] = { 0x7c, key ? 5 : 1, 0x88 };
	double due = f->pps / f->fps + f->owed;
	long n = (long)due - (key ? 2 : 0);

	f->owed = due - (double)(long)due;
	if (key) {
		put(f, &f->video, sps, sizeof(sps), RTP_BYTES + sizeof(sps), false);
		put(f, &f->video, pps, sizeof(pps), RTP_BYTES + sizeof(pps), false);
	}
	if (n < 2)
		n = 2;
	for (long i = 0; i < n; i++) {
		head[1] = (uint8_t)((key ? 5 : 1) | (i == 0 ? 0x80 : 0) | (i == n - 1 ? 0x40 : 0));
		put(f, &f->video, head, i == 0 ? 3 : 2, f->pkt_bytes, i == n - 1);
	}
	flush(f, &f->video);
}

static void send_sound(struct feed *f)
{
	static const uint8_t toc = 0xfc; // fullband, 20 ms, stereo

	put(f, &f->audio, &toc, 1, AUDIO_BYTES, false);
	flush(f, &f->audio);
	f->audio.ts += 48 * AUDIO_MS;
}

static void open_leg(struct feed *f, struct feed_leg *l, uint16_t port, uint8_t type, uint32_t rate)
{
	struct sockaddr_in to = f->to;

	*l = (struct feed_leg){ .payload_type = type, .clock_rate = rate };
	l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	l->rtcp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	l->ssrc = (uint32_t)random() << 1 | 1;
	l->seq = (uint16_t)random();
	l->ts = (uint32_t)random();
	to.sin_port = htons(port);
	if (connect(l->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect", strerror(errno));
	to.sin_port = htons((uint16_t)(port + 1));
	if (connect(l->rtcp_fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect", strerror(errno));
}

// ---- the loop ----------------------------------------------------------------------------------

static void say(const struct feed *f)
{
	printf("{\"us\":%llu,\"video\":%llu,\"audio\":%llu,\"frames\":%llu,\"refused\":%llu,"
	       "\"late_us\":%llu}\n",
		(unsigned long long)clock_us(), (unsigned long long)f->video.packets,
		(unsigned long long)f->audio.packets, (unsigned long long)f->frames,
		(unsigned long long)(f->video.refused + f->audio.refused),
		(unsigned long long)f->late_us);
	fflush(stdout);
}

// Wait for the time or a line.
// Return: false: stdin has ended.
static bool wait_until(struct feed *f, uint64_t due_us)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	uint64_t now = clock_us();
	struct timespec wait = {};
	char line[64] = "";
	ssize_t got;

	if (due_us > now)
		wait = (struct timespec){ .tv_sec = (time_t)((due_us - now) / 1000000),
			.tv_nsec = (long)((due_us - now) % 1000000) * 1000 };
	if (ppoll(&in, 1, &wait, NULL) <= 0)
		return true;
	got = read(0, line, sizeof(line) - 1);
	if (got <= 0)
		return false;
	if (atof(line) > 0)
		f->pps = atof(line);
	f->late_us = atof(line) > 0 ? 0 : f->late_us;
	say(f);
	return true;
}

static void run(struct feed *f)
{
	uint64_t began = clock_us(), sounds = 0, frames = 0;

	for (;;) {
		uint64_t sound_us = began + sounds * AUDIO_MS * 1000;
		uint64_t frame_us = began + (uint64_t)((double)frames * 1e6 / f->fps);
		uint64_t due = sound_us < frame_us ? sound_us : frame_us;
		uint64_t now = clock_us();

		if (now < due) {
			if (!wait_until(f, due))
				return;
			continue;
		}
		if (now - due > f->late_us)
			f->late_us = now - due;
		if (due == sound_us) {
			send_sound(f);
			send_report(&f->audio, now);
			sounds++;
		} else {
			f->video.ts += (uint32_t)(90000 / f->fps);
			send_frame(f);
			send_report(&f->video, now);
			frames++;
		}
	}
}

static double number(const char *what, const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most))
		die(what, text);
	return value;
}

static void read_options(int argc, char **argv, struct feed *f)
{
	static const struct option known[] = {
		{ "to", required_argument, NULL, 't' },
		{ "video", required_argument, NULL, 'v' },
		{ "audio", required_argument, NULL, 'a' },
		{ "pps", required_argument, NULL, 'p' },
		{ "fps", required_argument, NULL, 'f' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "gop", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int id;

	while ((id = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (id == 't' && inet_pton(AF_INET, optarg, &f->to.sin_addr) != 1)
			die("--to: an IPv4 address was expected", optarg);
		else if (id == 'v')
			f->video_port = (uint16_t)number("--video", optarg, 1, 65534);
		else if (id == 'a')
			f->audio_port = (uint16_t)number("--audio", optarg, 1, 65534);
		else if (id == 'p')
			f->pps = number("--pps", optarg, 1, 1e6);
		else if (id == 'f')
			f->fps = number("--fps", optarg, 1, 1000);
		else if (id == 'b')
			f->pkt_bytes = (uint32_t)number("--bytes", optarg, 64, PACKET_MAX);
		else if (id == 'g')
			f->gop = (uint32_t)number("--gop", optarg, 1, 1e6);
		else if (id == 'h') {
			fputs(help, stdout);
			exit(0);
		} else if (id == '?')
			exit(2);
	}
	f->to.sin_family = AF_INET;
	if (!f->to.sin_addr.s_addr || !f->video_port || !f->audio_port || optind < argc)
		die("--to, --video and --audio were expected", "see --help");
}

int main(int argc, char **argv)
{
	static struct feed f = { .pps = 250, .fps = 25, .pkt_bytes = 1200, .gop = 50 };

	read_options(argc, argv, &f);
	srandom((unsigned int)clock_us());
	for (int i = 0; i < PACKET_MAX; i++)
		f.filler[i] = (uint8_t)random();
	open_leg(&f, &f.video, f.video_port, VIDEO_TYPE, 90000);
	open_leg(&f, &f.audio, f.audio_port, AUDIO_TYPE, 48000);
	say(&f);
	run(&f);
	return 0;
}
