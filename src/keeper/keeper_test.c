#include "keeper/keeper.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "link/control.h"
#include "link/keeper.h"
#include "link/password.h"
#include "link/users.h"
#include "os/clock.h"
#include "os/page.h"
#include "os/socket.h"
#include "os/test_folder.h"

enum { DEADLINE_MS = 10000, GUARD_MS = 20000 };

struct fixture {
	char folder[TEST_FOLDER_PATH_SIZE];
	struct config config;
	struct config_domain domain;
	struct os_loop *loop;
	struct keeper *keeper;
	struct keeper_client *client;
	struct os_timer guard;
	unsigned awaited; // answers until the loop stops
	enum keeper_result result;
	struct buffer account;
	size_t senders;
	unsigned published;
	struct view directory; // the page published last
	uint32_t forwarded_id;
	struct buffer parts; // of control answers, DATA texts joined
	uint8_t status;
};

static void on_guard(void *context)
{
	struct fixture *f = context;

	print_error("nothing came\n");
	os_loop_stop(f->loop);
}

static void await(struct fixture *f, unsigned answers)
{
	f->awaited = answers;
	os_timer_set(&f->guard, GUARD_MS);
	os_loop_run(f->loop);
	os_timer_stop(&f->guard);
	assert_int_equal(f->awaited, 0);
}

static void arrived(struct fixture *f)
{
	if (f->awaited && --f->awaited == 0) {
		os_loop_stop(f->loop);
	}
}

static void drop_directory(struct fixture *f)
{
	os_page_unmap((void *)(uintptr_t)f->directory.data, f->directory.len);
	f->directory = (struct view){ 0 };
}

static void publish(void *context, int fd)
{
	struct fixture *f = context;

	drop_directory(f);
	assert_int_equal(os_page_map_sealed(fd, &f->directory), OK);
	f->published++;
}

static void forward(void *context, uint32_t id, struct view request)
{
	struct fixture *f = context;

	assert_true(request.len > 0);
	f->forwarded_id = id;
	arrived(f);
}

static const struct keeper_calls calls = { publish, forward };

static void store_account(struct fixture *f, const char *address, bool disabled)
{
	static const struct view senders[] = { { "*@lists.example", 15 } };
	struct user_store store;
	struct password_hash hash;
	struct account account = { view_from_text(address), { 0 }, disabled, senders, 1 };

	assert_int_equal(user_store_open(f->folder, &store), OK);
	assert_int_equal(password_hash(VIEW("secret"), PASSWORD_COST_TEST, &hash), OK);
	account.password_hash = view_from_text(hash.text);
	assert_int_equal(database_account_add(store.database, &account), OK);
	user_store_close(&store);
}

