#include "deliver/test_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "config/test_material.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "spool/body.h"
#include "spool/id.h"
#include "spool/trace_read.h"

enum { QUEUE_MAX = 100, CONNECTIONS = 1000 };

// ---- configuration

static struct deliver_generation *generation_of(struct world *world, const char *more)
{
	struct buffer text = buffer_with_max(1 << 16), bytes = buffer_with_max(1 << 20);
	struct deliver_generation *generation;

	buffer_printf(&text,
		      "hostname: mail.example.org\n"
		      "domains: { example.org: { deliver: maildir } }\n"
		      "outbound: { allow_private_addresses: %s, port: %u, connections: %u%s }\n",
		      world->closed_network ? "false" : "true", world->peer.address.port,
		      world->connections ? world->connections : CONNECTIONS,
		      world->outbound ? world->outbound : "");
	buffer_add_text(&text, more ? more : "");
	test_config_encode(buffer_text(&text), CONFIG_DELIVER, &bytes);
	assert_int_equal(
		deliver_generation_new(buffer_view(&bytes), (struct view){ 0 }, &generation), OK);
	buffer_done(&bytes);
	buffer_done(&text);
	return generation;
}

// ---- the DNS

static void send_answer(struct world *world, const struct os_message *question,
			const struct facts_answer *answer)
{
	struct buffer out = buffer_with_max(FACTS_ANSWER_SIZE_MAX);

	facts_answer_encode(&out, answer);
	assert_int_equal(os_channel_send(world->facts_end, question->type, question->id,
					 buffer_view(&out), NULL, 0),
			 OK);
	buffer_done(&out);
}

static void answer_name(struct world *world, const struct os_message *question)
{
	struct facts_host host = { .name = VIEW("mail.example.org"), .result = FACTS_FOUND };
	struct facts_answer answer = { .kind = FACTS_PEER_NAME,
				       .result = FACTS_FOUND,
				       .ttl_s = 300,
				       .confirmed = world->is_named,
				       .host_count = 1,
				       .hosts = &host };

	world->names_asked++;
	send_answer(world, question, &answer);
}

static void answer_ipv6(struct world *world, const struct os_message *question, unsigned hosts)
{
	static const struct facts_address six = { 6, { 0x26, 6, 0x47, [15] = 1 } };
	static const struct facts_address four = { 4, { 127, 0, 0, 1 } };
	const struct facts_host list[] = {
		{ VIEW("mx1.six.example"), 10, FACTS_FOUND, false, 1, &six },
		{ VIEW("mx2.six.example"), 20, FACTS_FOUND, false, 1, &four },
	};
	struct facts_answer answer = { .kind = FACTS_MAIL_ROUTE,
				       .result = FACTS_FOUND,
				       .ttl_s = 300,
				       .host_count = hosts,
				       .hosts = list };

	send_answer(world, question, &answer);
}

static void answer_route(struct world *world, const struct os_message *message, struct view domain)
{
	static const struct facts_address loopback = { 4, { 127, 0, 0, 1 } };
	struct buffer name = buffer_with_max(512);
	struct facts_host host = {
		.preference = 10, .result = FACTS_FOUND, .address_count = 1, .addresses = &loopback
	};
	struct facts_answer answer = { .kind = message->type,
				       .result = FACTS_FOUND,
				       .ttl_s = 300,
				       .host_count = 1,
				       .hosts = &host };

	if (view_equal(domain, VIEW("self.example"))) {
		buffer_add_text(&name, "mail.example.org");
	} else if (answer.kind == FACTS_MAIL_ROUTE) {
		buffer_printf(&name, "mx.%.*s", VIEW_ARG(domain));
	} else {
		buffer_add(&name, domain);
	}
	host.name = buffer_view(&name);
	if (view_equal(domain, VIEW("null.example"))) {
		answer.null_mx = true;
		answer.host_count = 0;
	} else if (view_equal(domain, VIEW("gone.example"))) {
		answer.result = FACTS_NO_DOMAIN;
		answer.host_count = 0;
	} else if (view_equal(domain, VIEW("slow.example"))) {
		answer.result = FACTS_TEMPORARY;
		answer.host_count = 0;
	}
	send_answer(world, message, &answer);
	buffer_done(&name);
}

