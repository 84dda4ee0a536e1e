// Upgrade and downgrade: README, "Versions". What a later version wrote is kept, reported and not
// written over; that version finds all of it again.
#include "base/hash.h"
#include "base/wire.h"
#include "os/file.h"
#include "spool/format.h"
#include "spool/id.h"
#include "spool/world_test.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20, HEADER_VERSION_AT = 12, CHECKPOINT_VERSION_AT = 8 };

struct file_bytes {
	char bytes[FILE_BYTES_MAX];
	size_t len;
};

static int file_open(struct world *world, const char *name, int flags)
{
	struct buffer path = buffer_with_max(256);
	int file;

	buffer_printf(&path, "%s/%s", world->path, name);
	assert_int_equal(os_file_open_path(buffer_text(&path), flags, 0, &file), OK);
	buffer_done(&path);
	return file;
}

static void file_read(struct world *world, const char *name, struct file_bytes *ret_file)
{
	int file = file_open(world, name, OS_READ);

	assert_int_equal(
		os_file_read_some(file, 0, ret_file->bytes, FILE_BYTES_MAX, &ret_file->len), OK);
	os_file_close(file);
}

static void file_write(struct world *world, const char *name, const struct file_bytes *bytes)
{
	int file = file_open(world, name, OS_WRITE);

	assert_int_equal(os_file_write_at(file, 0, view_of(bytes->bytes, bytes->len)), OK);
	os_file_close(file);
}

static bool file_is(struct world *world, const char *name, const struct file_bytes *expected)
{
	struct file_bytes *now = malloc(sizeof *now);
	bool is_same;

	assert_non_null(now);
	file_read(world, name, now);
	is_same = now->len == expected->len && memcmp(now->bytes, expected->bytes, now->len) == 0;
	free(now);
	return is_same;
}

// Both headers of a segment as a later version writes them: all else may mean anything.
static void make_header_later(struct file_bytes *segment)
{
	for (size_t at = 0; at < SPOOL_RECORDS_AT; at += SPOOL_BLOCK_BYTES) {
		char *block = segment->bytes + at;

		block[HEADER_VERSION_AT] = 99;
		memset(block + 64, 0x77, 500);
		wire_put_u32(block + 8,
			     hash_crc32c(0, view_of(block + 12, SPOOL_BLOCK_BYTES - 12)));
	}
}

static void a_segment_of_a_later_version_is_kept_for_it(void **state)
{
	struct file_bytes *before = malloc(sizeof *before), *later = malloc(sizeof *later);
	struct file_bytes *checkpoint = malloc(sizeof *checkpoint);
	struct world world;

	(void)state;
	assert_true(before && later && checkpoint);
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 1, 20);
	assert_int_equal(world_start_store(&world), OK);
	world_stop_store(&world);
	world_stop_writer(&world);
	file_read(&world, "receive/log/01-0000", before);
	file_read(&world, "deliver/checkpoint", checkpoint);
	*later = *before;
	make_header_later(later);
	file_write(&world, "receive/log/01-0000", later);

	for (uint64_t round = 0; round < 3; round++) { // an earlier version lives with it
		assert_int_equal(world_start_store(&world), OK);
		assert_true(world.faults > 0);
		assert_int_equal(world.seen_count, 200 * round);
		world_start_writer(&world);
		world_append_many(&world, 1000 + 200 * round, 200);
		world_follow(&world);
		world_stop_writer(&world);
		world_stop_store(&world);
		assert_true(file_is(&world, "receive/log/01-0000", later));
		assert_true(file_is(&world, "deliver/checkpoint", checkpoint));
	}

	file_write(&world, "receive/log/01-0000", before); // the later version is back
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 0);
	assert_int_equal(world.seen_count, 620);
	world_done(&world);
	free(before);
	free(later);
	free(checkpoint);
}

