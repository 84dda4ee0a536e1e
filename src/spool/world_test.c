#include "spool/world_test.h"

#include "os/file.h"
#include "spool/store_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 20000 };

static void too_late(void *context)
{
	(void)context;
	fprintf(stderr, "the loop waited too long\n");
	abort();
}

void world_open(struct world *world)
{
	memset(world, 0, sizeof *world);
	test_folder_make(world->path);
	assert_int_equal(os_dir_open(world->path, &world->dir), OK);
	assert_int_equal(spool_layout_make(world->dir, NULL, world->parts), OK);
	assert_int_equal(os_loop_new(&world->loop), OK);
	os_timer_init(&world->deadline, world->loop, too_late, NULL);
	world->segment_bytes = SPOOL_SEGMENT_BYTES_MIN;
}

void world_done(struct world *world)
{
	world_stop_store(world);
	world_stop_writer(world);
	os_timer_stop(&world->deadline);
	os_loop_free(world->loop);
	spool_layout_close(world->parts);
	os_dir_close(world->dir);
	test_folder_remove(world->path);
}

void world_start_writer(struct world *world)
{
	struct spool_writer_settings settings = spool_writer_defaults(1);

	settings.segment_bytes = world->segment_bytes;
	settings.reserve_bytes = 0;
	settings.commit = &world->commits[1];
	settings.queue = &world->queue;
	assert_int_equal(spool_writer_open(world->parts[SPOOL_RECEIVE], world->loop, &settings,
					   &world->writer),
			 OK);
	assert_int_equal(spool_port_new(world->writer, world->loop, &world->port), OK);
}

void world_stop_writer(struct world *world)
{
	if (world->writer) {
		spool_port_free(world->port);
		spool_writer_close(world->writer);
		world->writer = NULL;
	}
}

static enum error on_message(void *context, struct spool_message *message,
			     const struct spool_envelope *envelope)
{
	struct world *world = context;

	assert_true(message->id == envelope->id);
	assert_int_equal(message->recipient_count, envelope->recipient_count);
	assert_true(world->seen_count < WORLD_SEEN_MAX);
	world->seen[world->seen_count++] = message->id;
	world->last = message;
	return OK;
}

static void on_fault(void *context, const char *what, struct spool_ref where)
{
	struct world *world = context;

	(void)where;
	world->faults++;
	world->last_fault = what;
}

enum error world_start_store(struct world *world)
{
	struct spool_store_settings settings = {
		.segment_bytes = world->segment_bytes,
		.queue = &world->queue,
		.commits = { NULL, &world->commits[1], &world->commits[2] },
		.copy_forward_segments = 4,
		.checkpoint_segments = 2,
		.journal_ms = 1,
	};
	struct spool_store_calls calls = { on_message, on_fault, world };

	world->seen_count = world->faults = 0;
	return spool_store_open(world->parts, world->loop, &settings, calls, &world->store);
}

void world_stop_store(struct world *world)
{
	spool_store_close(world->store);
	world->store = NULL;
}

void world_kill_store(struct world *world)
{
	struct spool_store *store = world->store;

	store->states.len = 0;
	store->status.journal_error = ERROR_IO; // so that closing writes no checkpoint
	spool_store_close(store);
	world->store = NULL;
}

static void told(void *context, struct spool_append *append, enum error error)
{
	struct world *world = context;

	(void)append;
	world->append_ok += error == OK;
	world->append_failed += error != OK;
	if (--world->waiting == 0) {
		os_loop_stop(world->loop);
	}
}

void world_append(struct world *world, uint64_t id, struct view body, unsigned recipients)
{
	static struct view bodies[WORLD_APPENDS_MAX];
	struct spool_recipient list[64];
	char names[64][32];
	unsigned slot = world->append_count++ % WORLD_APPENDS_MAX;
	struct spool_envelope envelope = { .id = id,
					   .reverse_path = VIEW("a@x.example"),
					   .recipients = list,
					   .recipient_count = recipients,
					   .body_bytes = body.len };

	memset(list, 0, sizeof list);
	for (unsigned i = 0; i < recipients; i++) {
		snprintf(names[i], sizeof names[i], "%u@x.example", i);
		list[i].address = view_from_text(names[i]);
	}
	bodies[slot] = body;
	world->waiting++;
	assert_int_equal(spool_writer_append(world->port, &world->appends[slot], &envelope,
					     &bodies[slot], 1, told, world),
			 OK);
}

void world_append_many(struct world *world, uint64_t first_id, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		world_append(world, first_id + i, VIEW("Subject: x\r\n\r\nhello\r\n"), 1);
	}
	world_wait(world);
}

void world_wait(struct world *world)
{
	if (world->waiting > 0) {
		os_timer_set(&world->deadline, DEADLINE_MS);
		os_loop_run(world->loop);
		os_timer_stop(&world->deadline);
	}
}

static void stop(void *context)
{
	os_loop_stop(((struct world *)context)->loop);
}

void world_turn(struct world *world, uint64_t ms)
{
	struct os_timer timer;

	os_timer_init(&timer, world->loop, stop, world);
	os_timer_set(&timer, ms);
	os_loop_run(world->loop);
	os_timer_stop(&timer);
}

void world_follow(struct world *world)
{
	while (spool_store_follow(world->store, 100)) {
	}
}

static void committed(void *context)
{
	*(bool *)context = true;
}

void world_commit(struct world *world)
{
	bool is_done = false;
	struct spool_wait wait = { .done = committed, .context = &is_done };

	spool_store_commit(world->store, &wait);
	for (int i = 0; i < 10000 && !is_done; i++) {
		world_turn(world, 1);
	}
	assert_true(is_done);
}

enum error world_note(struct world *world, uint64_t id, uint32_t recipient,
		      struct spool_recipient_state state)
{
	struct spool_outcome outcome = { recipient, state };
	struct spool_change change = { .message = spool_store_find(world->store, id),
				       .outcomes = &outcome,
				       .outcome_count = 1,
				       .reason = VIEW("250 2.0.0 ok") };

	assert_non_null(change.message);
	return spool_store_note(world->store, &change);
}

bool world_saw(const struct world *world, uint64_t id)
{
	for (unsigned i = 0; i < world->seen_count; i++) {
		if (world->seen[i] == id) {
			return true;
		}
	}
	return false;
}

static int open_segment(struct world *world, const char *segment)
{
	struct buffer path = buffer_with_max(256);
	int file;

	buffer_printf(&path, "%s/%s/log/%s", world->path,
		      strncmp(segment, "00", 2) == 0 ? "deliver" : "receive", segment);
	assert_int_equal(os_file_open_path(buffer_text(&path), OS_READ | OS_WRITE, 0, &file), OK);
	buffer_done(&path);
	return file;
}

long world_find(struct world *world, const char *segment, const char *text)
{
	int file = open_segment(world, segment);
	char *bytes = malloc(world->segment_bytes);
	size_t len = 0, at;

	assert_non_null(bytes);
	assert_int_equal(os_file_read_some(file, 0, bytes, world->segment_bytes, &len), OK);
	at = view_find_text(view_of(bytes, len), view_from_text(text));
	os_file_close(file);
	free(bytes);
	assert_true(at < len);
	return (long)at;
}

void world_overwrite(struct world *world, const char *segment, long offset, const char *bytes,
		     size_t len)
{
	int file = open_segment(world, segment);

	assert_int_equal(os_file_write_at(file, (uint64_t)offset, view_of(bytes, len)), OK);
	os_file_close(file);
}
