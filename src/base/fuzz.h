// For fuzz targets only: the entry point, a demand that is never compiled out, and input that is a
// list of actions. An action is a byte that says which, a length, and as many bytes as there are of
// it: whatever the bytes, they are such a list. A target of actions lists base_fuzz_actions
// (fuzz_actions.c) among its sources, so that mutations add, drop, move and repeat whole actions.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_demand(bool holds, const char *words, const char *file, int line)
{
	if (!holds) {
		fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, words);
		abort();
	}
}

#define MUST(condition_) fuzz_demand((condition_), #condition_, __FILE__, __LINE__)

struct fuzz_action {
	uint8_t kind;
	struct view bytes;
};

static inline bool fuzz_action_next(struct view *rest, struct fuzz_action *ret_action)
{
	size_t len;

	if (rest->len < 2) {
		return false;
	}
	len = (uint8_t)rest->data[1];
	ret_action->kind = (uint8_t)rest->data[0];
	ret_action->bytes = view_first(view_from(*rest, 2), len);
	*rest = view_from(*rest, 2 + len);
	return true;
}

// The byte at that place of an action's; 0 behind its end.
static inline uint8_t fuzz_action_byte(const struct fuzz_action *action, size_t place)
{
	return place < action->bytes.len ? (uint8_t)action->bytes.data[place] : 0;
}

// An own copy of exactly these bytes, to be freed, so that a step past them is seen.
static inline char *fuzz_copy(struct view bytes)
{
	char *copy = malloc(bytes.len ? bytes.len : 1);

	MUST(copy != NULL);
	for (size_t i = 0; i < bytes.len; i++) {
		copy[i] = bytes.data[i];
	}
	return copy;
}
