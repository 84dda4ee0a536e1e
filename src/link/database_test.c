#include "link/database.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "os/test_folder.h"

struct fixture {
	char folder[TEST_FOLDER_PATH_SIZE];
	char path[96];
	struct database *database;
	struct arena arena;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	test_folder_make(f->folder);
	snprintf(f->path, sizeof f->path, "%s/users.db", f->folder);
	assert_int_equal(database_open(f->path, &f->database), OK);
	f->arena = arena_with_max(1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	database_close(f->database);
	arena_done(&f->arena);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static struct account account_of(const char *address)
{
	return (struct account){ .address = view_from_text(address),
				 .password_hash = VIEW("$y$hash") };
}

static void add(struct fixture *f, const char *address)
{
	struct account account = account_of(address);

	assert_int_equal(database_account_add(f->database, &account), OK);
}

static enum error get(struct fixture *f, const char *address, struct account *account)
{
	return database_account_get(f->database, view_from_text(address), &f->arena, account);
}

static void reopen(struct fixture *f)
{
	database_close(f->database);
	f->database = NULL;
	assert_int_equal(database_open(f->path, &f->database), OK);
}

// As somebody else might write to the file.
static void meddle(struct fixture *f, const char *statement)
{
	sqlite3 *handle;

	assert_int_equal(sqlite3_open(f->path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, statement, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
}

static void an_account_comes_back_as_it_was_stored(void **state)
{
	static const struct view senders[] = { { "*@b.example", 11 },
					       { "a@b.example", 11 },
					       { "*@b.example", 11 } };
	struct fixture *f = *state;
	struct account account = account_of("alice@example.org"), back;

	account.disabled = true;
	account.senders = senders;
	account.sender_count = COUNT_OF(senders);
	assert_int_equal(database_account_add(f->database, &account), OK);
	reopen(f);
	assert_int_equal(get(f, "alice@example.org", &back), OK);
	assert_view(back.address, "alice@example.org");
	assert_view(back.password_hash, "$y$hash");
	assert_true(back.disabled);
	assert_int_equal(back.sender_count, 2);
	assert_view(back.senders[0], "*@b.example");
	assert_view(back.senders[1], "a@b.example");
}

static void what_is_not_there_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct account account;

	add(f, "alice@example.org");
	assert_int_equal(get(f, "bob@example.org", &account), ERROR_NOT_FOUND);
	assert_int_equal(get(f, "", &account), ERROR_NOT_FOUND);
	assert_int_equal(
		database_account_set_password(f->database, VIEW("bob@example.org"), VIEW("x")),
		ERROR_NOT_FOUND);
	assert_int_equal(database_account_remove(f->database, VIEW("bob@example.org")),
			 ERROR_NOT_FOUND);
}

static void an_address_is_there_once(void **state)
{
	struct fixture *f = *state;
	struct account account = account_of("alice@example.org");

	add(f, "alice@example.org");
	assert_int_equal(database_account_add(f->database, &account), ERROR_EXISTS);
	add(f, "bob@example.org"); // no transaction was left open
}

static void a_password_is_changed_and_an_account_removed(void **state)
{
	static const struct view sender = { "x@y.example", 11 };
	struct fixture *f = *state;
	struct account account = account_of("alice@example.org"), back;

	account.senders = &sender;
	account.sender_count = 1;
	assert_int_equal(database_account_add(f->database, &account), OK);
	assert_int_equal(database_account_set_password(f->database, account.address, VIEW("new")),
			 OK);
	assert_int_equal(get(f, "alice@example.org", &back), OK);
	assert_view(back.password_hash, "new");
	assert_int_equal(database_account_remove(f->database, account.address), OK);
	assert_int_equal(get(f, "alice@example.org", &back), ERROR_NOT_FOUND);
	add(f, "alice@example.org");
	assert_int_equal(get(f, "alice@example.org", &back), OK);
	assert_int_equal(back.sender_count, 0);
}

static void a15_text_from_outside_is_a_value_never_a_statement(void **state)
{
	struct fixture *f = *state;
	struct account account, hostile = account_of("'); DROP TABLE account; --");

	add(f, "alice@example.org");
	assert_int_equal(get(f, "' OR '1'='1", &account), ERROR_NOT_FOUND);
	assert_int_equal(database_account_add(f->database, &hostile), OK);
	assert_int_equal(get(f, "'); DROP TABLE account; --", &account), OK);
	assert_int_equal(get(f, "alice@example.org", &account), OK);
}

static void a15_stored_values_out_of_bounds_are_refused(void **state)
{
	static const char *const damage[] = {
		"UPDATE account SET password_hash = ''",
		"UPDATE account SET password_hash = printf('%.*c', 129, 'x')",
		"INSERT INTO sender (address, pattern) VALUES"
		" ('alice@example.org', printf('%.*c', 300, 'x'))",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 101)"
		" INSERT INTO sender (address, pattern) SELECT 'alice@example.org', 'x' || i FROM "
		"n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(damage); i++) {
		struct account account;

		add(f, "alice@example.org");
		meddle(f, damage[i]);
		if (get(f, "alice@example.org", &account) != ERROR_CORRUPT) {
			fail_msg("%s", damage[i]);
		}
		assert_int_equal(database_account_remove(f->database, VIEW("alice@example.org")),
				 OK);
	}
}

static void accounts_out_of_bounds_are_not_stored(void **state)
{
	struct fixture *f = *state;
	struct view many[DATABASE_SENDERS_MAX + 1];
	struct account account = account_of("alice@example.org");
	char text[DATABASE_ADDRESS_MAX + 2];

	memset(text, 'x', sizeof text);
	account.address = view_of(text, DATABASE_ADDRESS_MAX + 1);
	assert_int_equal(database_account_add(f->database, &account), ERROR_INVALID);
	account = account_of("alice@example.org");
	account.password_hash = (struct view){ 0 };
	assert_int_equal(database_account_add(f->database, &account), ERROR_INVALID);
	account = account_of("alice@example.org");
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		many[i] = VIEW("x@y.example");
	}
	account.senders = many;
	account.sender_count = COUNT_OF(many);
	assert_int_equal(database_account_add(f->database, &account), ERROR_INVALID);
}

struct list {
	struct buffer text;
	unsigned left;
};

static bool on_account(void *context, const struct account *account)
{
	struct list *list = context;

	buffer_add(&list->text, account->address);
	buffer_add_text(&list->text, account->damaged ? "! " : " ");
	return --list->left > 0;
}

static void accounts_are_listed_in_order_from_any_place(void **state)
{
	static const struct {
		const char *after;
		unsigned max;
		const char *expected;
	} cases[] = {
		{ "", 9, "a@x.example b@x.example c@x.example " },
		{ "a@x.example", 9, "b@x.example c@x.example " },
		{ "b", 1, "b@x.example " },
		{ "z", 9, "" },
	};
	struct fixture *f = *state;

	add(f, "c@x.example");
	add(f, "a@x.example");
	add(f, "b@x.example");
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct list list = { buffer_with_max(1000), cases[i].max };

		assert_int_equal(database_account_each(f->database, view_from_text(cases[i].after),
						       on_account, &list),
				 OK);
		assert_view(buffer_view(&list.text), cases[i].expected);
		buffer_done(&list.text);
	}
}

