#include "cli/spool.h"

#include <sysexits.h>

#include "cli/owner.h"
#include "cli/screen.h"
#include "deliver/listing.h"
#include "os/clock.h"
#include "os/file.h"
#include "spool/id.h"
#include "spool/inspect.h"

struct look {
	struct listing_filter filter;
	struct buffer *out;
	uint64_t now_ms;
	bool single; // one object, not an array
	bool some;   // there was one already
	unsigned faults;
};

static struct view address_of(const void *context, uint32_t index)
{
	const struct spool_envelope *envelope = context;

	return envelope->recipients[index].address;
}

static enum error on_message(void *context, struct spool_message *message,
			     const struct spool_envelope *envelope)
{
	struct look *look = context;
	struct listing listing = {
		.message = message,
		.arrival_ms = envelope->arrival_ms,
		.size_bytes = envelope->body_bytes + envelope->added_fields.len,
		.reverse_path = envelope->reverse_path,
		.login = envelope->login,
		.address = address_of,
		.context = envelope,
	};

	if (!listing_matches(&look->filter, &listing, look->now_ms)) {
		return OK;
	}
	buffer_add_text(look->out, look->some ? "," : "");
	listing_add_json(look->out, &listing);
	look->some = true;
	return buffer_error(look->out);
}

static void on_fault(void *context, const char *what, struct spool_ref where)
{
	struct look *look = context;

	(void)what;
	(void)where;
	look->faults++;
}

static enum error look_into(struct look *look, struct call *call)
{
	struct spool_store_calls calls = { on_message, on_fault, look };
	uint64_t id = 0;
	int dir = -1;
	enum error error = owner_open_spool(call->loaded.config->spool_dir.data, &dir);

	if (error == OK && look->single) {
		error = spool_id_parse(invocation_get(call->invocation, ""), &id);
	}
	if (error == OK) {
		error = spool_inspect(dir, id, calls);
	}
	os_dir_close(dir);
	return error;
}

static int say_failure(const struct call *call, const struct look *look, enum error error)
{
	struct view dir = call->loaded.config->spool_dir;

	if (error == ERROR_NOT_FOUND && look->single) {
		screen_say("packetboat: no such message waits\n");
		return EX_NOINPUT;
	}
	screen_say("packetboat: cannot look into the spool %.*s: %s%s\n", VIEW_ARG(dir),
		   error_text(error), error == ERROR_PERMISSION ? "; try it as root" : "");
	return error == ERROR_PERMISSION ? EX_NOPERM : EX_IOERR;
}

int spool_look(struct call *call, const struct control_request *request)
{
	struct look look = {
		.out = &call->data,
		.now_ms = os_clock_wall_ms(),
		.single = request->command == CONTROL_QUEUE_SHOW,
	};
	enum error error = listing_filter_init(&look.filter, &call->arena, request);

	buffer_add_text(look.out, look.single ? "" : "[");
	if (error == OK) {
		error = look_into(&look, call);
	}
	// A server that has never run has no spool yet, and nothing waits.
	if (error != OK && !(error == ERROR_NOT_FOUND && !look.single)) {
		return say_failure(call, &look, error);
	}
	buffer_add_text(look.out, look.single ? "" : "]");
	screen_say("no server is running; this is what the spool holds\n");
	if (look.faults) {
		screen_say("%u places in the spool cannot be read\n", look.faults);
	}
	return EX_OK;
}
