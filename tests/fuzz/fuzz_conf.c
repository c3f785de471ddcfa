// The text of a configuration file, and the values in it.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/abi/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_result(const struct conf *conf)
{
	assert(conf->dataplane.n_cores >= 1 && conf->dataplane.n_cores <= CONF_MAX_WORKERS);
	assert(conf->media.n_addresses <= CONF_MAX_ADDRESSES);
	assert(conf->media.n_nats <= CONF_MAX_ADDRESSES);
	assert(memchr(conf->dataplane.interface, '\0', 16));
	assert(memchr(conf->dataplane.socket, '\0', sizeof(conf->dataplane.socket)));
	assert(conf->dataplane.mtu >= 1280 && conf->dataplane.mtu <= 9000);
	assert(conf->media.dscp <= 63);
	assert(conf->ingest.first_port % 2 == 0);
	assert(conf->ingest.first_port <= conf->ingest.last_port);
	assert(conf->http.address.family != NET_NONE);
}

// Each fault is a line on stderr: run with -close_fd_mask=2.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static int fd = -1;
	static char path[64];
	char *argv[] = { (char *)"fuzz", (char *)"--config", path, NULL };
	struct conf conf;

	if (fd < 0) {
		fd = memfd_create("conf", MFD_CLOEXEC);
		assert(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, bytes, 0) != (ssize_t)bytes)
		return -1;
	if (conf_load("fuzz", "", 3, argv, &conf) == 0)
		check_result(&conf);
	return 0;
}
