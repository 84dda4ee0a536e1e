// Users: asked of keeper while the server runs, else done here under keeper's lock and uid
// (the owner of its folder).
#include <sysexits.h>

#include "cli/answer.h"
#include "cli/owner.h"
#include "cli/password_input.h"
#include "cli/run.h"
#include "cli/screen.h"
#include "link/password.h"
#include "link/users.h"
#include "os/file.h"
#include "supervisor/material.h"

enum { PATH_BYTES_MAX = 4096 };

// ---- while the server is down

// Where the server has never run, its folders are made as it would make them.
static enum error make_folders(struct call *call, struct buffer *problem)
{
	struct material_users users;
	struct material_dirs dirs;
	enum error error = material_find_users(&users, problem);

	if (error == OK) {
		error = material_open_dirs(call->loaded.config, &users, &dirs, problem);
	}
	if (error == OK) {
		material_close_dirs(&dirs);
	}
	return error;
}

static enum error prepare_folder(struct call *call, const char *folder, struct buffer *problem)
{
	int dir = -1;
	enum error error = os_dir_open(folder, &dir);

	if (error == ERROR_NOT_FOUND) {
		error = make_folders(call, problem);
		if (error == OK) {
			error = os_dir_open(folder, &dir);
		}
	}
	if (error == OK) {
		error = owner_become(dir);
	}
	os_dir_close(dir);
	return error;
}

static int run_here(struct call *call, const struct control_request *request)
{
	struct buffer problem = buffer_with_max(PATH_BYTES_MAX);
	struct buffer folder = buffer_with_max(PATH_BYTES_MAX);
	struct user_store store;
	struct user_outcome outcome;
	enum error error;

	buffer_printf(&folder, "%.*s/keeper", VIEW_ARG(call->loaded.data_dir));
	error = prepare_folder(call, buffer_text(&folder), &problem);
	if (error == OK) {
		error = user_store_open(buffer_text(&folder), &store);
	}
	if (error == OK) {
		outcome = user_run(store.database, PASSWORD_COST, request, &call->data);
		user_store_close(&store);
		buffer_add_text(&call->words, outcome.words);
		call_say_words(call, outcome.status);
	} else {
		outcome.status = error == ERROR_PERMISSION ? EX_NOPERM : EX_TEMPFAIL;
		screen_say("packetboat: cannot open the users in %s: %s%s\n", buffer_text(&folder),
			   problem.len ? buffer_text(&problem) : error_text(error),
			   error == ERROR_BUSY         ? "; the server is just starting or "
							 "stopping, try again"
			   : error == ERROR_PERMISSION ? "; try it as root"
						       : "");
	}
	buffer_done(&folder);
	buffer_done(&problem);
	return outcome.status;
}

static int run_there_or_here(struct call *call, const struct control_request *request)
{
	int status = EX_OK;
	enum error error = call_server(call, request, &status);

	if (error == OK) {
		call_say_words(call, status);
		return status;
	}
	return error == ERROR_REFUSED ? run_here(call, request) : call_say_failure(call, error);
}

// ---- add, passwd, remove

static bool is_ours(const struct config *config, struct view address)
{
	struct view domain = view_from(address, view_find_last(address, '@') + 1);

	for (size_t i = 0; i < config->domains.count; i++) {
		if (view_equal_nocase(config->domains.items[i].name, domain)) {
			return true;
		}
	}
	return false;
}

static void say_done(const struct call *call, struct view address)
{
	struct buffer words = buffer_with_max(SCREEN_BYTES_MAX);
	enum control_command command = call->invocation->command->request;

	screen_add_safe(&words, address);
	buffer_add_text(&words, command == CONTROL_USER_ADD      ? " may log in now\n"
				: command == CONTROL_USER_PASSWD ? " has a new password\n"
								 : " is removed\n");
	if (command == CONTROL_USER_ADD && !is_ours(call->loaded.config, address)) {
		buffer_add_text(&words, "note: its domain is not among the domains of the "
					"configuration, so no mail arrives there\n");
	}
	screen_say("%s", buffer_text(&words));
	buffer_done(&words);
}

static int change(struct call *call, struct view password)
{
	const struct invocation *invocation = call->invocation;
	struct control_request request = {
		.command = invocation->command->request,
		.argument_count = invocation->argument_count,
	};
	struct control_argument *arguments =
		arena_alloc_array(&call->arena, invocation->argument_count + 1, sizeof *arguments);
	int status;

	if (!arguments) {
		screen_say("packetboat: %s\n", error_text(ERROR_NO_MEMORY));
		return EX_OSERR;
	}
	for (size_t i = 0; i < invocation->argument_count; i++) {
		arguments[i] = invocation->arguments[i];
	}
	if (request.command != CONTROL_USER_REMOVE) {
		arguments[request.argument_count++] =
			(struct control_argument){ VIEW("password"), password };
	}
	request.arguments = arguments;
	status = run_there_or_here(call, &request);
	if (status == EX_OK) {
		say_done(call, invocation_get(invocation, ""));
	}
	return status;
}

int run_user_change(const struct invocation *invocation)
{
	struct buffer password = buffer_with_max(PASSWORD_MAX);
	struct call call;
	int status = call_begin(&call, invocation, true);

	if (status == EX_OK && invocation->command->request != CONTROL_USER_REMOVE) {
		status = password_input(invocation_get(invocation, ""), &password);
	}
	if (status == EX_OK) {
		status = change(&call, buffer_view(&password));
	}
	password_wipe(password.data, password.len);
	buffer_done(&password);
	call_end(&call);
	return status;
}

// ---- list

static void add_senders(struct sheet *sheet, const json_t *senders)
{
	struct buffer text = buffer_with_max(SHEET_CELL_MAX * 4);
	const json_t *sender;
	size_t i;

	json_array_foreach(senders, i, sender)
	{
		buffer_add_text(&text, i ? ", " : "");
		buffer_add_text(&text, json_string_value(sender));
	}
	sheet_add(sheet, TONE_PLAIN, buffer_view(&text));
	buffer_done(&text);
}

static enum error show_users(struct call *call, const json_t *users, struct buffer *out)
{
	static const struct sheet_column columns[] = { { "USER" },
						       { "LOGIN" },
						       { "ALSO SENDS AS" } };
	struct sheet sheet = sheet_of(&call->arena, columns, 3);
	const json_t *user;
	size_t i;

	if (json_array_size(users) == 0) {
		screen_say("no users yet; make one with: packetboat user add ADDRESS\n");
		return OK;
	}
	json_array_foreach(users, i, user)
	{
		const char *why_not = json_is_true(json_object_get(user, "damaged"))    ? "damaged"
				      : json_is_true(json_object_get(user, "disabled")) ? "disabled"
											: NULL;

		sheet_add(&sheet, TONE_PLAIN,
			  view_from_text(json_string_value(json_object_get(user, "address"))));
		sheet_printf(&sheet, why_not ? TONE_WARNING : TONE_GOOD, "%s",
			     why_not ? why_not : "yes");
		add_senders(&sheet, json_object_get(user, "senders"));
	}
	sheet_add_text(&sheet, screen_has_colour(), out);
	return sheet.failed ? ERROR_NO_MEMORY : OK;
}

int run_user_list(const struct invocation *invocation)
{
	struct control_request request = { .command = invocation->command->request };
	struct call call;
	int status = call_begin(&call, invocation, true);

	if (status == EX_OK) {
		status = run_there_or_here(&call, &request);
	}
	if (status == EX_OK) {
		status = answer_print(&call, show_users);
	}
	call_end(&call);
	return status;
}
