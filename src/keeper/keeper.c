#include <stdlib.h>

#include "config/directory.h"
#include "keeper/keeper_private.h"
#include "os/log.h"
#include "os/page.h"
#include "os/random.h"
#include "os/socket.h"

enum {
	ACCOUNTS_MEMORY_MAX = 512 * 1024 * 1024,
	DAMAGED_LOGGED_MAX = 10, // each time; the rest is counted
};

// ---- the directory

struct account_list {
	struct arena arena;
	struct view *addresses;
	size_t count, capacity, damaged;
	enum error error;
};

// Nobody logs in with it, but its mail is still taken where its address can be read.
static bool note_damaged(struct account_list *list, const struct account *account)
{
	if (list->damaged++ < DAMAGED_LOGGED_MAX) {
		LOG(LOG_WARNING, "account_damaged", LOG_TEXT("address", account->address));
	}
	return account->address.len > 0;
}

static bool gather(void *context, const struct account *account)
{
	struct account_list *list = context;

	if (account->damaged && !note_damaged(list, account)) {
		return true;
	}
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 64;
		struct view *larger =
			reallocarray(list->addresses, capacity, sizeof *list->addresses);

		if (!larger) {
			list->error = ERROR_NO_MEMORY;
			return false;
		}
		list->addresses = larger;
		list->capacity = capacity;
	}
	list->addresses[list->count] = arena_copy(&list->arena, account->address);
	if (!list->addresses[list->count].data) {
		list->error = ERROR_NO_MEMORY;
		return false;
	}
	list->count++;
	return true;
}

static enum error build_directory(struct keeper *keeper, struct buffer *block)
{
	struct account_list list = { .arena = arena_with_max(ACCOUNTS_MEMORY_MAX) };
	struct config_directory_counts counts;
	enum error error =
		database_account_each(keeper->store.database, (struct view){ 0 }, gather, &list);

	if (error == OK) {
		error = list.error;
	}
	if (error == OK) {
		error = config_directory_build(keeper->setup.config, list.addresses, list.count,
					       os_random_hash_key(), block, &counts);
	}
	if (error == OK) {
		keeper->counters.accounts_damaged = list.damaged;
		LOG(LOG_INFO, "directory", LOG_NUMBER("accounts", counts.accounts),
		    LOG_NUMBER("skipped", counts.accounts_skipped),
		    LOG_NUMBER("damaged", list.damaged), LOG_NUMBER("bytes", block->len));
	}
	free(list.addresses);
	arena_done(&list.arena);
	return error;
}

enum error keeper_publish(struct keeper *keeper)
{
	struct buffer block = buffer_with_max(DIRECTORY_SIZE_MAX);
	enum error error = build_directory(keeper, &block);
	int fd;

	if (error == OK) {
		error = os_page_sealed("directory", buffer_view(&block), &fd);
	}
	if (error == OK) {
		keeper->setup.calls->publish(keeper->setup.context, fd);
		os_page_close(fd);
	}
	buffer_done(&block);
	return error;
}

// ---- those who ask

static void asker_free(struct keeper_asker *asker)
{
	struct keeper *keeper = asker->keeper;

	for (struct list *link = keeper->attempts.next; link != &keeper->attempts;
	     link = link->next) {
		struct keeper_attempt *attempt = CONTAINER_OF(link, struct keeper_attempt, link);

		if (attempt->asker == asker) {
			attempt->asker = NULL;
		}
	}
	list_remove(&asker->link);
	keeper->asker_count--;
	os_channel_free(asker->channel);
	free(asker);
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	asker_free(context);
}

static void on_message(void *context, struct os_message *message)
{
	struct keeper_asker *asker = context;
	struct keeper_login login;

	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
	if (message->type != KEEPER_LOGIN || message->fd_count ||
	    keeper_login_decode(message->payload, &login) != OK) {
		LOG(LOG_ERROR, "client_dropped",
		    LOG_TEXT("reason", VIEW("a message that does not fit")));
		asker_free(asker);
		return;
	}
	keeper_take_login(asker, message->id, &login);
	password_wipe((void *)(uintptr_t)message->payload.data, message->payload.len);
}

enum error keeper_add_client(struct keeper *keeper, int fd)
{
	struct keeper_asker *asker = calloc(1, sizeof *asker);
	enum error error = asker ? OK : ERROR_NO_MEMORY;

	if (error == OK && keeper->asker_count >= KEEPER_CLIENTS_MAX) {
		error = ERROR_LIMIT;
	}
	if (error != OK) {
		os_socket_close(fd);
		free(asker);
		return error;
	}
	error = os_channel_new(keeper->setup.loop, fd, KEEPER_QUESTIONS_MAX, on_message, on_closed,
			       asker, &asker->channel);
	if (error != OK) {
		free(asker);
		return error;
	}
	asker->keeper = keeper;
	list_add_last(&keeper->askers, &asker->link);
	keeper->asker_count++;
	return OK;
}

// ---- life

static enum error open_all(struct keeper *keeper)
{
	const struct keeper_setup *setup = &keeper->setup;
	enum error error = user_store_open(setup->folder, &keeper->store);

	if (error == OK) {
		error = password_hash_of_nobody(setup->password_cost, &keeper->nobody);
	}
	if (error == OK) {
		error = rate_table_new(KEEPER_RATES_MAX, &keeper->rates);
	}
	if (error == OK) {
		error = os_pool_new(setup->loop, "keeper-hash", setup->threads, KEEPER_LOGINS_MAX,
				    &keeper->pool);
	}
	if (error == OK) {
		error = keeper_control_new(keeper, &keeper->control);
	}
	return error == OK ? keeper_publish(keeper) : error;
}

enum error keeper_new(const struct keeper_setup *setup, struct keeper **ret_keeper)
{
	struct keeper *keeper = calloc(1, sizeof *keeper);
	enum error error;

	if (!keeper) {
		return ERROR_NO_MEMORY;
	}
	keeper->setup = *setup;
	keeper->store.lock = -1;
	keeper->secret = os_random_hash_key();
	list_init(&keeper->askers);
	list_init(&keeper->attempts);
	error = open_all(keeper);
	if (error != OK) {
		keeper_free(keeper);
		return error;
	}
	*ret_keeper = keeper;
	return OK;
}

void keeper_free(struct keeper *keeper)
{
	if (!keeper) {
		return;
	}
	keeper_control_free(keeper->control);
	os_pool_free(keeper->pool); // no job runs any more
	while (!list_empty(&keeper->attempts)) {
		keeper_attempt_free(
			CONTAINER_OF(keeper->attempts.next, struct keeper_attempt, link));
	}
	while (!list_empty(&keeper->askers)) {
		asker_free(CONTAINER_OF(keeper->askers.next, struct keeper_asker, link));
	}
	rate_table_free(keeper->rates);
	user_store_close(&keeper->store);
	password_wipe(keeper, sizeof *keeper);
	free(keeper);
}

enum error keeper_configure(struct keeper *keeper, const struct config *config)
{
	keeper->setup.config = config;
	return keeper_publish(keeper);
}

struct keeper_counters keeper_counters(const struct keeper *keeper)
{
	return keeper->counters;
}
