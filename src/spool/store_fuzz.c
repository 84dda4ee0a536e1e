// A whole spool of any segments, journal, checkpoint and body files, made of actions (base/fuzz.h):
// it is looked at, recovered, closed and recovered again. No message is offered twice; each is what
// its record says; and a second recovery finds what the first one did.
#include <string.h>
#include <unistd.h>

#include "base/fuzz.h"
#include "base/hash.h"
#include "os/file.h"
#include "spool/folder.h"
#include "spool/id.h"
#include "spool/inspect.h"
#include "spool/state.h"

enum {
	SEGMENT_BYTES = SPOOL_SEGMENT_BYTES_MIN,
	SEGMENTS = 6,
	FAMILIES = 3,
	MESSAGES_MAX = 256,
	PATH_SIZE = 64,
};

enum action {
	SEGMENT,    // begins the use of one: family, number, epoch, sequence
	MESSAGE,    // a record of a message that is well-formed: id, recipients, body
	STATE,      // a record of an outcome that is: id, recipients, flags, status
	RECORD,     // a record of any bytes, divided by the first two
	DAMAGE,     // bytes at an offset of the segment
	CHECKPOINT, // any bytes behind its magic and version, with the right checksum
	BODY,       // a file for the body of an id
	ACTION_COUNT,
};

struct segment {
	struct spool_segment_header header;
	char *bytes;
	uint32_t at; // of the next record
	uint64_t sequence;
};

struct spool {
	struct segment segments[SEGMENTS];
	unsigned count;
	struct buffer checkpoint;
	struct fuzz_action bodies[4];
	unsigned body_count;
};

struct seen {
	uint64_t ids[MESSAGES_MAX];
	unsigned count;
};

// ---- what lies on disk

static void begin_segment(struct spool *spool, const struct fuzz_action *action)
{
	struct segment *segment = &spool->segments[spool->count];
	uint8_t place = fuzz_action_byte(action, 0);

	if (spool->count == SEGMENTS) {
		return;
	}
	segment->header = (struct spool_segment_header){
		.family = place % FAMILIES,
		.segment = place / FAMILIES % 4u,
		.epoch = 1u + fuzz_action_byte(action, 1),
		.sequence = 1u + fuzz_action_byte(action, 2),
		.segment_bytes = SEGMENT_BYTES,
	};
	segment->header.tag = 0x1122334455667788 + segment->header.epoch;
	segment->bytes = calloc(1, SEGMENT_BYTES);
	MUST(segment->bytes != NULL);
	spool_segment_header_encode(&segment->header, segment->bytes);
	memcpy(segment->bytes + SPOOL_BLOCK_BYTES, segment->bytes, SPOOL_BLOCK_BYTES);
	segment->at = SPOOL_RECORDS_AT;
	segment->sequence = segment->header.sequence;
	spool->count++;
}

static void add_record(struct spool *spool, struct view outcomes, struct view envelope,
		       struct view body)
{
	struct spool_record_lengths lengths = { (uint32_t)outcomes.len, (uint32_t)envelope.len,
						(uint32_t)body.len };
	size_t len = SPOOL_RECORD_HEADER_BYTES + outcomes.len + envelope.len + body.len;
	struct segment *segment;
	char *at;

	if (spool->count == 0) {
		return;
	}
	segment = &spool->segments[spool->count - 1];
	if (len > SEGMENT_BYTES - segment->at) {
		return;
	}
	at = segment->bytes + segment->at;
	spool_record_header_encode(at, &segment->header, segment->sequence++, segment->at, lengths,
				   hash_crc32c(0, body));
	at += SPOOL_RECORD_HEADER_BYTES;
	memcpy(at, outcomes.len ? outcomes.data : "", outcomes.len);
	memcpy(at + outcomes.len, envelope.len ? envelope.data : "", envelope.len);
	memcpy(at + outcomes.len + envelope.len, body.len ? body.data : "", body.len);
	spool_record_seal(segment->bytes + segment->at, len - body.len);
	segment->at = (uint32_t)spool_pad(segment->at + len, SPOOL_BLOCK_BYTES);
}

static void add_message(struct spool *spool, const struct fuzz_action *action)
{
	struct spool_recipient recipients[4] = { { .address = VIEW("b@y.example") },
						 { .address = VIEW("c@y.example") },
						 { .address = VIEW("d@y.example") },
						 { .address = VIEW("e@y.example") } };
	struct view body = view_from(action->bytes, 3);
	struct spool_envelope envelope = {
		.id = 1u + fuzz_action_byte(action, 0) % 8u,
		.arrival_ms = 1000,
		.reverse_path = VIEW("a@x.example"),
		.recipients = recipients,
		.recipient_count = 1 + fuzz_action_byte(action, 1) % 4u,
		.flags = fuzz_action_byte(action, 2) & SPOOL_ENVELOPE_FLAGS,
		.body_bytes = body.len,
	};
	struct buffer bytes = buffer_with_max(SPOOL_ENVELOPE_BYTES_MAX);

	MUST(spool_envelope_encode(&bytes, &envelope) == OK);
	add_record(spool, (struct view){ 0 }, buffer_view(&bytes), body);
	buffer_done(&bytes);
}

