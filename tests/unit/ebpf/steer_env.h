// What the tests of the steering program share: a place of their own to run in, and small helpers
// around libbpf. Nothing outside the process is touched.
#pragma once

#include <bpf/libbpf.h>
#include <stdint.h>

enum {
	EXIT_SKIPPED = 77,
};

// Enter a network and a mount namespace of our own, with an empty bpffs on /sys/fs/bpf.
// Return: 0; EXIT_SKIPPED where BPF cannot be used at all, the reason on stderr.
int steer_env_enter(void);

// Run a program with the arguments of one line, split at spaces. Return: 0; -1 it failed.
int steer_env_run(const char *line);

// Open and load steer.o. Return: NULL on failure.
struct bpf_object *steer_env_load(const char *path);

// Descriptors borrowed from the object, or -1.
int steer_env_prog(const struct bpf_object *);
int steer_env_map(const struct bpf_object *, const char *name);
