#include "spool/life_parts_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/file.h"

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0"; // a crashed process frees nothing
}

// ---- the truth ------------------------------------------------------------------------------

struct truth truth_new(void)
{
	return (struct truth){ .next_id = 1 };
}

void truth_done(struct truth *truth)
{
	free(truth->events);
}

static void apply(struct truth *truth, const struct truth_event *event)
{
	truth->now_ms = event->now_ms;
	if (event->what == TRUTH_TIME) {
		return;
	}
	truth->told[event->id] |= event->what;
	if (event->what == TRUTH_NOTED) {
		truth->noted_ms[event->id] = event->now_ms;
	}
	if (event->id < LIFE_BOUNCE && event->id >= truth->next_id) {
		truth->next_id = event->id + 1;
	}
}

static void tell(struct truth *truth, uint64_t id, uint8_t what)
{
	struct truth_event event = { 0, id, os_clock_mono_ms(), what };

	assert_true(id < LIFE_IDS_MAX);
	apply(truth, &event);
	if (truth->record) {
		event.at = sim_record_count(truth->record);
		truth->events = realloc(truth->events, (truth->event_count + 1) * sizeof event);
		assert_non_null(truth->events);
		truth->events[truth->event_count++] = event;
	}
}

struct truth truth_at(const struct truth *truth, size_t count)
{
	struct truth then = truth_new();

	then.large_bytes = truth->large_bytes;
	for (size_t i = 0; i < truth->event_count && truth->events[i].at <= count; i++) {
		apply(&then, &truth->events[i]);
	}
	return then;
}

void life_violated(struct truth *truth, const char *what, uint64_t id)
{
	if (!truth->violation[0]) {
		snprintf(truth->violation, sizeof truth->violation, "%s (message %u)", what,
			 (unsigned)id);
	}
}

// ---- what a message is ----------------------------------------------------------------------

static char byte_at(uint64_t id, uint64_t offset)
{
	return (char)(' ' + (id * 7 + offset + offset / 251) % 90);
}

static void fill(uint64_t id, uint64_t offset, char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bytes[i] = byte_at(id, offset + i);
	}
}

bool life_is_filled(uint64_t id, uint64_t offset, struct view bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.data[i] != byte_at(id, offset + i)) {
			return false;
		}
	}
	return true;
}

void life_letter_of(uint64_t id, uint32_t large_bytes, struct letter *letter)
{
	*letter = (struct letter){ 0 };
	snprintf(letter->sender, sizeof letter->sender, "from-%u@x.example", (unsigned)id);
	snprintf(letter->address, sizeof letter->address, "to-%u@y.example", (unsigned)id);
	letter->recipient.address = view_from_text(letter->address);
	letter->envelope = (struct spool_envelope){
		.id = id,
		.arrival_ms = 1000 + id,
		.reverse_path = view_from_text(letter->sender),
		.recipients = &letter->recipient,
		.recipient_count = 1,
		.flags = large_bytes ? SPOOL_BODY_FILE : 0,
		.body_bytes = large_bytes        ? large_bytes
			      : id > LIFE_BOUNCE ? BOUNCE_BYTES
						 : 20 + id * 97 % 1900,
		.helo = VIEW("client.example"),
	};
}

// ---- receive --------------------------------------------------------------------------------

static void send_next(struct life *life, struct family *family);

static void told(void *context, struct spool_append *append, enum error error)
{
	struct sending *sending = context;

	(void)append;
	if (!error) {
		tell(sending->life->truth, sending->id, TRUTH_ACKED);
	} else if (sending->life->plan.ends_refused) {
		tell(sending->life->truth, sending->id, TRUTH_REFUSED);
		sim_process_crash(sending->life->process);
	}
	spool_body_free(sending->body, true);
	sending->family->told++;
	send_next(sending->life, sending->family);
}

static void append(struct sending *sending, bool is_large)
{
	struct letter letter;

	life_letter_of(sending->id, is_large ? sending->life->plan.large_bytes : 0, &letter);
	if (is_large) {
		spool_body_describe(sending->body, &letter.envelope);
	}
	if (spool_writer_append(sending->family->port, &sending->append, &letter.envelope,
				&sending->text, is_large ? 0 : 1, told, sending)) {
		told(sending, NULL, ERROR_IO);
	}
}

static void finished(void *context, enum error error)
{
	struct sending *sending = context;

	if (error) {
		told(sending, NULL, error);
	} else {
		append(sending, true);
	}
}