static void make_checkpoint_later(struct file_bytes *checkpoint)
{
	wire_put_u32(checkpoint->bytes + CHECKPOINT_VERSION_AT, 99);
	wire_put_u32(checkpoint->bytes + checkpoint->len - 4,
		     hash_crc32c(0, view_of(checkpoint->bytes, checkpoint->len - 4)));
}

// Without it nobody knows what has ended: to go on would be to send all of it again.
static void deliver_does_not_start_over_a_checkpoint_of_a_later_version(void **state)
{
	static const struct spool_recipient_state delivered = { .status = SPOOL_DELIVERED };
	struct file_bytes *before = malloc(sizeof *before), *later = malloc(sizeof *later);
	struct file_bytes *segment = malloc(sizeof *segment);
	struct world world;

	(void)state;
	assert_true(before && later && segment);
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 1, 20);
	world_follow(&world);
	assert_int_equal(world_note(&world, 7, 0, delivered), OK);
	world_commit(&world);
	world_stop_store(&world);
	file_read(&world, "deliver/checkpoint", before);
	file_read(&world, "deliver/log/00-0000", segment);
	*later = *before;
	make_checkpoint_later(later);
	file_write(&world, "deliver/checkpoint", later);

	assert_int_equal(world_start_store(&world), ERROR_UNSUPPORTED);
	world_append_many(&world, 100, 5); // mail is still taken
	assert_int_equal(world_start_store(&world), ERROR_UNSUPPORTED);
	assert_true(file_is(&world, "deliver/checkpoint", later));
	assert_true(file_is(&world, "deliver/log/00-0000", segment));

	file_write(&world, "deliver/checkpoint", before);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 0);
	assert_int_equal(world.seen_count, 24);
	assert_false(world_saw(&world, 7));
	world_done(&world);
	free(before);
	free(later);
	free(segment);
}

static void on_appended(void *context, struct spool_append *append, enum error error)
{
	(void)append;
	assert_int_equal(error, OK);
	*(bool *)context = true;
}

// A message with the body file "0123456789"; its CRC32C is 0x280c069e.
static void append_large(struct world *world, struct spool_envelope envelope)
{
	struct spool_recipient bob = { .address = VIEW("b@x.example") };
	struct spool_append append;
	char name[64] = "receive/body/";
	bool is_told = false;
	int file;

	spool_id_format(envelope.id, name + strlen(name));
	file = file_open(world, name, OS_WRITE | OS_CREATE);
	assert_int_equal(os_file_write_at(file, 0, VIEW("0123456789")), OK);
	os_file_close(file);
	envelope.recipients = &bob;
	envelope.recipient_count = 1;
	envelope.flags = SPOOL_BODY_FILE;
	envelope.body_bytes = 10;
	assert_int_equal(spool_writer_append(world->port, &append, &envelope, NULL, 0, on_appended,
					     &is_told),
			 OK);
	for (int i = 0; i < 1000 && !is_told; i++) {
		world_turn(world, 1);
	}
	assert_true(is_told);
}

// Its records say nothing of the bytes in a body's file.
static void a_body_that_an_earlier_version_stored_is_read_without_a_sum(void **state)
{
	struct buffer body = buffer_with_max(100);
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	append_large(&world, (struct spool_envelope){ .id = 1 });
	append_large(&world, (struct spool_envelope){
				     .id = 2, .has_body_crc = true, .body_crc = 0x280c069e });
	append_large(&world,
		     (struct spool_envelope){ .id = 3, .has_body_crc = true, .body_crc = 7 });
	world_stop_writer(&world);
	assert_int_equal(spool_inspect_body(world.dir, 1, &body), OK);
	assert_view(buffer_view(&body), "0123456789");
	assert_int_equal(spool_inspect_body(world.dir, 2, &body), OK);
	assert_int_equal(spool_inspect_body(world.dir, 3, &body), ERROR_CORRUPT);
	buffer_done(&body);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_of_a_later_version_is_kept_for_it),
		cmocka_unit_test(a_body_that_an_earlier_version_stored_is_read_without_a_sum),
		cmocka_unit_test(deliver_does_not_start_over_a_checkpoint_of_a_later_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
