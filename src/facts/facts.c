#include "facts/facts.h"

#include <stdlib.h>

#include "facts/job.h"
#include "facts/way.h"
#include "os/file.h"

enum {
	PROBE_MS = 5 * 1000,
	RETRY_MS = 60 * 1000,
	QUEUE_MAX = 4096, // answers that wait for a process to read them
	OPTIONS_ARENA_MAX = 1024 * 1024,
};

struct asker {
	struct facts *facts;
	struct os_channel *channel; // NULL: none
	struct list jobs;
};

struct facts {
	struct os_loop *loop;
	struct arena arena;
	struct ways ways;
	unsigned way; // in use or being tried
	bool settled, proven;
	void (*on_way)(void *context, struct facts_way way);
	void *context;
	struct resolver *resolver;
	struct resolver_query probe;
	struct os_timer retry;
	struct asker askers[FACTS_CHANNELS_MAX];
	struct facts_counters counters;
};

static void asker_drop(struct asker *asker)
{
	struct list *link;

	while ((link = list_take_first(&asker->jobs))) {
		job_cancel(job_of_link(link));
		asker->facts->counters.in_hand--;
	}
	os_channel_free(asker->channel);
	asker->channel = NULL;
}

static void answer_send(struct asker *asker, uint32_t id, const struct facts_answer *answer)
{
	struct buffer out = buffer_with_max(FACTS_ANSWER_SIZE_MAX);
	enum error error;

	facts_answer_encode(&out, answer);
	error = buffer_error(&out);
	if (error == OK) {
		// One that does not read its answers loses them: it has a deadline of its own.
		error = os_channel_send(asker->channel, (uint16_t)answer->kind, id,
					buffer_view(&out), NULL, 0);
	}
	(void)error;
	buffer_done(&out);
}

static void on_job_done(void *context, uint32_t id, const struct facts_answer *answer)
{
	struct asker *asker = context;
	struct facts_counters *counters = &asker->facts->counters;

	counters->in_hand--;
	counters->questions++;
	counters->secure += answer->secure && answer->result != FACTS_BOGUS;
	counters->bogus += answer->result == FACTS_BOGUS;
	for (unsigned i = 0; i < answer->host_count; i++) {
		counters->bogus += answer->hosts[i].result == FACTS_BOGUS;
	}
	answer_send(asker, id, answer);
}

static void question_take(struct asker *asker, uint32_t id, const struct facts_question *question,
			  uint32_t deadline_ms)
{
	struct facts *facts = asker->facts;
	struct facts_answer failed = { .kind = question->kind, .result = FACTS_TEMPORARY };
	struct job *job;

	facts->counters.over_limit += facts->counters.in_hand == FACTS_JOBS_MAX;
	if (facts->counters.in_hand == FACTS_JOBS_MAX ||
	    job_new(facts->loop, &asker->jobs, id, question, deadline_ms, on_job_done, asker,
		    &job) != OK) {
		answer_send(asker, id, &failed);
		return;
	}
	facts->counters.in_hand++;
	if (facts->settled) {
		job_start(job, facts->resolver);
	}
}

static void on_message(void *context, struct os_message *message)
{
	struct facts_question question;
	uint32_t deadline_ms;

	for (unsigned i = 0; i < message->fd_count; i++) {
		os_file_close(message->fds[i]);
	}
	if (message->fd_count > 0 ||
	    facts_question_decode(message->type, message->payload, &question, &deadline_ms) != OK) {
		asker_drop(context);
		return;
	}
	question_take(context, message->id, &question, deadline_ms);
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	asker_drop(context);
}

enum error facts_channel_add(struct facts *facts, unsigned number, int fd)
{
	struct asker *asker;

	if (number >= FACTS_CHANNELS_MAX) {
		os_file_close(fd);
		return ERROR_LIMIT;
	}
	asker = &facts->askers[number];
	asker_drop(asker);
	return os_channel_new(facts->loop, fd, QUEUE_MAX, on_message, on_closed, asker,
			      &asker->channel);
}

// Those that came while ways were tried. A job may end at once, and with it leave the list.
static void waiting_start(struct asker *asker, struct resolver *resolver)
{
	struct list waiting;
	struct list *link;

	list_init(&waiting);
	while ((link = list_take_first(&asker->jobs))) {
		list_add_last(&waiting, link);
	}
	while ((link = list_take_first(&waiting))) {
		list_add_last(&asker->jobs, link);
		job_start(job_of_link(link), resolver);
	}
}

