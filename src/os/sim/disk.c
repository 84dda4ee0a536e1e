#include "os/sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/sim/record.h"

static char *name_copy(const char *name)
{
	size_t size = strlen(name) + 1;

	return memcpy(sim_alloc(size), name, size);
}

// ---- bytes ----------------------------------------------------------------------------------

static void bytes_reserve(struct sim_bytes *bytes, size_t len)
{
	if (len > bytes->capacity) {
		size_t capacity = len > 2 * bytes->capacity ? len : 2 * bytes->capacity;

		bytes->data = realloc(bytes->data, capacity);
		if (!bytes->data) {
			sim_bug("out of memory");
		}
		bytes->capacity = capacity;
	}
}

static void bytes_resize(struct sim_bytes *bytes, size_t len)
{
	bytes_reserve(bytes, len);
	if (len > bytes->len) {
		memset(bytes->data + bytes->len, 0, len - bytes->len);
	}
	bytes->len = len;
}

static void bytes_put(struct sim_bytes *bytes, uint64_t offset, const char *data, size_t len)
{
	size_t end = offset + len;

	if (offset > bytes->len) {
		bytes_resize(bytes, offset);
	}
	if (len) {
		bytes_reserve(bytes, end);
		memcpy(bytes->data + offset, data, len);
		bytes->len = end > bytes->len ? end : bytes->len;
	}
}

static void bytes_done(struct sim_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct sim_bytes){ 0 };
}

// ---- names ----------------------------------------------------------------------------------

static struct sim_entry *names_find(const struct sim_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (!strcmp(names->entries[i].name, name)) {
			return &names->entries[i];
		}
	}
	return NULL;
}

static void names_add(struct sim_names *names, const char *name, struct sim_inode *inode)
{
	if (names->count == names->capacity) {
		names->capacity = names->capacity ? 2 * names->capacity : 8;
		names->entries = realloc(names->entries, names->capacity * sizeof *names->entries);
		if (!names->entries) {
			sim_bug("out of memory");
		}
	}
	names->entries[names->count++] = (struct sim_entry){ name_copy(name), inode };
}

// inode NULL removes the name.
static void names_set(struct sim_names *names, const char *name, struct sim_inode *inode)
{
	struct sim_entry *entry = names_find(names, name);

	if (entry && inode) {
		entry->inode = inode;
	} else if (entry) {
		free(entry->name);
		*entry = names->entries[--names->count];
	} else if (inode) {
		names_add(names, name, inode);
	}
}

static void names_done(struct sim_names *names)
{
	while (names->count) {
		free(names->entries[--names->count].name);
	}
	free(names->entries);
	*names = (struct sim_names){ 0 };
}

static void names_copy(struct sim_names *to, const struct sim_names *from)
{
	names_done(to);
	for (size_t i = 0; i < from->count; i++) {
		names_add(to, from->entries[i].name, from->entries[i].inode);
	}
}

// ---- inodes ---------------------------------------------------------------------------------

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_dir, uint32_t mode)
{
	struct sim_inode *inode = SIM_NEW(struct sim_inode);

	inode->disk = disk;
	inode->number = ++disk->inode_next;
	inode->is_dir = is_dir;
	inode->mode = mode & 07777;
	inode->uid = inode->gid = 1000;
	list_init(&inode->writes);
	list_add_last(&disk->inodes, &inode->link);
	sim_record_make(disk, is_dir, mode);
	return inode;
}

static void writes_drop(struct sim_inode *inode)
{
	while (!list_empty(&inode->writes)) {
		free(CONTAINER_OF(list_take_first(&inode->writes), struct sim_write, link));
	}
}

static void inode_free(struct sim_inode *inode)
{
	writes_drop(inode);
	bytes_done(&inode->now);
	bytes_done(&inode->durable);
	names_done(&inode->names);
	names_done(&inode->names_durable);
	free(inode);
}

struct sim_inode *sim_inode_find(const struct sim_inode *dir, const char *name)
{
	const struct sim_entry *entry = names_find(&dir->names, name);

	return entry ? entry->inode : NULL;
}

static void inode_resize_now(struct sim_inode *inode, size_t len)
{
	inode->disk->used_bytes += len;
	inode->disk->used_bytes -= inode->now.len;
	bytes_resize(&inode->now, len);
}

// Without name and user it is gone now; a loss of power may bring its name back.
static void inode_look(struct sim_inode *inode)
{
	if (!inode->name_count && !inode->open_count) {
		inode->disk->used_bytes -= inode->now.len;
		bytes_done(&inode->now);
	}
}

