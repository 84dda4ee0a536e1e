// A database whose rows hold anything that its tables take, and user commands of any arguments over
// it, made of actions (base/fuzz.h). What is read back keeps to its bounds (attack A15), and the
// list is JSON whatever was stored.
#include <jansson.h>
#include <sqlite3.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fuzz.h"
#include "link/password.h"
#include "link/users.h"
#include "os/file.h"

enum action { ACCOUNT, SENDER, COMMAND, LOOK, ACTION_COUNT };

enum { ARGUMENTS = 3 };

static char folder[] = "/dev/shm/packetboat-fuzz-XXXXXX"; // in memory
static struct user_store store;
static sqlite3 *raw; // the same database, without our checks

static bool remove_name(void *context, const char *name)
{
	enum error error = os_file_remove_at(*(int *)context, name);

	(void)error;
	return true;
}

static void close_all(void)
{
	int dir;

	(void)sqlite3_close(raw);
	user_store_close(&store);
	if (os_dir_open(folder, &dir) == OK) {
		MUST(os_dir_list(dir, remove_name, &dir) == OK);
		os_dir_close(dir);
	}
	(void)rmdir(folder);
}

static void open_once(void)
{
	char path[sizeof folder + 16];

	if (raw) {
		return;
	}
	MUST(mkdtemp(folder) != NULL && user_store_open(folder, &store) == OK);
	snprintf(path, sizeof path, "%s/users.db", folder);
	MUST(sqlite3_open(path, &raw) == SQLITE_OK);
	MUST(sqlite3_exec(raw, "PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK);
	MUST(atexit(close_all) == 0);
}

static void insert(const char *literal, struct view first, struct view second)
{
	sqlite3_stmt *statement;

	MUST(sqlite3_prepare_v2(raw, literal, -1, &statement, NULL) == SQLITE_OK);
	(void)sqlite3_bind_text(statement, 1, first.len ? first.data : "", (int)first.len, NULL);
	(void)sqlite3_bind_text(statement, 2, second.len ? second.data : "", (int)second.len, NULL);
	(void)sqlite3_step(statement); // a second of the same key is refused
	(void)sqlite3_finalize(statement);
}

static void check_list(struct view json)
{
	json_error_t fault;
	json_t *accounts = json_loadb(json.data, json.len, 0, &fault);

	MUST(json_is_array(accounts));
	for (size_t i = 0; i < json_array_size(accounts); i++) {
		MUST(json_object_size(json_array_get(accounts, i)) == 4);
	}
	json_decref(accounts);
}

static void run_command(const struct fuzz_action *action)
{
	static const enum control_command commands[] = { CONTROL_USER_ADD, CONTROL_USER_PASSWD,
							 CONTROL_USER_REMOVE, CONTROL_USER_LIST };
	static const struct view names[ARGUMENTS] = { { "", 0 },
						      { "password", 8 },
						      { "sender", 6 } };
	struct control_argument arguments[ARGUMENTS];
	struct control_request request = { .command = commands[fuzz_action_byte(action, 0) % 4],
					   .arguments = arguments };
	struct buffer out = buffer_with_max(1 << 24);
	struct view rest = view_from(action->bytes, 1), part;
	struct user_outcome outcome;

	while (request.argument_count < ARGUMENTS && view_next_part(&rest, '\n', &part)) {
		arguments[request.argument_count] =
			(struct control_argument){ names[request.argument_count], part };
		request.argument_count++;
	}
	outcome = user_run(store.database, PASSWORD_COST_TEST, &request, &out);
	MUST(outcome.words != NULL && (outcome.status == EX_OK) == (outcome.words[0] == '\0'));
	MUST(!outcome.changed || outcome.status == EX_OK);
	if (request.command == CONTROL_USER_LIST && outcome.status == EX_OK) {
		check_list(buffer_view(&out));
	}
	buffer_done(&out);
}

static void look(struct view address)
{
	struct arena arena = arena_with_max(1 << 20);
	struct account account;

	if (database_account_get(store.database, address, &arena, &account) == OK) {
		MUST(account.address.len > 0 && account.address.len <= DATABASE_ADDRESS_MAX);
		MUST(account.password_hash.len > 0);
		MUST(account.password_hash.len <= DATABASE_HASH_MAX);
		MUST(account.sender_count <= DATABASE_SENDERS_MAX);
		for (size_t i = 0; i < account.sender_count; i++) {
			MUST(account.senders[i].len > 0);
			MUST(account.senders[i].len <= DATABASE_SENDER_MAX);
		}
		(void)password_hash_is_ours(account.password_hash);
	}
	arena_done(&arena);
}

static void act(const struct fuzz_action *action)
{
	struct view rest = action->bytes, first = { 0 };

	(void)view_next_part(&rest, '\n', &first);
	switch ((enum action)(action->kind % ACTION_COUNT)) {
	case ACCOUNT:
		insert("INSERT INTO account (address, password_hash) VALUES (?1, ?2)", first, rest);
		break;
	case SENDER:
		insert("INSERT INTO sender (address, pattern) VALUES (?1, ?2)", first, rest);
		break;
	case COMMAND: run_command(action); break;
	case LOOK: look(action->bytes); break;
	case ACTION_COUNT: break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = view_of(data, size);
	struct fuzz_action action, list = { .bytes = VIEW("\3") };

	open_once();
	while (fuzz_action_next(&rest, &action)) {
		act(&action);
	}
	run_command(&list);
	MUST(sqlite3_exec(raw, "DELETE FROM sender; DELETE FROM account", NULL, NULL, NULL) ==
	     SQLITE_OK);
	return 0;
}
