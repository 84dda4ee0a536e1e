#include "spool/id.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

enum {
	COUNTER_BITS = 14,
	NODE_BITS = 8,
	MS_SHIFT = COUNTER_BITS + NODE_BITS,
	DAY_MS = 24 * 3600 * 1000
};

static const uint32_t counter_max = (1u << COUNTER_BITS) - 1;

void spool_id_source_init(struct spool_id_source *source, uint8_t node, uint64_t last_id)
{
	*source = (struct spool_id_source){ .node = node };
	if (last_id != 0) {
		source->last_ms = (last_id >> MS_SHIFT) + 1;
	}
}

uint64_t spool_id_next(struct spool_id_source *source, uint64_t wall_ms)
{
	if (wall_ms > source->last_ms) {
		source->last_ms = wall_ms;
		source->counter = 0;
	} else if (source->counter < counter_max) {
		source->counter++;
	} else {
		source->last_ms++;
		source->counter = 0;
	}
	return source->last_ms << MS_SHIFT | (uint64_t)source->node << COUNTER_BITS |
	       source->counter;
}

uint64_t spool_id_far_behind(uint64_t last_id, uint64_t wall_ms)
{
	uint64_t last_ms = last_id >> MS_SHIFT;

	return ((last_ms > wall_ms ? last_ms : wall_ms) + DAY_MS) << MS_SHIFT;
}

uint64_t spool_id_ms(uint64_t id)
{
	return id >> MS_SHIFT;
}

void spool_id_format(uint64_t id, char ret_text[SPOOL_ID_TEXT_LEN + 1])
{
	for (int i = SPOOL_ID_TEXT_LEN - 1; i >= 0; i--) {
		ret_text[i] = alphabet[id & 31];
		id >>= 5;
	}
	ret_text[SPOOL_ID_TEXT_LEN] = '\0';
}

void spool_id_add_text(struct buffer *out, uint64_t id)
{
	char text[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(id, text);
	buffer_add(out, view_of(text, SPOOL_ID_TEXT_LEN));
}

static int digit_value(char c)
{
	for (int value = 0; value < 32; value++) {
		if (alphabet[value] == ascii_lower(c)) {
			return value;
		}
	}
	return -1;
}

enum error spool_id_parse(struct view text, uint64_t *ret_id)
{
	uint64_t id = 0;

	if (text.len != SPOOL_ID_TEXT_LEN) {
		return ERROR_INVALID;
	}
	for (size_t i = 0; i < text.len; i++) {
		int value = digit_value(text.data[i]);

		if (value < 0 || (i == 0 && value > 15)) {
			return ERROR_INVALID;
		}
		id = id << 5 | (uint64_t)value;
	}
	if (id == 0) {
		return ERROR_INVALID;
	}
	*ret_id = id;
	return OK;
}
