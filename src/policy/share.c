#include "policy/share.h"

void share_init(struct share *share, struct hash_key random)
{
	*share = (struct share){ .key = random };
	for (unsigned i = 0; i < SHARE_GROUPS; i++) {
		list_init(&share->groups[i].waiting);
	}
}

unsigned share_group_of(const struct share *share, struct view sender)
{
	return (unsigned)(hash_siphash(share->key, sender) % SHARE_GROUPS);
}

bool share_admits(const struct share *share, unsigned group, unsigned places)
{
	unsigned free = places > share->held ? places - share->held : 0;

	return share->groups[group].held < free;
}

void share_take(struct share *share, unsigned group)
{
	share->held++;
	share->groups[group].held++;
}

void share_give_back(struct share *share, unsigned group)
{
	share->held--;
	share->groups[group].held--;
}

void share_wait(struct share *share, unsigned group, struct list *link)
{
	list_add_last(&share->groups[group].waiting, link);
	share->groups[group].waiting_count++;
	share->waiting_count++;
}

void share_leave(struct share *share, unsigned group, struct list *link)
{
	list_remove(link);
	share->groups[group].waiting_count--;
	share->waiting_count--;
}

unsigned share_move(struct share *share, unsigned from, unsigned to, struct list *link)
{
	const struct share_group *old = &share->groups[from], *new = &share->groups[to];

	if (from == to || new->waiting_count + new->held + 1 >= old->waiting_count + old->held) {
		return from;
	}
	share_leave(share, from, link);
	share_wait(share, to, link);
	return to;
}

struct list *share_next(struct share *share, unsigned places)
{
	unsigned best = SHARE_GROUPS;
	struct list *link;

	for (unsigned i = 0; i < SHARE_GROUPS && share->waiting_count; i++) {
		const struct share_group *group = &share->groups[i];

		if (group->waiting_count && share_admits(share, i, places) &&
		    (best == SHARE_GROUPS || group->held < share->groups[best].held)) {
			best = i;
		}
	}
	if (best == SHARE_GROUPS) {
		return NULL;
	}
	link = share->groups[best].waiting.next;
	share_leave(share, best, link);
	return link;
}
