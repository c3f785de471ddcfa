#include "dataplane/testfan/prompt.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmdline.h>
#include <cmdline_parse.h>
#include <cmdline_parse_string.h>
#include <cmdline_socket.h>

#include "dataplane/abi/log.h"
#include "dataplane/testfan/report.h"

enum {
	POLL_MS = 5,
	CTRL_C = 3,
};

static const char help[] =
	"  start                     build what the settings say, and let it run\n"
	"  stop                      end it, and show what it did\n"
	"  set NAME VALUE            a setting of the next start; \"show config\" names them\n"
	"  show config               the settings, and what each means\n"
	"  show fwd stats all        packets, drops by reason, rates, cycles; by worker and in "
	"sum\n"
	"  show port stats all       what the ports counted\n"
	"  show cycles               cycles a packet by worker\n"
	"  show latency              receive to the last viewer's send\n"
	"  show memory               bytes a viewer\n"
	"  clear fwd stats all       count anew\n"
	"  quit                      end; so do Ctrl-C and Ctrl-D\n";

struct prompt {
	struct rig *rig;
	struct settings *settings;
	bool (*stop_asked)(void);
};

struct words {
	cmdline_fixed_string_t first, second, third, fourth;
};

static void do_start(struct prompt *p)
{
	char wrong[SETTINGS_TEXT_BYTES];

	if (p->rig->running) {
		printf("it runs already\n");
		return;
	}
	if (settings_check(p->settings, wrong) < 0) {
		printf("%s\n", wrong);
		return;
	}
	if (rig_start(p->rig, p->settings, p->stop_asked) < 0) {
		rig_stop(p->rig);
		return;
	}
	printf("started: %lu viewers of %lu streams on %u worker%s, engine %s", p->settings->peers,
		p->settings->streams, p->rig->ports.n_workers,
		p->rig->ports.n_workers == 1 ? "" : "s", p->rig->region.header->engine);
	if (p->rig->rate)
		printf(", %lu packets a second and stream", p->rig->rate);
	putchar('\n');
}

static void do_stop(struct prompt *p)
{
	if (!p->rig->running) {
		printf("it does not run\n");
		return;
	}
	rig_stop(p->rig);
	report_forward(p->rig);
	report_repair(p->rig);
	report_verify(p->rig);
}

static void do_set(struct prompt *p, const struct words *w)
{
	char wrong[SETTINGS_TEXT_BYTES];

	if (settings_set(p->settings, w->second, w->third, wrong) < 0)
		printf("%s\n", wrong);
	else if (p->rig->running)
		printf("from the next start on\n");
}

static void do_show(struct prompt *p, const struct words *w)
{
	if (strcmp(w->second, "config") == 0)
		report_config(p->rig, p->settings);
	else if (strcmp(w->second, "fwd") == 0)
		report_forward(p->rig);
	else if (strcmp(w->second, "port") == 0)
		report_port(p->rig);
	else if (strcmp(w->second, "cycles") == 0)
		report_cycles(p->rig);
	else if (strcmp(w->second, "latency") == 0)
		report_latency(p->rig);
	else
		report_memory(p->rig);
	if (strcmp(w->second, "fwd") == 0) {
		report_repair(p->rig);
		report_verify(p->rig);
	}
}

static void on_command(void *parsed, struct cmdline *cl, void *data)
{
	const struct words *w = parsed;
	struct prompt *p = data;

	if (strcmp(w->first, "start") == 0)
		do_start(p);
	else if (strcmp(w->first, "stop") == 0)
		do_stop(p);
	else if (strcmp(w->first, "set") == 0)
		do_set(p, w);
	else if (strcmp(w->first, "show") == 0)
		do_show(p, w);
	else if (strcmp(w->first, "help") == 0)
		fputs(help, stdout);
	else if (strcmp(w->first, "quit") == 0)
		cmdline_quit(cl);
	else if (p->rig->running)
		rig_clear(p->rig);
	else
		printf("it does not run\n");
	fflush(stdout);
}

#define WORD(name, at, text) \
	static cmdline_parse_token_string_t name = TOKEN_STRING_INITIALIZER(struct words, at, text)

WORD(word_single, first, "start#stop#help#quit");
WORD(word_set, first, "set");
WORD(word_name, second, NULL);
WORD(word_value, third, NULL);
WORD(word_show, first, "show");
WORD(word_clear, first, "clear");
WORD(word_plain, second, "config#cycles#latency#memory");
WORD(word_counted, second, "fwd#port");
WORD(word_fwd, second, "fwd");
WORD(word_stats, third, "stats");
WORD(word_all, fourth, "all");

static cmdline_parse_inst_t command_single = { .f = on_command,
	.help_str = "start | stop | help | quit",
	.tokens = { (void *)&word_single, NULL } };
static cmdline_parse_inst_t command_set = { .f = on_command,
	.help_str = "set NAME VALUE",
	.tokens = { (void *)&word_set, (void *)&word_name, (void *)&word_value, NULL } };
static cmdline_parse_inst_t command_show = { .f = on_command,
	.help_str = "show config|cycles|latency|memory",
	.tokens = { (void *)&word_show, (void *)&word_plain, NULL } };
static cmdline_parse_inst_t command_stats = { .f = on_command,
	.help_str = "show fwd|port stats all",
	.tokens = { (void *)&word_show, (void *)&word_counted, (void *)&word_stats,
		(void *)&word_all, NULL } };
static cmdline_parse_inst_t command_clear = { .f = on_command,
	.help_str = "clear fwd stats all",
	.tokens = { (void *)&word_clear, (void *)&word_fwd, (void *)&word_stats, (void *)&word_all,
		NULL } };

// Return: whether to go on.
static bool take_input(struct cmdline *cl)
{
	char keys[256];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0 || memchr(keys, CTRL_C, (size_t)n))
		return false;
	return cmdline_in(cl, keys, (int)n) >= 0;
}

int prompt_run(struct rig *rig, struct settings *settings, bool (*stop_asked)(void))
{
	struct prompt prompt = { .rig = rig, .settings = settings, .stop_asked = stop_asked };
	cmdline_parse_ctx_t commands[] = { &command_single, &command_set, &command_show,
		&command_stats, &command_clear, NULL };
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	struct cmdline *cl;
	bool go_on = true;

	for (cmdline_parse_ctx_t *command = commands; *command; command++)
		(*command)->data = &prompt;
	cl = cmdline_stdin_new(commands, "testfan> ");
	if (!cl) {
		log_error("no prompt: %s", strerror(errno));
		return -EIO;
	}
	while (go_on && !stop_asked()) {
		if (poll(&in, 1, POLL_MS) > 0)
			go_on = take_input(cl);
		rig_poll(rig);
	}
	cmdline_stdin_exit(cl);
	putchar('\n');
	return 0;
}
