#include "os/real/wheel.h"

enum { DIGIT_MASK = WHEEL_SLOTS - 1 };

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct wheel){ .now_ms = now_ms };
	list_init(&wheel->due);
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
			list_init(&wheel->slots[level][slot]);
		}
	}
}

static unsigned digit(uint64_t ms, unsigned level)
{
	return (unsigned)(ms >> (level * WHEEL_DIGIT_BITS)) & DIGIT_MASK;
}

void wheel_add(struct wheel *wheel, struct os_timer *timer)
{
	unsigned level, slot;

	if (timer->due_ms <= wheel->now_ms) {
		list_add_last(&wheel->due, &timer->link);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(timer->due_ms ^ wheel->now_ms)) / WHEEL_DIGIT_BITS;
	slot = digit(timer->due_ms, level);
	list_add_last(&wheel->slots[level][slot], &timer->link);
	wheel->occupied[level] |= 1ull << slot;
}

// The last timer of a slot has the slot's head on both sides.
void wheel_remove(struct wheel *wheel, struct os_timer *timer)
{
	struct list *head = timer->link.next;
	struct list *first = &wheel->slots[0][0];

	if (head && head != &timer->link && head == timer->link.previous && head >= first &&
	    head < first + WHEEL_LEVELS * WHEEL_SLOTS) {
		size_t place = (size_t)(head - first);

		wheel->occupied[place / WHEEL_SLOTS] &= ~(1ull << place % WHEEL_SLOTS);
	}
	list_remove(&timer->link);
}

// Every occupied slot lies ahead of now's digit in its level, and those of lower levels come first.
static uint64_t next_slot_ms(const struct wheel *wheel)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		if (wheel->occupied[level]) {
			unsigned slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
			unsigned shift = level * WHEEL_DIGIT_BITS;

			return (((wheel->now_ms >> shift) & ~(uint64_t)DIGIT_MASK) + slot) << shift;
		}
	}
	return WHEEL_NEVER;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
	return list_empty(&wheel->due) ? next_slot_ms(wheel) : wheel->now_ms;
}

// Now is a slot's begin: its timers move to lower levels, or become due.
static void open_slot(struct wheel *wheel, unsigned level, unsigned slot)
{
	struct list *link;

	if (!(wheel->occupied[level] & 1ull << slot)) {
		return;
	}
	wheel->occupied[level] &= ~(1ull << slot);
	while ((link = list_take_first(&wheel->slots[level][slot]))) {
		wheel_add(wheel, CONTAINER_OF(link, struct os_timer, link));
	}
}

static void advance(struct wheel *wheel, uint64_t now_ms)
{
	uint64_t next_ms;

	while ((next_ms = next_slot_ms(wheel)) <= now_ms) {
		wheel->now_ms = next_ms;
		for (unsigned level = WHEEL_LEVELS; level-- > 0;) {
			open_slot(wheel, level, digit(next_ms, level));
		}
	}
	wheel->now_ms = now_ms > wheel->now_ms ? now_ms : wheel->now_ms;
}

void wheel_run(struct wheel *wheel, uint64_t now_ms)
{
	struct list running, *link;

	list_init(&running);
	advance(wheel, now_ms);
	while ((link = list_take_first(&wheel->due))) {
		list_add_last(&running, link);
	}
	while ((link = list_take_first(&running))) {
		struct os_timer *timer = CONTAINER_OF(link, struct os_timer, link);

		timer->fn(timer->context);
	}
}
