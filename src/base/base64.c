#include "base/base64.h"

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buffer *out, struct view bytes)
{
	const uint8_t *in = (const uint8_t *)bytes.data;

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t group = (uint32_t)in[i] << 16;
		char quad[4];

		group |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
		group |= left > 2 ? in[i + 2] : 0;
		for (int j = 0; j < 4; j++) {
			quad[j] = base64_alphabet[(group >> (18 - 6 * j)) & 63];
		}
		if (left < 3) {
			quad[3] = '=';
		}
		if (left < 2) {
			quad[2] = '=';
		}
		buffer_add(out, view_of(quad, 4));
	}
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// One group of four characters, padded only when it is the last. Bytes decoded, or 0 for a fault.
static size_t decode_quad(const char *quad, bool last, char ret_bytes[3])
{
	size_t digits = quad[3] != '=' ? 4 : quad[2] != '=' ? 3 : 2;
	uint32_t group = 0;

	if (digits < 4 && !last) {
		return 0;
	}
	for (size_t j = 0; j < 4; j++) {
		int value = j < digits ? digit_value(quad[j]) : 0;

		if (value < 0) {
			return 0;
		}
		group = group << 6 | (uint32_t)value;
	}
	if (group & ((1u << (8 * (4 - digits))) - 1)) {
		return 0;
	}
	ret_bytes[0] = (char)(group >> 16);
	ret_bytes[1] = (char)(group >> 8);
	ret_bytes[2] = (char)group;
	return digits - 1;
}

enum error base64_decode(struct buffer *out, struct view text)
{
	size_t start = out->len;

	if (text.len % 4) {
		return ERROR_INVALID;
	}
	for (size_t i = 0; i < text.len; i += 4) {
		char bytes[3];
		size_t count = decode_quad(text.data + i, i + 4 == text.len, bytes);

		if (count == 0) {
			out->len = start;
			return ERROR_INVALID;
		}
		buffer_add(out, view_of(bytes, count));
	}
	return buffer_error(out);
}