static void add_more(void *context)
{
	static char part[BODY_PART_BYTES];
	struct sending *sending = context;

	while (sending->left > 0 && !spool_body_is_full(sending->body)) {
		fill(sending->id, sending->life->plan.large_bytes - sending->left, part,
		     sizeof part);
		if (spool_body_add(sending->body, view_of(part, sizeof part))) {
			break;
		}
		sending->left -= sizeof part;
	}
	if (sending->left == 0) {
		sending->left = UINT64_MAX;
		spool_body_finish(sending->body);
	}
}

static void send_large(struct sending *sending)
{
	struct spool_body_calls calls = { add_more, finished, sending };

	tell(sending->life->truth, sending->id, TRUTH_LARGE);
	if (spool_body_new(sending->family->writer, sending->family->pool, sending->id, calls,
			   &sending->body)) {
		told(sending, NULL, ERROR_IO);
	} else {
		add_more(sending);
	}
}

static void send_next(struct life *life, struct family *family)
{
	struct sending *sending = &family->sendings[family->started];
	struct letter letter;

	if (family->started == life->plan.messages) {
		return;
	}
	family->started++;
	*sending = (struct sending){ .life = life, .family = family };
	sending->id = life->truth->next_id;
	assert_true(sending->id < LIFE_BOUNCE);
	tell(life->truth, sending->id, TRUTH_GIVEN);
	sending->left = life->plan.large_bytes;
	life_letter_of(sending->id, 0, &letter);
	fill(sending->id, 0, sending->bytes, letter.envelope.body_bytes);
	sending->text = view_of(sending->bytes, letter.envelope.body_bytes);
	if (life->plan.large_bytes > 0 && sending->id % LIFE_LARGE_EVERY == 0) {
		send_large(sending);
	} else {
		append(sending, false);
	}
}

static enum error start_family(struct life *life, int receive_dir, uint16_t number)
{
	struct family *family = &life->families[number - 1];
	struct spool_writer_settings settings = spool_writer_defaults(number);
	enum error error;

	settings.segment_bytes = SPOOL_SEGMENT_BYTES_MIN;
	settings.reserve_bytes = settings.reserve_inodes = 0;
	settings.commit = &family->commits;
	settings.queue = &life->queue;
	error = spool_writer_open(receive_dir, life->loop, &settings, &family->writer);
	if (!error) {
		error = spool_port_new(family->writer, life->loop, &family->port);
	}
	return error ? error : os_pool_new(life->loop, "body", 1, 64, &family->pool);
}

// ---- deliver --------------------------------------------------------------------------------

static void committed(void *context)
{
	struct ending *ending = context;

	tell(ending->truth, ending->id, TRUTH_COMMITTED);
}

static void bounced(void *context, enum error error)
{
	struct ending *ending = context;

	ending->is_used = error == OK;
	if (!error) {
		tell(ending->truth, ending->id, TRUTH_BOUNCED);
	}
}

static void bounce(struct life *life, struct spool_message *message, struct ending *ending)
{
	struct spool_outcome outcome = { 0, { .status = SPOOL_FAILED, .attempts = 1 } };
	struct spool_change change = { .message = message,
				       .outcomes = &outcome,
				       .outcome_count = 1 };
	struct letter letter;

	life_letter_of(message->id + LIFE_BOUNCE, 0, &letter);
	fill(message->id + LIFE_BOUNCE, 0, ending->bytes, sizeof ending->bytes);
	ending->report = view_of(ending->bytes, sizeof ending->bytes);
	if (spool_store_submit(life->store, &ending->submission, &change, &letter.envelope,
			       &ending->report, 1, bounced, ending)) {
		ending->is_used = false;
	}
}

static void handle(struct life *life, struct spool_message *message)
{
	struct ending *ending = &life->endings[message->id];
	struct spool_outcome outcome = { 0, { .attempts = 1 } };
	struct spool_change change = { .message = message,
				       .outcomes = &outcome,
				       .outcome_count = 1 };

	*ending = (struct ending){ .truth = life->truth, .id = message->id, .is_used = true };
	ending->wait = (struct spool_wait){ .done = committed, .context = ending };
	if (message->id % 4 == 1 && message->id < LIFE_BOUNCE) {
		bounce(life, message, ending);
	} else if (message->id % 4 == 0 || message->id % 8 == 1) { // of bounces: each other one
		outcome.state.status = SPOOL_DELIVERED;
		tell(life->truth, message->id, TRUTH_NOTED);
		assert_int_equal(spool_store_note(life->store, &change), OK);
		spool_store_commit(life->store, &ending->wait);
	} else if (message->id % 4 != 3) {
		assert_int_equal(spool_store_note(life->store, &change), OK);
	}
}

