#include "facts/job.h"

#include <stdlib.h>
#include <string.h>

enum {
	JOB_ARENA_MAX = 256 * 1024,
	FAMILY_ADDRESSES_MAX =
		FACTS_ADDRESSES_MAX / 2, // so that neither family crowds out the other
	PEER_NAMES_MAX = 8,
	JOB_DEADLINE_MAX_MS = RESOLVER_DEADLINE_MAX_MS,
};

// What is asked about one host: IPv6, IPv4.
struct family {
	struct job_host *host;
	struct resolver_query query;
	enum facts_result result;
	bool secure;
	unsigned count;
	struct facts_address addresses[FAMILY_ADDRESSES_MAX];
};

struct job_host {
	struct job *job;
	struct view name;
	uint16_t preference;
	struct family families[2];
};

struct job {
	struct list link;
	struct os_loop *loop;
	struct resolver *resolver; // NULL until started
	struct arena arena;
	uint32_t id;
	struct facts_question question;
	uint64_t deadline_at_ms;
	job_done_fn *done;
	void *context;
	struct os_timer deadline;
	struct resolver_query query; // MX or PTR
	struct facts_answer answer;  // its hosts come last
	struct job_host *hosts;
	unsigned host_count;
	unsigned pending; // questions about hosts that are out
};

static void job_free(struct job *job)
{
	os_timer_stop(&job->deadline);
	list_remove(&job->link);
	arena_done(&job->arena);
	free(job);
}

static void job_answer(struct job *job)
{
	job->done(job->context, job->id, &job->answer);
	job_free(job);
}

static void job_fail(struct job *job, enum facts_result result)
{
	job->answer.result = result;
	job->answer.host_count = 0;
	job_answer(job);
}

struct job *job_of_link(struct list *link)
{
	return CONTAINER_OF(link, struct job, link);
}

static void cancel_queries(struct job *job)
{
	resolver_query_cancel(&job->query);
	for (unsigned i = 0; i < job->host_count; i++) {
		resolver_query_cancel(&job->hosts[i].families[0].query);
		resolver_query_cancel(&job->hosts[i].families[1].query);
	}
}

void job_cancel(struct job *job)
{
	cancel_queries(job);
	job_free(job);
}

// Only for a job that waits for a way to ask: queries that run have this deadline themselves.
static void on_deadline(void *context)
{
	job_fail(context, FACTS_TEMPORARY);
}

enum error job_new(struct os_loop *loop, struct list *jobs, uint32_t id,
		   const struct facts_question *question, uint32_t deadline_ms, job_done_fn *done,
		   void *context, struct job **ret_job)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job) {
		return ERROR_NO_MEMORY;
	}
	job->loop = loop;
	job->arena = arena_with_max(JOB_ARENA_MAX);
	job->id = id;
	job->question = *question;
	job->question.name = arena_copy(&job->arena, question->name);
	job->done = done;
	job->context = context;
	job->answer = (struct facts_answer){ .kind = question->kind };
	if (!job->question.name.data) {
		free(job);
		return ERROR_NO_MEMORY;
	}
	deadline_ms = deadline_ms < JOB_DEADLINE_MAX_MS ? deadline_ms : JOB_DEADLINE_MAX_MS;
	job->deadline_at_ms = os_loop_now_ms(loop) + deadline_ms;
	os_timer_init(&job->deadline, loop, on_deadline, job);
	os_timer_set(&job->deadline, deadline_ms);
	list_add_last(jobs, &job->link);
	*ret_job = job;
	return OK;
}

static uint64_t remaining_ms(const struct job *job)
{
	uint64_t now_ms = os_loop_now_ms(job->loop);

	return job->deadline_at_ms > now_ms ? job->deadline_at_ms - now_ms : 0;
}

static enum facts_result host_result(const struct job_host *host)
{
	const struct family *a = &host->families[0], *b = &host->families[1];

	if (a->count + b->count > 0) {
		return FACTS_FOUND;
	}
	return a->result > b->result ? a->result : b->result; // the graver one
}

