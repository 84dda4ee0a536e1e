// What the trace holds of a message on its way out.
#include <string.h>
#include <sysexits.h>

#include "deliver/test_fixture.h"
#include "spool/id.h"

#define MAIL "Subject: hi\r\n\r\nx\r\n"

static void has_all(struct buffer *trace, const char *const *texts)
{
	for (; *texts; texts++) {
		if (!buffer_has(trace, *texts)) {
			print_error("%s is not in %s\n", *texts, buffer_text(trace));
			fail();
		}
	}
}

#define HAS_ALL(trace, ...) has_all((trace), (const char *const[]){ __VA_ARGS__, NULL })

static void a_delivered_message_tells_all_of_its_way(void **state)
{
	struct buffer trace = buffer_with_max(1 << 20);
	struct world world;
	uint64_t id;

	(void)state;
	world_open(&world, NULL);
	id = world_submit(&world, "s@x.example", "alice@example.org b@y.example", MAIL);
	world_until_empty(&world);
	world_read_trace(&world, id, &trace);
	HAS_ALL(&trace, "\"event\":\"queued\",\"from\":\"s@x.example\",\"recipients\":2,",
		"\"event\":\"routed\",\"to\":\"alice@example.org\",\"route\":\"mailbox\","
		"\"reason\":\"the domain is ours\"}",
		"\"event\":\"routed\",\"to\":\"b@y.example\",\"route\":\"mx\","
		"\"reason\":\"no route matches\"}",
		"\"event\":\"site\",\"to\":\"b@y.example\",\"hosts\":\"",
		"mx.y.example 127.0.0.1\",\"dnssec\":false,\"source\":\"the DNS\"}",
		"\"event\":\"attempt\",\"relay\":\"mx.y.example[127.0.0.1]:", "\"tls\":\"none\"",
		"\"event\":\"delivered\",\"to\":\"alice@example.org\",\"relay\":\"maildir\","
		"\"dsn\":\"2.0.0\",\"reason\":\"filed\"}",
		"\"event\":\"delivered\",\"to\":\"b@y.example\",\"relay\":\"mx.y.example[",
		"\"event\":\"gone\"");
	buffer_done(&trace);
	world_done(&world);
}

static void a_deferred_one_says_why_and_when_next(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "451 4.7.1 later" }, { NULL, NULL } };
	struct buffer trace = buffer_with_max(1 << 20);
	struct world world;
	uint64_t id;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	id = world_submit(&world, "s@x.example", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	world_read_trace(&world, id, &trace);
	HAS_ALL(&trace, "\"event\":\"deferred\",\"to\":\"b@y.example\"", "\"dsn\":\"4.7.1\"",
		"\"reason\":\"451 4.7.1 later\",\"class\":\"recipient\",\"attempts\":1,"
		"\"next_attempt_s\":");
	assert_false(buffer_has(&trace, "\"event\":\"gone\""));
	buffer_done(&trace);
	world_done(&world);
}

static void each_way_that_failed_is_told_of(void **state)
{
	static const struct peer_rule rules[] = { { "", "554 go away" }, { NULL, NULL } };
	struct buffer trace = buffer_with_max(1 << 20);
	struct world world;
	uint64_t id;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	id = world_submit(&world, "s@x.example", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	world_read_trace(&world, id, &trace);
	HAS_ALL(&trace,
		"\"event\":\"deferred\",\"to\":\"b@y.example\",\"tried\":"
		"\"mx.y.example[127.0.0.1]:",
		"554 go away", "\"class\":\"server\"");
	buffer_done(&trace);
	world_done(&world);
}

static void a_bounce_and_its_cause_point_to_each_other(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "550 5.1.1 \033[2Jno" },
						  { NULL, NULL } };
	struct buffer trace = buffer_with_max(1 << 20);
	char text[SPOOL_ID_TEXT_LEN + 1] = { 0 }, original[SPOOL_ID_TEXT_LEN + 1];
	struct world world;
	size_t at;
	uint64_t id, bounce;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	id = world_submit(&world, "alice@example.org", "b@y.example", MAIL);
	world_until_empty(&world);
	world_read_trace(&world, id, &trace);
	HAS_ALL(&trace, "\"event\":\"failed\",\"to\":\"b@y.example\"",
		"\"event\":\"bounce\",\"to\":\"alice@example.org\",\"report\":\"");
	assert_false(buffer_has(&trace, "\033"));
	at = view_find_text(buffer_view(&trace), VIEW("\"report\":\"")) + 10;
	memcpy(text, trace.data + at, SPOOL_ID_TEXT_LEN);
	assert_int_equal(spool_id_parse(view_from_text(text), &bounce), OK);
	world_read_trace(&world, bounce, &trace);
	spool_id_format(id, original);
	HAS_ALL(&trace, "\"event\":\"bounce_of\",\"original\":\"", original,
		"\"event\":\"delivered\",\"to\":\"alice@example.org\"");
	buffer_done(&trace);
	world_done(&world);
}

static void nobody_is_told_of_the_null_senders_mail(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "550 no" }, { NULL, NULL } };
	struct buffer trace = buffer_with_max(1 << 20);
	struct world world;
	uint64_t id;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	id = world_submit(&world, "", "b@y.example", MAIL);
	world_until_empty(&world);
	world_read_trace(&world, id, &trace);
	HAS_ALL(&trace, "\"event\":\"no_bounce\",\"reason\":\"the null sender is never told\"}");
	buffer_done(&trace);
	world_done(&world);
}

static void what_the_operator_did_is_told(void **state)
{
	struct buffer trace = buffer_with_max(1 << 20);
	struct world world;
	uint64_t id;

	(void)state;
	world_open(&world, "queue: { hold: true }");
	id = world_submit(&world, "s@x.example", "b@y.example", MAIL);
	world_turn(&world, 50);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_HOLD, "all", "", &trace), EX_OK);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_RELEASE, "all", "", &trace), EX_OK);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_REMOVE, "all", "", &trace), EX_OK);
	world_read_trace(&world, id, &trace);
	HAS_ALL(&trace, "\"event\":\"held_by_operator\"", "\"event\":\"released_by_operator\"",
		"\"event\":\"removed\",\"to\":\"b@y.example\",\"dsn\":\"5.0.0\"",
		"\"event\":\"gone\"");
	buffer_done(&trace);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivered_message_tells_all_of_its_way),
		cmocka_unit_test(a_deferred_one_says_why_and_when_next),
		cmocka_unit_test(each_way_that_failed_is_told_of),
		cmocka_unit_test(a_bounce_and_its_cause_point_to_each_other),
		cmocka_unit_test(nobody_is_told_of_the_null_senders_mail),
		cmocka_unit_test(what_the_operator_did_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