void sim_inode_opened(struct sim_inode *inode)
{
	inode->open_count++;
}

void sim_inode_closed(struct sim_inode *inode)
{
	inode->open_count--;
	inode_look(inode);
}

static void write_note(struct sim_inode *inode, bool is_resize, uint64_t offset, struct view bytes)
{
	struct sim_write *write = malloc(sizeof *write + bytes.len);

	if (!write) {
		sim_bug("out of memory");
	}
	*write = (struct sim_write){ .sequence = ++inode->disk->sequence,
				     .is_resize = is_resize,
				     .offset = offset,
				     .len = bytes.len };
	if (bytes.len) {
		memcpy(write->bytes, bytes.data, bytes.len);
	}
	list_add_last(&inode->writes, &write->link);
	inode->modified_ms = os_clock_wall_ms();
}

// How far the file may grow.
static uint64_t size_limit(const struct sim_inode *inode)
{
	const struct sim_disk *disk = inode->disk;

	if (!disk->size_bytes) {
		return UINT64_MAX;
	}
	return inode->now.len +
	       (disk->used_bytes < disk->size_bytes ? disk->size_bytes - disk->used_bytes : 0);
}

enum error sim_inode_write(struct sim_inode *inode, uint64_t offset, struct view bytes)
{
	uint64_t limit = size_limit(inode);
	bool is_full = offset + bytes.len > limit;

	if (is_full) {
		bytes = view_first(bytes, limit > offset ? limit - offset : 0);
	}
	if (bytes.len) {
		inode->disk->used_bytes -= inode->now.len;
		bytes_put(&inode->now, offset, bytes.data, bytes.len);
		inode->disk->used_bytes += inode->now.len;
		write_note(inode, false, offset, bytes);
		sim_record_write(inode, offset, bytes);
	}
	return is_full ? ERROR_NO_SPACE : OK;
}

enum error sim_inode_resize(struct sim_inode *inode, uint64_t size)
{
	if (size > size_limit(inode)) {
		return ERROR_NO_SPACE;
	}
	inode_resize_now(inode, size);
	write_note(inode, true, size, (struct view){ 0 });
	sim_record_resize(inode, size);
	return OK;
}

void sim_inode_sync(struct sim_inode *inode, uint64_t sequence)
{
	sim_record_sync(inode, sequence, false);
	while (!list_empty(&inode->writes)) {
		struct sim_write *write = CONTAINER_OF(inode->writes.next, struct sim_write, link);

		if (write->sequence > sequence) {
			break;
		}
		if (write->is_resize) {
			bytes_resize(&inode->durable, write->offset);
		} else {
			bytes_put(&inode->durable, write->offset, write->bytes, write->len);
		}
		list_remove(&write->link);
		free(write);
	}
}

// ---- what survives --------------------------------------------------------------------------

// By chance, or as the fates say: the next one is that of the next piece.
struct survival {
	const struct sim_fate *fates;
	uint32_t loss;
};

// How likely a piece is lost, per million: often none or all of them.
static uint32_t draw_loss(void)
{
	static const uint32_t losses[] = { 0, 1000000, 1000000, 500000, 100000, 900000 };

	return losses[sim_below(sizeof losses / sizeof *losses)];
}

static const struct sim_fate *next_fate(struct survival *survival)
{
	return survival->fates ? survival->fates++ : NULL;
}

unsigned sim_write_sectors(const struct sim_write *write)
{
	if (write->len == 0) {
		return 0;
	}
	return (unsigned)((write->offset + write->len - 1) / SIM_SECTOR_SIZE -
			  write->offset / SIM_SECTOR_SIZE + 1);
}

static bool fate_keeps(const struct sim_fate *fate, unsigned sector, unsigned sectors)
{
	unsigned bit = sectors > 64 ? (unsigned)((uint64_t)sector * 64 / sectors) : sector;

	return fate->kept >> bit & 1;
}

