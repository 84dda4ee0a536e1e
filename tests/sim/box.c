#include "sim/box.h"

#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/message.h"
#include "os/page.h"
#include "os/socket.h"
#include "spool/layout.h"
#include "spool/pages.h"

enum {
	RESTART_MS = 100,
	RESTART_MS_MAX = 5000,
	FILE_BYTES_MAX = 3 * 1024 * 1024,
	SEGMENT_BYTES_MIN = 64 * 1024, // recycled all the sooner
	// Receive learns that the queue is full from deliver: what comes in while a slow sync holds
	// deliver up (half a second) comes on top, from each client, and reports too.
	QUEUE_SPARE = 60,
};

static const uint16_t ports[CHILD_LISTENERS] = { 25, 587 };

static const struct {
	enum child_wire wire;
	enum child_kind ends[2];
} wires[] = {
	{ WIRE_WAKE, { CHILD_RECEIVE, CHILD_DELIVER } },
	{ WIRE_WAKE_2, { CHILD_RECEIVE_2, CHILD_DELIVER } },
	{ WIRE_FACTS, { CHILD_DELIVER, CHILD_FACTS } },
	{ WIRE_KEEPER, { CHILD_RECEIVE, CHILD_KEEPER } },
	{ WIRE_KEEPER_2, { CHILD_RECEIVE_2, CHILD_KEEPER } },
};

void box_init(struct box *box, struct ledger *ledger, const struct weather *weather,
	      const struct box_setup *setup)
{
	*box = (struct box){
		.sim = ledger->sim, .ledger = ledger, .weather = weather, .setup = setup
	};
	box->segment_bytes = SEGMENT_BYTES_MIN << sim_random_below(box->sim, 3);
	box->machine = sim_machine_new(box->sim, "box");
	sim_machine_make_path(box->machine, "/spool");
	sim_machine_make_path(box->machine, "/mail");
	box->ticked_us = box->looked_us = os_clock_mono_us();
}

static void must(enum error error)
{
	if (error != OK) {
		abort(); // of the harness's own calls: no fault strikes them
	}
}

// As the supervisor, whose own calls no fault strikes.
static void enter(struct box *box)
{
	box->faults = *sim_faults(box->sim);
	*sim_faults(box->sim) = (struct sim_faults){ 0 };
	sim_process_enter(box->supervisor);
}

static void leave(struct box *box)
{
	sim_process_leave(box->sim);
	*sim_faults(box->sim) = box->faults;
}

void box_power_on(struct box *box)
{
	struct os_listen_options options = { .backlog = 100, .reuse_port = true };
	struct os_address address;
	int spool_dir, parts[SPOOL_PARTS];
	void *memory;

	box->receiving = CHILD_RECEIVE;
	box->supervisor = sim_process_new(box->machine, "supervisor");
	enter(box);
	must(os_dir_open("/spool", &spool_dir));
	must(spool_layout_make(spool_dir, NULL, parts));
	spool_layout_close(parts);
	os_dir_close(spool_dir);
	for (unsigned i = 0; i < CHILD_LISTENERS; i++) {
		must(os_address_parse(VIEW("192.0.2.25"), ports[i], &address));
		must(os_socket_listen(&address, options, &box->listeners[i]));
	}
	for (unsigned i = 0; i < CHILD_RECEIVES; i++) {
		must(os_page_new("commit", sizeof(struct spool_commit_page), &box->commit_pages[i],
				 &memory));
	}
	must(os_page_new("queue", sizeof(struct spool_queue_page), &box->queue_page, &memory));
	box->queue = memory;
	leave(box);
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		box->children[kind] = (struct box_child){ .due_ms = os_clock_mono_ms() };
	}
}