static void add_state(struct spool *spool, const struct fuzz_action *action)
{
	uint8_t bits = fuzz_action_byte(action, 3);
	struct spool_outcome outcome = { .state = { .status = bits % SPOOL_STATUS_COUNT,
						    .trying = bits & 64,
						    .attempts = bits } };
	struct spool_state state = {
		.id = 1u + fuzz_action_byte(action, 0) % 8u,
		.recipient_count = 1 + fuzz_action_byte(action, 1) % 4u,
		.flags = fuzz_action_byte(action, 2) & SPOOL_STATE_FLAGS,
		.crashes = bits & 1,
		.reason = VIEW("later"),
		.outcome_count = 1,
	};
	struct buffer bytes = buffer_with_max(1 << 16);

	spool_state_encode(&bytes, &state, &outcome);
	add_record(spool, buffer_view(&bytes), (struct view){ 0 }, (struct view){ 0 });
	buffer_done(&bytes);
}

static void damage(struct spool *spool, const struct fuzz_action *action)
{
	size_t at = fuzz_action_byte(action, 0) * 256u + fuzz_action_byte(action, 1);
	struct view bytes = view_first(view_from(action->bytes, 2), SEGMENT_BYTES - at);

	if (spool->count && bytes.len) {
		memcpy(spool->segments[spool->count - 1].bytes + at, bytes.data, bytes.len);
	}
}

static void make_checkpoint(struct spool *spool, const struct fuzz_action *action)
{
	struct buffer *out = &spool->checkpoint;

	buffer_clear(out);
	buffer_add(out, VIEW("PBCHECK1"));
	wire_add_u32(out, 1);
	buffer_add(out, action->bytes);
	wire_add_u32(out, hash_crc32c(0, buffer_view(out)));
}

static void act(struct spool *spool, const struct fuzz_action *action)
{
	size_t first = fuzz_action_byte(action, 0), second = fuzz_action_byte(action, 1);
	struct view rest = view_from(action->bytes, 2);

	switch ((enum action)(action->kind % ACTION_COUNT)) {
	case SEGMENT: begin_segment(spool, action); break;
	case MESSAGE: add_message(spool, action); break;
	case STATE: add_state(spool, action); break;
	case RECORD:
		add_record(spool, view_first(rest, first),
			   view_first(view_from(rest, first), second),
			   view_from(rest, first + second));
		break;
	case DAMAGE: damage(spool, action); break;
	case CHECKPOINT: make_checkpoint(spool, action); break;
	case BODY:
		if (spool->body_count < 4) {
			spool->bodies[spool->body_count++] = *action;
		}
		break;
	case ACTION_COUNT: break;
	}
}

static void put_file(int dir, const char *name, struct view bytes)
{
	int file;

	MUST(os_file_open_at(dir, name, OS_READ | OS_WRITE | OS_CREATE | OS_TRUNCATE, 0600,
			     &file) == OK);
	MUST(os_file_write_at(file, 0, bytes) == OK);
	os_file_close(file);
}

static void put_spool(const int parts[SPOOL_PARTS], const struct spool *spool)
{
	struct spool_folder folders[SPOOL_PARTS];

	for (enum spool_part part = 0; part < SPOOL_PARTS; part++) {
		MUST(spool_folder_open(parts[part], part, false, &folders[part]) == OK);
	}
	for (unsigned i = 0; i < spool->count; i++) {
		const struct segment *segment = &spool->segments[i];
		char name[SPOOL_SEGMENT_NAME_BYTES];

		spool_segment_name(segment->header.family, segment->header.segment, name);
		put_file(folders[spool_part_of(segment->header.family)].log, name,
			 view_of(segment->bytes, SEGMENT_BYTES));
	}
	for (unsigned i = 0; i < spool->body_count; i++) {
		char name[SPOOL_ID_TEXT_LEN + 1];

		spool_id_format(1u + fuzz_action_byte(&spool->bodies[i], 0) % 8u, name);
		put_file(folders[SPOOL_RECEIVE].body, name, view_from(spool->bodies[i].bytes, 1));
	}
	if (spool->checkpoint.len) {
		put_file(parts[SPOOL_DELIVER], "checkpoint", buffer_view(&spool->checkpoint));
	}
	for (unsigned i = 0; i < SPOOL_PARTS; i++) {
		spool_folder_close(&folders[i]);
	}
}

