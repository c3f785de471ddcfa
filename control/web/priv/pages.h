// The table that embed.py writes and web.c reads.
#pragma once

#include "control/web/web.h"

extern const struct web_page web_pages[];
extern const size_t n_web_pages;
