// A55: crash replay. Lives of receive and deliver are recorded, every write, sync and change of
// names; then power is lost at each point of the record, with each legal loss of what was not
// synced then, and the store recovers. Each case ends with a look (life_sim_test.h); of some the
// service goes on over what it found and loses power again.
//
// A loss gives each pending piece a fate: kept, lost, torn (only its head, or any sectors), and for
// a file that grew also its bytes without its size and its size without its bytes. Where the
// combinations are few all are tried; else the extremes, each piece alone, pairs and a sample.
// The normal run thins them out; PACKETBOAT_TEST_LONG=1 tries all.
#include "spool/life_sim_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
	COMBINATIONS_MAX = 256, // up to here all are tried
	SAMPLES = 8,            // of more than that
	NESTED_ONE_IN = 16,
	NESTED_CALLS_MAX = 250, // the second crash comes in one of so many calls
	THOROUGH_ONE_IN = 8,
	BLOCK_SECTORS = 8,
	EXTREMES_MORE = 16, // all kept and all lost are tried so much more often than the rest
};

struct replay {
	const char *name;
	struct sim_record *record;
	struct truth truth;
	bool (*leave_out)(const struct sim_record_entry *entry);
	unsigned one_in; // of the cases is tried; extremes more often
	size_t cut;
	unsigned cuts, cases, passed_over, nested;
	bool stop_at_first;
	char violation[512]; // the first
};

static const struct life_plan plan = {
	.families = 2,
	.messages = 18,
	.at_once = 3,
	.ticks_min = 30,
	.is_delivering = true,
	.large_bytes = 20 * 1000,
};
static const struct life_plan nested_plan = {
	.families = 2, .messages = 3, .at_once = 2, .is_delivering = true
};