static void on_question(void *context, struct os_message *message)
{
	struct world *world = context;
	struct facts_question question;
	uint32_t deadline_ms;

	assert_int_equal(
		facts_question_decode(message->type, message->payload, &question, &deadline_ms),
		OK);
	if (question.kind == FACTS_PEER_NAME) {
		answer_name(world, message);
	} else if (view_equal(question.name, VIEW("six.example"))) {
		answer_ipv6(world, message, 1);
	} else if (view_equal(question.name, VIEW("dual.example"))) {
		answer_ipv6(world, message, 2);
	} else if (!view_starts(question.name, VIEW("silent"))) {
		answer_route(world, message, question.name);
	}
}

static void on_facts_closed(void *context, enum error reason)
{
	(void)context, (void)reason;
}

static void open_facts(struct world *world)
{
	int ends[2];

	assert_int_equal(os_channel_pair(ends), OK);
	assert_int_equal(os_channel_new(world->loop, ends[1], QUEUE_MAX, on_question,
					on_facts_closed, world, &world->facts_end),
			 OK);
	assert_int_equal(facts_client_new(world->loop, ends[0], &world->facts), OK);
}

// ---- the loop

void world_until(struct world *world, bool (*reached)(void *context), void *context)
{
	test_loop_until(&world->test, reached, context);
}

void world_turn(struct world *world, uint64_t ms)
{
	test_loop_turn(&world->test, ms);
}

static bool is_empty(void *context)
{
	const struct world *world = context;

	return atomic_load(&world->queue.queued_messages) == 0 &&
	       deliverer_counters(world->deliverer).in_hand == 0;
}

void world_until_empty(struct world *world)
{
	do { // what ended may have left a report behind, which comes with the next turn
		world_until(world, is_empty, world);
		world_turn(world, 5);
	} while (!is_empty(world));
}

struct deferrals {
	struct world *world;
	uint64_t count;
};

static bool are_deferred(void *context)
{
	const struct deferrals *wanted = context;
	struct deliverer_counters counters = deliverer_counters(wanted->world->deliverer);

	return counters.deferred >= wanted->count && counters.in_hand == 0;
}

void world_until_deferred(struct world *world, uint64_t count)
{
	struct deferrals wanted = { world, count };

	world_until(world, are_deferred, &wanted);
}

// ---- the world

static void open_writer(struct world *world)
{
	struct spool_writer_settings settings = spool_writer_defaults(1);

	settings.segment_bytes = 1 << 20;
	settings.reserve_bytes = 0;
	settings.commit = &world->commit;
	settings.queue = &world->queue;
	assert_int_equal(spool_writer_open(world->parts[SPOOL_RECEIVE], world->loop, &settings,
					   &world->writer),
			 OK);
	assert_int_equal(spool_port_new(world->writer, world->loop, &world->port), OK);
	assert_int_equal(os_pool_new(world->loop, "bodies", 1, QUEUE_MAX, &world->pool), OK);
}

void world_start(struct world *world, const char *config)
{
	struct deliverer_parts parts = {
		.loop = world->loop,
		.facts = world->facts,
		.spool = { world->parts[SPOOL_RECEIVE], world->parts[SPOOL_DELIVER] },
		.mail_dir = world->mail_dir,
		.store = { .segment_bytes = 1 << 20, .queue = &world->queue },
		.generation = generation_of(world, config),
	};
	struct directory directory;

	parts.store.commits[1] = &world->commit;
	assert_int_equal(
		trace_ring_new(world->parts[SPOOL_DELIVER], world->loop,
			       &(struct trace_ring_settings){ .limits = { 1 << 24, 1000000 } },
			       &world->trace),
		OK);
	parts.trace = world->trace;
	assert_int_equal(deliverer_new(&parts, &world->deliverer), OK);
	deliver_generation_unref(parts.generation);
	buffer_done(&world->directory);
	test_directory_build(&world->directory, &directory);
	deliverer_set_directory(world->deliverer, directory);
}