static void open_keeper(struct fixture *f, unsigned cost)
{
	struct keeper_setup setup = { f->loop, f->folder, &f->config, 2, cost, &calls, f };
	int fds[2];

	assert_int_equal(keeper_new(&setup, &f->keeper), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(keeper_add_client(f->keeper, fds[0]), OK);
	assert_int_equal(keeper_client_new(f->loop, fds[1], &f->client), OK);
}

static void close_keeper(struct fixture *f)
{
	keeper_client_free(f->client);
	keeper_free(f->keeper);
	f->client = NULL;
	f->keeper = NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	test_folder_make(f->folder);
	f->domain = (struct config_domain){ .name = VIEW("example.org") };
	f->config.postmaster = VIEW("postmaster@example.org");
	f->config.plus_separator = VIEW("+");
	f->config.domains.items = &f->domain;
	f->config.domains.count = 1;
	f->config.limits.alias_depth = 8;
	f->config.limits.alias_recipients = 100;
	f->config.limits.logins = login_limits_default();
	f->config.limits.logins_waiting = 100;
	f->account = buffer_with_max(1000);
	f->parts = buffer_with_max(1 << 20);
	assert_int_equal(os_loop_new(&f->loop), OK);
	os_timer_init(&f->guard, f->loop, on_guard, f);
	store_account(f, "alice@example.org", false);
	store_account(f, "gone@example.org", true);
	open_keeper(f, PASSWORD_COST_TEST);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_keeper(f);
	os_loop_free(f->loop);
	drop_directory(f);
	buffer_done(&f->account);
	buffer_done(&f->parts);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

// ---- logins

static void on_answer(void *context, const struct keeper_answer *answer)
{
	struct fixture *f = context;

	f->result = answer->result;
	f->senders = answer->sender_count;
	buffer_clear(&f->account);
	buffer_add(&f->account, answer->account);
	arrived(f);
}

static void ask(struct fixture *f, struct keeper_request *request, const char *user,
		const char *password)
{
	struct keeper_login login = { .user = view_from_text(user),
				      .password = view_from_text(password) };

	assert_true(ip_address_parse(VIEW("192.0.2.1"), &login.client));
	assert_int_equal(keeper_ask_login(f->client, request, &login, DEADLINE_MS, on_answer, f),
			 OK);
}

static enum keeper_result log_in(struct fixture *f, const char *user, const char *password)
{
	struct keeper_request request = { 0 };

	ask(f, &request, user, password);
	await(f, 1);
	return f->result;
}

static void the_right_password_opens_and_brings_the_rights(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_in(f, "Alice@EXAMPLE.org", "secret"), KEEPER_GOOD);
	assert_view(buffer_view(&f->account), "alice@example.org");
	assert_int_equal(f->senders, 1);
	assert_int_equal(keeper_counters(f->keeper).logins, 1);
}

static void a33_all_that_is_wrong_looks_the_same(void **state)
{
	static const struct {
		const char *user, *password;
	} cases[] = {
		{ "alice@example.org", "Secret" },
		{ "alice@example.org", "" },
		{ "nobody@example.org", "secret" },
		{ "alice", "secret" },
		{ "alice+x@example.org", "secret" },
		{ "gone@example.org", "secret" },
		{ "", "" },
		{ "' OR 1=1 --", "secret" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(log_in(f, cases[i].user, cases[i].password), KEEPER_WRONG);
		assert_int_equal(f->account.len, 0);
	}
	assert_int_equal(log_in(f, "alice@example.org", "secret"), KEEPER_GOOD);
}

// That the hash of nobody has the cost of a real one is password_test's to show.
static void a33_an_unknown_user_costs_as_much_as_a_known_one(void **state)
{
	static const char *const users[] = { "alice@example.org", "nobody@example.org", "nobody" };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(users); i++) {
		assert_int_equal(log_in(f, users[i], "wrong"), KEEPER_WRONG);
		assert_int_equal(keeper_counters(f->keeper).hashes, i + 1);
	}
}

static void a34_failures_are_limited_for_known_and_unknown_users_alike(void **state)
{
	static const char *const users[] = { "alice@example.org", "nobody@example.org" };
	struct fixture *f = *state;
	char password[16];

	f->config.limits.logins.per_address.burst = 0;
	f->config.limits.logins.per_account.burst = 3;
	for (size_t i = 0; i < COUNT_OF(users); i++) {
		for (unsigned j = 0; j < 3; j++) {
			snprintf(password, sizeof password, "guess %u", j);
			assert_int_equal(log_in(f, users[i], password), KEEPER_WRONG);
		}
		assert_int_equal(log_in(f, users[i], "secret"), KEEPER_LATER);
	}
	assert_int_equal(keeper_counters(f->keeper).logins_limited, 2);
}

static void a_login_too_many_is_refused_for_now(void **state)
{
	struct keeper_request requests[3] = { 0 };
	struct fixture *f = *state;

	f->config.limits.logins_waiting = 2;
	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		ask(f, &requests[i], "alice@example.org", "secret");
	}
	await(f, 3);
	assert_int_equal(keeper_counters(f->keeper).logins_refused_busy, 1);
	assert_int_equal(keeper_counters(f->keeper).logins, 2);
}

static void an_asker_that_goes_away_harms_nobody(void **state)
{
	struct keeper_request requests[20] = { 0 };
	struct fixture *f = *state;
	int fds[2];

	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		ask(f, &requests[i], "alice@example.org", "secret");
	}
	keeper_client_free(f->client);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(keeper_add_client(f->keeper, fds[0]), OK);
	assert_int_equal(keeper_client_new(f->loop, fds[1], &f->client), OK);
	assert_int_equal(log_in(f, "alice@example.org", "secret"), KEEPER_GOOD);
}

