#include "control/dtls/priv/record.h"

enum {
	RECORD_TYPE_FIRST = 20, // change_cipher_spec, alert, handshake, application_data
	RECORD_TYPE_LAST = 23,
	RECORD_TYPE_APPLICATION = 23,
	RECORD_VERSION_MAJOR = 0xfe,
	// The handshake runs in epoch 0 and there is one handshake only.
	RECORD_EPOCH_LAST = 1,
	// What each of our ciphers adds: an explicit nonce and a tag (RFC 5288 3).
	RECORD_SEALING_BYTES = 8 + 16,
};

// OpenSSL before 3.0.22 ends an association over a sealed record that has no place for its tag
// (CVE-2026-75806). One with no text is legal, says nothing to us, and would look like an end.
static bool record_is_sound(const uint8_t *header, size_t body_bytes)
{
	uint8_t type = header[0];
	unsigned int epoch = header[3] << 8 | header[4];

	if (type < RECORD_TYPE_FIRST || type > RECORD_TYPE_LAST)
		return false;
	if (header[1] != RECORD_VERSION_MAJOR || epoch > RECORD_EPOCH_LAST)
		return false;
	if (epoch != 0 && body_bytes <= RECORD_SEALING_BYTES)
		return false;
	// In clear it is nobody's; OpenSSL would end the handshake over it.
	return type != RECORD_TYPE_APPLICATION || epoch != 0;
}

bool record_next(struct record_cursor *cursor, const uint8_t **record, size_t *record_bytes)
{
	while (cursor->bytes_left >= RECORD_HEADER_BYTES) {
		const uint8_t *header = cursor->at;
		size_t body_bytes = (size_t)(header[11] << 8 | header[12]);
		size_t bytes = RECORD_HEADER_BYTES + body_bytes;

		if (bytes > cursor->bytes_left)
			return false;
		cursor->at += bytes;
		cursor->bytes_left -= bytes;
		if (!record_is_sound(header, body_bytes))
			continue;
		*record = header;
		*record_bytes = bytes;
		return true;
	}
	return false;
}
