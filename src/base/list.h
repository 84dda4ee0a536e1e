// Doubly linked lists with the links embedded in their owners. A list is a ring with a head that
// holds nothing; a link that is in no list points to itself (list_init) or is all zero.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *previous;
};

#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
	return !list->next || list->next == list;
}

static inline void list_add_last(struct list *list, struct list *link)
{
	link->next = list;
	link->previous = list->previous;
	list->previous->next = link;
	list->previous = link;
}

static inline void list_add_first(struct list *list, struct list *link)
{
	list_add_last(list->next, link);
}

static inline void list_remove(struct list *link)
{
	if (link->next) {
		link->next->previous = link->previous;
		link->previous->next = link->next;
	}
	list_init(link);
}

// Takes the first link off; NULL when the list is empty.
static inline struct list *list_take_first(struct list *list)
{
	struct list *first = list->next;

	if (list_empty(list)) {
		return NULL;
	}
	list_remove(first);
	return first;
}
