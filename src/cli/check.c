// Is the configuration good? Its own problems, and those of the certificates that it names.
#include <stdlib.h>
#include <sysexits.h>

#include "cli/call.h"
#include "cli/run.h"
#include "cli/screen.h"
#include "config/explain.h"
#include "link/tls.h"
#include "os/clock.h"
#include "os/file.h"

enum {
	CHECK_BAD = 1, // the exit status that DESIGN names
	EXPIRY_WARNING_MS = 14 * 24 * 3600 * 1000,
	KEY_BYTES_MAX = 64,
	PROBLEMS_MAX = CONFIG_PROBLEMS_MAX + 1000,
	CERTIFICATE_MEMORY_MAX = 1024 * 1024,
};

struct check {
	struct call call;
	struct config_problem problems[PROBLEMS_MAX];
	size_t count;
	bool bad;
};

static void add(struct check *check, const struct config_problem *problem)
{
	if (check->count < PROBLEMS_MAX) {
		check->problems[check->count++] = *problem;
	}
	check->bad |= !problem->warning;
}

// About the certificate of this number; field: "certificate" or "key".
static void complain(struct check *check, size_t index, const char *field, bool warning,
		     struct view text)
{
	struct config_problem problem = { .warning = warning, .text = text };
	struct buffer key = buffer_with_max(KEY_BYTES_MAX);
	const struct config_origin *origin;

	buffer_printf(&key, "tls.certificates[%zu].%s", index, field);
	origin = config_origin_find(&check->call.loaded, buffer_view(&key));
	if (origin) {
		problem.file = origin->file;
		problem.line = origin->line;
		problem.column = origin->column;
	}
	add(check, &problem);
	buffer_done(&key);
}

// A file that this user may not read may still be one that the server may.
static bool read_file(struct check *check, size_t index, const char *field, struct view path,
		      struct buffer *out)
{
	enum error error = os_file_read_whole(path.data, out);

	if (error != OK) {
		complain(check, index, field, error == ERROR_PERMISSION,
			 arena_printf(&check->call.arena, "%s: cannot read %.*s: %s", field,
				      VIEW_ARG(path), error_text(error)));
	}
	return error == OK;
}

static void check_dates(struct check *check, size_t index,
			const struct tls_certificate *certificate, struct view path)
{
	uint64_t now_ms = os_clock_wall_ms();
	const char *fault = NULL;

	if (certificate->not_after_ms <= now_ms) {
		fault = "has expired";
	} else if (certificate->not_before_ms > now_ms) {
		fault = "is not valid yet";
	} else if (certificate->not_after_ms - now_ms < EXPIRY_WARNING_MS) {
		fault = "expires within two weeks";
	}
	if (fault) {
		complain(check, index, "certificate", true,
			 arena_printf(&check->call.arena, "certificate: %.*s %s", VIEW_ARG(path),
				      fault));
	}
}

static void check_pair(struct check *check, size_t index, const struct config_certificate *pair)
{
	struct buffer chain = buffer_with_max(TLS_PEM_SIZE_MAX);
	struct buffer key = buffer_with_max(TLS_PEM_SIZE_MAX);
	struct arena arena = arena_with_max(CERTIFICATE_MEMORY_MAX);
	struct tls_certificate certificate;
	bool has_chain = read_file(check, index, "certificate", pair->certificate, &chain);
	bool has_key = read_file(check, index, "key", pair->key, &key);

	if (has_chain && tls_certificate_read(buffer_view(&chain), &arena, &certificate) != OK) {
		complain(check, index, "certificate", false,
			 arena_printf(&check->call.arena, "certificate: %.*s holds none",
				      VIEW_ARG(pair->certificate)));
	} else if (has_chain) {
		check_dates(check, index, &certificate, pair->certificate);
		if (has_key && !tls_identity_fits(&(struct tls_identity){ buffer_view(&chain),
									  buffer_view(&key) })) {
			complain(check, index, "key", false,
				 arena_printf(&check->call.arena,
					      "key: %.*s does not belong to %.*s",
					      VIEW_ARG(pair->key), VIEW_ARG(pair->certificate)));
		}
	}
	arena_done(&arena);
	buffer_done(&chain);
	buffer_done(&key);
}

static void add_json(struct buffer *out, const struct check *check)
{
	buffer_printf(out, "{\"good\":%s,\"problems\":[", check->bad ? "false" : "true");
	for (size_t i = 0; i < check->count; i++) {
		const struct config_problem *problem = &check->problems[i];

		buffer_add_text(out, i ? ",{\"file\":" : "{\"file\":");
		control_add_json_text(out, problem->file);
		buffer_printf(out,
			      ",\"line\":%u,\"column\":%u,\"warning\":%s,\"text\":", problem->line,
			      problem->column, problem->warning ? "true" : "false");
		control_add_json_text(out, problem->text);
		buffer_add_byte(out, '}');
	}
	buffer_add_text(out, "]}\n");
}

static void say(const struct check *check)
{
	struct buffer words = buffer_with_max(SCREEN_BYTES_MAX);

	for (size_t i = 0; i < check->count; i++) {
		config_problem_add_text(&words, &check->problems[i]);
		buffer_add_byte(&words, '\n');
	}
	if (!check->bad) {
		buffer_printf(&words, "%s: good\n", check->call.invocation->config_path);
	}
	screen_say("%s", buffer_text(&words));
	buffer_done(&words);
}

static int report(const struct check *check)
{
	const struct invocation *invocation = check->call.invocation;
	struct buffer out = buffer_with_max(SCREEN_BYTES_MAX);
	int status;

	if (invocation->json) {
		add_json(&out, check);
	} else {
		say(check);
	}
	if (invocation_has(invocation, "explain") && check->call.loaded.config) {
		config_explain(&out, &check->call.loaded);
	}
	status = screen_print(&out);
	buffer_done(&out);
	return status != EX_OK ? status : check->bad ? CHECK_BAD : EX_OK;
}

static int print_example(void)
{
	struct buffer out = buffer_with_max(SCREEN_BYTES_MAX);
	int status;

	config_example(&out);
	status = screen_print(&out);
	buffer_done(&out);
	return status;
}

int run_check(const struct invocation *invocation)
{
	struct check *check;
	int status;

	if (invocation_has(invocation, "example")) {
		return print_example();
	}
	if (invocation->json && invocation_has(invocation, "explain")) {
		screen_say("packetboat check: --json and --explain do not go together\n");
		return EX_USAGE;
	}
	check = calloc(1, sizeof *check);
	if (!check) {
		screen_say("packetboat: %s\n", error_text(ERROR_NO_MEMORY));
		return EX_OSERR;
	}
	status = call_load(&check->call, invocation);
	if (status == EX_OK) {
		for (size_t i = 0; i < check->call.loaded.problems.count; i++) {
			add(check, &check->call.loaded.problems.items[i]);
		}
		for (size_t i = 0; check->call.loaded.config &&
				   i < check->call.loaded.config->tls.certificates.count;
		     i++) {
			check_pair(check, i, &check->call.loaded.config->tls.certificates.items[i]);
		}
		status = report(check);
	}
	call_end(&check->call);
	free(check);
	return status;
}
