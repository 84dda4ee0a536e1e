#include "os/sim/private.h"

#include <stdlib.h>

#include "os/clock.h"
#include "os/random.h"

struct sim *sim_current;

enum {
	TIE_BITS = 16,
	WALL_START_S = 1767225600, // 2026-01-01
};

_Noreturn void sim_bug(const char *text)
{
	fprintf(stderr, "simulation: %s\n", text);
	abort();
}

void *sim_alloc(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (!memory) {
		sim_bug("out of memory");
	}
	return memory;
}

struct sim *sim_new(uint64_t seed)
{
	struct sim *sim = SIM_NEW(struct sim);

	sim->random = seed;
	sim->now_us = 1000000;
	sim->port_next = 32768;
	sim->fds = sim_alloc(SIM_FDS_MAX * sizeof *sim->fds);
	sim->faults = (struct sim_faults){ .latency_us_max = 2000,
					   .sync_us_max = 2000,
					   .sync_slow_us_max = 500000 };
	list_init(&sim->machines);
	list_init(&sim->listeners);
	list_init(&sim->pages);
	sim_current = sim;
	sim->harness = sim_process_new(sim_machine_new(sim, "harness"), "harness");
	sim->process = sim->harness;
	return sim;
}

// ---- chance ---------------------------------------------------------------------------------

// splitmix64
uint64_t sim_random(void)
{
	uint64_t z = sim_current->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t sim_below(uint64_t bound)
{
	return bound ? sim_random() % bound : 0;
}

bool sim_chance(uint32_t per_million)
{
	return per_million && sim_below(1000000) < per_million;
}

bool sim_strikes(const uint32_t *chance)
{
	struct sim *sim = sim_current;
	bool strikes = sim_chance(*chance);

	if (strikes) {
		sim->fault_count++;
		((uint32_t *)&sim->struck)[chance - (const uint32_t *)&sim->faults]++;
	}
	return strikes;
}

const struct sim_faults *sim_faults_struck(const struct sim *sim)
{
	return &sim->struck;
}

uint64_t sim_fault_count(const struct sim *sim)
{
	return sim->fault_count;
}

uint64_t sim_random_below(struct sim *sim, uint64_t bound)
{
	(void)sim;
	return sim_below(bound);
}

void os_random_bytes(void *ret_bytes, size_t len)
{
	unsigned char *bytes = ret_bytes;

	for (size_t i = 0; i < len; i++) {
		bytes[i] = (unsigned char)sim_random();
	}
}

uint64_t os_random_u64(void)
{
	return sim_random();
}

uint64_t os_random_below(uint64_t bound)
{
	return sim_below(bound);
}

struct hash_key os_random_hash_key(void)
{
	uint64_t k0 = sim_random();

	return (struct hash_key){ k0, sim_random() };
}

// ---- time -----------------------------------------------------------------------------------

uint64_t os_clock_mono_us(void)
{
	return sim_current->now_us;
}

uint64_t os_clock_mono_ms(void)
{
	return sim_current->now_us / 1000;
}

uint64_t os_clock_wall_ms(void)
{
	return WALL_START_S * (uint64_t)1000 + os_clock_mono_ms() +
	       (uint64_t)sim_current->wall_offset_ms;
}

void sim_clock_jump_wall(struct sim *sim, int64_t ms)
{
	sim->wall_offset_ms += ms;
	sim_trace("wall clock jumps by %lld ms", (long long)ms);
}

struct sim_faults *sim_faults(struct sim *sim)
{
	return &sim->faults;
}

// ---- events ---------------------------------------------------------------------------------

void sim_event_set(struct sim_event *event, uint64_t delay_us)
{
	struct sim *sim = sim_current;
	uint64_t due_us = sim->now_us + delay_us;

	sim_event_cancel(event);
	if (heap_add(&sim->events, &event->entry, due_us << TIE_BITS | sim_below(1 << TIE_BITS))) {
		sim_bug("out of memory");
	}
	sim->busy += !event->is_idle;
}

void sim_event_cancel(struct sim_event *event)
{
	if (heap_holds(&event->entry)) {
		heap_remove(&sim_current->events, &event->entry);
		sim_current->busy -= !event->is_idle;
	}
}

static uint64_t next_due_us(const struct sim *sim)
{
	const struct heap_entry *first = heap_first(&sim->events);

	return first ? first->key >> TIE_BITS : UINT64_MAX;
}

bool sim_step(struct sim *sim)
{
	struct sim_process *process = sim->process;
	struct sim_event *event;

	if (sim->thread) {
		sim_bug("a simulated thread cannot step the simulation");
	}
	if (!heap_first(&sim->events)) {
		return false;
	}
	event = CONTAINER_OF(heap_first(&sim->events), struct sim_event, entry);
	if (next_due_us(sim) > sim->now_us) {
		sim->now_us = next_due_us(sim);
	}
	sim_event_cancel(event);
	sim->steps++;
	sim->process = event->process ? event->process : sim->harness;
	if (event->what) {
		sim_trace("%s", event->what);
	}
	event->fn(event);
	sim->process = process;
	return true;
}

uint64_t sim_run_steps(struct sim *sim, uint64_t count)
{
	while (count && sim_step(sim)) {
		count--;
	}
	return count;
}

void sim_run_for(struct sim *sim, uint64_t duration_ms)
{
	uint64_t end_us = sim->now_us + duration_ms * 1000;

	while (next_due_us(sim) <= end_us) {
		sim_step(sim);
	}
	if (sim->now_us < end_us) {
		sim->now_us = end_us;
	}
}

bool sim_run_until_quiet(struct sim *sim, uint64_t horizon_ms, uint64_t steps_max)
{
	while (sim->busy || next_due_us(sim) <= sim->now_us + horizon_ms * 1000) {
		if (!steps_max--) {
			return false;
		}
		if (!sim_step(sim)) {
			return true;
		}
	}
	return true;
}

bool sim_run_until(struct sim *sim, bool (*reached)(void *context), void *context,
		   uint64_t steps_max)
{
	while (!reached(context)) {
		if (!steps_max-- || !sim_step(sim)) {
			return false;
		}
	}
	return true;
}

uint64_t sim_step_count(const struct sim *sim)
{
	return sim->steps;
}
