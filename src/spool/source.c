// Reading of one message.
#include "spool/store_private.h"

#include "base/hash.h"
#include "spool/id.h"

static enum error open_body(struct spool_store *store, uint64_t id, int *ret_file)
{
	char name[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(id, name);
	return os_file_open_at(store->folders[SPOOL_RECEIVE].body, name, OS_READ, 0, ret_file);
}

enum error spool_source_open(struct spool_store *store, struct spool_message *message,
			     struct spool_source *ret_source)
{
	struct spool_segment *segment =
		spool_store_segment(store, message->ref.family, message->ref.epoch);
	struct spool_source source = {
		.store = store, .message = message, .ref = message->ref, .body_file = -1
	};
	enum error error = segment ? spool_store_pin(store, segment) : ERROR_NOT_FOUND;

	if (error) {
		return error;
	}
	if (message->has_body_file) {
		error = open_body(store, message->id, &source.body_file);
		if (error) {
			spool_store_unpin(store, segment);
			return error;
		}
	}
	source.segment_file = segment->file;
	source.tag = segment->header.tag;
	*ret_source = source;
	return OK;
}

enum error spool_source_read_envelope(struct spool_source *source, struct buffer *bytes,
				      struct arena *arena, struct spool_envelope *ret_envelope,
				      struct view *ret_body)
{
	struct spool_scan scan = { .limit = UINT32_MAX,
				   .tag = source->tag,
				   .epoch = source->ref.epoch };
	struct spool_record record;
	char *room;
	enum error error;

	buffer_clear(bytes);
	room = buffer_reserve(bytes, source->ref.bytes);
	if (!room) {
		return buffer_error(bytes);
	}
	error = os_file_read_at(source->segment_file, source->ref.offset, room, source->ref.bytes);
	if (error) {
		return error;
	}
	bytes->len = source->ref.bytes;
	scan.window = buffer_view(bytes);
	scan.window_offset = source->ref.offset;
	if (!spool_record_at(&scan, source->ref.offset, &record)) {
		return ERROR_CORRUPT;
	}
	error = spool_envelope_decode(record.envelope, arena, ret_envelope);
	if (error) {
		return error;
	}
	source->body_bytes = source->body_file >= 0 ? ret_envelope->body_bytes : record.body.len;
	source->has_body_crc = ret_envelope->has_body_crc;
	source->body_crc = ret_envelope->body_crc;
	source->body_offset = source->ref.offset + (uint64_t)(record.body.data - room);
	*ret_body = source->body_file >= 0 ? (struct view){ 0 } : record.body;
	return OK;
}

static enum error read_file(struct spool_source *source, uint64_t offset, void *bytes, size_t len)
{
	enum error error = os_file_read_at(source->body_file, offset, bytes, len);

	if (offset == 0) {
		source->sum = 0;
		source->summed_bytes = 0;
	}
	if (error || !source->has_body_crc || offset != source->summed_bytes) {
		return error;
	}
	source->sum = hash_crc32c(source->sum, view_of(bytes, len));
	source->summed_bytes += len;
	return source->summed_bytes == source->body_bytes && source->sum != source->body_crc
		       ? ERROR_CORRUPT
		       : OK;
}

enum error spool_source_read_body(struct spool_source *source, uint64_t offset, void *bytes,
				  size_t len)
{
	if (offset > source->body_bytes || len > source->body_bytes - offset) {
		return ERROR_INVALID;
	}
	if (source->body_file >= 0) {
		return read_file(source, offset, bytes, len);
	}
	return os_file_read_at(source->segment_file, source->body_offset + offset, bytes, len);
}

void spool_source_close(struct spool_source *source)
{
	struct spool_segment *segment;

	if (!source->store) {
		return;
	}
	segment = spool_store_segment(source->store, source->ref.family, source->ref.epoch);
	os_file_close(source->body_file);
	spool_store_unpin(source->store, segment);
	*source = (struct spool_source){ 0 };
}
