#include "os/page.h"

#include <stdlib.h>
#include <string.h>

#include "os/sim/private.h"

// Its memory lives as long as the simulation, since mappings outlive descriptors.
struct page {
	struct list link; // of the simulation
	bool is_sealed;
	size_t size;
	char *memory;
};

struct descriptor {
	struct sim_object object;
	struct page *page;
	bool is_reader;
};

static int page_events(struct sim_object *object)
{
	(void)object;
	return 0;
}

static void descriptor_free(struct sim_object *object)
{
	free(CONTAINER_OF(object, struct descriptor, object));
}

static enum error descriptor_new(struct page *page, bool is_reader, int *ret_fd)
{
	struct descriptor *descriptor = SIM_NEW(struct descriptor);

	sim_object_init(&descriptor->object, SIM_PAGE);
	descriptor->object.events = page_events;
	descriptor->object.free = descriptor_free;
	descriptor->page = page;
	descriptor->is_reader = is_reader;
	return sim_fd_new(&descriptor->object, ret_fd);
}

static struct page *page_new(size_t size)
{
	struct page *page = SIM_NEW(struct page);

	page->size = size;
	page->memory = sim_alloc(size);
	list_add_last(&sim_current->pages, &page->link);
	return page;
}

void sim_pages_free(struct sim *sim)
{
	struct list *link;

	while ((link = list_take_first(&sim->pages))) {
		struct page *page = CONTAINER_OF(link, struct page, link);

		free(page->memory);
		free(page);
	}
}

enum error os_page_new(const char *name, size_t size, int *ret_fd, void **ret_memory)
{
	struct page *page = page_new(size);
	enum error error = descriptor_new(page, false, ret_fd);

	(void)name;
	if (!error) {
		*ret_memory = page->memory;
	}
	return error;
}

enum error os_page_reader(int fd, int *ret_fd)
{
	const struct descriptor *descriptor = sim_fd_object(fd, SIM_PAGE);

	return descriptor_new(descriptor->page, true, ret_fd);
}

enum error os_page_map(int fd, size_t size, bool writable, void **ret_memory)
{
	const struct descriptor *descriptor = sim_fd_object(fd, SIM_PAGE);
	const struct page *page = descriptor->page;

	if (size > page->size) {
		return ERROR_INVALID;
	}
	if (writable && descriptor->is_reader) {
		return ERROR_PERMISSION;
	}
	*ret_memory = page->memory;
	return OK;
}

void os_page_unmap(void *memory, size_t size)
{
	(void)memory;
	(void)size;
}

enum error os_page_sealed(const char *name, struct view bytes, int *ret_fd)
{
	struct page *page = page_new(bytes.len);

	(void)name;
	page->is_sealed = true;
	if (bytes.len) {
		memcpy(page->memory, bytes.data, bytes.len);
	}
	return descriptor_new(page, true, ret_fd);
}

enum error os_page_map_sealed(int fd, struct view *ret_bytes)
{
	const struct descriptor *descriptor = sim_fd_object(fd, SIM_PAGE);
	const struct page *page = descriptor->page;

	if (!page->is_sealed) {
		return ERROR_INVALID;
	}
	*ret_bytes = view_of(page->memory, page->size);
	return OK;
}

void os_page_close(int fd)
{
	sim_fd_close(fd);
}