static void keeper_can_end_with_logins_in_hand(void **state)
{
	struct keeper_request requests[20] = { 0 };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		ask(f, &requests[i], "alice@example.org", "secret");
	}
	await(f, 1);
	close_keeper(f);
}

static void an_asker_that_talks_nonsense_is_dropped_alone(void **state)
{
	struct fixture *f = *state;
	struct buffer none = buffer_with_max(100);
	struct os_message message;
	int fds[2];

	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(keeper_add_client(f->keeper, fds[0]), OK);
	assert_int_equal(os_message_send(fds[1], KEEPER_LOGIN, 1, VIEW("nonsense"), NULL, 0), OK);
	assert_int_equal(log_in(f, "alice@example.org", "secret"), KEEPER_GOOD);
	assert_int_equal(os_message_receive(fds[1], 1000, &none, &message), ERROR_CLOSED);
	os_socket_close(fds[1]);
	buffer_done(&none);
}

// ---- the directory

static bool directory_knows(struct fixture *f, const char *text)
{
	struct arena arena = arena_with_max(1 << 16);
	struct directory directory;
	struct address address;
	bool known;

	assert_int_equal(directory_open(f->directory, &directory), OK);
	assert_int_equal(address_parse(&arena, view_from_text(text), 0, &address), ADDRESS_OK);
	known = directory_has_account(&directory, &address);
	arena_done(&arena);
	return known;
}

static void the_directory_holds_the_accounts_and_no_secrets(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->published, 1);
	assert_true(directory_knows(f, "alice@example.org"));
	assert_true(directory_knows(f, "gone@example.org"));
	assert_false(directory_knows(f, "bob@example.org"));
	assert_int_equal(view_find_text(f->directory, VIEW("$y$")), f->directory.len);
}

// Someone who cannot log in still gets mail, and the others notice nothing.
static void a_damaged_account_is_counted_and_keeps_its_mail(void **state)
{
	struct fixture *f = *state;
	char path[200];
	sqlite3 *handle;

	snprintf(path, sizeof path, "%s/users.db", f->folder);
	assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle,
				      "UPDATE account SET password_hash = ''"
				      " WHERE address LIKE 'gone%'",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(handle);
	assert_int_equal(keeper_configure(f->keeper, &f->config), OK);
	assert_int_equal(keeper_counters(f->keeper).accounts_damaged, 1);
	assert_true(directory_knows(f, "gone@example.org"));
	assert_int_equal(log_in(f, "gone@example.org", "secret"), KEEPER_TEMPORARY);
	assert_int_equal(log_in(f, "alice@example.org", "secret"), KEEPER_GOOD);
}

static void a_reload_publishes_anew(void **state)
{
	struct config_domain domains[] = { { .name = VIEW("example.net") } };
	struct fixture *f = *state;
	struct config other = f->config;

	other.domains.items = domains;
	assert_int_equal(keeper_configure(f->keeper, &other), OK);
	assert_int_equal(f->published, 2);
	assert_false(directory_knows(f, "alice@example.org"));
	assert_int_equal(keeper_configure(f->keeper, &f->config), OK);
	assert_true(directory_knows(f, "alice@example.org"));
}

// ---- the control socket

static void on_part(void *context, struct os_message *message)
{
	struct fixture *f = context;
	struct control_part part;

	assert_int_equal(message->type, CONTROL_ANSWER);
	assert_int_equal(message->id, 7);
	assert_int_equal(control_part_decode(message->payload, &part), OK);
	if (part.end) {
		f->status = part.status;
		arrived(f);
	} else {
		buffer_add(&f->parts, part.text);
	}
}

static void on_control_closed(void *context, enum error reason)
{
	(void)reason;
	arrived(context);
}

static struct os_channel *open_control(struct fixture *f, int *ret_listener)
{
	struct os_channel *channel;
	char path[96];
	int fd;

	snprintf(path, sizeof path, "%s/control", f->folder);
	assert_int_equal(os_channel_listen(path, 0600, ret_listener), OK);
	assert_int_equal(keeper_set_control(f->keeper, *ret_listener), OK);
	assert_int_equal(os_channel_connect(path, &fd), OK);
	assert_int_equal(os_channel_new(f->loop, fd, 10, on_part, on_control_closed, f, &channel),
			 OK);
	return channel;
}

