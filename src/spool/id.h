// Queue ids: 64 bits, shown as 13 lower-case Crockford base32 characters. From the top: 42 bits of
// milliseconds (until the year 2109), 8 bits of node, 14 bits of counter; so they sort by time, as
// numbers and as text. Pure: the clock is handed in. One source per thread, each with a node of its
// own among those that share a spool: family * 16 + thread.
#pragma once

#include "base/buffer.h"

enum { SPOOL_ID_TEXT_LEN = 13 };

struct spool_id_source {
	uint64_t last_ms;
	uint32_t counter;
	uint8_t node;
};

// last_id: the highest id of an earlier life (spool_writer_last_id), so that a clock that stepped
// back across a restart cannot repeat one; 0 where there is none.
void spool_id_source_init(struct spool_id_source *source, uint8_t node, uint64_t last_id);
// Always larger than the one before, also when wall_ms steps back; then it counts on from the last.
uint64_t spool_id_next(struct spool_id_source *source, uint64_t wall_ms);

// A last_id where the true one may have been missed: a day behind what is known and the clock,
// which may have run ahead by so much before it was set right.
uint64_t spool_id_far_behind(uint64_t last_id, uint64_t wall_ms);

uint64_t spool_id_ms(uint64_t id); // when it was given out, Unix time
void spool_id_format(uint64_t id, char ret_text[SPOOL_ID_TEXT_LEN + 1]); // NUL-terminated
void spool_id_add_text(struct buffer *out, uint64_t id);
// Either case; Crockford's aliases (o, i, l) are refused. 0 is no id.
enum error spool_id_parse(struct view text, uint64_t *ret_id) must_check;
