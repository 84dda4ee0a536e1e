#include "link/users.h"

#include <stdio.h>
#include <sysexits.h>

#include "link/password.h"
#include "mail/address.h"
#include "os/file.h"
#include "policy/pattern.h"

enum { PATH_SIZE = 4096, COMMAND_MEMORY_MAX = 1024 * 1024 };

#define DATABASE_NAME "users.db"
#define LOCK_NAME "users.lock"

// Makes the files first, so that they are ours alone from the start.
static enum error open_files(const char *folder, int *ret_lock)
{
	enum error error;
	int dir, lock, file;

	error = os_dir_open(folder, &dir);
	if (error != OK) {
		return error;
	}
	error = os_file_open_at(dir, LOCK_NAME, OS_READ | OS_WRITE | OS_CREATE, 0600, &lock);
	if (error == OK) {
		error = os_file_lock(lock);
		if (error == OK) {
			error = os_file_open_at(dir, DATABASE_NAME, OS_READ | OS_WRITE | OS_CREATE,
						0600, &file);
		}
		if (error == OK) {
			os_file_close(file);
			*ret_lock = lock;
		} else {
			os_file_close(lock);
		}
	}
	os_dir_close(dir);
	return error;
}

enum error user_store_open(const char *folder, struct user_store *ret_store)
{
	struct user_store store = { .lock = -1 };
	char path[PATH_SIZE];
	int len = snprintf(path, sizeof path, "%s/" DATABASE_NAME, folder);
	enum error error;

	if (len < 0 || (size_t)len >= sizeof path) {
		return ERROR_LIMIT;
	}
	error = open_files(folder, &store.lock);
	if (error == OK) {
		error = database_open(path, &store.database);
	}
	if (error != OK) {
		os_file_close(store.lock);
		return error;
	}
	*ret_store = store;
	return OK;
}

void user_store_close(struct user_store *store)
{
	database_close(store->database);
	os_file_close(store->lock);
	*store = (struct user_store){ .lock = -1 };
}

// invalid: what is wrong where the error is INVALID.
static struct user_outcome outcome(enum error error, const char *invalid)
{
	switch (error) {
	case OK: return (struct user_outcome){ EX_OK, "", true };
	case ERROR_INVALID: return (struct user_outcome){ EX_DATAERR, invalid, false };
	case ERROR_EXISTS:
		return (struct user_outcome){ EX_CANTCREAT, "there is such a user already", false };
	case ERROR_NOT_FOUND:
		return (struct user_outcome){ EX_NOUSER, "there is no such user", false };
	case ERROR_BUSY: return (struct user_outcome){ EX_TEMPFAIL, error_text(error), false };
	default: return (struct user_outcome){ EX_IOERR, error_text(error), false };
	}
}

static enum error parse_address(struct arena *arena, struct view text, struct view *ret_key)
{
	struct address address;
	enum address_fault fault = address_parse(arena, text, ADDRESS_UTF8, &address);

	if (fault == ADDRESS_NO_MEMORY) {
		return ERROR_NO_MEMORY;
	}
	if (fault != ADDRESS_OK || address.routing || address.literal != ADDRESS_LITERAL_NONE) {
		return ERROR_INVALID;
	}
	*ret_key = address.key;
	return OK;
}

static enum error normalise_sender(struct arena *arena, struct view text, struct view *ret_sender)
{
	struct buffer normal = buffer_with_max(DATABASE_SENDER_MAX);
	struct pattern pattern;
	enum error error = pattern_parse(arena, text, &pattern);

	if (error == OK) {
		pattern_add_text(&normal, &pattern);
		error = buffer_error(&normal);
	}
	if (error == OK) {
		*ret_sender = arena_copy(arena, buffer_view(&normal));
		error = ret_sender->data ? OK : ERROR_NO_MEMORY;
	}
	buffer_done(&normal);
	return error;
}