static bool is_long(void)
{
	const char *value = getenv("PACKETBOAT_TEST_LONG");

	return value && !strcmp(value, "1");
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

// ---- one case -------------------------------------------------------------------------------

static void crash_anywhere(struct sim_process *process, uint64_t nth)
{
	sim_plan_crash(process, SIM_ANY, nth);
}

static void note_violation(struct replay *replay, const struct truth *truth, const char *when)
{
	struct sim_record_entry last = { 0 };

	if (!truth->violation[0] || replay->violation[0]) {
		return;
	}
	if (replay->cut > 0) {
		last = sim_record_entry(replay->record, replay->cut - 1);
	}
	snprintf(replay->violation, sizeof replay->violation,
		 "%s, cut %zu (kind %d of '%s' at %llu, %zu bytes), case %u%s: %s", replay->name,
		 replay->cut, last.kind, last.name ? last.name : "",
		 (unsigned long long)last.offset, last.len, replay->cases, when, truth->violation);
}

static void go_on(struct replay *replay, struct sim_machine *machine, struct truth *truth,
		  uint64_t seed)
{
	replay->nested++;
	(void)life_run(machine, truth, &nested_plan, crash_anywhere, 1 + seed % NESTED_CALLS_MAX);
	sim_machine_lose_power(machine);
	life_look(machine, truth, true);
	note_violation(replay, truth, ", second crash");
}

static void try_case(struct replay *replay, const struct sim_fate *fates)
{
	uint64_t seed = mix(replay->cut * 100003 + replay->cases + 1);
	struct sim *sim = sim_new(seed);
	struct sim_machine *machine = sim_machine_new(sim, "machine");
	struct truth truth = truth_at(&replay->truth, replay->cut);

	replay->cases++;
	sim_record_replay(replay->record, replay->cut, machine, replay->leave_out);
	sim_machine_make_path(machine, "/spool");
	sim_machine_lose_power_as(machine, fates);
	life_look(machine, &truth, seed % THOROUGH_ONE_IN == 0);
	note_violation(replay, &truth, "");
	if (!truth.violation[0] && mix(seed) % NESTED_ONE_IN == 0) {
		go_on(replay, machine, &truth, mix(seed + 1));
	}
	truth_done(&truth);
	sim_free(sim);
}

// ---- the losses at one cut ------------------------------------------------------------------

enum fate { KEPT, LOST, HEAD, SECTORS, BYTES_ONLY, SIZE_ONLY };

struct cut {
	struct replay *replay;
	struct sim_piece pieces[SIM_PIECES_MAX];
	enum fate fates[SIM_PIECES_MAX];
	unsigned count;
	bool is_new; // the newest piece is new since the last cut, and nothing was told since
};

static unsigned fate_count(const struct sim_piece *piece)
{
	if (piece->grows) {
		return SIZE_ONLY + 1;
	}
	return piece->sectors > 1 ? SECTORS + 1 : LOST + 1;
}

// Heads end at a block of the file system as often as at a sector.
static struct sim_fate fate_of(const struct sim_piece *piece, enum fate fate, uint64_t seed)
{
	unsigned units = piece->sectors > 64 ? 64 : piece->sectors, head;

	switch (fate) {
	case KEPT: return (struct sim_fate){ UINT64_MAX, true };
	case HEAD:
		head = 1 + (unsigned)(seed % (units > 1 ? units - 1 : 1));
		if (seed >> 32 & 1 && units > BLOCK_SECTORS) {
			head = head / BLOCK_SECTORS * BLOCK_SECTORS;
		}
		return (struct sim_fate){ head ? UINT64_MAX >> (64 - head) : 0, true };
	case SECTORS: return (struct sim_fate){ mix(seed), true };
	case BYTES_ONLY: return (struct sim_fate){ UINT64_MAX, false };
	case SIZE_ONLY: return (struct sim_fate){ 0, true };
	case LOST:
	default: return (struct sim_fate){ 0, false };
	}
}

// With the newest piece lost it is a case of the cut before.
static bool is_known(const struct cut *cut)
{
	for (unsigned i = 0; i < cut->count; i++) {
		if (cut->pieces[i].is_newest) {
			return cut->is_new && cut->fates[i] == LOST;
		}
	}
	return false;
}

static void try_fates(struct cut *cut, bool is_extreme)
{
	struct replay *replay = cut->replay;
	struct sim_fate fates[SIM_PIECES_MAX + 1] = { 0 };
	uint64_t seed = mix(replay->cut * 7919 + replay->cases + replay->passed_over);

	if (is_known(cut) || (replay->stop_at_first && replay->violation[0])) {
		return;
	}
	if (seed % (is_extreme ? (replay->one_in + EXTREMES_MORE - 1) / EXTREMES_MORE
			       : replay->one_in) !=
	    0) {
		replay->passed_over++;
		return;
	}
	for (unsigned i = 0; i < cut->count; i++) {
		fates[i] = fate_of(&cut->pieces[i], cut->fates[i], mix(seed + i));
	}
	try_case(replay, fates);
}

static void set_all(struct cut *cut, enum fate fate)
{
	for (unsigned i = 0; i < cut->count; i++) {
		cut->fates[i] = fate;
	}
}

static void try_combinations(struct cut *cut)
{
	unsigned i = 0;

	set_all(cut, KEPT);
	do {
		bool is_extreme = true;

		for (unsigned k = 1; k < cut->count; k++) {
			is_extreme &= cut->fates[k] == cut->fates[0] && cut->fates[k] <= LOST;
		}
		try_fates(cut, is_extreme);
		for (i = 0; i < cut->count && ++cut->fates[i] == fate_count(&cut->pieces[i]); i++) {
			cut->fates[i] = KEPT;
		}
	} while (i < cut->count);
}

// Each piece, and each pair, of another fate than the rest.
static void try_few(struct cut *cut, enum fate rest)
{
	set_all(cut, rest);
	try_fates(cut, true);
	for (unsigned i = 0; i < cut->count; i++) {
		for (enum fate fate = KEPT; fate < fate_count(&cut->pieces[i]); fate++) {
			set_all(cut, rest);
			cut->fates[i] = fate;
			try_fates(cut, false);
		}
		for (unsigned k = 0; k < i; k++) {
			set_all(cut, rest);
			cut->fates[i] = cut->fates[k] = rest == KEPT ? LOST : KEPT;
			try_fates(cut, false);
		}
	}
}

static void try_samples(struct cut *cut)
{
	for (uint64_t sample = 0; sample < SAMPLES; sample++) {
		for (unsigned i = 0; i < cut->count; i++) {
			uint64_t seed = mix(cut->replay->cut * 1009 + sample * 97 + i);

			cut->fates[i] = seed % fate_count(&cut->pieces[i]);
		}
		try_fates(cut, false);
	}
}

static void look_at_cut(struct cut *cut)
{
	struct sim *sim = sim_new(1);
	struct sim_machine *machine = sim_machine_new(sim, "machine");

	sim_record_replay(cut->replay->record, cut->replay->cut, machine, cut->replay->leave_out);
	cut->count = sim_machine_pieces(machine, cut->pieces);
	sim_free(sim);
}

static bool was_told_at(const struct replay *replay, size_t cut)
{
	for (size_t i = 0; i < replay->truth.event_count; i++) {
		if (replay->truth.events[i].at == cut &&
		    replay->truth.events[i].what != TRUTH_TIME) {
			return true;
		}
	}
	return false;
}

static void try_cut(struct replay *replay, size_t at)
{
	struct cut cut = { .replay = replay };
	unsigned combinations = 1;

	replay->cut = at;
	replay->cuts++;
	cut.is_new = at > 0 && sim_record_adds(replay->record, at - 1) && !was_told_at(replay, at);
	look_at_cut(&cut);
	for (unsigned i = 0; i < cut.count && combinations <= COMBINATIONS_MAX; i++) {
		combinations *= fate_count(&cut.pieces[i]);
	}
	if (combinations <= COMBINATIONS_MAX) {
		try_combinations(&cut);
		return;
	}
	try_few(&cut, KEPT);
	try_few(&cut, LOST);
	try_samples(&cut);
}

// What a sync leaves to lose could be lost before it too; so a cut right behind one is new only if
// somebody was told of it.
static void replay_all(struct replay *replay, size_t step)
{
	for (size_t at = 0; at <= sim_record_count(replay->record); at += step) {
		if (at == 0 || sim_record_adds(replay->record, at - 1) || was_told_at(replay, at)) {
			try_cut(replay, at);
		}
		if (replay->stop_at_first && replay->violation[0]) {
			return;
		}
	}
}

// ---- recording ------------------------------------------------------------------------------

static void fail_sync(struct sim_process *process, uint64_t nth)
{
	sim_plan_fail(process, SIM_SYNC, nth, ERROR_IO);
}

static void fail_write(struct sim_process *process, uint64_t nth)
{
	sim_plan_fail(process, SIM_WRITE, nth, ERROR_NO_SPACE);
}

struct ending_plan {
	void (*before)(struct sim_process *process, uint64_t nth);
	uint64_t nth;
};

static void record_lives(struct replay *replay, const char *name, uint64_t seed,
			 const struct ending_plan *lives, unsigned count)
{
	struct sim *sim = sim_new(seed);
	struct sim_machine *machine = sim_machine_new(sim, "machine");

	*replay = (struct replay){ .name = name, .one_in = 1 };
	replay->record = sim_machine_record(machine);
	replay->truth = truth_new();
	replay->truth.record = replay->record;
	sim_machine_make_path(machine, "/spool");
	for (unsigned i = 0; i < count; i++) {
		(void)life_run(machine, &replay->truth, &plan, lives[i].before, lives[i].nth);
	}
	assert_string_equal(replay->truth.violation, "");
	sim_free(sim);
}

static void replay_done(struct replay *replay)
{
	sim_record_free(replay->record);
	truth_done(&replay->truth);
}

static unsigned count_entries(const struct replay *replay,
			      bool (*fits)(const struct sim_record_entry *entry))
{
	unsigned count = 0;

	for (size_t i = 0; i < sim_record_count(replay->record); i++) {
		struct sim_record_entry entry = sim_record_entry(replay->record, i);

		count += fits(&entry);
	}
	return count;
}

static unsigned count_told(const struct replay *replay, uint8_t what)
{
	unsigned count = 0;

	for (size_t i = 0; i < replay->truth.event_count; i++) {
		count += replay->truth.events[i].what == what;
	}
	return count;
}

static void check_all(struct replay *replay, unsigned one_in)
{
	replay->one_in = is_long() ? 1 : one_in;
	replay_all(replay, 1);
	print_message(
		"figures: %s: %zu entries, %u cuts, %u cases (%u of them crashed twice), %u more "
		"under --long\n",
		replay->name, sim_record_count(replay->record), replay->cuts, replay->cases,
		replay->nested, replay->passed_over);
	assert_string_equal(replay->violation, "");
	replay_done(replay);
}

// ---- the kinds of entries -------------------------------------------------------------------

static bool is_segment(const char *name)
{
	return strlen(name) == 7 && name[2] == '-';
}

static bool is_header(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_WRITE && is_segment(entry->name) && entry->offset == 0 &&
	       entry->len == 4096;
}

static bool is_new_segment(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_MAKE && is_segment(entry->name);
}

static bool is_sync_of_received(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_SYNC && is_segment(entry->name) && entry->name[1] != '0';
}

static bool is_sync_of_journal(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_SYNC && is_segment(entry->name) && entry->name[1] == '0';
}

static bool is_sync_of_body(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_SYNC && strlen(entry->name) == 13;
}

static bool is_sync_of_checkpoint(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_SYNC && strstr(entry->name, "checkpoint");
}

static bool is_sync_of_log_names(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_DIR_SYNC && !strcmp(entry->name, "log");
}

static bool is_sync_of_body_names(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_DIR_SYNC && !strcmp(entry->name, "body");
}

static bool is_sync_of_spool_names(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_DIR_SYNC && !strcmp(entry->name, "spool");
}

static bool is_failed_sync(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_SYNC_FAILED;
}

static bool is_checkpoint(const struct sim_record_entry *entry)
{
	return entry->kind == SIM_RECORD_NAME && !strcmp(entry->name, "checkpoint");
}

// ---- the tests ------------------------------------------------------------------------------

static const struct ending_plan whole_lives[] = {
	{ NULL, 0 }, { crash_anywhere, 500 }, { crash_anywhere, 300 }, { NULL, 0 }
};

static void a55_every_cut_of_whole_lives_loses_nothing(void **state)
{
	struct replay replay;

	(void)state;
	record_lives(&replay, "lives", 4711, whole_lives, 4);
	// All of it happened.
	assert_true(count_entries(&replay, is_header) > count_entries(&replay, is_new_segment));
	assert_true(count_entries(&replay, is_checkpoint) > 3);
	assert_true(count_entries(&replay, is_sync_of_body) > 10);
	assert_true(replay.truth.copied > 0);
	assert_true(count_told(&replay, TRUTH_BOUNCED) > 10);
	assert_true(count_told(&replay, TRUTH_COMMITTED) > 10);
	check_all(&replay, 96);
}

static void a55_every_cut_around_failed_syncs_loses_nothing(void **state)
{
	static const uint64_t firsts[] = { 12, 31, 57 };
	struct replay replay;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct ending_plan lives[] = { { fail_sync, firsts[i] },
					       { fail_sync, firsts[i] + 7 },
					       { fail_write, firsts[i] } };

		record_lives(&replay, "failed syncs", 900 + i, lives, 3);
		assert_true(count_entries(&replay, is_failed_sync) > 0);
		check_all(&replay, 384);
	}
}