static void died(struct box *box, enum child_kind kind)
{
	static const enum deed deeds[CHILD_COUNT] = {
		[CHILD_RECEIVE] = DEED_RECEIVE_DIED, [CHILD_RECEIVE_2] = DEED_RECEIVE_DIED,
		[CHILD_DELIVER] = DEED_DELIVER_DIED, [CHILD_FACTS] = DEED_FACTS_DIED,
		[CHILD_KEEPER] = DEED_KEEPER_DIED,
	};
	struct box_child *each = &box->children[kind];

	box->ledger->deeds[deeds[kind]]++;
	ledger_death(box->ledger, box->ticked_us, kind == CHILD_DELIVER,
		     kind == CHILD_RECEIVE || kind == CHILD_RECEIVE_2);
	each->process = NULL;
	each->due_ms = os_clock_mono_ms() + RESTART_MS;
	if (box->reliable) {
		ledger_violation(box->ledger, PROMISE_SOUND, LEDGER_ALL, "%s died in calm weather",
				 child_calls_of(kind)->name);
	}
}

void box_crash(struct box *box, enum child_kind kind)
{
	struct box_child *each = &box->children[kind];

	if (each->process && sim_process_is_alive(each->process)) {
		box_look(box, false);
		ledger_fault(box->ledger, "%s is killed", child_calls_of(kind)->name);
		sim_process_crash(each->process);
		died(box, kind);
	}
}

void box_lose_power(struct box *box)
{
	box_look(box, false);
	box->ledger->deeds[DEED_POWER_LOST]++;
	ledger_fault(box->ledger, "power is lost");
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		if (box->children[kind].process) {
			died(box, kind);
		}
	}
	sim_machine_lose_power(box->machine);
	box->supervisor = NULL;
	box->queue = NULL;
}

void box_crash_all(struct box *box)
{
	if (!box->supervisor) {
		return;
	}
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		box_crash(box, kind);
	}
	sim_process_crash(box->supervisor);
	box_power_on(box);
}

static void poke(struct box *box, const struct box_child *each)
{
	sim_process_enter(each->process);
	child_poke(each->child);
	sim_process_leave(box->sim);
}

void box_stop(struct box *box, enum child_kind kind)
{
	struct box_child *each = &box->children[kind];

	if (each->process && sim_process_is_alive(each->process)) {
		ledger_note(box->ledger, LEDGER_ALL, "%s is asked to leave",
			    child_calls_of(kind)->name);
		box->ledger->deeds[DEED_STOP]++;
		each->child->stop_asked = true;
		poke(box, each);
	}
}

void box_order(struct box *box, bool release, bool flush)
{
	struct box_child *each = &box->children[CHILD_DELIVER];

	if (each->process && sim_process_is_alive(each->process)) {
		ledger_note(box->ledger, LEDGER_ALL, "the operator asks deliver to %s",
			    release ? "release what it holds" : "try everything now");
		each->child->release_asked |= release;
		each->child->flush_asked |= flush;
		poke(box, each);
	}
}

static enum child_kind other_receive(const struct box *box)
{
	return box->receiving == CHILD_RECEIVE ? CHILD_RECEIVE_2 : CHILD_RECEIVE;
}

void box_upgrade(struct box *box)
{
	struct box_child *next = &box->children[other_receive(box)];

	if (box->supervisor && !next->process) {
		ledger_note(box->ledger, LEDGER_ALL, "%s comes in place of %s",
			    child_calls_of(other_receive(box))->name,
			    child_calls_of(box->receiving)->name);
		box->receiving = other_receive(box);
		box->ledger->deeds[DEED_UPGRADE]++;
		next->due_ms = os_clock_mono_ms();
	}
}

static struct view config_of(const struct box *box, enum child_kind kind)
{
	const struct box_config *config = &box->setup->configs[box->config];

	return kind == CHILD_DELIVER ? config->deliver : config->receive;
}

void box_reload(struct box *box)
{
	box->config = (box->config + 1) % BOX_CONFIGS;
	box->ledger->deeds[DEED_RELOAD]++;
	ledger_note(box->ledger, LEDGER_ALL, "the configuration is number %u from now on",
		    box->config);
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		struct box_child *each = &box->children[kind];

		if (each->process && sim_process_is_alive(each->process)) {
			each->child->given.config = config_of(box, kind);
			each->child->reload_asked = true;
			poke(box, each);
		}
	}
}

