#include "os/sim/record.h"

#include <stdlib.h>
#include <string.h>

#include "os/sim/disk.h"

// Inodes are known by their numbers, which are given out in order: a replay gives the same. So it
// is with the disk's sequence.
struct entry {
	enum sim_record_kind kind;
	uint64_t inode;
	uint64_t value; // offset, size, or the sequence of a sync
	uint32_t mode;
	bool is_dir;
	uint64_t random; // a failed sync: what its losses were drawn from
	uint64_t from_dir, to_dir;
	char *from, *to; // owned
	char *bytes;     // owned
	size_t len;
};

struct sim_record {
	struct entry *entries;
	size_t count, capacity;
};

struct sim_record *sim_machine_record(struct sim_machine *machine)
{
	struct sim_record *record = SIM_NEW(struct sim_record);

	if (machine->disk->inode_next != 1 || machine->disk->record) {
		sim_bug("a record must begin with an empty disk");
	}
	machine->disk->record = record;
	return record;
}

void sim_record_free(struct sim_record *record)
{
	if (!record) {
		return;
	}
	for (size_t i = 0; i < record->count; i++) {
		free(record->entries[i].from);
		free(record->entries[i].to);
		free(record->entries[i].bytes);
	}
	free(record->entries);
	free(record);
}

size_t sim_record_count(const struct sim_record *record)
{
	return record->count;
}

// ---- recording ------------------------------------------------------------------------------

static struct entry *add(struct sim_record *record, enum sim_record_kind kind, uint64_t inode)
{
	if (record->count == record->capacity) {
		record->capacity = record->capacity ? 2 * record->capacity : 256;
		record->entries =
			realloc(record->entries, record->capacity * sizeof *record->entries);
		if (!record->entries) {
			sim_bug("out of memory");
		}
	}
	record->entries[record->count] = (struct entry){ .kind = kind, .inode = inode };
	return &record->entries[record->count++];
}

static char *copy(const char *bytes, size_t len)
{
	return memcpy(sim_alloc(len), bytes, len);
}

static char *copy_name(const char *name)
{
	return name ? copy(name, strlen(name) + 1) : NULL;
}

void sim_record_make(struct sim_disk *disk, bool is_dir, uint32_t mode)
{
	struct entry *entry;

	if (disk->record) {
		entry = add(disk->record, SIM_RECORD_MAKE, disk->inode_next);
		entry->is_dir = is_dir;
		entry->mode = mode;
	}
}

void sim_record_write(const struct sim_inode *inode, uint64_t offset, struct view bytes)
{
	struct entry *entry;

	if (inode->disk->record) {
		entry = add(inode->disk->record, SIM_RECORD_WRITE, inode->number);
		entry->value = offset;
		entry->bytes = copy(bytes.data, bytes.len);
		entry->len = bytes.len;
	}
}

void sim_record_resize(const struct sim_inode *inode, uint64_t size)
{
	if (inode->disk->record) {
		add(inode->disk->record, SIM_RECORD_RESIZE, inode->number)->value = size;
	}
}

void sim_record_change(struct sim_disk *disk, const struct sim_change *change)
{
	struct entry *entry;

	if (disk->record) {
		entry = add(disk->record, SIM_RECORD_NAME, change->inode->number);
		entry->from_dir = change->from_dir ? change->from_dir->number : 0;
		entry->to_dir = change->to_dir ? change->to_dir->number : 0;
		entry->from = copy_name(change->from);
		entry->to = copy_name(change->to);
	}
}

void sim_record_sync(const struct sim_inode *inode, uint64_t sequence, bool has_failed)
{
	struct entry *entry;

	if (inode->disk->record) {
		entry = add(inode->disk->record,
			    has_failed      ? SIM_RECORD_SYNC_FAILED
			    : inode->is_dir ? SIM_RECORD_DIR_SYNC
					    : SIM_RECORD_SYNC,
			    inode->number);
		entry->value = sequence;
		entry->random = sim_current->random;
	}
}

// ---- looking --------------------------------------------------------------------------------

static const char *name_before(const struct sim_record *record, size_t i)
{
	const struct entry *entry = &record->entries[i];

	for (size_t k = i + 1; k-- > 0;) {
		const struct entry *change = &record->entries[k];

		if (change->kind == SIM_RECORD_NAME && change->inode == entry->inode) {
			return change->to ? change->to : change->from;
		}
	}
	return "";
}

struct sim_record_entry sim_record_entry(const struct sim_record *record, size_t i)
{
	const struct entry *entry = &record->entries[i];