static enum error take_senders(struct arena *arena, const struct control_request *request,
			       struct account *account)
{
	struct view *senders = arena_alloc_array(arena, DATABASE_SENDERS_MAX, sizeof *senders);

	if (!senders) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < request->argument_count; i++) {
		const struct control_argument *argument = &request->arguments[i];
		enum error error;

		if (!view_equal(argument->name, VIEW("sender"))) {
			continue;
		}
		if (account->sender_count == DATABASE_SENDERS_MAX) {
			return ERROR_INVALID;
		}
		error = normalise_sender(arena, argument->value, &senders[account->sender_count]);
		if (error != OK) {
			return error;
		}
		account->sender_count++;
	}
	account->senders = senders;
	return OK;
}

static const char bad_password[] = "the password is missing, empty, too long or holds a NUL";

static struct user_outcome add(struct database *database, const struct control_request *request,
			       struct view address, struct view hash, struct arena *arena)
{
	struct account account = { .address = address, .password_hash = hash };
	enum error error = take_senders(arena, request, &account);

	if (error != OK) {
		return outcome(error, "a sender pattern is wrong, or there are too many");
	}
	return outcome(database_account_add(database, &account), "the address is too long");
}

static struct user_outcome add_or_change(struct database *database, unsigned cost,
					 const struct control_request *request, struct view address,
					 struct arena *arena)
{
	struct view password = { 0 }, hash;
	struct password_hash hashed;
	enum error error;

	(void)control_request_get(request, VIEW("password"), &password);
	error = password_hash(password, cost, &hashed);
	if (error != OK) {
		return outcome(error, bad_password);
	}
	hash = view_from_text(hashed.text);
	return request->command == CONTROL_USER_ADD
		       ? add(database, request, address, hash, arena)
		       : outcome(database_account_set_password(database, address, hash), "");
}

static bool list_one(void *context, const struct account *account)
{
	struct buffer *out = context;

	buffer_add_text(out, out->data[out->len - 1] == '[' ? "{\"address\":" : ",{\"address\":");
	control_add_json_text(out, account->address);
	buffer_printf(out, ",\"disabled\":%s,\"damaged\":%s,\"senders\":[",
		      account->disabled ? "true" : "false", account->damaged ? "true" : "false");
	for (size_t i = 0; i < account->sender_count; i++) {
		buffer_add_text(out, i ? "," : "");
		control_add_json_text(out, account->senders[i]);
	}
	buffer_add_text(out, "]}");
	return buffer_error(out) == OK;
}

static struct user_outcome list(struct database *database, struct buffer *out)
{
	enum error error;

	buffer_add_text(out, "[");
	error = buffer_error(out);
	if (error == OK) {
		error = database_account_each(database, (struct view){ 0 }, list_one, out);
	}
	buffer_add_text(out, "]");
	if (error == OK) {
		error = buffer_error(out);
	}
	return error == OK ? (struct user_outcome){ EX_OK, "", false } : outcome(error, "");
}

static struct user_outcome run(struct database *database, unsigned cost,
			       const struct control_request *request, struct arena *arena)
{
	struct view text = { 0 }, address;
	enum error error;

	(void)control_request_get(request, (struct view){ 0 }, &text);
	error = parse_address(arena, text, &address);
	if (error != OK) {
		return outcome(error, "this is no mail address");
	}
	switch (request->command) {
	case CONTROL_USER_ADD:
	case CONTROL_USER_PASSWD: return add_or_change(database, cost, request, address, arena);
	case CONTROL_USER_REMOVE: return outcome(database_account_remove(database, address), "");
	default: return (struct user_outcome){ EX_USAGE, "this is no user command", false };
	}
}

struct user_outcome user_run(struct database *database, unsigned cost,
			     const struct control_request *request, struct buffer *out)
{
	struct arena arena = arena_with_max(COMMAND_MEMORY_MAX);
	struct user_outcome result = request->command == CONTROL_USER_LIST
					     ? list(database, out)
					     : run(database, cost, request, &arena);

	arena_done(&arena);
	return result;
}
