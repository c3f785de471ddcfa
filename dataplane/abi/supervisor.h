// What systemd and a service of it tell each other: ready, alive, and descriptors that outlive the
// service. Without systemd (NOTIFY_SOCKET unset) all of it does nothing.
// Main thread only. Source: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
#pragma once

#include <stdint.h>

// Everything is set up; status is shown by systemctl status. Say it once.
void supervisor_ready(const char *status);
void supervisor_stopping(void);

// Return: within how many milliseconds life must be shown; 0: nobody waits for it.
uint64_t supervisor_watchdog_ms(void);

// Show life, if it is time to: call it at will, but only when all is well.
void supervisor_alive(uint64_t now_ms);

// Take a descriptor that was kept for us, and close all others of that name.
// Return: the caller's; -ENOENT there is none.
int supervisor_take_fd(const char *name);

// Have a descriptor kept across restarts, in place of all that were kept under the name.
// Return: 0; -ENOTCONN nobody keeps it, -errno.
int supervisor_keep_fd(const char *name, int fd);