static bool remove_name(void *context, const char *name)
{
	int parent = *(const int *)context, dir;

	if (os_dir_open_at(parent, name, &dir) == OK) {
		MUST(os_dir_list(dir, remove_name, &dir) == OK);
		os_dir_close(dir);
		MUST(os_dir_remove_at(parent, name) == OK);
	} else {
		MUST(os_file_remove_at(parent, name) == OK);
	}
	return true;
}

// ---- what is read of it

static enum error on_message(void *context, struct spool_message *message,
			     const struct spool_envelope *envelope)
{
	struct seen *seen = context;

	MUST(message->id == envelope->id && message->id != 0);
	MUST(message->recipient_count == envelope->recipient_count);
	MUST(message->recipient_count > 0 && message->recipient_count <= SPOOL_RECIPIENTS_MAX);
	MUST(message->pending <= message->recipient_count);
	for (unsigned i = 0; i < seen->count; i++) {
		MUST(seen->ids[i] != message->id);
	}
	MUST(seen->count < MESSAGES_MAX);
	seen->ids[seen->count++] = message->id;
	return OK;
}

static bool seen_equal(const struct seen *a, const struct seen *b)
{
	unsigned found = 0;

	for (unsigned i = 0; i < a->count; i++) {
		for (unsigned k = 0; k < b->count; k++) {
			found += a->ids[i] == b->ids[k];
		}
	}
	return a->count == b->count && found == a->count;
}

static enum error recover(const int parts[SPOOL_PARTS], struct os_loop *loop, struct seen *seen)
{
	struct spool_queue_page queue = { 0 };
	struct spool_store_settings settings = { .segment_bytes = SEGMENT_BYTES, .queue = &queue };
	struct spool_store_calls calls = { on_message, NULL, seen };
	struct spool_store *store;
	enum error error = spool_store_open(parts, loop, &settings, calls, &store);

	if (error == OK) {
		for (unsigned i = 0; i < seen->count; i++) {
			MUST(spool_store_find(store, seen->ids[i]) != NULL);
		}
		MUST(spool_store_status(store).messages == seen->count);
		spool_store_close(store);
	}
	return error;
}

static void look(int dir, const int parts[SPOOL_PARTS], struct os_loop *loop)
{
	struct seen inspected = { 0 }, first = { 0 }, second = { 0 };
	struct spool_store_calls calls = { on_message, NULL, &inspected };
	enum error error = spool_inspect(dir, 0, calls);

	for (unsigned i = 0; i < inspected.count && error == OK; i++) {
		struct buffer body = buffer_with_max(1 << 20);
		enum error found = spool_inspect_body(dir, inspected.ids[i], &body);

		MUST(found != OK || body.len <= SEGMENT_BYTES);
		buffer_done(&body);
	}
	if (recover(parts, loop, &first) == OK) {
		MUST(error != OK || seen_equal(&inspected, &first));
		MUST(recover(parts, loop, &second) == OK);
		MUST(seen_equal(&first, &second));
	}
}

static char path[PATH_SIZE] = "/dev/shm/packetboat-fuzz-XXXXXX"; // in memory

static void remove_folder(void)
{
	(void)rmdir(path);
}

// One folder and one loop for all runs; the folder is empty after each.
static void prepare(int *ret_dir, struct os_loop **ret_loop)
{
	static struct os_loop *loop;
	static int dir = -1;

	if (dir < 0) {
		MUST(mkdtemp(path) && os_dir_open(path, &dir) == OK);
		MUST(os_loop_new(&loop) == OK);
		MUST(atexit(remove_folder) == 0);
	}
	*ret_dir = dir;
	*ret_loop = loop;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool spool = { .checkpoint = buffer_with_max(1 << 20) };
	struct view rest = view_of(data, size);
	struct fuzz_action action;
	struct os_loop *loop;
	int dir, parts[SPOOL_PARTS];

	prepare(&dir, &loop);
	while (fuzz_action_next(&rest, &action)) {
		act(&spool, &action);
	}
	MUST(spool_layout_make(dir, NULL, parts) == OK);
	put_spool(parts, &spool);
	look(dir, parts, loop);
	spool_layout_close(parts);
	MUST(os_dir_list(dir, remove_name, &dir) == OK);
	for (unsigned i = 0; i < spool.count; i++) {
		free(spool.segments[i].bytes);
	}
	buffer_done(&spool.checkpoint);
	return 0;
}
