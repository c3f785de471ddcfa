// If-Match, by strong comparison.
// Source: RFC 9110 8.8.3.2, 13.1.1; checklist A19, A21.
#pragma once

#include <stdbool.h>

// list: the field's value, e.g. "\"a\", \"b\"", "*", and "\"*\"" as the WHEP draft writes it.
// etag: the current one, quoted and strong.
// Return: whether one of the list is it. A weak tag, or a list that is none, matches nothing.
bool if_match(const char *list, const char *etag);
