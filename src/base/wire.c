#include "base/wire.h"

#include <endian.h>
#include <string.h>

struct view wire_bytes(struct wire_reader *reader, size_t len)
{
	struct view bytes;

	if (reader->failed || reader->rest.len < len) {
		reader->failed = true;
		return (struct view){ 0 };
	}
	bytes = view_first(reader->rest, len);
	reader->rest = view_from(reader->rest, len);
	return bytes;
}

uint8_t wire_u8(struct wire_reader *reader)
{
	struct view bytes = wire_bytes(reader, 1);

	return bytes.len ? (uint8_t)bytes.data[0] : 0;
}

uint16_t wire_u16(struct wire_reader *reader)
{
	struct view bytes = wire_bytes(reader, 2);
	uint16_t value = 0;

	if (bytes.len) {
		memcpy(&value, bytes.data, sizeof value);
	}
	return le16toh(value);
}

uint32_t wire_u32(struct wire_reader *reader)
{
	struct view bytes = wire_bytes(reader, 4);

	return bytes.len ? wire_get_u32(bytes.data) : 0;
}

uint64_t wire_u64(struct wire_reader *reader)
{
	struct view bytes = wire_bytes(reader, 8);

	return bytes.len ? wire_get_u64(bytes.data) : 0;
}

struct view wire_string(struct wire_reader *reader)
{
	return wire_bytes(reader, wire_u32(reader));
}

bool wire_finished(const struct wire_reader *reader)
{
	return !reader->failed && reader->rest.len == 0;
}

void wire_add_u8(struct buffer *out, uint8_t value)
{
	buffer_add_byte(out, (char)value);
}

void wire_add_u16(struct buffer *out, uint16_t value)
{
	value = htole16(value);
	buffer_add(out, view_of(&value, sizeof value));
}

void wire_add_u32(struct buffer *out, uint32_t value)
{
	value = htole32(value);
	buffer_add(out, view_of(&value, sizeof value));
}

void wire_add_u64(struct buffer *out, uint64_t value)
{
	value = htole64(value);
	buffer_add(out, view_of(&value, sizeof value));
}

void wire_add_string(struct buffer *out, struct view text)
{
	if (text.len > UINT32_MAX) {
		out->error = ERROR_LIMIT;
		return;
	}
	wire_add_u32(out, (uint32_t)text.len);
	buffer_add(out, text);
}

uint32_t wire_get_u32(const void *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof value);
	return le32toh(value);
}

uint64_t wire_get_u64(const void *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof value);
	return le64toh(value);
}

void wire_put_u32(void *bytes, uint32_t value)
{
	value = htole32(value);
	memcpy(bytes, &value, sizeof value);
}

void wire_put_u64(void *bytes, uint64_t value)
{
	value = htole64(value);
	memcpy(bytes, &value, sizeof value);
}
