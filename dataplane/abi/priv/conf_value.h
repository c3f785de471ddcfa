// From the text of a value to its field in struct conf.
#pragma once

#include <stddef.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/priv/conf_table.h"

enum {
	CONF_EXPECTS_BYTES = 160,
};

// Parse text into the option's field.
// Return: 0; -EINVAL not such a value, and conf is untouched.
int conf_value_parse(const struct conf_option *, const char *text, struct conf *conf);

// What the option takes, to follow "expected": "a whole number from 1 to 65535".
// Return: buf.
const char *conf_value_expects(const struct conf_option *, char buf[CONF_EXPECTS_BYTES]);
