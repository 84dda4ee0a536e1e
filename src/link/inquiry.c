#include "link/inquiry.h"

#include "os/random.h"
#include "os/socket.h"

static struct view id_key(const uint32_t *id)
{
	return view_of(id, sizeof *id);
}

void inquiry_forget(struct inquiry *inquiry)
{
	if (inquiry->inquirer) {
		table_remove(&inquiry->inquirer->waiting, id_key(&inquiry->id));
		os_timer_stop(&inquiry->deadline);
		inquiry->inquirer = NULL;
	}
}

static void on_deadline(void *context)
{
	struct inquiry *inquiry = context;
	const struct inquirer_calls *calls = inquiry->inquirer->calls;

	inquiry_forget(inquiry);
	calls->give_up(inquiry);
}

static void drop_channel(struct inquirer *inquirer)
{
	struct inquiry *inquiry;
	size_t position = 0;

	os_channel_free(inquirer->channel);
	inquirer->channel = NULL;
	// A call may ask anew or forget others, so each walk starts again.
	while ((inquiry = table_next(&inquirer->waiting, &position))) {
		on_deadline(inquiry);
		position = 0;
	}
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	drop_channel(context);
}

static void on_message(void *context, struct os_message *message)
{
	struct inquirer *inquirer = context;
	struct inquiry *inquiry = table_get(&inquirer->waiting, id_key(&message->id));

	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
	if (message->fd_count > 0 || !inquirer->calls->answer(inquiry, message)) {
		drop_channel(inquirer);
	}
}

void inquirer_init(struct inquirer *inquirer, struct os_loop *loop, unsigned waiting_max,
		   const struct inquirer_calls *calls)
{
	*inquirer = (struct inquirer){
		.loop = loop,
		.waiting = table_with_max(os_random_hash_key(), waiting_max),
		.waiting_max = waiting_max,
		.calls = calls,
	};
}

void inquirer_done(struct inquirer *inquirer)
{
	struct inquiry *inquiry;
	size_t position = 0;

	while ((inquiry = table_next(&inquirer->waiting, &position))) {
		os_timer_stop(&inquiry->deadline);
		inquiry->inquirer = NULL;
	}
	table_done(&inquirer->waiting);
	os_channel_free(inquirer->channel);
}

enum error inquirer_attach(struct inquirer *inquirer, int fd)
{
	struct os_channel *channel;
	enum error error = os_channel_new(inquirer->loop, fd, inquirer->waiting_max, on_message,
					  on_closed, inquirer, &channel);

	if (error == OK) {
		drop_channel(inquirer);
		inquirer->channel = channel;
	}
	return error;
}

enum error inquirer_ask(struct inquirer *inquirer, struct inquiry *inquiry, uint16_t type,
			struct view question, uint64_t deadline_ms)
{
	enum error error;

	if (!inquirer->channel) {
		return ERROR_CLOSED;
	}
	do {
		inquiry->id = ++inquirer->next_id;
	} while (inquiry->id == 0 || table_get(&inquirer->waiting, id_key(&inquiry->id)));
	error = table_add(&inquirer->waiting, id_key(&inquiry->id), inquiry);
	if (error != OK) {
		return error;
	}
	inquiry->inquirer = inquirer;
	os_timer_init(&inquiry->deadline, inquirer->loop, on_deadline, inquiry);
	error = os_channel_send(inquirer->channel, type, inquiry->id, question, NULL, 0);
	if (error != OK) {
		inquiry_forget(inquiry);
		return error;
	}
	os_timer_set(&inquiry->deadline, deadline_ms);
	return OK;
}