static void deliver(struct life *life)
{
	struct spool_message *message, *next;

	(void)spool_store_follow(life->store, 10);
	for (message = spool_store_next(life->store, NULL); message; message = next) {
		next = spool_store_next(life->store, message);
		if (!life->endings[message->id].is_used) {
			handle(life, message);
		}
	}
	if (life->ticks % COPY_TICKS == 0) {
		spool_store_copy_timer(life->store);
	}
}

static void tick(void *context)
{
	struct life *life = context;
	bool is_done = ++life->ticks > life->plan.ticks_min;

	tell(life->truth, 0, TRUTH_TIME);
	if (life->store) {
		deliver(life);
	}
	for (unsigned i = 0; i < life->plan.families; i++) {
		is_done &= life->families[i].told == life->plan.messages;
	}
	if (is_done) {
		os_loop_stop(life->loop);
		return;
	}
	os_timer_set(&life->tick, TICK_MS);
}

// ---- the life -------------------------------------------------------------------------------

enum error life_on_message(void *context, struct spool_message *message,
			   const struct spool_envelope *envelope)
{
	struct life *life = context;

	if (message->id >= LIFE_IDS_MAX || message->id != envelope->id) {
		life_violated(life->truth, "an id that nobody gave", message->id);
		return OK;
	}
	if (life->seen[message->id] & life->see) {
		life_violated(life->truth, "there twice", message->id);
	}
	life->seen[message->id] |= life->see;
	return OK;
}

void life_on_fault(void *context, const char *what, struct spool_ref where)
{
	struct life *life = context;
	char text[200];

	snprintf(text, sizeof text, "reported: %s: family %u segment %u epoch %u offset %u", what,
		 where.family, where.segment, where.epoch, where.offset);
	life_violated(life->truth, text, 0);
}

enum error life_open_store(struct life *life, const int parts[SPOOL_PARTS])
{
	struct spool_store_settings settings = {
		.segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
		.checkpoint_segments = 1,
		.copy_forward_segments = 1,
		.journal_ms = 1,
		.queue = &life->queue,
		.commits = { NULL, &life->families[0].commits, &life->families[1].commits },
	};
	struct spool_store_calls calls = { life_on_message, life_on_fault, life };

	life->see = SEEN_BY_STORE;
	return spool_store_open(parts, life->loop, &settings, calls, &life->store);
}

static void end(struct life *life)
{
	os_timer_stop(&life->tick);
	for (unsigned i = 0; i < life->plan.families; i++) {
		os_pool_free(life->families[i].pool);
		spool_port_free(life->families[i].port);
		spool_writer_close(life->families[i].writer);
	}
	if (life->store) {
		life->truth->copied += (unsigned)spool_store_status(life->store).copied_forward;
		spool_store_close(life->store);
	}
}

static void live(void *context)
{
	struct life *life = context;
	int dir, parts[SPOOL_PARTS];

	if (os_dir_open("/spool", &dir) || spool_layout_make(dir, NULL, parts) ||
	    os_loop_new(&life->loop)) {
		return; // a fault at the start: the supervisor would start it again
	}
	if (life->plan.is_delivering && life_open_store(life, parts)) {
		return;
	}
	for (uint16_t i = 1; i <= life->plan.families; i++) {
		if (start_family(life, parts[SPOOL_RECEIVE], i)) {
			return;
		}
	}
	for (unsigned i = 0; i < life->plan.at_once * life->plan.families; i++) {
		send_next(life, &life->families[i % life->plan.families]);
	}
	os_timer_init(&life->tick, life->loop, tick, life);
	os_timer_set(&life->tick, TICK_MS);
	os_loop_run(life->loop);
	end(life);
}

bool life_run_process(struct sim_machine *machine, struct life *life, void (*fn)(void *context),
		      void (*before)(struct sim_process *process, uint64_t nth), uint64_t nth)
{
	struct sim_process *process = sim_process_new(machine, "spool");
	bool is_alive;

	life->process = process;
	if (before) {
		before(process, nth);
	}
	is_alive = sim_process_run(process, fn, life);
	sim_process_crash(process);
	free(life);
	return is_alive;
}

struct life *life_new(struct truth *truth)
{
	struct life *life = calloc(1, sizeof *life);

	assert_non_null(life);
	life->truth = truth;
	return life;
}

bool life_run(struct sim_machine *machine, struct truth *truth, const struct life_plan *plan,
	      void (*before_life)(struct sim_process *process, uint64_t nth), uint64_t nth)
{
	struct life *life = life_new(truth);

	assert_true(plan->families <= LIFE_FAMILIES && plan->messages <= LIFE_MESSAGES_MAX);
	life->plan = *plan;
	truth->large_bytes = plan->large_bytes ? plan->large_bytes : truth->large_bytes;
	return life_run_process(machine, life, live, before_life, nth);
}
