// Opening a link: to nobody, to what is no region, and what is left when it is closed.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/session/edge.h"

static void on_punt(void *ctx, const struct ring_packet *p)
{
}

static void on_event(void *ctx, const struct ring_event *e)
{
}

static int set_up(void **state)
{
	const struct region_sizes sizes = { 2, 2, 4 };
	struct edge *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	assert_int_equal(edge_create(&sizes, e), 0);
	*state = e;
	return 0;
}

static int tear_down(void **state)
{
	edge_destroy(*state);
	free(*state);
	return 0;
}

static void nobody_is_there(void **state)
{
	const struct link_handlers handlers = { on_punt, on_event, NULL };
	struct link *link = NULL;

	assert_int_equal(
		link_open("/nonexistent/millrace.sock", &handlers, NULL, true, &link), -ENOENT);
	assert_null(link);
	link_close(NULL);
}

static void what_is_no_region_is_refused(void **state)
{
	struct edge *e = *state;
	const struct link_handlers handlers = { on_punt, on_event, NULL };
	struct link *link = NULL;

	e->region.header->peer_bytes++;
	assert_int_equal(edge_link(e, &handlers, NULL, &link), -EINVAL);
	e->region.header->peer_bytes--;
	e->region.header->abi_version++;
	assert_int_equal(edge_link(e, &handlers, NULL, &link), -EPROTONOSUPPORT);
	e->region.header->abi_version--;
	e->region.header->magic++;
	assert_int_equal(edge_link(e, &handlers, NULL, &link), -EPROTO);
	e->region.header->magic--;
	assert_null(link);
}

static unsigned int open_descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n++;
	return n;
}

static void no_descriptor_is_left_open(void **state)
{
	struct edge *e = *state;
	const struct link_handlers handlers = { on_punt, on_event, NULL };
	unsigned int before;
	struct link *link;

	// The edge keeps its end of the newest connection.
	assert_int_equal(edge_link(e, &handlers, NULL, &link), 0);
	link_close(link);
	before = open_descriptors();
	assert_int_equal(edge_link(e, &handlers, NULL, &link), 0);
	assert_ptr_not_equal(link_region(link), &e->region);
	assert_null(link_steer(link));
	assert_true(link_socket_fd(link) >= 0);
	link_close(link);
	e->region.header->magic++;
	assert_int_equal(edge_link(e, &handlers, NULL, &link), -EPROTO);
	e->region.header->magic--;
	assert_int_equal(open_descriptors(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_there),
		TEST(what_is_no_region_is_refused),
		TEST(no_descriptor_is_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
