#include "link/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "link/password.h"
#include "os/test_folder.h"

struct fixture {
	char folder[TEST_FOLDER_PATH_SIZE];
	struct user_store store;
	struct buffer out;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	test_folder_make(f->folder);
	assert_int_equal(user_store_open(f->folder, &f->store), OK);
	f->out = buffer_with_max(1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	user_store_close(&f->store);
	buffer_done(&f->out);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static struct user_outcome run(struct fixture *f, enum control_command command,
			       const struct control_argument *arguments, size_t count)
{
	struct control_request request = { command, arguments, count };

	buffer_clear(&f->out);
	return user_run(f->store.database, PASSWORD_COST_TEST, &request, &f->out);
}

static struct user_outcome run_for(struct fixture *f, enum control_command command,
				   const char *address, const char *password)
{
	struct control_argument arguments[] = {
		{ VIEW(""), view_from_text(address) },
		{ VIEW("password"), view_from_text(password) },
	};

	return run(f, command, arguments, password ? 2 : 1);
}

static void assert_password(struct fixture *f, const char *address, const char *password)
{
	struct arena arena = arena_with_max(1 << 20);
	struct account account;

	assert_int_equal(
		database_account_get(f->store.database, view_from_text(address), &arena, &account),
		OK);
	assert_true(password_matches(view_from_text(password), account.password_hash));
	arena_done(&arena);
}

static void a_user_is_added_under_its_normalised_address(void **state)
{
	struct fixture *f = *state;
	struct user_outcome outcome = run_for(f, CONTROL_USER_ADD, "Alice@Example.ORG", "secret");

	assert_int_equal(outcome.status, EX_OK);
	assert_true(outcome.changed);
	assert_password(f, "alice@example.org", "secret");
	outcome = run_for(f, CONTROL_USER_ADD, "ALICE@example.org", "other");
	assert_int_equal(outcome.status, EX_CANTCREAT);
	assert_false(outcome.changed);
	assert_password(f, "alice@example.org", "secret");
}

static void a_password_is_changed(void **state)
{
	struct fixture *f = *state;

	run_for(f, CONTROL_USER_ADD, "alice@example.org", "secret");
	assert_int_equal(run_for(f, CONTROL_USER_PASSWD, "Alice@example.org", "better").status,
			 EX_OK);
	assert_password(f, "alice@example.org", "better");
	assert_int_equal(run_for(f, CONTROL_USER_PASSWD, "bob@example.org", "x").status, EX_NOUSER);
}

static void a_user_is_removed(void **state)
{
	struct fixture *f = *state;

	run_for(f, CONTROL_USER_ADD, "alice@example.org", "secret");
	assert_int_equal(run_for(f, CONTROL_USER_REMOVE, "alice@example.org", NULL).status, EX_OK);
	assert_int_equal(run_for(f, CONTROL_USER_REMOVE, "alice@example.org", NULL).status,
			 EX_NOUSER);
}

static void users_are_listed_as_json_without_their_hashes(void **state)
{
	const struct control_argument arguments[] = { { VIEW("sender"), VIEW("*@B.example") },
						      { VIEW(""), VIEW("bob@example.org") },
						      { VIEW("password"), VIEW("x") },
						      { VIEW("sender"), VIEW("a@c.example") } };
	struct fixture *f = *state;

	run(f, CONTROL_USER_LIST, NULL, 0);
	assert_view(buffer_view(&f->out), "[]");
	assert_int_equal(run(f, CONTROL_USER_ADD, arguments, COUNT_OF(arguments)).status, EX_OK);
	run_for(f, CONTROL_USER_ADD, "alice@example.org", "secret");
	assert_false(run(f, CONTROL_USER_LIST, NULL, 0).changed);
	assert_view(buffer_view(&f->out),
		    "[{\"address\":\"alice@example.org\",\"disabled\":false,\"damaged\":false,"
		    "\"senders\":[]},"
		    "{\"address\":\"bob@example.org\",\"disabled\":false,\"damaged\":false,"
		    "\"senders\":[\"*@b.example\",\"a@c.example\"]}]");
}

static void what_is_wrong_is_refused_with_words(void **state)
{
	static const struct {
		enum control_command command;
		const char *address, *password, *sender;
		uint8_t status;
	} cases[] = {
		{ CONTROL_USER_ADD, "", "x", NULL, EX_DATAERR },
		{ CONTROL_USER_ADD, "alice", "x", NULL, EX_DATAERR },
		{ CONTROL_USER_ADD, "a%b@example.org", "x", NULL, EX_DATAERR },
		{ CONTROL_USER_ADD, "a@[192.0.2.1]", "x", NULL, EX_DATAERR },
		{ CONTROL_USER_ADD, "../../etc/passwd", "x", NULL, EX_DATAERR },
		{ CONTROL_USER_ADD, "a@example.org", "", NULL, EX_DATAERR },
		{ CONTROL_USER_ADD, "a@example.org", "x", "not a pattern", EX_DATAERR },
		{ CONTROL_STATUS, "a@example.org", "x", NULL, EX_USAGE },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct control_argument arguments[] = {
			{ VIEW(""), view_from_text(cases[i].address) },
			{ VIEW("password"), view_from_text(cases[i].password) },
			{ VIEW("sender"), view_from_text(cases[i].sender) },
		};
		struct user_outcome outcome =
			run(f, cases[i].command, arguments, cases[i].sender ? 3 : 2);

		assert_int_equal(outcome.status, cases[i].status);
		assert_true(strlen(outcome.words) > 0);
		assert_false(outcome.changed);
	}
	run(f, CONTROL_USER_LIST, NULL, 0);
	assert_view(buffer_view(&f->out), "[]");
}

static void only_one_may_hold_the_store(void **state)
{
	struct fixture *f = *state;
	struct user_store second = { .lock = -1 };

	assert_int_equal(user_store_open(f->folder, &second), ERROR_BUSY);
	user_store_close(&f->store);
	assert_int_equal(user_store_open(f->folder, &second), OK);
	user_store_close(&second);
}

static void a54_the_files_are_readable_by_their_owner_alone(void **state)
{
	static const char *const names[] = { "users.db", "users.db-wal", "users.lock" };
	struct fixture *f = *state;
	char path[128];

	run_for(f, CONTROL_USER_ADD, "alice@example.org", "secret");
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct stat info;

		snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
		assert_int_equal(stat(path, &info), 0);
		assert_int_equal(info.st_mode & 0777, 0600);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_user_is_added_under_its_normalised_address),
		TEST(a_password_is_changed),
		TEST(a_user_is_removed),
		TEST(users_are_listed_as_json_without_their_hashes),
		TEST(what_is_wrong_is_refused_with_words),
		TEST(only_one_may_hold_the_store),
		TEST(a54_the_files_are_readable_by_their_owner_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