// A replay that cannot fail proves nothing: without one kind of sync it does.
static void a55_the_replay_finds_each_sync_that_is_left_out(void **state)
{
	static const struct {
		const char *what;
		bool (*leave_out)(const struct sim_record_entry *entry);
	} kinds[] = {
		{ "of receive's segments", is_sync_of_received },
		{ "of the journal", is_sync_of_journal },
		{ "of body files", is_sync_of_body },
		{ "of the checkpoint", is_sync_of_checkpoint },
		{ "of the names of segments", is_sync_of_log_names },
		{ "of the names of body files", is_sync_of_body_names },
		{ "of the names in the spool", is_sync_of_spool_names },
	};
	struct replay replay;

	(void)state;
	record_lives(&replay, "planted", 4711, whole_lives, 1);
	replay.stop_at_first = true;
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		replay.leave_out = kinds[i].leave_out;
		replay.violation[0] = 0;
		replay.one_in = 32;
		replay_all(&replay, 1);
		if (!replay.violation[0]) {
			fail_msg("without the syncs %s nothing is found", kinds[i].what);
		}
		print_message("figures: without the syncs %s: %s\n", kinds[i].what,
			      replay.violation);
	}
	replay_done(&replay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a55_every_cut_of_whole_lives_loses_nothing),
		cmocka_unit_test(a55_every_cut_around_failed_syncs_loses_nothing),
		cmocka_unit_test(a55_the_replay_finds_each_sync_that_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
