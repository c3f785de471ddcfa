// The characters that ICE credentials are made of.
// Source: RFC 8839 5.4.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Return: whether each byte is ALPHA, DIGIT, "+" or "/".
bool ice_chars_ok(const char *text, size_t text_bytes);
