// millrace-control: WHEP over HTTP, ICE, DTLS; programs the data plane.
#include <stdlib.h>

#include "control/core.h"
#include "dataplane/abi/conf.h"
#include "dataplane/abi/log.h"

#define DOC "Serves WHEP, the API and the pages, and tells the data plane whom to send to."

int main(int argc, char **argv)
{
	static struct conf conf;
	int rc = conf_load("millrace-control", DOC, argc, argv, &conf);

	if (rc != 0)
		return rc == 1 ? EXIT_SUCCESS : rc;
	if (conf_check_control(&conf) < 0)
		return 2;
	log_set_level((enum log_level)conf.log.level);
	rc = core_run(&conf);
	if (rc == 0)
		log_info("stopped");
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
