// Every path that control answers, in one table.
#pragma once

#include <stddef.h>

#include "control/api.h"
#include "control/http/router.h"

// Return: the table itself, *n lines; for who compares it with what is documented.
const struct http_route *routes_table(size_t *n);

// State: the request is answered or a handler's.
void routes_dispatch(struct api *, struct http_request *);
