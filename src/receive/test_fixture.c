#include "receive/test_fixture.h"

#include <stdio.h>
#include <string.h>

#include "config/test_material.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "spool/inspect.h"
#include "spool/trace_read.h"

enum { JOBS_MAX = 1000, KEEPER_QUEUE_MAX = 100 };

static const char config_head[] = "hostname: mail.example.org\n"
				  "listeners:\n"
				  "  - { port: 25, role: relay }\n"
				  "  - { port: 465, role: submission, tls: implicit }\n"
				  "  - { port: 587, role: submission, tls: starttls }\n"
				  "relay: { domains: [backup.example] }\n"
				  "domains: { example.org: { deliver: maildir } }\n";

// ---- configuration

struct receive_generation *fixture_generation(const char *more)
{
	struct buffer text = buffer_with_max(1 << 16), config = buffer_with_max(1 << 20);
	struct buffer problem = buffer_with_max(4096);
	struct buffer certificate = buffer_with_max(1 << 16), key = buffer_with_max(1 << 16);
	struct receive_generation *generation;
	struct receive_material material = { .identity_count = 1 };
	struct tls_identity identity;

	buffer_printf(&text, "%s%s", config_head, more ? more : "");
	test_config_encode(buffer_text(&text), CONFIG_RECEIVE, &config);
	assert_int_equal(
		tls_self_signed(VIEW("mail.example.org"), os_clock_wall_ms(), &certificate, &key),
		OK);
	identity = (struct tls_identity){ buffer_view(&certificate), buffer_view(&key) };
	material.config = buffer_view(&config);
	material.identities = &identity;
	assert_int_equal(receive_generation_new(&material, &problem, &generation), OK);
	buffer_done(&text);
	buffer_done(&config);
	buffer_done(&problem);
	buffer_done(&certificate);
	buffer_done(&key);
	return generation;
}

// ---- keeper

static void answer_login(struct world *world, uint32_t id, bool good)
{
	struct buffer out = buffer_with_max(4096);
	struct keeper_answer answer = {
		.result = good ? KEEPER_GOOD : KEEPER_WRONG,
		.account = good ? VIEW("alice@example.org") : (struct view){ 0 },
	};

	keeper_answer_encode(&out, &answer);
	assert_int_equal(
		os_channel_send(world->keeper_end, KEEPER_LOGIN, id, buffer_view(&out), NULL, 0),
		OK);
	buffer_done(&out);
}

static void on_question(void *context, struct os_message *message)
{
	struct world *world = context;
	struct keeper_login login;

	assert_int_equal(keeper_login_decode(message->payload, &login), OK);
	if (world->keeper_is_slow) {
		world->keeper_question = message->id;
		return;
	}
	answer_login(world, message->id,
		     view_equal(login.user, VIEW("alice@example.org")) &&
			     view_equal(login.password, VIEW("secret")));
}

static void on_keeper_closed(void *context, enum error reason)
{
	(void)context;
	(void)reason;
}

void world_keeper_answers(struct world *world)
{
	answer_login(world, world->keeper_question, true);
	world->keeper_question = 0;
}

static void open_keeper(struct world *world)
{
	int ends[2];

	assert_int_equal(os_channel_pair(ends), OK);
	assert_int_equal(keeper_client_new(world->loop, ends[0], &world->keeper), OK);
	assert_int_equal(os_channel_new(world->loop, ends[1], KEEPER_QUEUE_MAX, on_question,
					on_keeper_closed, world, &world->keeper_end),
			 OK);
}

// ---- the world

void world_until(struct world *world, bool (*reached)(void *context), void *context)
{
	test_loop_until(&world->test, reached, context);
}

void world_turn(struct world *world, uint64_t ms)
{
	test_loop_turn(&world->test, ms);
}

struct session_count {
	struct world *world;
	uint64_t count;
};

static bool has_sessions(void *context)
{
	const struct session_count *wanted = context;

	return receiver_counters(wanted->world->receiver).sessions == wanted->count;
}

void world_until_sessions(struct world *world, uint64_t count)
{
	struct session_count wanted = { world, count };

	world_until(world, has_sessions, &wanted);
}

uint64_t world_body_bytes(struct world *world)
{
	return atomic_load(&world->common->body_bytes);
}

static void on_stopped(void *context)
{
	struct world *world = context;

	world->stopped = true;
}

void world_stop(struct world *world)
{
	receiver_stop(world->receiver, on_stopped, world);
}

void world_configure(struct world *world, const char *config)
{
	struct receive_generation *generation = fixture_generation(config);
	struct receiver_socket sockets[PORT_COUNT];

	for (unsigned i = 0; i < PORT_COUNT; i++) {
		sockets[i].index = i;
		assert_int_equal(os_socket_duplicate(world->listeners[i], &sockets[i].fd), OK);
	}
	assert_int_equal(receiver_configure(world->receiver, generation, sockets, PORT_COUNT), OK);
	receive_generation_unref(generation);
}

static void open_listeners(struct world *world)
{
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		struct os_address any;

		assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &any), OK);
		assert_int_equal(os_socket_listen(&any,
						  (struct os_listen_options){ .backlog = 100 },
						  &world->listeners[i]),
				 OK);
		assert_int_equal(os_socket_local_address(world->listeners[i], &world->addresses[i]),
				 OK);
	}
}

static void open_writer(struct world *world, uint64_t reserve_bytes)
{
	struct spool_writer_settings settings = spool_writer_defaults(1);

	settings.segment_bytes = 1 << 20;
	settings.reserve_bytes = reserve_bytes;
	settings.commit = &world->commit;
	settings.queue = &world->queue;
	assert_int_equal(spool_writer_open(world->parts[SPOOL_RECEIVE], world->loop, &settings,
					   &world->writer),
			 OK);
}

