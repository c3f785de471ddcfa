// How the kernel's interface is dressed.
#pragma once

#include "dataplane/abi/conf.h"
#include "dataplane/host/address.h"

// MAC, MTU, addresses (no duplicate detection: the data plane answers for them), default routes by
// way of the configured gateways, up. What is there already is left.
// Return: 0; -errno, logged.
int kernel_link_set_up(const struct conf *, const struct host_addresses *);
