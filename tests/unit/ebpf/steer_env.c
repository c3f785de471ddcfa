#include "tests/unit/ebpf/steer_env.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ebpf/steer.h"

static int skip(const char *what, int err)
{
	fprintf(stderr, "skipped: %s: %s\n", what, strerror(err));
	return EXIT_SKIPPED;
}

// A program of one line, to tell "no BPF here" from "our program does not load".
static int try_bpf(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "probe", "GPL", insns, 2, NULL);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int steer_env_enter(void)
{
	int rc;

	if (geteuid() != 0)
		return skip("BPF tests run as root", EPERM);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return skip("no namespaces of our own", errno);
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return skip("mounts cannot be made private", errno);
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		return skip("bpffs cannot be mounted", errno);
	rc = try_bpf();
	return rc < 0 ? skip("no XDP program can be loaded", -rc) : 0;
}

int steer_env_run(const char *line)
{
	char words[256], *argv[24], *rest = words;
	int n = 0, status;
	pid_t pid;

	snprintf(words, sizeof(words), "%s", line);
	while (n < 23 && (argv[n] = strsep(&rest, " ")))
		n++;
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct bpf_object *steer_env_load(const char *path)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);

	if (obj && bpf_object__load(obj) < 0) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

int steer_env_prog(const struct bpf_object *obj)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, STEER_PROG_NAME);

	return prog ? bpf_program__fd(prog) : -1;
}

int steer_env_map(const struct bpf_object *obj, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);

	return map ? bpf_map__fd(map) : -1;
}