void world_open(struct world *world, struct world_options options)
{
	struct directory directory;
	struct receiver_parts parts;

	log_setup("receive", (struct log_settings){ .level = LOG_ERROR, .fd = 2, .syslog_fd = -1 });
	memset(world, 0, sizeof *world);
	test_folder_make(world->path);
	assert_int_equal(os_dir_open(world->path, &world->dir), OK);
	assert_int_equal(spool_layout_make(world->dir, NULL, world->parts), OK);
	test_loop_init(&world->test);
	world->loop = world->test.loop;
	assert_int_equal(os_pool_new(world->loop, "bodies", 1, JOBS_MAX, &world->pool), OK);
	open_writer(world, options.reserve_bytes);
	if (!options.no_keeper) {
		open_keeper(world);
	}
	open_listeners(world);
	assert_int_equal(trace_ring_new(world->parts[SPOOL_RECEIVE], world->loop,
					&(struct trace_ring_settings){
						.family = 1, .limits = { 1 << 24, 1000000 } },
					&world->trace),
			 OK);
	assert_int_equal(receive_common_new(&world->common), OK);
	parts = (struct receiver_parts){ .loop = world->loop,
					 .common = world->common,
					 .writer = world->writer,
					 .pool = world->pool,
					 .keeper = world->keeper,
					 .trace = world->trace,
					 .node = 16 };
	assert_int_equal(receiver_new(&parts, &world->receiver), OK);
	test_directory_build(&world->directory, &directory);
	receiver_set_directory(world->receiver, directory);
	world_configure(world, options.config);
}

void world_close_spool(struct world *world)
{
	receiver_free(world->receiver);
	trace_ring_free(world->trace);
	os_pool_free(world->pool);
	receive_common_free(world->common);
	spool_writer_close(world->writer);
	world->receiver = NULL;
	world->trace = NULL;
	world->common = NULL;
	world->pool = NULL;
	world->writer = NULL;
}

void world_done(struct world *world)
{
	world_close_spool(world);
	keeper_client_free(world->keeper);
	os_channel_free(world->keeper_end);
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		os_socket_close(world->listeners[i]);
	}
	test_loop_done(&world->test);
	buffer_done(&world->directory);
	spool_layout_close(world->parts);
	os_dir_close(world->dir);
	test_folder_remove(world->path);
}

// ---- what is on disk

static bool count_name(void *context, const char *name)
{
	unsigned *count = context;

	(void)name;
	++*count;
	return true;
}

static enum error add_record(void *context, const struct trace_record *record)
{
	buffer_add(context, record->steps);
	return OK;
}

void world_read_trace(struct world *world, uint64_t id, struct buffer *out)
{
	struct trace_report report;

	world_close_spool(world); // so that all of it is written
	buffer_clear(out);
	assert_int_equal(trace_find(world->dir, id, add_record, out, &report), OK);
}

unsigned world_body_files(struct world *world)
{
	unsigned count = 0;
	int dir;

	assert_int_equal(os_dir_open_at(world->parts[SPOOL_RECEIVE], "body", &dir), OK);
	assert_int_equal(os_dir_list(dir, count_name, &count), OK);
	os_dir_close(dir);
	return count;
}

struct search {
	struct view reverse_path;
	unsigned count;
	struct record *record;
};

static void add_word(char *text, size_t size, struct view word)
{
	size_t len = strlen(text);

	snprintf(text + len, size - len, "%s%.*s", len ? " " : "", VIEW_ARG(word));
}

static enum error on_record(void *context, struct spool_message *message,
			    const struct spool_envelope *envelope)
{
	struct search *search = context;
	struct record *record = search->record;

	(void)message;
	search->count++;
	if (!record || !view_equal(envelope->reverse_path, search->reverse_path)) {
		return OK;
	}
	record->id = envelope->id;
	add_word(record->reverse_path, sizeof record->reverse_path, envelope->reverse_path);
	add_word(record->login, sizeof record->login, envelope->login);
	add_word(record->tls, sizeof record->tls, envelope->tls);
	buffer_add(&record->fields, envelope->added_fields);
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		const struct spool_recipient *recipient = &envelope->recipients[i];

		add_word(record->recipients, sizeof record->recipients, recipient->address);
		add_word(record->originals, sizeof record->originals,
			 recipient->original.len ? recipient->original : recipient->address);
	}
	return OK;
}

static void on_fault(void *context, const char *what, struct spool_ref where)
{
	(void)context;
	(void)where;
	print_error("spool: %s\n", what);
}

unsigned world_records(struct world *world)
{
	struct search search = { 0 };
	struct spool_store_calls calls = { on_record, on_fault, &search };

	assert_int_equal(spool_inspect(world->dir, 0, calls), OK);
	return search.count;
}

void world_read(struct world *world, const char *reverse_path, struct record *ret_record)
{
	struct search search = { .reverse_path = view_from_text(reverse_path),
				 .record = ret_record };
	struct spool_store_calls calls = { on_record, on_fault, &search };

	memset(ret_record, 0, sizeof *ret_record);
	ret_record->fields = buffer_with_max(1 << 16);
	ret_record->body = buffer_with_max(64 << 20);
	assert_int_equal(spool_inspect(world->dir, 0, calls), OK);
	assert_true(ret_record->id != 0);
	assert_int_equal(spool_inspect_body(world->dir, ret_record->id, &ret_record->body), OK);
}

void record_done(struct record *record)
{
	buffer_done(&record->fields);
	buffer_done(&record->body);
}