static void settle(struct facts *facts, bool proven)
{
	const struct resolver_options *options = &facts->ways.options[facts->way];

	facts->settled = true;
	facts->proven = proven;
	if (!proven && facts->ways.count > 1) {
		os_timer_set(&facts->retry, RETRY_MS);
	}
	if (facts->on_way) {
		facts->on_way(facts->context, (struct facts_way){ true, proven, options->forward,
								  options->validate });
	}
	for (unsigned i = 0; i < FACTS_CHANNELS_MAX; i++) {
		waiting_start(&facts->askers[i], facts->resolver);
	}
}

// The root has no address: a way that says so, and proves it where it validates, works.
static void on_probe(void *context, const struct dns_answer *answer)
{
	struct facts *facts = context;
	bool works = answer->result == FACTS_NO_DATA &&
		     (answer->secure || !facts->ways.options[facts->way].validate);

	if (works || facts->way + 1 == facts->ways.count) {
		settle(facts, works);
		return;
	}
	facts->way++;
	os_timer_set(&facts->retry, 0);
}

static void way_try(struct facts *facts)
{
	resolver_free(facts->resolver);
	facts->resolver = NULL;
	facts->settled = false;
	if (resolver_new(facts->loop, &facts->ways.options[facts->way], &facts->resolver) != OK) {
		os_timer_set(&facts->retry, RETRY_MS);
	} else if (facts->ways.count == 1) {
		settle(facts, false);
	} else {
		resolver_ask(facts->resolver, &facts->probe, VIEW(""), DNS_A, PROBE_MS, on_probe,
			     facts);
	}
}

// The next way, now that the last one's resolver is not on the stack; or all of them again, once
// nothing is in hand.
static void on_retry(void *context)
{
	struct facts *facts = context;

	if (facts->settled && facts->counters.in_hand > 0) {
		os_timer_set(&facts->retry, RETRY_MS);
		return;
	}
	facts->way = facts->settled ? 0 : facts->way;
	way_try(facts);
}

static enum error options_copy(struct facts *facts, const struct facts_options *options)
{
	struct config_dns dns = *options->dns;
	struct view anchors = arena_copy(&facts->arena, options->trust_anchors);

	dns.servers.items =
		arena_alloc_array(&facts->arena, dns.servers.count, sizeof *dns.servers.items);
	if (!anchors.data || (dns.servers.count > 0 && !dns.servers.items)) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < dns.servers.count; i++) {
		dns.servers.items[i] = arena_copy(&facts->arena, options->dns->servers.items[i]);
		if (!dns.servers.items[i].data) {
			return ERROR_NO_MEMORY;
		}
	}
	return ways_make(&dns, options->system_servers, anchors, &facts->arena, &facts->ways);
}

// Every way is made once, so that what is wrong is said at the start.
static enum error ways_check(struct facts *facts)
{
	enum error error = OK;

	for (unsigned i = 0; i < facts->ways.count && error == OK; i++) {
		struct resolver *resolver = NULL;

		error = resolver_new(facts->loop, &facts->ways.options[i], &resolver);
		resolver_free(resolver);
	}
	return error;
}

enum error facts_new(struct os_loop *loop, const struct facts_options *options,
		     void (*on_way)(void *context, struct facts_way way), void *context,
		     struct facts **ret_facts)
{
	struct facts *facts = calloc(1, sizeof *facts);
	enum error error;

	if (!facts) {
		return ERROR_NO_MEMORY;
	}
	facts->loop = loop;
	facts->arena = arena_with_max(OPTIONS_ARENA_MAX);
	facts->on_way = on_way;
	facts->context = context;
	os_timer_init(&facts->retry, loop, on_retry, facts);
	for (unsigned i = 0; i < FACTS_CHANNELS_MAX; i++) {
		facts->askers[i].facts = facts;
		list_init(&facts->askers[i].jobs);
	}
	error = options_copy(facts, options);
	error = error == OK ? ways_check(facts) : error;
	if (error != OK) {
		facts_free(facts);
		return error;
	}
	os_timer_set(&facts->retry, 0);
	*ret_facts = facts;
	return OK;
}

struct facts_counters facts_counters(const struct facts *facts)
{
	return facts->counters;
}

void facts_free(struct facts *facts)
{
	if (!facts) {
		return;
	}
	for (unsigned i = 0; i < FACTS_CHANNELS_MAX; i++) {
		asker_drop(&facts->askers[i]);
	}
	resolver_query_cancel(&facts->probe);
	os_timer_stop(&facts->retry);
	resolver_free(facts->resolver);
	arena_done(&facts->arena);
	free(facts);
}
