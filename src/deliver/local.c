// Mailboxes here: each delivery is one job on the pool, which reads the record and files a copy for
// every recipient of it.
#include <stdlib.h>

#include "deliver/deliverer_private.h"
#include "deliver/maildir.h"
#include "mail/trace.h"

enum {
	FRONT_MAX = 128 * 1024,
	FILE_MEMORY_MAX = 64 * 1024,
	PARSE = ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER,
};

// What one copy is read from, on the pool's thread.
struct copy {
	struct delivery *delivery;
	uint64_t offset;
};

static enum error next_chunk(void *context, struct view *ret_chunk)
{
	struct copy *copy = context;
	struct delivery *delivery = copy->delivery;
	uint64_t rest = delivery->source.body_bytes - copy->offset;
	size_t len = rest < DELIVERY_CHUNK_BYTES ? (size_t)rest : DELIVERY_CHUNK_BYTES;
	enum error error;
	char *room;

	if (delivery->source.body_file < 0) {
		*ret_chunk = view_from(delivery->body, (size_t)copy->offset);
		copy->offset = delivery->body.len;
		return OK;
	}
	buffer_clear(&delivery->chunk);
	room = buffer_reserve(&delivery->chunk, len ? len : 1);
	error = room ? spool_source_read_body(&delivery->source, copy->offset, room, len)
		     : ERROR_NO_MEMORY;
	if (error == OK) {
		copy->offset += len;
		*ret_chunk = view_of(room, len);
	}
	return error;
}

static bool has_been_here(struct delivery *delivery, struct view key)
{
	struct copy copy = { .delivery = delivery };
	struct view start;

	return next_chunk(&copy, &start) == OK && header_was_delivered_to(start, key);
}

static enum error file_copy(struct delivery *delivery, struct arena *arena,
			    const struct address *mailbox, uint32_t index)
{
	static const struct view removals[] = { VIEW("Return-Path") };
	struct copy copy = { .delivery = delivery };
	struct buffer front = buffer_with_max(FRONT_MAX), unique = buffer_with_max(128);
	struct address named;
	struct maildir_message message = { .mailbox = &named,
					   .chunk = next_chunk,
					   .context = &copy };
	enum error error;

	// The case-folded form names the folder: one mailbox has one.
	if (address_parse(arena, mailbox->key, PARSE, &named) != ADDRESS_OK) {
		return ERROR_INVALID;
	}
	trace_add_return_path(&front, delivery->envelope.reverse_path);
	trace_add_delivered_to(&front, mailbox->text);
	buffer_add(&front, delivery->envelope.added_fields);
	buffer_printf(&unique, "%llu.", (unsigned long long)spool_id_ms(delivery->envelope.id));
	spool_id_add_text(&unique, delivery->envelope.id);
	buffer_printf(&unique, ".%u.packetboat", index);
	message.unique = buffer_view(&unique);
	message.edits = (struct outgoing_edits){ buffer_view(&front), removals, 1 };
	error = buffer_error(&front);
	if (error == OK) {
		error = maildir_file(delivery->deliverer->mail_dir, &message);
	}
	buffer_done(&front);
	buffer_done(&unique);
	return error == ERROR_EXISTS ? OK : error; // filed before a crash
}

static void file_for(struct delivery *delivery, uint32_t index)
{
	struct recipient *recipient = delivery->attempts[index].recipient;
	struct arena arena = arena_with_max(FILE_MEMORY_MAX);
	struct address mailbox;
	enum error error;

	if (address_parse(&arena, recipient_address(recipient), PARSE, &mailbox) != ADDRESS_OK) {
		delivery_tell(delivery, index, SPOOL_FAILED, RETRY_LOCAL, "5.1.3",
			      VIEW("malformed address"));
	} else if (has_been_here(delivery, mailbox.key)) {
		delivery_tell(delivery, index, SPOOL_FAILED, RETRY_LOCAL, "5.4.6",
			      VIEW("mail loop: it was delivered to this mailbox before"));
	} else {
		error = file_copy(delivery, &arena, &mailbox, recipient_index(recipient));
		if (error == OK) {
			delivery_tell(delivery, index, SPOOL_DELIVERED, RETRY_LOCAL, "2.0.0",
				      VIEW("filed"));
		} else if (error == ERROR_CORRUPT) {
			delivery->error = error;
		} else {
			delivery_tell(delivery, index, SPOOL_PENDING, RETRY_LOCAL,
				      error == ERROR_NO_SPACE ? "4.2.2" : "4.3.0",
				      view_from_text(error_text(error)));
		}
	}
	arena_done(&arena);
}

static void file_work(struct os_job *job)
{
	struct delivery *delivery = CONTAINER_OF(job, struct delivery, job);

	for (uint32_t i = 0; i < delivery->count; i++) {
		file_for(delivery, i);
	}
}

static void finish(struct delivery *delivery)
{
	struct lane *lane = delivery->lane;

	list_remove(&delivery->link);
	lane->local_jobs--;
	delivery_done(delivery, VIEW("maildir"));
	lane_kick(lane);
}

static void file_done(struct os_job *job)
{
	struct delivery *delivery = CONTAINER_OF(job, struct delivery, job);

	delivery->reading = false;
	if (delivery->error != OK) {
		delivery->state = DELIVERY_BROKEN;
	}
	finish(delivery);
}

static void on_opened(void *context)
{
	struct delivery *delivery = context;

	if (delivery->state == DELIVERY_READY) {
		delivery->job = (struct os_job){ .work = file_work, .done = file_done };
		delivery->error = os_pool_submit(delivery->deliverer->pool, &delivery->job);
		if (delivery->error == OK) {
			delivery->reading = true;
			return;
		}
		delivery->state = DELIVERY_BROKEN;
	}
	finish(delivery);
}

void local_run(struct lane *lane)
{
	while (lane->local_jobs < LANE_LOCAL_JOBS_MAX) {
		struct delivery *delivery = delivery_take(lane);

		if (!delivery) {
			return;
		}
		lane->local_jobs++;
		list_add_last(&lane->deliverer->locals, &delivery->link);
		delivery_open(delivery, on_opened, delivery);
		if (delivery->state != DELIVERY_OPENING) {
			on_opened(delivery);
		}
	}
}