// ---- starting

static void run_start(void *context)
{
	struct box_child *each = context;
	struct child *child = each->child;

	child->error = child->calls->start(child);
}

static void give_receive(struct box *box, const struct box_child *each, unsigned number)
{
	struct child_given *given = &each->child->given;
	int reader;

	for (unsigned i = 0; i < CHILD_LISTENERS; i++) {
		given->listeners[i] = sim_process_give(each->process, box->listeners[i]);
	}
	given->family = 1 + number;
	given->commit_pages[0] = sim_process_give(each->process, box->commit_pages[number]);
	must(os_page_reader(box->queue_page, &reader));
	given->queue_page = sim_process_give(each->process, reader);
	os_page_close(reader);
}

static void give_deliver(struct box *box, const struct box_child *each)
{
	struct child_given *given = &each->child->given;

	given->queue_page = sim_process_give(each->process, box->queue_page);
	for (unsigned i = 0; i < CHILD_RECEIVES; i++) {
		int reader;

		must(os_page_reader(box->commit_pages[i], &reader));
		given->commit_pages[i] = sim_process_give(each->process, reader);
		os_page_close(reader);
	}
}

static void give(struct box *box, enum child_kind kind)
{
	struct box_child *each = &box->children[kind];

	each->child->given = (struct child_given){
		.config = config_of(box, kind),
		.directory = box->setup->directory,
		.certificate = box->setup->certificate,
		.key = box->setup->key,
		.ledger = box->ledger,
		.weather = box->weather,
		.segment_bytes = box->segment_bytes,
	};
	enter(box);
	if (kind == CHILD_RECEIVE || kind == CHILD_RECEIVE_2) {
		give_receive(box, each, kind == CHILD_RECEIVE_2);
	} else if (kind == CHILD_DELIVER) {
		give_deliver(box, each);
	}
	leave(box);
}

static void connect_ends(struct box *box, enum child_wire wire, const enum child_kind ends[2])
{
	int fds[2];

	enter(box);
	must(os_channel_pair(fds));
	for (int i = 0; i < 2; i++) {
		const struct box_child *each = &box->children[ends[i]];

		each->child->pending[wire] = sim_process_give(each->process, fds[i]);
		os_socket_close(fds[i]);
	}
	leave(box);
	poke(box, &box->children[ends[0]]);
	poke(box, &box->children[ends[1]]);
}

static bool runs(const struct box *box, enum child_kind kind)
{
	const struct box_child *each = &box->children[kind];

	return each->process && sim_process_is_alive(each->process);
}

static void start(struct box *box, enum child_kind kind)
{
	struct box_child *each = &box->children[kind];
	const struct child_calls *calls = child_calls_of(kind);

	each->process = sim_process_new(box->machine, calls->name);
	each->child = calls->make();
	each->child->calls = calls;
	for (int wire = 0; wire < WIRE_COUNT; wire++) {
		each->child->pending[wire] = -1;
	}
	give(box, kind);
	if (each->crash_after) {
		sim_plan_crash(each->process, SIM_ANY, each->crash_after);
		each->crash_after = 0;
	}
	each->starts++;
	if (!sim_process_run(each->process, run_start, each)) {
		return; // it died: the next tick sees it
	}
	if (each->child->error != OK) {
		ledger_note(box->ledger, LEDGER_ALL, "%s cannot start: %s", calls->name,
			    error_text(each->child->error));
		each->failures++;
		sim_process_crash(each->process);
		died(box, kind);
		each->due_ms += sim_random_below(box->sim, RESTART_MS_MAX);
		return;
	}
	ledger_note(box->ledger, LEDGER_ALL, "%s has started", calls->name);
	for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
		const enum child_kind *ends = wires[i].ends;

		if ((ends[0] == kind || ends[1] == kind) && runs(box, ends[0]) &&
		    runs(box, ends[1])) {
			connect_ends(box, wires[i].wire, ends);
		}
	}
}

