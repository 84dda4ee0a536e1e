// Mutations of a list of actions (base/fuzz.h): most keep its frame, some change bytes anywhere.
#include <string.h>

#include "base/fuzz.h"

enum { ACTIONS_MAX = 512, PAYLOAD_MAX = 255, HEAD = 2 };

// libFuzzer's own; not there where a corpus is only replayed, and then nothing is mutated.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

struct actions {
	struct view items[ACTIONS_MAX]; // heads included
	size_t count;
};

static unsigned draw(unsigned *seed, size_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return below ? (*seed >> 8) % (unsigned)below : 0;
}

static struct actions take_apart(struct view bytes)
{
	struct actions actions = { .count = 0 };
	struct view rest = bytes;
	struct fuzz_action action;
	size_t start = 0;

	while (actions.count < ACTIONS_MAX - 1 && fuzz_action_next(&rest, &action)) {
		size_t len = HEAD + action.bytes.len;

		actions.items[actions.count++] = view_of(bytes.data + start, len);
		start += len;
	}
	return actions;
}

static void insert(struct actions *actions, size_t place, struct view item)
{
	memmove(actions->items + place + 1, actions->items + place,
		(actions->count - place) * sizeof *actions->items);
	actions->items[place] = item;
	actions->count++;
}

static void drop(struct actions *actions, size_t place)
{
	actions->count--;
	memmove(actions->items + place, actions->items + place + 1,
		(actions->count - place) * sizeof *actions->items);
}

// Another kind, or other bytes behind it.
static struct view change(struct view item, uint8_t *room, unsigned *seed)
{
	size_t len = item.len > HEAD ? item.len - HEAD : 0;

	room[0] = item.len ? (uint8_t)item.data[0] : (uint8_t)draw(seed, 256);
	if (item.len == 0 || draw(seed, 4) == 0) {
		room[0] = (uint8_t)draw(seed, 256);
	}
	if (len) {
		memcpy(room + HEAD, item.data + HEAD, len);
	}
	if (item.len == 0) {
		len = draw(seed, 6);
		for (size_t i = 0; i < len; i++) {
			room[HEAD + i] = (uint8_t)draw(seed, 256);
		}
	} else if (draw(seed, 8)) {
		len = LLVMFuzzerMutate(room + HEAD, len, PAYLOAD_MAX);
	}
	room[1] = (uint8_t)len;
	return view_of(room, HEAD + len);
}

static void mutate(struct actions *actions, uint8_t *room, unsigned *seed)
{
	size_t place = draw(seed, actions->count), other = draw(seed, actions->count + 1);

	if (actions->count == 0) {
		insert(actions, 0, change((struct view){ 0 }, room, seed));
		return;
	}
	switch (draw(seed, 8)) {
	case 0: insert(actions, other, change((struct view){ 0 }, room, seed)); break;
	case 1: insert(actions, other, actions->items[place]); break;
	case 2: drop(actions, place); break;
	case 3: {
		struct view moved = actions->items[place];

		drop(actions, place);
		insert(actions, draw(seed, actions->count + 1), moved);
		break;
	}
	default: actions->items[place] = change(actions->items[place], room, seed); break;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static uint8_t before[1 << 20];
	uint8_t room[HEAD + PAYLOAD_MAX];
	struct actions actions;
	size_t len = 0;

	if (size > sizeof before || draw(&seed, 10) == 0) {
		return LLVMFuzzerMutate(data, size, max_size);
	}
	memcpy(before, data, size);
	actions = take_apart(view_of(before, size));
	mutate(&actions, room, &seed);
	for (size_t i = 0; i < actions.count && len + actions.items[i].len <= max_size; i++) {
		memcpy(data + len, actions.items[i].data, actions.items[i].len);
		len += actions.items[i].len;
	}
	return len;
}
