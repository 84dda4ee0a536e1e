#include "link/keeper.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { DEADLINE_MS = 2000 };

struct fixture {
	struct os_loop *loop;
	struct os_channel *keeper; // the other end
	struct keeper_client *client;
	struct os_timer guard;
	unsigned asked, answered, expected;
	enum keeper_result result;
	struct buffer answer; // what the other end sends; as it is
	uint16_t answer_type;
	struct buffer seen;
};

static void on_guard(void *context)
{
	struct fixture *f = context;

	os_loop_stop(f->loop);
}

static void on_question(void *context, struct os_message *message)
{
	struct fixture *f = context;
	struct keeper_login login;

	f->asked++;
	assert_int_equal(message->type, KEEPER_LOGIN);
	assert_int_equal(keeper_login_decode(message->payload, &login), OK);
	buffer_clear(&f->seen);
	buffer_add(&f->seen, login.user);
	buffer_add_byte(&f->seen, '/');
	buffer_add(&f->seen, login.password);
	if (f->answer_type) {
		assert_int_equal(os_channel_send(f->keeper, f->answer_type, message->id,
						 buffer_view(&f->answer), NULL, 0),
				 OK);
	}
}

static void on_end(void *context, enum error reason)
{
	(void)context;
	(void)reason;
}

static void on_answer(void *context, const struct keeper_answer *answer)
{
	struct fixture *f = context;

	f->result = answer->result;
	if (++f->answered == f->expected) {
		os_loop_stop(f->loop);
	}
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct keeper_answer wrong = { .result = KEEPER_WRONG };
	int fds[2];

	assert_int_equal(os_loop_new(&f->loop), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(os_channel_new(f->loop, fds[0], 100, on_question, on_end, f, &f->keeper),
			 OK);
	assert_int_equal(keeper_client_new(f->loop, fds[1], &f->client), OK);
	f->answer = buffer_with_max(10000);
	f->seen = buffer_with_max(10000);
	f->answer_type = KEEPER_LOGIN;
	f->expected = 1;
	keeper_answer_encode(&f->answer, &wrong);
	os_timer_init(&f->guard, f->loop, on_guard, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	os_timer_stop(&f->guard);
	keeper_client_free(f->client);
	os_channel_free(f->keeper);
	os_loop_free(f->loop);
	buffer_done(&f->answer);
	buffer_done(&f->seen);
	free(f);
	return 0;
}

static void run(struct fixture *f)
{
	os_timer_set(&f->guard, 5000);
	os_loop_run(f->loop);
}

static enum error ask(struct fixture *f, struct keeper_request *request, uint64_t deadline_ms)
{
	struct keeper_login login = { .user = VIEW("alice"), .password = VIEW("secret") };

	return keeper_ask_login(f->client, request, &login, deadline_ms, on_answer, f);
}

static void a_question_is_answered_once(void **state)
{
	struct fixture *f = *state;
	struct keeper_request request = { 0 };

	assert_int_equal(ask(f, &request, DEADLINE_MS), OK);
	assert_int_equal(f->answered, 0);
	run(f);
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->result, KEEPER_WRONG);
	assert_null(request.inquiry.inquirer);
	assert_view(buffer_view(&f->seen), "alice/secret");
}

static void silence_ends_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct keeper_request request = { 0 };

	f->answer_type = 0;
	assert_int_equal(ask(f, &request, 20), OK);
	run(f);
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->result, KEEPER_TEMPORARY);
}

static void a_cancelled_question_is_not_answered(void **state)
{
	struct fixture *f = *state;
	struct keeper_request gone = { 0 }, other = { 0 };

	assert_int_equal(ask(f, &gone, DEADLINE_MS), OK);
	assert_int_equal(ask(f, &other, DEADLINE_MS), OK);
	keeper_request_cancel(&gone);
	keeper_request_cancel(&gone);
	run(f);
	assert_int_equal(f->asked, 2);
	assert_int_equal(f->answered, 1);
}

static void when_keeper_dies_those_who_wait_are_told(void **state)
{
	struct fixture *f = *state;
	struct keeper_request requests[3] = { 0 };

	f->answer_type = 0;
	f->expected = 3;
	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		assert_int_equal(ask(f, &requests[i], DEADLINE_MS), OK);
	}
	os_channel_free(f->keeper);
	f->keeper = NULL;
	run(f);
	assert_int_equal(f->answered, 3);
	assert_int_equal(f->result, KEEPER_TEMPORARY);
	assert_int_equal(ask(f, &requests[0], DEADLINE_MS), ERROR_CLOSED);
}