static bool host_make(struct job *job, const struct job_host *host, struct facts_host *made)
{
	struct facts_address *addresses =
		arena_alloc_array(&job->arena, FACTS_ADDRESSES_MAX, sizeof *addresses);

	if (!addresses) {
		return false;
	}
	*made = (struct facts_host){
		.name = host->name,
		.preference = host->preference,
		.result = host_result(host),
		.secure = host->families[0].secure && host->families[1].secure,
		.addresses = addresses,
	};
	for (unsigned f = 0; f < 2; f++) {
		for (unsigned i = 0; i < host->families[f].count; i++) {
			addresses[made->address_count++] = host->families[f].addresses[i];
		}
	}
	return true;
}

static bool hosts_make(struct job *job)
{
	struct facts_host *hosts = arena_alloc_array(&job->arena, job->host_count, sizeof *hosts);

	for (unsigned i = 0; hosts && i < job->host_count; i++) {
		if (!host_make(job, &job->hosts[i], &hosts[i])) {
			return false;
		}
	}
	job->answer.hosts = hosts;
	job->answer.host_count = job->host_count;
	return hosts != NULL;
}

static bool leads_to(const struct job_host *host, const struct facts_address *address)
{
	const struct family *family = &host->families[address->family == 4];
	size_t size = address->family == 4 ? 4 : 16;

	for (unsigned i = 0; i < family->count; i++) {
		if (memcmp(family->addresses[i].bytes, address->bytes, size) == 0) {
			return true;
		}
	}
	return false;
}

// The first name that leads back to the address, else the first.
static void peer_name_choose(struct job *job)
{
	struct facts_host *made = ARENA_NEW(&job->arena, struct facts_host);
	unsigned chosen = 0;

	for (unsigned i = 0; i < job->host_count && !job->answer.confirmed; i++) {
		if (leads_to(&job->hosts[i], &job->question.address)) {
			job->answer.confirmed = true;
			chosen = i;
		}
	}
	if (!made) {
		job->answer.result = FACTS_TEMPORARY;
		return;
	}
	*made = (struct facts_host){ .name = job->hosts[chosen].name,
				     .result = host_result(&job->hosts[chosen]) };
	job->answer.hosts = made;
	job->answer.host_count = 1;
}

static void hosts_done(struct job *job)
{
	job->answer.result = FACTS_FOUND;
	if (job->question.kind == FACTS_PEER_NAME) {
		peer_name_choose(job);
	} else if (!hosts_make(job)) {
		job_fail(job, FACTS_TEMPORARY);
		return;
	} else if (job->question.kind == FACTS_ADDRESSES || job->answer.implicit) {
		job->answer.result = job->answer.hosts[0].result;
		job->answer.secure = job->answer.secure && job->answer.hosts[0].secure;
	}
	job_answer(job);
}

static void pending_less(struct job *job)
{
	if (--job->pending == 0) {
		hosts_done(job);
	}
}

static void ttl_keep(struct job *job, const struct dns_answer *answer)
{
	if (answer->result == FACTS_FOUND && answer->ttl_s < job->answer.ttl_s) {
		job->answer.ttl_s = answer->ttl_s;
	}
}

static void on_addresses(void *context, const struct dns_answer *answer)
{
	struct family *family = context;
	struct job *job = family->host->job;

	family->result = answer->result;
	family->secure = answer->secure;
	for (unsigned i = 0; i < answer->count && family->count < FAMILY_ADDRESSES_MAX; i++) {
		family->addresses[family->count++] = answer->records[i].address;
	}
	ttl_keep(job, answer);
	pending_less(job);
}

static void family_ask(struct job *job, struct job_host *host, unsigned which)
{
	struct family *family = &host->families[which];

	family->host = host;
	job->pending++;
	resolver_ask(job->resolver, &family->query, host->name, which == 0 ? DNS_AAAA : DNS_A,
		     remaining_ms(job), on_addresses, family);
}

// Answers may come before resolver_ask returns: the last one ends the job, so one is held back.
static void hosts_ask(struct job *job)
{
	bool peer = job->question.kind == FACTS_PEER_NAME;

	job->pending = 1;
	for (unsigned i = 0; i < job->host_count; i++) {
		if (!peer || job->question.address.family == 6) {
			family_ask(job, &job->hosts[i], 0);
		}
		if (!peer || job->question.address.family == 4) {
			family_ask(job, &job->hosts[i], 1);
		}
	}
	pending_less(job);
}

