// For this room's unit tests only: addresses and patterns from text that must be right.
#pragma once

#include "base/check.h"
#include "policy/pattern.h"

static inline struct address check_address(struct arena *arena, const char *text)
{
	struct address address;

	assert_int_equal(address_parse(arena, view_from_text(text),
				       ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER, &address),
			 ADDRESS_OK);
	return address;
}

// Patterns separated by blanks.
static inline struct patterns check_patterns(struct arena *arena, const char *text)
{
	struct view rest = view_from_text(text), word;
	struct pattern *items = arena_alloc_array(arena, 16, sizeof *items);
	size_t count = 0;

	assert_non_null(items);
	while (view_next_word(&rest, &word)) {
		assert_true(count < 16);
		assert_int_equal(pattern_parse(arena, word, &items[count++]), OK);
	}
	return (struct patterns){ items, count };
}
