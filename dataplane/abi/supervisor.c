#include "dataplane/abi/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

void supervisor_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void supervisor_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

uint64_t supervisor_watchdog_ms(void)
{
	uint64_t usec;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec / 1000 : 0;
}

// A third of the time leaves room for one that is lost or late.
void supervisor_alive(uint64_t now_ms)
{
	static uint64_t next_ms;
	uint64_t watchdog_ms = supervisor_watchdog_ms();

	if (watchdog_ms == 0 || now_ms < next_ms)
		return;
	next_ms = now_ms + watchdog_ms / 3;
	sd_notify(0, "WATCHDOG=1");
}

static void free_names(char **names)
{
	for (int i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

int supervisor_take_fd(const char *name)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(0, &names);
	int found = -ENOENT;

	for (int i = 0; i < n; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		if (found < 0)
			found = SD_LISTEN_FDS_START + i;
		else
			close(SD_LISTEN_FDS_START + i);
	}
	free_names(names);
	return found;
}

int supervisor_keep_fd(const char *name, int fd)
{
	char text[64];
	int rc;

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	rc = sd_notify(0, text);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOTCONN;
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	rc = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	return rc < 0 ? rc : 0;
}