static void send_request(struct os_channel *channel, enum control_command command,
			 const char *address)
{
	struct control_argument arguments[] = {
		{ VIEW(""), view_from_text(address) },
		{ VIEW("password"), VIEW("pass") },
	};
	struct control_request request = { command, arguments, address ? 2 : 0 };
	struct buffer out = buffer_with_max(1000);

	control_request_encode(&out, &request);
	assert_int_equal(os_channel_send(channel, CONTROL_REQUEST, 7, buffer_view(&out), NULL, 0),
			 OK);
	buffer_done(&out);
}

static void users_are_added_while_it_runs(void **state)
{
	struct fixture *f = *state;
	int listener;
	struct os_channel *channel = open_control(f, &listener);

	send_request(channel, CONTROL_USER_ADD, "bob@example.org");
	await(f, 1);
	assert_int_equal(f->status, 0);
	assert_int_equal(f->published, 2);
	assert_true(directory_knows(f, "bob@example.org"));
	assert_int_equal(log_in(f, "bob@example.org", "pass"), KEEPER_GOOD);
	send_request(channel, CONTROL_USER_ADD, "bob@example.org");
	await(f, 1);
	assert_int_not_equal(f->status, 0);
	assert_int_equal(f->published, 2);
	send_request(channel, CONTROL_USER_LIST, NULL);
	await(f, 1);
	assert_true(
		view_starts(buffer_view(&f->parts), VIEW("[{\"address\":\"alice@example.org\"")));
	os_channel_free(channel);
	os_socket_close(listener);
}

static void what_others_answer_goes_through(void **state)
{
	struct control_part data = { .text = VIEW("{}") }, end = { .end = true, .status = 3 };
	struct buffer bytes = buffer_with_max(100);
	struct fixture *f = *state;
	int listener;
	struct os_channel *channel = open_control(f, &listener);

	send_request(channel, CONTROL_STATUS, NULL);
	await(f, 1);
	control_part_encode(&bytes, &data);
	keeper_control_result(f->keeper, f->forwarded_id + 1, buffer_view(&bytes));
	keeper_control_result(f->keeper, f->forwarded_id, VIEW("nonsense"));
	keeper_control_result(f->keeper, f->forwarded_id, buffer_view(&bytes));
	buffer_clear(&bytes);
	control_part_encode(&bytes, &end);
	keeper_control_result(f->keeper, f->forwarded_id, buffer_view(&bytes));
	keeper_control_result(f->keeper, f->forwarded_id, buffer_view(&bytes));
	await(f, 1);
	assert_view(buffer_view(&f->parts), "{}");
	assert_int_equal(f->status, 3);
	os_channel_free(channel);
	os_socket_close(listener);
	buffer_done(&bytes);
}

static void nonsense_on_the_control_socket_closes_that_peer_only(void **state)
{
	struct fixture *f = *state;
	int listener;
	struct os_channel *channel = open_control(f, &listener);

	assert_int_equal(os_channel_send(channel, CONTROL_REQUEST, 7, VIEW("\377"), NULL, 0), OK);
	await(f, 1);
	os_channel_free(channel);
	os_socket_close(listener);
	assert_int_equal(log_in(f, "alice@example.org", "secret"), KEEPER_GOOD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_right_password_opens_and_brings_the_rights),
		TEST(a33_all_that_is_wrong_looks_the_same),
		TEST(a33_an_unknown_user_costs_as_much_as_a_known_one),
		TEST(a34_failures_are_limited_for_known_and_unknown_users_alike),
		TEST(a_login_too_many_is_refused_for_now),
		TEST(an_asker_that_goes_away_harms_nobody),
		TEST(keeper_can_end_with_logins_in_hand),
		TEST(an_asker_that_talks_nonsense_is_dropped_alone),
		TEST(the_directory_holds_the_accounts_and_no_secrets),
		TEST(a_damaged_account_is_counted_and_keeps_its_mail),
		TEST(a_reload_publishes_anew),
		TEST(users_are_added_while_it_runs),
		TEST(what_others_answer_goes_through),
		TEST(nonsense_on_the_control_socket_closes_that_peer_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