static void a_new_channel_takes_the_place_of_the_old(void **state)
{
	struct fixture *f = *state;
	struct keeper_request old = { 0 }, new = { 0 };
	int fds[2];

	f->answer_type = 0;
	f->expected = 2;
	assert_int_equal(ask(f, &old, DEADLINE_MS), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	os_channel_free(f->keeper);
	assert_int_equal(os_channel_new(f->loop, fds[0], 100, on_question, on_end, f, &f->keeper),
			 OK);
	assert_int_equal(keeper_client_attach(f->client, fds[1]), OK);
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->result, KEEPER_TEMPORARY);
	f->answer_type = KEEPER_LOGIN;
	assert_int_equal(ask(f, &new, DEADLINE_MS), OK);
	run(f);
	assert_int_equal(f->result, KEEPER_WRONG);
}

static void an_answer_that_does_not_fit_closes_the_channel(void **state)
{
	static const struct {
		uint16_t type;
		const char *bytes;
		size_t len;
	} cases[] = {
		{ 77, "\2\0\0\0\0\0\0\0\0", 9 },
		{ KEEPER_LOGIN, "", 0 },
		{ KEEPER_LOGIN, "\0\0\0\0\0\0\0\0\0", 9 },
		{ KEEPER_LOGIN, "\5\0\0\0\0\0\0\0\0", 9 },
		{ KEEPER_LOGIN, "\2\0\0\0\0\0\0\0\0x", 10 },
		{ KEEPER_LOGIN, "\1\0\0\0\0\0\0\0\0", 9 },
		{ KEEPER_LOGIN, "\1\1\0\0\0a\377\377\377\377", 10 },
		{ KEEPER_LOGIN, "\1\377\377\377\377a\0\0\0\0", 10 },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct keeper_request request = { 0 };
		struct fixture *f;

		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
		f = *state;
		buffer_clear(&f->answer);
		buffer_add(&f->answer, view_of(cases[i].bytes, cases[i].len));
		f->answer_type = cases[i].type;
		assert_int_equal(ask(f, &request, DEADLINE_MS), OK);
		run(f);
		assert_int_equal(f->answered, 1);
		assert_int_equal(f->result, KEEPER_TEMPORARY);
		assert_int_equal(ask(f, &request, DEADLINE_MS), ERROR_CLOSED);
	}
}

static void logins_travel_whole_and_too_long_ones_empty(void **state)
{
	char long_text[KEEPER_PASSWORD_MAX + 1];
	struct keeper_login login = { .user = VIEW("a\0b"), .password = VIEW("\377\r\n") }, back;
	struct buffer out = buffer_with_max(4096);

	(void)state;
	assert_true(ip_address_parse(VIEW("2001:db8::7"), &login.client));
	keeper_login_encode(&out, &login);
	assert_int_equal(keeper_login_decode(buffer_view(&out), &back), OK);
	assert_true(ip_address_equal(&back.client, &login.client));
	assert_true(view_equal(back.user, login.user));
	assert_true(view_equal(back.password, login.password));
	for (size_t len = 0; len < out.len; len++) {
		assert_int_equal(keeper_login_decode(view_of(out.data, len), &back), ERROR_INVALID);
	}
	memset(long_text, 'x', sizeof long_text);
	login.password = view_of(long_text, sizeof long_text);
	buffer_clear(&out);
	keeper_login_encode(&out, &login);
	assert_int_equal(keeper_login_decode(buffer_view(&out), &back), OK);
	assert_int_equal(back.user.len, 0);
	buffer_done(&out);
}

static void a_good_answer_carries_the_rights_of_the_account(void **state)
{
	static const struct view senders[] = { { "*@lists.example", 15 }, { "<>", 2 } };
	struct keeper_answer answer = { KEEPER_GOOD, VIEW("alice@example.org"), senders, 2 }, back;
	struct arena arena = arena_with_max(1 << 16);
	struct buffer out = buffer_with_max(4096);
	struct address login;
	struct patterns patterns;

	(void)state;
	keeper_answer_encode(&out, &answer);
	assert_int_equal(keeper_answer_decode(buffer_view(&out), &arena, &back), OK);
	assert_int_equal(keeper_answer_rights(&back, &arena, &login, &patterns), OK);
	assert_view(login.key, "alice@example.org");
	assert_int_equal(patterns.count, 2);
	assert_view(patterns.items[0].domain, "lists.example");
	buffer_done(&out);
	arena_done(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_question_is_answered_once),
		TEST(silence_ends_at_the_deadline),
		TEST(a_cancelled_question_is_not_answered),
		TEST(when_keeper_dies_those_who_wait_are_told),
		TEST(a_new_channel_takes_the_place_of_the_old),
		TEST(an_answer_that_does_not_fit_closes_the_channel),
		TEST(logins_travel_whole_and_too_long_ones_empty),
		TEST(a_good_answer_carries_the_rights_of_the_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
