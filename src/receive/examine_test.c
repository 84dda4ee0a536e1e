#include "receive/examine.h"

#include "base/check.h"

static const struct hash_key secret = { 1, 2 };

struct fixture {
	struct buffer table;
	struct directory directory;
	struct arena arena;
	struct address login;
};

static void set_up(struct fixture *fixture)
{
	struct directory_settings settings = directory_settings_default();
	struct directory_builder *builder;

	*fixture = (struct fixture){ .table = buffer_with_max(1 << 20),
				     .arena = arena_with_max(1 << 20) };
	assert_int_equal(directory_builder_new(secret, &settings, &builder), OK);
	assert_int_equal(directory_add_domain(builder, VIEW("example.org")), OK);
	assert_int_equal(directory_add_account(builder, VIEW("alice@example.org")), OK);
	assert_int_equal(directory_add_account(builder, VIEW("bob@example.org")), OK);
	assert_int_equal(directory_set_postmaster(builder, VIEW("alice@example.org")), OK);
	assert_int_equal(directory_build(builder, &fixture->table), OK);
	directory_builder_free(builder);
	assert_int_equal(directory_open(buffer_view(&fixture->table), &fixture->directory), OK);
	assert_int_equal(
		address_parse(&fixture->arena, VIEW("alice@example.org"), 0, &fixture->login),
		ADDRESS_OK);
}

static void tear_down(struct fixture *fixture)
{
	buffer_done(&fixture->table);
	arena_done(&fixture->arena);
}

static struct examine_verdict judge(struct fixture *fixture, const char *header, bool submission)
{
	struct examine_verdict verdict = { 0 };
	struct examine_facts facts = {
		.header = view_from_text(header),
		.is_submission = submission,
		.hops_max = 3,
		.login = submission ? &fixture->login : NULL,
		.directory = &fixture->directory,
	};

	assert_int_equal(examine_header(&facts, &fixture->arena, &verdict), OK);
	return verdict;
}

static void a35_from_and_sender_must_belong_to_the_login(void **state)
{
	static const struct {
		const char *header;
		unsigned code; // 0: accepted
	} cases[] = {
		{ "From: Alice <alice@example.org>\r\n\r\n", 0 },
		{ "from: alice+work@EXAMPLE.org\r\n\r\n", 0 },
		{ "From : alice@example.org\r\n\r\n", 554 },
		{ "From: bob@example.org\r\n\r\n", 550 },
		{ "From: alice@example.org, bob@example.org\r\n\r\n", 550 },
		{ "From: alice@example.org (bob)\r\n\r\n", 0 },
		{ "From: \"alice@example.org\" <eve@elsewhere.example>\r\n\r\n", 550 },
		{ "From: alice@example.org\r\nFrom: eve@elsewhere.example\r\n\r\n", 554 },
		{ "Subject: no From\r\n\r\n", 554 },
		{ "From: undisclosed:;\r\n\r\n", 554 },
		{ "From: alice@example.org\r\nSender: alice+x@example.org\r\n\r\n", 0 },
		{ "From: alice@example.org\r\nSender: bob@example.org\r\n\r\n", 550 },
		{ "From: alice@example.org\r\nSender: alice@example.org\r\nSender: b@c.d\r\n\r\n",
		  550 },
		{ "From: alice@example.org\r\nSender: nobody\r\n\r\n", 554 },
	};
	struct fixture fixture;

	(void)state;
	set_up(&fixture);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct examine_verdict verdict = judge(&fixture, cases[i].header, true);

		if (verdict.accepted != (cases[i].code == 0) ||
		    (!verdict.accepted && verdict.reply.code != cases[i].code)) {
			print_error("%s", cases[i].header);
			fail();
		}
	}
	tear_down(&fixture);
}

static void other_servers_may_send_any_from(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture);
	assert_true(judge(&fixture, "From: eve@elsewhere.example\r\n\r\n", false).accepted);
	assert_true(judge(&fixture, "", false).accepted);
	assert_true(judge(&fixture, "no header at all", false).accepted);
	tear_down(&fixture);
}

static void a28_too_many_hops_are_a_loop(void **state)
{
	static const char hop[] = "Received: from a by b; Tue, 1 Jul 2003 10:52:37 +0200\r\n";
	struct buffer header = buffer_with_max(4096);
	struct fixture fixture;
	struct examine_verdict verdict;

	(void)state;
	set_up(&fixture);
	for (int i = 0; i < 3; i++) {
		buffer_add_text(&header, hop);
	}
	assert_true(judge(&fixture, buffer_text(&header), false).accepted);
	buffer_add_text(&header, hop);
	verdict = judge(&fixture, buffer_text(&header), false);
	assert_false(verdict.accepted);
	assert_int_equal(verdict.reply.code, 554);
	assert_int_equal(verdict.reply.status.subject, 4);
	assert_int_equal(verdict.reply.status.detail, 6);
	buffer_done(&header);
	tear_down(&fixture);
}

static void submission_gets_date_and_message_id_where_missing(void **state)
{
	struct trace_received received = {
		.helo = VIEW("laptop"),
		.peer_ip = VIEW("192.0.2.1"),
		.hostname = VIEW("mail.example.org"),
		.queue_id = VIEW("06f0000000000"),
		.recipient = VIEW("bob@example.org"),
	};
	struct buffer fields = buffer_with_max(4096);
	struct fixture fixture;
	struct examine_verdict verdict;

	(void)state;
	set_up(&fixture);
	verdict = judge(&fixture, "From: alice@example.org\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\n",
			true);
	assert_false(verdict.add_date || verdict.add_message_id);
	verdict = judge(&fixture, "From: alice@example.org\r\n\r\n", true);
	assert_true(verdict.add_date && verdict.add_message_id);
	examine_add_fields(&fields, &verdict, &received);
	assert_true(view_starts(buffer_view(&fields), VIEW("Received: ")));
	assert_true(view_find_text(buffer_view(&fields), VIEW("\r\nDate: ")) < fields.len);
	assert_true(view_find_text(buffer_view(&fields), VIEW("\r\nMessage-ID: <")) < fields.len);
	assert_false(judge(&fixture, "Subject: relayed as it is\r\n\r\n", false).add_date);
	buffer_done(&fields);
	tear_down(&fixture);
}

static void the_end_of_a_growing_header_is_seen(void **state)
{
	static const struct {
		const char *message;
		bool complete;
	} cases[] = {
		{ "", false },
		{ "Fro", false },
		{ "From: a@b", false },
		{ "From: a@b\r\n", false },
		{ "From: a@b\r\nno colon yet", false },
		{ "From: a@b\r\nno colon at all\r\n", true },
		{ "From: a@b\r\n\r\n", true },
		{ "\r\nbody", true },
		{ "From: a@b\r\n\r\nbody", true },
		{ "From : a@b\r\n", false }, // malformed, and yet not at its end
		{ "From : a@b\r\nTo: c@d\r\nno colon\r\n", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(examine_header_complete(view_from_text(cases[i].message)),
				 cases[i].complete);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a35_from_and_sender_must_belong_to_the_login),
		cmocka_unit_test(other_servers_may_send_any_from),
		cmocka_unit_test(a28_too_many_hops_are_a_loop),
		cmocka_unit_test(submission_gets_date_and_message_id_where_missing),
		cmocka_unit_test(the_end_of_a_growing_header_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