void world_configure(struct world *world, const char *config)
{
	struct deliver_generation *generation = generation_of(world, config);

	deliverer_configure(world->deliverer, generation);
	deliver_generation_unref(generation);
}

static bool has_stopped(void *context)
{
	const struct world *world = context;

	return world->stopped;
}

static void on_stopped(void *context)
{
	struct world *world = context;

	world->stopped = true;
}

static void end_deliverer(struct world *world)
{
	deliverer_free(world->deliverer);
	trace_ring_free(world->trace);
	world->deliverer = NULL;
	world->trace = NULL;
}

void world_stop(struct world *world)
{
	world->stopped = false;
	deliverer_stop(world->deliverer, on_stopped, world);
	world_until(world, has_stopped, world);
	end_deliverer(world);
}

static enum error add_record(void *context, const struct trace_record *record)
{
	buffer_add(context, record->steps);
	return OK;
}

void world_read_trace(struct world *world, uint64_t id, struct buffer *out)
{
	struct trace_report report;

	end_deliverer(world);
	buffer_clear(out);
	assert_int_equal(trace_find(world->spool_dir, id, add_record, out, &report), OK);
}

static const struct peer_rule no_rules[] = { { NULL, NULL } };

void world_open(struct world *world, const char *config)
{
	log_setup("deliver", (struct log_settings){ .level = LOG_ERROR, .fd = 2, .syslog_fd = -1 });
	memset(world, 0, sizeof *world);
	test_folder_make(world->path);
	assert_int_equal(os_dir_open(world->path, &world->dir), OK);
	assert_int_equal(os_dir_make_at(world->dir, "spool", 0700), OK);
	assert_int_equal(os_dir_make_at(world->dir, "mail", 0700), OK);
	assert_int_equal(os_dir_open_at(world->dir, "spool", &world->spool_dir), OK);
	assert_int_equal(spool_layout_make(world->spool_dir, NULL, world->parts), OK);
	assert_int_equal(os_dir_open_at(world->dir, "mail", &world->mail_dir), OK);
	test_loop_init(&world->test);
	world->loop = world->test.loop;
	world->next_id = 1ull << 40;
	peer_open(&world->peer, world->loop, no_rules);
	open_facts(world);
	open_writer(world);
	world_start(world, config);
}

void world_done(struct world *world)
{
	end_deliverer(world);
	peer_done(&world->peer);
	os_pool_free(world->pool);
	spool_port_free(world->port);
	spool_writer_close(world->writer);
	facts_client_free(world->facts);
	os_channel_free(world->facts_end);
	test_loop_done(&world->test);
	buffer_done(&world->directory);
	spool_layout_close(world->parts);
	os_dir_close(world->spool_dir);
	os_dir_close(world->mail_dir);
	os_dir_close(world->dir);
	test_folder_remove(world->path);
}

// ---- messages in

static bool nothing_waits(void *context)
{
	const struct world *world = context;

	return world->waiting == 0;
}

static void on_appended(void *context, struct spool_append *append, enum error error)
{
	struct world *world = context;

	(void)append;
	assert_int_equal(error, OK);
	world->waiting--;
}

static uint64_t append(struct world *world, struct spool_envelope *envelope, struct view body,
		       struct spool_body *file)
{
	struct spool_append record;