static void a_damaged_account_does_not_hide_the_others(void **state)
{
	static const struct {
		const char *damage, *expected;
	} cases[] = {
		{ "UPDATE account SET password_hash = '' WHERE address LIKE 'b%'",
		  "a@x.example b@x.example! c@x.example " },
		{ "INSERT INTO sender (address, pattern) VALUES ('b@x.example', '')",
		  "a@x.example b@x.example! c@x.example " },
		{ "UPDATE account SET address = printf('b%.*c', 254, 'x') WHERE address LIKE 'b%'",
		  "a@x.example ! c@x.example " },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct list list = { buffer_with_max(1000), 9 };

		meddle(f, "DELETE FROM account");
		add(f, "a@x.example");
		add(f, "b@x.example");
		add(f, "c@x.example");
		meddle(f, cases[i].damage);
		assert_int_equal(database_account_each(f->database, VIEW(""), on_account, &list),
				 OK);
		assert_view(buffer_view(&list.text), cases[i].expected);
		buffer_done(&list.text);
		meddle(f, "DELETE FROM sender");
	}
}

static void a_file_that_is_not_ours_is_refused_and_left_alone(void **state)
{
	static const struct {
		const char *statement;
		enum error error;
	} cases[] = {
		{ "PRAGMA user_version = 2", ERROR_UNSUPPORTED },
		{ "PRAGMA user_version = 0", ERROR_CORRUPT },
		{ "PRAGMA user_version = 1; PRAGMA application_id = 7", ERROR_CORRUPT },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct database *database = NULL;

		meddle(f, cases[i].statement);
		assert_int_equal(database_open(f->path, &database), cases[i].error);
		assert_null(database);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_account_comes_back_as_it_was_stored),
		TEST(what_is_not_there_is_not_found),
		TEST(an_address_is_there_once),
		TEST(a_password_is_changed_and_an_account_removed),
		TEST(a15_text_from_outside_is_a_value_never_a_statement),
		TEST(a15_stored_values_out_of_bounds_are_refused),
		TEST(accounts_out_of_bounds_are_not_stored),
		TEST(accounts_are_listed_in_order_from_any_place),
		TEST(a_damaged_account_does_not_hide_the_others),
		TEST(a_file_that_is_not_ours_is_refused_and_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
