// In place of the processes facts and keeper: questions are answered from tables, late or not at
// all when the weather is bad.
#include <string.h>

#include "link/facts.h"
#include "link/keeper.h"
#include "os/clock.h"
#include "sim/child.h"
#include "sim/remote.h"

enum { ANSWERS_MAX = 256, LATE_MS_MAX = 2000, ANSWER_BYTES_MAX = FACTS_ANSWER_SIZE_MAX };

struct late {
	struct os_timer timer;
	struct answers *answers;
	enum child_wire wire;
	uint16_t kind;
	uint32_t id;
	struct buffer answer;
	bool busy;
};

struct answers;

// A channel from one asker.
struct asker {
	struct answers *answers;
	struct os_channel *channel;
};

struct answers {
	struct child child;
	struct asker askers[WIRE_COUNT];
	struct late late[ANSWERS_MAX];
};

static struct child *make(void)
{
	struct answers *answers = child_alloc(sizeof *answers);

	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		answers->late[i] = (struct late){ .answers = answers,
						  .answer = buffer_with_max(ANSWER_BYTES_MAX) };
	}
	for (unsigned i = 0; i < WIRE_COUNT; i++) {
		answers->askers[i].answers = answers;
	}
	return &answers->child;
}

static void answer_now(void *context)
{
	struct late *late = context;
	struct os_channel *channel = late->answers->askers[late->wire].channel;

	late->busy = false;
	if (channel && os_channel_send(channel, late->kind, late->id, buffer_view(&late->answer),
				       NULL, 0) != OK) {
		return; // the asker's deadline tells it
	}
}

// The buffer of an answer that leaves some time later; NULL: it never comes.
static struct buffer *answer_later(struct asker *asker, const struct os_message *message)
{
	struct answers *answers = asker->answers;
	struct sim *sim = answers->child.given.ledger->sim;

	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		struct late *late = &answers->late[i];

		if (!late->busy) {
			late->busy = true;
			late->wire = (enum child_wire)(asker - answers->askers);
			late->kind = message->type;
			late->id = message->id;
			buffer_clear(&late->answer);
			os_timer_set(&late->timer, sim_random_below(sim, LATE_MS_MAX));
			return &late->answer;
		}
	}
	return NULL;
}

static void nonsense(const struct answers *answers)
{
	ledger_violation(answers->child.given.ledger, PROMISE_SOUND, LEDGER_ALL,
			 "%s was asked nonsense", answers->child.calls->name);
}

static void on_facts_question(void *context, struct os_message *message)
{
	struct asker *asker = context;
	struct ledger *ledger = asker->answers->child.given.ledger;
	struct facts_question question;
	struct facts_answer answer;
	struct buffer *out;
	uint32_t deadline_ms;

	if (facts_question_decode(message->type, message->payload, &question, &deadline_ms) != OK) {
		nonsense(asker->answers);
		return;
	}
	answer = remote_answer(&question);
	if (weather_strikes(ledger->sim, asker->answers->child.given.weather->dns_fails)) {
		ledger->deeds[DEED_DNS_FAILED]++;
		ledger_mischief(ledger, "the DNS has no answer for %.*s", VIEW_ARG(question.name));
		answer = (struct facts_answer){ .kind = question.kind, .result = FACTS_TEMPORARY };
	}
	out = answer_later(asker, message);
	if (out) {
		facts_answer_encode(out, &answer);
	}
}

// The password of box0@example.org is "secret of box0@example.org", and so on.
static void on_keeper_question(void *context, struct os_message *message)
{
	struct asker *asker = context;
	struct keeper_login login;
	struct keeper_answer answer = { .result = KEEPER_WRONG };
	struct buffer *out;

	if (keeper_login_decode(message->payload, &login) != OK) {
		nonsense(asker->answers);
		return;
	}
	if (view_starts(login.password, VIEW("secret of ")) &&
	    view_equal(view_from(login.password, sizeof "secret of " - 1), login.user)) {
		answer = (struct keeper_answer){ .result = KEEPER_GOOD, .account = login.user };
	}
	out = answer_later(asker, message);
	if (out) {
		keeper_answer_encode(out, &answer);
	}
}

// With its channel, what was asked on it is forgotten.
static void drop_channel(struct asker *asker)
{
	struct answers *answers = asker->answers;

	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		struct late *late = &answers->late[i];

		if (late->busy && &answers->askers[late->wire] == asker) {
			os_timer_stop(&late->timer);
			late->busy = false;
		}
	}
	os_channel_free(asker->channel);
	asker->channel = NULL;
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	drop_channel(context);
}

static enum error start(struct child *child)
{
	struct answers *answers = (struct answers *)child;
	enum error error = child_start_loop(child);

	for (unsigned i = 0; i < ANSWERS_MAX && error == OK; i++) {
		os_timer_init(&answers->late[i].timer, child->loop, answer_now, &answers->late[i]);
	}
	return error;
}

static void attach(struct child *child, enum child_wire wire, int fd)
{
	struct asker *asker = &((struct answers *)child)->askers[wire];

	drop_channel(asker);
	child->error = os_channel_new(child->loop, fd, ANSWERS_MAX,
				      wire == WIRE_FACTS ? on_facts_question : on_keeper_question,
				      on_closed, asker, &asker->channel);
}

static void finish(struct child *child)
{
	struct answers *answers = (struct answers *)child;

	for (unsigned i = 0; i < WIRE_COUNT; i++) {
		drop_channel(&answers->askers[i]);
	}
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		buffer_done(&answers->late[i].answer);
	}
}

static void stop(struct child *child)
{
	child_left(child);
}

const struct child_calls child_facts = {
	.name = "facts",
	.make = make,
	.start = start,
	.attach = attach,
	.stop = stop,
	.finish = finish,
};
const struct child_calls child_keeper = {
	.name = "keeper",
	.make = make,
	.start = start,
	.attach = attach,
	.stop = stop,
	.finish = finish,
};