	envelope->id = ++world->next_id;
	envelope->arrival_ms = os_clock_wall_ms() - world->age_ms;
	envelope->added_fields = VIEW("Received: from here\r\n");
	world->waiting++;
	assert_int_equal(spool_writer_append(world->port, &record, envelope, &body, file ? 0 : 1,
					     on_appended, world),
			 OK);
	world_until(world, nothing_waits, world);
	spool_body_free(file, true);
	deliverer_wake(world->deliverer);
	return envelope->id;
}

uint64_t world_submit(struct world *world, const char *sender, const char *recipients,
		      const char *body)
{
	struct view rest = view_from_text(recipients), word;
	struct spool_recipient *list = calloc(rest.len / 2 + 1, sizeof *list);
	struct spool_envelope envelope = { .reverse_path = view_from_text(sender),
					   .recipients = list,
					   .body_bytes = view_from_text(body).len };
	uint64_t id;

	assert_non_null(list);
	while (view_next_word(&rest, &word)) {
		list[envelope.recipient_count++].address = word;
	}
	id = append(world, &envelope, view_from_text(body), NULL);
	free(list);
	return id;
}

static void on_body(void *context, enum error error)
{
	struct world *world = context;

	assert_int_equal(error, OK);
	world->waiting--;
}

static void on_body_ready(void *context)
{
	(void)context;
}

uint64_t world_submit_large(struct world *world, const char *recipient, size_t lines)
{
	static const char line[] =
		".0123456789 0123456789 0123456789 0123456789 0123456789 01234\r\n";
	struct spool_recipient to = { .address = view_from_text(recipient) };
	struct spool_envelope envelope = { .reverse_path = VIEW("s@example.org"),
					   .recipients = &to,
					   .recipient_count = 1 };
	struct spool_body_calls calls = { on_body_ready, on_body, world };
	struct spool_body *body;

	assert_int_equal(
		spool_body_new(world->writer, world->pool, world->next_id + 1, calls, &body), OK);
	for (size_t i = 0; i < lines; i++) {
		while (spool_body_is_full(body)) {
			world_turn(world, 1);
		}
		assert_int_equal(spool_body_add(body, view_of(line, sizeof line - 1)), OK);
	}
	world->waiting++;
	spool_body_finish(body);
	world_until(world, nothing_waits, world);
	spool_body_describe(body, &envelope);
	return append(world, &envelope, (struct view){ 0 }, body);
}

// ---- what comes out

int world_command(struct world *world, enum control_command command, const char *name,
		  const char *value, struct buffer *out)
{
	struct control_argument argument = { view_from_text(name), view_from_text(value) };
	struct control_request request = { command, &argument, value ? 1 : 0 };
	struct buffer words = buffer_with_max(4096);
	int status;

	buffer_clear(out);
	status = deliverer_command(world->deliverer, &request, out, &words);
	buffer_done(&words);
	return status;
}

struct reading {
	struct world *world;
	const char *domain, *user;
	struct buffer *out;
};

static bool read_name(void *context, const char *name)
{
	struct reading *reading = context;
	struct buffer path = buffer_with_max(1024);

	buffer_printf(&path, "%s/mail/%s/%s/Maildir/new/%s", reading->world->path, reading->domain,
		      reading->user, name);
	assert_int_equal(os_file_read_whole(buffer_text(&path), reading->out), OK);
	buffer_done(&path);
	return true;
}

void world_read_mailbox(struct world *world, const char *domain, const char *user,
			struct buffer *out)
{
	struct reading reading = { world, domain, user, out };
	struct buffer path = buffer_with_max(1024);
	int dir;

	buffer_printf(&path, "%s/mail/%s/%s/Maildir/new", world->path, domain, user);
	assert_int_equal(os_dir_open(buffer_text(&path), &dir), OK);
	assert_int_equal(os_dir_list(dir, read_name, &reading), OK);
	os_dir_close(dir);
	buffer_done(&path);
}

bool buffer_has(const struct buffer *buffer, const char *text)
{
	struct view all = buffer_view(buffer);

	return view_find_text(all, view_from_text(text)) < all.len;
}