// Each sector keeps what was written to it up to a point of its own.
static void write_survives(struct sim_inode *inode, const struct sim_write *write, bool *frozen,
			   const struct sim_fate *fate, uint32_t loss)
{
	uint64_t end = write->offset + write->len, next;
	uint64_t first = write->offset / SIM_SECTOR_SIZE;
	unsigned sectors = sim_write_sectors(write);

	for (uint64_t at = write->offset; at < end; at = next) {
		uint64_t sector = at / SIM_SECTOR_SIZE;

		next = (sector + 1) * SIM_SECTOR_SIZE;
		if (next > end) {
			next = end;
		}
		frozen[sector] = frozen[sector] ||
				 (fate ? !fate_keeps(fate, (unsigned)(sector - first), sectors)
				       : sim_chance(loss));
		if (!frozen[sector]) {
			bytes_put(&inode->durable, at, write->bytes + (at - write->offset),
				  next - at);
		}
	}
}

static void inode_survives(struct sim_inode *inode, uint64_t sequence, struct survival *survival)
{
	uint64_t size = inode->durable.len, end_max = 0, size_now = size;
	bool *frozen, size_frozen = false;
	struct list *link, *next;

	for (link = inode->writes.next; link != &inode->writes; link = link->next) {
		const struct sim_write *write = CONTAINER_OF(link, struct sim_write, link);
		uint64_t end = write->offset + write->len;

		end_max = end > end_max ? end : end_max;
	}
	frozen = sim_alloc(end_max / SIM_SECTOR_SIZE + 1);
	for (link = inode->writes.next; link != &inode->writes; link = next) {
		struct sim_write *write = CONTAINER_OF(link, struct sim_write, link);
		uint64_t end = write->offset + write->len;
		const struct sim_fate *fate;

		next = link->next;
		if (write->sequence > sequence) {
			break;
		}
		fate = next_fate(survival);
		size_now = write->is_resize || end > size_now ? end : size_now;
		size_frozen = size_frozen || (size_now != size &&
					      (fate ? !fate->size : sim_chance(survival->loss)));
		size = size_frozen ? size : size_now;
		if (write->is_resize && !size_frozen && end < inode->durable.len) {
			bytes_resize(&inode->durable, end);
		}
		write_survives(inode, write, frozen, fate, survival->loss);
		list_remove(&write->link);
		free(write);
	}
	bytes_resize(&inode->durable, size);
	free(frozen);
}

void sim_inode_sync_failed(struct sim_inode *inode, uint64_t sequence)
{
	struct survival survival = { 0 };

	sim_record_sync(inode, sequence, true);
	survival.loss = draw_loss();
	inode_survives(inode, sequence, &survival);
}

// ---- changes of names -----------------------------------------------------------------------

static void change_apply_now(const struct sim_change *change)
{
	const struct sim_entry *replaced;

	if (change->to_dir) {
		replaced = names_find(&change->to_dir->names, change->to);
		if (replaced) {
			struct sim_inode *old = replaced->inode;

			old->name_count--;
			names_set(&change->to_dir->names, change->to, NULL);
			inode_look(old);
		}
		names_set(&change->to_dir->names, change->to, change->inode);
		change->inode->name_count++;
	}
	if (change->from_dir) {
		names_set(&change->from_dir->names, change->from, NULL);
		change->inode->name_count--;
		inode_look(change->inode);
	}
}

static void change_apply_durable(struct sim_change *change)
{
	if (change->from_dir) {
		names_set(&change->from_dir->names_durable, change->from, NULL);
	}
	if (change->to_dir) {
		names_set(&change->to_dir->names_durable, change->to, change->inode);
	}
}

static void change_free(struct sim_change *change)
{
	list_remove(&change->link);
	free(change->from);
	free(change->to);
	free(change);
}

void sim_disk_change(struct sim_disk *disk, struct sim_inode *inode, struct sim_inode *from_dir,
		     const char *from, struct sim_inode *to_dir, const char *to)
{
	struct sim_change *change = SIM_NEW(struct sim_change);

	change->sequence = ++disk->sequence;
	change->inode = inode;
	change->from_dir = from_dir;
	change->to_dir = to_dir;
	change->from = from ? name_copy(from) : NULL;
	change->to = to ? name_copy(to) : NULL;
	list_add_last(&disk->changes, &change->link);
	sim_record_change(disk, change);
	change_apply_now(change);
}

static bool names_name(const struct sim_inode *dir, const char *name,
		       const struct sim_change *change)
{
	return dir && ((change->from_dir == dir && !strcmp(change->from, name)) ||
		       (change->to_dir == dir && !strcmp(change->to, name)));
}

// Whether both concern a name in common, so that their order counts.
static bool changes_meet(const struct sim_change *a, const struct sim_change *b)
{
	return names_name(a->from_dir, a->from, b) || names_name(a->to_dir, a->to, b);
}

