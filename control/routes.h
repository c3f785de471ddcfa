// Every path that control answers, in one table.
#pragma once

#include "control/api.h"

// State: the request is answered or a handler's.
void routes_dispatch(struct api *, struct http_request *);
