// Prints each line of the route table as "METHOD pattern", with the methods that the router itself
// answers. For check_document.py.
#include <stdio.h>
#include <stdlib.h>

#include "control/routes.h"

int main(void)
{
	static const char *const names[HTTP_OTHER] = { "get", "head", "post", "put", "patch",
		"delete", "options" };
	const struct http_route *routes;
	size_t n;

	routes = routes_table(&n);
	for (size_t i = 0; i < n; i++) {
		for (int m = 0; m < HTTP_OTHER; m++)
			if (routes[i].on[m] || m == HTTP_OPTIONS ||
				(m == HTTP_HEAD && routes[i].on[HTTP_GET]))
				printf("%s %s\n", names[m], routes[i].pattern);
	}
	return EXIT_SUCCESS;
}
