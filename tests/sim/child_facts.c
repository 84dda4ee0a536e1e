// In place of the process facts: answers from the table in remote.c, late or not at all when the
// weather is bad.
#include "link/facts.h"
#include "os/clock.h"
#include "sim/child.h"
#include "sim/remote.h"

enum { ANSWERS_MAX = 256, LATE_MS_MAX = 2000 };

struct late {
	struct os_timer timer;
	struct facts *facts;
	uint16_t kind;
	uint32_t id;
	struct buffer answer;
	bool busy;
};

struct facts {
	struct child child;
	struct os_channel *channel;
	struct late late[ANSWERS_MAX];
};

static struct child *make(void)
{
	struct facts *facts = child_alloc(sizeof *facts);

	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		facts->late[i] = (struct late){ .facts = facts,
						.answer = buffer_with_max(FACTS_ANSWER_SIZE_MAX) };
	}
	return &facts->child;
}

static void answer_now(void *context)
{
	struct late *late = context;

	late->busy = false;
	if (late->facts->channel && os_channel_send(late->facts->channel, late->kind, late->id,
						    buffer_view(&late->answer), NULL, 0) != OK) {
		return; // the asker's deadline tells it
	}
}

static void on_question(void *context, struct os_message *message)
{
	struct facts *facts = context;
	struct ledger *ledger = facts->child.given.ledger;
	struct facts_question question;
	struct facts_answer answer;
	uint32_t deadline_ms;

	if (facts_question_decode(message->type, message->payload, &question, &deadline_ms) != OK) {
		ledger_violation(ledger, LEDGER_ALL, "deliver asked facts nonsense");
		return;
	}
	answer = remote_answer(&question);
	if (weather_strikes(ledger->sim, facts->child.given.weather->dns_fails)) {
		ledger_mischief(ledger, "the DNS has no answer for %.*s", VIEW_ARG(question.name));
		answer = (struct facts_answer){ .kind = question.kind, .result = FACTS_TEMPORARY };
	}
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		struct late *late = &facts->late[i];

		if (!late->busy) {
			late->busy = true;
			late->kind = message->type;
			late->id = message->id;
			buffer_clear(&late->answer);
			facts_answer_encode(&late->answer, &answer);
			os_timer_set(&late->timer, sim_random_below(ledger->sim, LATE_MS_MAX));
			return;
		}
	}
}

// With its channel, what was asked on it is forgotten.
static void drop_channel(struct facts *facts)
{
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		os_timer_stop(&facts->late[i].timer);
		facts->late[i].busy = false;
	}
	os_channel_free(facts->channel);
	facts->channel = NULL;
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	drop_channel(context);
}

static void poked(void *child)
{
	child_poked(child, &child_facts);
}

static enum error start(struct child *child)
{
	struct facts *facts = (struct facts *)child;
	enum error error = child_start_loop(child, poked);

	for (unsigned i = 0; i < ANSWERS_MAX && error == OK; i++) {
		os_timer_init(&facts->late[i].timer, child->loop, answer_now, &facts->late[i]);
	}
	return error;
}

static void attach(struct child *child, enum child_wire wire, int fd)
{
	struct facts *facts = (struct facts *)child;

	(void)wire;
	drop_channel(facts);
	child->error = os_channel_new(child->loop, fd, ANSWERS_MAX, on_question, on_closed, facts,
				      &facts->channel);
}

static void finish(struct child *child)
{
	struct facts *facts = (struct facts *)child;

	drop_channel(facts);
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		buffer_done(&facts->late[i].answer);
	}
}

static void stop(struct child *child)
{
	child_left(child);
}

const struct child_calls child_facts = { "facts", make, start, attach, stop, finish, NULL };
