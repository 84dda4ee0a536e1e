#include "spool/inspect.h"

#include "spool/id.h"
#include "spool/store_private.h"

struct inspection {
	struct spool_store_calls calls;
	struct spool_store *store;
	uint64_t id; // 0: all
	struct buffer *body;
	bool is_found;
	enum error error;
};

static enum error on_message(void *context, struct spool_message *message,
			     const struct spool_envelope *envelope)
{
	struct inspection *inspection = context;

	if (inspection->id != 0 && message->id != inspection->id) {
		return OK;
	}
	inspection->is_found = true;
	if (!inspection->calls.on_message) {
		return OK;
	}
	return inspection->calls.on_message(inspection->calls.context, message, envelope);
}

static void on_fault(void *context, const char *what, struct spool_ref where)
{
	struct inspection *inspection = context;

	if (inspection->calls.on_fault) {
		inspection->calls.on_fault(inspection->calls.context, what, where);
	}
}

static enum error read_body(struct inspection *inspection)
{
	struct spool_message *message = spool_store_find(inspection->store, inspection->id);
	struct buffer bytes = buffer_with_max(SPOOL_SEGMENT_BYTES_MAX);
	struct arena arena = arena_with_max(SPOOL_ENVELOPE_BYTES_MAX);
	struct spool_envelope envelope;
	struct spool_source source;
	struct view small;
	enum error error =
		message ? spool_source_open(inspection->store, message, &source) : ERROR_NOT_FOUND;

	if (error) {
		return error;
	}
	error = spool_source_read_envelope(&source, &bytes, &arena, &envelope, &small);
	if (!error) {
		char *room = buffer_reserve(inspection->body, source.body_bytes);

		error = room ? spool_source_read_body(&source, 0, room, source.body_bytes)
			     : buffer_error(inspection->body);
	}
	if (!error) {
		inspection->body->len += source.body_bytes;
	}
	spool_source_close(&source);
	buffer_done(&bytes);
	arena_done(&arena);
	return error;
}

static enum error inspect(int spool_dir, struct inspection *inspection)
{
	struct spool_store_settings settings = { 0 };
	struct spool_store_calls calls = { on_message, on_fault, inspection };
	int parts[SPOOL_PARTS];
	enum error error = spool_layout_open(spool_dir, parts);

	if (error) {
		return error;
	}
	inspection->store = spool_store_new(&settings, calls);
	if (!inspection->store) {
		spool_layout_close(parts);
		return ERROR_NO_MEMORY;
	}
	inspection->store->is_inspecting = true;
	error = spool_store_open_folders(inspection->store, parts);
	if (!error) {
		error = spool_store_recover(inspection->store);
	}
	if (!error && inspection->id != 0 && !inspection->is_found) {
		error = ERROR_NOT_FOUND;
	}
	if (!error && inspection->body) {
		error = read_body(inspection);
	}
	inspection->store->is_closing = true;
	spool_store_free(inspection->store);
	spool_layout_close(parts);
	return error;
}

enum error spool_inspect(int spool_dir, uint64_t id, struct spool_store_calls calls)
{
	struct inspection inspection = { .calls = calls, .id = id };

	return inspect(spool_dir, &inspection);
}

enum error spool_inspect_body(int spool_dir, uint64_t id, struct buffer *out)
{
	struct inspection inspection = { .id = id, .body = out };

	return id == 0 ? ERROR_NOT_FOUND : inspect(spool_dir, &inspection);
}
