#include <stdlib.h>
#include <string.h>

#include "keeper/keeper_private.h"
#include "os/clock.h"
#include "os/log.h"

enum { LOGIN_MEMORY_MAX = 128 * 1024, ANSWER_SIZE_MAX = 60 * 1024, CLIENT_TEXT_MAX = 64 };

static void answer(struct keeper_asker *asker, uint32_t id, const struct keeper_answer *answer_)
{
	struct buffer out = buffer_with_max(ANSWER_SIZE_MAX);
	enum error error;

	keeper_answer_encode(&out, answer_);
	error = buffer_error(&out);
	if (error == OK) {
		error = os_channel_send(asker->channel, KEEPER_LOGIN, id, buffer_view(&out), NULL,
					0);
	}
	if (error != OK && error != ERROR_CLOSED) {
		LOG(LOG_WARNING, "answer_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
	buffer_done(&out);
}

static void answer_plainly(struct keeper_asker *asker, uint32_t id, enum keeper_result result)
{
	struct keeper_answer plain = { .result = result };

	answer(asker, id, &plain);
}

static struct login_facts facts_of(const struct keeper_attempt *attempt)
{
	return (struct login_facts){
		.secret = attempt->keeper->secret,
		.client = attempt->client,
		.account = view_of(attempt->account, attempt->account_len),
		.password = view_of(attempt->password, attempt->password_len),
		.now_ms = os_clock_mono_ms(),
	};
}

void keeper_attempt_free(struct keeper_attempt *attempt)
{
	list_remove(&attempt->link);
	attempt->keeper->attempt_count--;
	password_wipe(attempt, sizeof *attempt);
	free(attempt);
}

// On a pool thread: touches the attempt alone.
static void compute(struct os_job *job)
{
	struct keeper_attempt *attempt = CONTAINER_OF(job, struct keeper_attempt, job);

	attempt->matches = password_matches(view_of(attempt->password, attempt->password_len),
					    view_from_text(attempt->hash.text));
}

static enum error look_up(struct keeper *keeper, struct view address, struct arena *arena,
			  struct account *ret_account)
{
	enum error error =
		database_account_get(keeper->store.database, address, arena, ret_account);

	if (error != OK && error != ERROR_NOT_FOUND) {
		LOG(LOG_ERROR, "account_unreadable", LOG_TEXT("login", address),
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
	return error;
}

// The account is read once more: it may have gone while the hash was computed.
static void succeed(struct keeper_attempt *attempt)
{
	struct keeper *keeper = attempt->keeper;
	struct arena arena = arena_with_max(LOGIN_MEMORY_MAX);
	struct login_facts facts = facts_of(attempt);
	struct keeper_answer good = { .result = KEEPER_TEMPORARY };
	struct account account;

	if (look_up(keeper, facts.account, &arena, &account) == OK) {
		good = (struct keeper_answer){ KEEPER_GOOD, account.address, account.senders,
					       account.sender_count };
		login_succeeded(keeper->rates, &keeper->setup.config->limits.logins, &facts);
		keeper->counters.logins++;
	}
	if (attempt->asker) {
		answer(attempt->asker, attempt->id, &good);
	}
	arena_done(&arena);
}

// Whose account it was is told to the log alone, never to the client.
static void log_refusal(const struct keeper_attempt *attempt, const char *reason)
{
	struct buffer client = buffer_with_max(CLIENT_TEXT_MAX);

	ip_address_add_text(&client, &attempt->client);
	LOG(LOG_NOTICE, "login_refused", LOG_TEXT("client", buffer_view(&client)),
	    LOG_TEXT("login", view_of(attempt->account, attempt->account_len)),
	    LOG_TEXT("reason", view_from_text(reason)));
	buffer_done(&client);
}

static void fail(struct keeper_attempt *attempt)
{
	struct keeper *keeper = attempt->keeper;
	struct login_facts facts = facts_of(attempt);

	log_refusal(attempt, attempt->may_succeed ? "wrong password" : "no such login");
	login_failed(keeper->rates, &keeper->setup.config->limits.logins, &facts);
	keeper->counters.logins_failed++;
	if (attempt->asker) {
		answer_plainly(attempt->asker, attempt->id, KEEPER_WRONG);
	}
}

static void finish(struct os_job *job)
{
	struct keeper_attempt *attempt = CONTAINER_OF(job, struct keeper_attempt, job);
	struct view hash = view_from_text(attempt->hash.text);

	attempt->keeper->counters.hashes += password_hash_is_ours(hash);
	if (attempt->matches && attempt->may_succeed) {
		succeed(attempt);
	} else {
		fail(attempt);
	}
	keeper_attempt_free(attempt);
}

static void set_account(struct keeper_attempt *attempt, struct view account)
{
	attempt->account_len =
		account.len < sizeof attempt->account ? account.len : sizeof attempt->account;
	memcpy(attempt->account, account.data, attempt->account_len);
}

// Fills in whose hash is to be compared. An error is our own trouble, not the user's.
static enum error prepare(struct keeper_attempt *attempt, const struct keeper_login *login)
{
	struct arena arena = arena_with_max(LOGIN_MEMORY_MAX);
	struct account account;
	struct address address;
	enum error error = ERROR_NOT_FOUND;

	attempt->hash = attempt->keeper->nobody;
	if (address_parse(&arena, login->user, ADDRESS_UTF8, &address) == ADDRESS_OK) {
		set_account(attempt, address.key);
		error = look_up(attempt->keeper, address.key, &arena, &account);
	} else if (login->user.len) {
		set_account(attempt, login->user);
	}
	if (error == OK && account.password_hash.len < sizeof attempt->hash.text) {
		attempt->hash = (struct password_hash){ 0 };
		memcpy(attempt->hash.text, account.password_hash.data, account.password_hash.len);
		attempt->may_succeed = !account.disabled;
	}
	arena_done(&arena);
	return error == ERROR_NOT_FOUND ? OK : error;
}

static struct keeper_attempt *attempt_new(struct keeper_asker *asker, uint32_t id,
					  const struct keeper_login *login)
{
	struct keeper *keeper = asker->keeper;
	struct keeper_attempt *attempt = calloc(1, sizeof *attempt);

	if (!attempt) {
		return NULL;
	}
	attempt->job = (struct os_job){ .work = compute, .done = finish };
	attempt->keeper = keeper;
	attempt->asker = asker;
	attempt->id = id;
	attempt->client = login->client;
	attempt->password_len = login->password.len;
	if (login->password.len) {
		memcpy(attempt->password, login->password.data, login->password.len);
	}
	list_add_last(&keeper->attempts, &attempt->link);
	keeper->attempt_count++;
	return attempt;
}

// 0: the answer comes when the hash is ready.
static enum keeper_result begin(struct keeper_attempt *attempt, const struct keeper_login *login)
{
	struct keeper *keeper = attempt->keeper;
	struct login_facts facts;

	if (prepare(attempt, login) != OK) {
		return KEEPER_TEMPORARY;
	}
	facts = facts_of(attempt);
	if (!login_may_try(keeper->rates, &keeper->setup.config->limits.logins, &facts)) {
		keeper->counters.logins_limited++;
		log_refusal(attempt, "too many failures before");
		return KEEPER_LATER;
	}
	if (os_pool_submit(keeper->pool, &attempt->job) != OK) {
		keeper->counters.logins_refused_busy++;
		return KEEPER_TEMPORARY;
	}
	return 0;
}

void keeper_take_login(struct keeper_asker *asker, uint32_t id, const struct keeper_login *login)
{
	struct keeper *keeper = asker->keeper;
	struct keeper_attempt *attempt = NULL;
	enum keeper_result result = KEEPER_TEMPORARY;

	if (keeper->attempt_count < keeper->setup.config->limits.logins_waiting) {
		attempt = attempt_new(asker, id, login);
	} else {
		keeper->counters.logins_refused_busy++;
	}
	if (attempt) {
		result = begin(attempt, login);
	}
	if (result) {
		answer_plainly(asker, id, result);
		if (attempt) {
			keeper_attempt_free(attempt);
		}
	}
}