static bool hosts_alloc(struct job *job, unsigned count)
{
	job->hosts = arena_alloc_array(&job->arena, count, sizeof *job->hosts);
	return job->hosts != NULL;
}

static bool host_add(struct job *job, struct view name, uint16_t preference)
{
	struct job_host *host = &job->hosts[job->host_count];

	host->job = job;
	host->preference = preference;
	host->name = arena_copy(&job->arena, name);
	job->host_count += host->name.data != NULL;
	return host->name.data != NULL;
}

static void ask_one_host(struct job *job)
{
	if (hosts_alloc(job, 1) && host_add(job, job->question.name, 0)) {
		hosts_ask(job);
	} else {
		job_fail(job, FACTS_TEMPORARY);
	}
}

// By preference; equals stay as the DNS gave them. The root is no host (RFC 7505).
static bool hosts_from_mx(struct job *job, const struct dns_answer *answer)
{
	bool taken[DNS_RECORDS_MAX] = { false };

	if (!hosts_alloc(job, FACTS_HOSTS_MAX)) {
		return false;
	}
	while (job->host_count < FACTS_HOSTS_MAX) {
		unsigned best = answer->count;

		for (unsigned i = 0; i < answer->count; i++) {
			const struct dns_record *record = &answer->records[i];

			if (!taken[i] && record->name.len > 0 &&
			    (best == answer->count ||
			     record->preference < answer->records[best].preference)) {
				best = i;
			}
		}
		if (best == answer->count) {
			return true;
		}
		taken[best] = true;
		if (!host_add(job, answer->records[best].name, answer->records[best].preference)) {
			return false;
		}
	}
	return true;
}

static void on_mx(void *context, const struct dns_answer *answer)
{
	struct job *job = context;

	job->answer.ttl_s = answer->result == FACTS_FOUND ? answer->ttl_s : DNS_TTL_MAX_S;
	job->answer.secure = answer->secure;
	if (answer->result == FACTS_NO_DATA) {
		job->answer.implicit = true;
		ask_one_host(job);
	} else if (answer->result != FACTS_FOUND) {
		job_fail(job, answer->result);
	} else if (!hosts_from_mx(job, answer)) {
		job_fail(job, FACTS_TEMPORARY);
	} else if (job->host_count == 0) {
		job->answer.result = FACTS_FOUND;
		job->answer.null_mx = true;
		job_answer(job);
	} else {
		hosts_ask(job);
	}
}

static void on_names(void *context, const struct dns_answer *answer)
{
	struct job *job = context;
	unsigned count = answer->count < PEER_NAMES_MAX ? answer->count : PEER_NAMES_MAX;
	bool added = true;

	job->answer.ttl_s = answer->ttl_s;
	job->answer.secure = answer->secure;
	if (answer->result != FACTS_FOUND) {
		job_fail(job, answer->result);
		return;
	}
	added = hosts_alloc(job, count);
	for (unsigned i = 0; i < count && added; i++) {
		added = host_add(job, answer->records[i].name, 0);
	}
	if (added) {
		hosts_ask(job);
	} else {
		job_fail(job, FACTS_TEMPORARY);
	}
}

static void ask_peer_name(struct job *job)
{
	struct buffer name = buffer_with_max(FACTS_NAME_MAX);

	dns_reverse_name(&name, &job->question.address);
	resolver_ask(job->resolver, &job->query, buffer_view(&name), DNS_PTR, remaining_ms(job),
		     on_names, job);
	buffer_done(&name);
}

void job_start(struct job *job, struct resolver *resolver)
{
	job->resolver = resolver;
	os_timer_stop(&job->deadline);
	switch (job->question.kind) {
	case FACTS_MAIL_ROUTE:
		resolver_ask(resolver, &job->query, job->question.name, DNS_MX, remaining_ms(job),
			     on_mx, job);
		return;
	case FACTS_ADDRESSES:
		job->answer.ttl_s = DNS_TTL_MAX_S;
		job->answer.secure = true;
		ask_one_host(job);
		return;
	case FACTS_PEER_NAME: ask_peer_name(job); return;
	}
}