static bool meets_marked_later(const struct sim_disk *disk, const struct sim_change *change)
{
	for (const struct list *link = change->link.next; link != &disk->changes;
	     link = link->next) {
		const struct sim_change *later = CONTAINER_OF(link, const struct sim_change, link);

		if (later->is_marked && changes_meet(change, later)) {
			return true;
		}
	}
	return false;
}

static bool meets_lost_earlier(const struct sim_disk *disk, const struct sim_change *change)
{
	for (const struct list *link = change->link.previous; link != &disk->changes;
	     link = link->previous) {
		const struct sim_change *earlier =
			CONTAINER_OF(link, const struct sim_change, link);

		if (!earlier->is_marked && changes_meet(change, earlier)) {
			return true;
		}
	}
	return false;
}

static void apply_marked(struct sim_disk *disk)
{
	struct list *next;

	for (struct list *link = disk->changes.next; link != &disk->changes; link = next) {
		struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);

		next = link->next;
		if (change->is_marked) {
			change_apply_durable(change);
			change_free(change);
		}
	}
}

void sim_dir_sync(struct sim_inode *dir, uint64_t sequence)
{
	struct sim_disk *disk = dir->disk;

	sim_record_sync(dir, sequence, false);
	for (struct list *link = disk->changes.previous; link != &disk->changes;
	     link = link->previous) {
		struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);
		bool is_of_dir = change->from_dir == dir || change->to_dir == dir;

		change->is_marked = (is_of_dir && change->sequence <= sequence) ||
				    meets_marked_later(disk, change);
	}
	apply_marked(disk);
}

static void names_survive(struct sim_disk *disk, struct survival *survival)
{
	for (struct list *link = disk->changes.next; link != &disk->changes; link = link->next) {
		struct sim_change *change = CONTAINER_OF(link, struct sim_change, link);

		const struct sim_fate *fate = next_fate(survival);
		bool is_lost = fate ? !fate->kept : sim_chance(survival->loss);

		change->is_marked = !is_lost && !meets_lost_earlier(disk, change);
	}
	apply_marked(disk);
	while (!list_empty(&disk->changes)) {
		change_free(CONTAINER_OF(disk->changes.next, struct sim_change, link));
	}
}

// ---- the disk -------------------------------------------------------------------------------

struct sim_disk *sim_disk_new(void)
{
	struct sim_disk *disk = SIM_NEW(struct sim_disk);

	list_init(&disk->inodes);
	list_init(&disk->changes);
	disk->root = sim_inode_new(disk, true, 0755);
	disk->root->name_count = 1;
	return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
	while (!list_empty(&disk->changes)) {
		change_free(CONTAINER_OF(disk->changes.next, struct sim_change, link));
	}
	while (!list_empty(&disk->inodes)) {
		inode_free(CONTAINER_OF(list_take_first(&disk->inodes), struct sim_inode, link));
	}
	free(disk);
}

void sim_disk_set_size(struct sim_disk *disk, uint64_t bytes)
{
	disk->size_bytes = bytes;
}

static void inode_restart(struct sim_inode *inode)
{
	inode->locked_by = NULL;
	bytes_resize(&inode->now, 0);
	bytes_put(&inode->now, 0, inode->durable.data, inode->durable.len);
	names_copy(&inode->names, &inode->names_durable);
	for (size_t i = 0; i < inode->names.count; i++) {
		inode->names.entries[i].inode->name_count++;
	}
}

void sim_disk_lose_power(struct sim_disk *disk, const struct sim_fate *fates)
{
	struct survival survival = { .fates = fates };
	struct list *link;

	survival.loss = fates ? 0 : draw_loss();
	names_survive(disk, &survival);
	for (link = disk->inodes.next; link != &disk->inodes; link = link->next) {
		struct sim_inode *inode = CONTAINER_OF(link, struct sim_inode, link);

		survival.loss = fates ? 0 : draw_loss();
		inode_survives(inode, UINT64_MAX, &survival);
		inode->name_count = inode == disk->root;
	}
	for (link = disk->inodes.next; link != &disk->inodes; link = link->next) {
		inode_restart(CONTAINER_OF(link, struct sim_inode, link));
	}
	disk->used_bytes = 0;
	for (link = disk->inodes.next; link != &disk->inodes; link = link->next) {
		struct sim_inode *inode = CONTAINER_OF(link, struct sim_inode, link);

		disk->used_bytes += inode->now.len;
		inode_look(inode);
	}
}