static bool is_wanted(const struct box *box, enum child_kind kind)
{
	return kind != other_receive(box);
}

void box_tick(struct box *box)
{
	struct box_child *old = &box->children[other_receive(box)];

	if (box->supervisor && old->process && runs(box, box->receiving) &&
	    !old->child->stop_asked) {
		box_stop(box, other_receive(box));
	}
	for (int kind = 0; kind < CHILD_COUNT && box->supervisor; kind++) {
		struct box_child *each = &box->children[kind];

		if (each->process && !sim_process_is_alive(each->process)) {
			ledger_fault(box->ledger, "%s has died", child_calls_of(kind)->name);
			died(box, kind);
		} else if (each->process && each->child->finished) {
			sim_process_crash(each->process); // only its loop is left
			each->process = NULL;
			each->due_ms = 0;
		} else if (!each->process && is_wanted(box, kind) &&
			   os_clock_mono_ms() >= each->due_ms) {
			start(box, kind);
		}
	}
	box->ticked_us = os_clock_mono_us();
}

bool box_is_whole(const struct box *box)
{
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		if (is_wanted(box, kind) && !runs(box, kind)) {
			return false;
		}
	}
	return true;
}

uint64_t box_queued(const struct box *box)
{
	return box->queue ? atomic_load(&box->queue->queued_messages) : UINT64_MAX;
}

void box_check_bounds(struct box *box)
{
	box->ledger->deeds[DEED_TWO_RECEIVES] +=
		runs(box, CHILD_RECEIVE) && runs(box, CHILD_RECEIVE_2);
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		const struct box_child *each = &box->children[kind];

		if (runs(box, kind) && each->child->calls->check && !each->child->over) {
			each->child->calls->check(each->child);
		}
	}
	// While deliver is away nobody counts, and what came in meanwhile is all there afterwards.
	if (runs(box, CHILD_DELIVER) && box->children[CHILD_DELIVER].starts == 1) {
		child_check_bound(box->children[CHILD_DELIVER].child, "messages queued",
				  box_queued(box), box->setup->queue_max + QUEUE_SPARE);
	}
}

void box_check_rest(struct box *box)
{
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		const struct box_child *each = &box->children[kind];

		if (runs(box, kind) && each->child->calls->check_rest) {
			each->child->calls->check_rest(each->child);
		}
	}
}

// ---- the mailboxes

struct look {
	struct box *box;
	unsigned number;
	int dir;
	bool last;
};

static bool is_known(const struct ledger *ledger, const char *name)
{
	for (unsigned i = 0; i < ledger->file_count; i++) {
		if (strcmp(ledger->files[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static bool look_at(void *context, const char *name)
{
	struct look *look = context;
	struct ledger *ledger = look->box->ledger;
	struct buffer bytes = buffer_with_max(FILE_BYTES_MAX);
	uint64_t size;
	int file;

	if (!is_known(ledger, name)) {
		must(os_file_open_at(look->dir, name, OS_READ, 0, &file));
		must(os_file_size(file, &size));
		if (!buffer_reserve(&bytes, size)) {
			abort();
		}
		must(os_file_read_at(file, 0, bytes.data, size));
		bytes.len = size;
		ledger_filed(ledger, look->number, name, buffer_view(&bytes), look->box->looked_us);
		os_file_close(file);
		buffer_done(&bytes);
	}
	if (look->last) {
		ledger_filed_still(ledger, name);
	}
	return true;
}

void box_look(struct box *box, bool last)
{
	uint64_t begun_us = os_clock_mono_us();

	if (!box->supervisor) {
		return;
	}
	enter(box);
	for (unsigned number = 0; number < LEDGER_BOXES; number++) {
		struct look look = { .box = box, .number = number, .last = last };
		char path[64];

		snprintf(path, sizeof path, "/mail/example.org/box%u/Maildir/new", number);
		if (os_dir_open(path, &look.dir) == OK) {
			must(os_dir_list(look.dir, look_at, &look));
			os_dir_close(look.dir);
		}
	}
	leave(box);
	box->looked_us = begun_us;
}
