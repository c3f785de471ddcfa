#include "dataplane/recover.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/abi/log.h"
#include "dataplane/abi/supervisor.h"

#define FD_NAME "region"

static const char *why_not(int rc)
{
	switch (rc) {
	case -EPROTO:
		return "it is none";
	case -EPROTONOSUPPORT:
		return "it is of another version";
	case -ERANGE:
		return "[dataplane] cores, max_streams or max_peers have changed";
	case -ELOOP:
		return "data planes that went on with it did not last";
	case -EINVAL:
		return "it is damaged";
	default:
		return strerror(-rc);
	}
}

static int take_up(int fd, const struct region_sizes *sizes, const char *from, struct region *out)
{
	int rc;

	if (fd < 0)
		return -ENOENT;
	rc = region_take_up(fd, sizes, out);
	if (rc == 0) {
		log_info("going on with the region that %s", from);
		return 0;
	}
	close(fd);
	log_warn("the region that %s cannot go on: %s; viewers must join anew", from, why_not(rc));
	return -ENOENT;
}

int recover_region(const struct region_sizes *sizes, struct serve *serve, struct region *out)
{
	int rc = take_up(supervisor_take_fd(FD_NAME), sizes, "systemd kept", out);

	return rc == 0 ? 0 : take_up(serve_await_region(serve), sizes, "control held", out);
}

void recover_keep(const struct region *region)
{
	int rc = supervisor_keep_fd(FD_NAME, region->fd);

	if (rc < 0 && rc != -ENOTCONN)
		log_warn("systemd does not keep the region: %s", strerror(-rc));
}