	return (struct sim_record_entry){ entry->kind, name_before(record, i), entry->value,
					  entry->len };
}

bool sim_record_adds(const struct sim_record *record, size_t i)
{
	enum sim_record_kind kind = record->entries[i].kind;

	return kind == SIM_RECORD_WRITE || kind == SIM_RECORD_RESIZE || kind == SIM_RECORD_NAME;
}

// ---- replay ---------------------------------------------------------------------------------

static void do_change(struct sim_disk *disk, struct sim_inode **inodes, const struct entry *entry)
{
	struct sim_inode *from = entry->from_dir ? inodes[entry->from_dir] : NULL;
	struct sim_inode *to = entry->to_dir ? inodes[entry->to_dir] : NULL;

	sim_disk_change(disk, inodes[entry->inode], from, entry->from, to, entry->to);
}

static void do_again(struct sim_disk *disk, struct sim_inode **inodes, const struct entry *entry)
{
	struct sim_inode *inode = inodes[entry->inode];
	uint64_t random = sim_current->random;

	switch (entry->kind) {
	case SIM_RECORD_MAKE:
		inodes[entry->inode] = sim_inode_new(disk, entry->is_dir, entry->mode);
		break;
	case SIM_RECORD_WRITE:
		(void)!sim_inode_write(inode, entry->value, view_of(entry->bytes, entry->len));
		break;
	case SIM_RECORD_RESIZE: (void)!sim_inode_resize(inode, entry->value); break;
	case SIM_RECORD_NAME: do_change(disk, inodes, entry); break;
	case SIM_RECORD_SYNC: sim_inode_sync(inode, entry->value); break;
	case SIM_RECORD_SYNC_FAILED:
		sim_current->random = entry->random;
		sim_inode_sync_failed(inode, entry->value);
		sim_current->random = random;
		break;
	case SIM_RECORD_DIR_SYNC: sim_dir_sync(inode, entry->value); break;
	}
}

void sim_record_replay(const struct sim_record *record, size_t count, struct sim_machine *machine,
		       bool (*leave_out)(const struct sim_record_entry *entry))
{
	struct sim_disk *disk = machine->disk;
	struct sim_inode **inodes = sim_alloc((record->count + 2) * sizeof *inodes);

	if (disk->inode_next != 1) {
		sim_bug("a replay needs an empty disk");
	}
	inodes[1] = disk->root;
	for (size_t i = 0; i < count; i++) {
		struct sim_record_entry entry = { 0 };

		if (leave_out) {
			entry = sim_record_entry(record, i);
		}
		if (!leave_out || !leave_out(&entry)) {
			do_again(disk, inodes, &record->entries[i]);
		}
	}
	free(inodes);
}

// ---- what can be lost -----------------------------------------------------------------------

static struct sim_piece *add_piece(struct sim_piece *pieces, unsigned *count)
{
	if (*count == SIM_PIECES_MAX) {
		sim_bug("too many pieces can be lost");
	}
	pieces[*count] = (struct sim_piece){ 0 };
	return &pieces[(*count)++];
}

static void add_writes(const struct sim_inode *inode, struct sim_piece *pieces, unsigned *count)
{
	uint64_t size = inode->durable.len;

	for (const struct list *link = inode->writes.next; link != &inode->writes;
	     link = link->next) {
		const struct sim_write *write = CONTAINER_OF(link, const struct sim_write, link);
		struct sim_piece *piece = add_piece(pieces, count);
		uint64_t end = write->offset + write->len;

		piece->sectors = sim_write_sectors(write);
		piece->grows = !write->is_resize && end > size;
		piece->is_newest = write->sequence == inode->disk->sequence;
		size = write->is_resize || end > size ? end : size;
	}
}

unsigned sim_machine_pieces(const struct sim_machine *machine, struct sim_piece *ret_pieces)
{
	const struct sim_disk *disk = machine->disk;
	unsigned count = 0;

	for (const struct list *link = disk->changes.next; link != &disk->changes;
	     link = link->next) {
		const struct sim_change *change = CONTAINER_OF(link, const struct sim_change, link);

		add_piece(ret_pieces, &count)->is_newest = change->sequence == disk->sequence;
	}
	for (const struct list *link = disk->inodes.next; link != &disk->inodes;
	     link = link->next) {
		add_writes(CONTAINER_OF(link, const struct sim_inode, link), ret_pieces, &count);
	}
	return count;
}
