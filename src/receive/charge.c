#include "receive/charge.h"

#include "policy/conduct.h"

static const struct conduct_limits *limits_of(const struct session *session)
{
	return &session->generation->config->limits.conduct;
}

static bool is_trusted(const struct session *session)
{
	return relay_is_trusted(&session->generation->config->relay, &session->peer);
}

static struct conduct_client client_of(const struct session *session)
{
	return (struct conduct_client){
		.secret = session->receiver->parts.common->secret,
		.address = session->peer,
		.login = session->login ? session->login->address.text : (struct view){ 0 },
		.now_ms = os_loop_now_ms(session->receiver->loop),
	};
}

struct verdict charge_recipient(struct session *session, const struct verdict *verdict,
				const struct address *recipient,
				const struct directory_answer *answer)
{
	struct receive_common *common = session->receiver->parts.common;
	struct receiver_counters *counters = &session->receiver->counters;
	struct conduct_client client = client_of(session);
	struct conduct_facts facts = {
		.verdict = *verdict,
		.is_trusted = is_trusted(session),
		.is_ours = answer->status != DIRECTORY_NOT_OURS,
		.is_postmaster = answer->status == DIRECTORY_FOUND &&
				 view_equal_nocase(recipient->local, VIEW("postmaster")),
	};
	struct verdict decided;

	// One hold, so that no two threads spend the same token.
	pthread_mutex_lock(&common->lock);
	facts.used_up = conduct_used_up(common->rates, limits_of(session), &client);
	decided = conduct_decide(&facts);
	conduct_charge(common->rates, limits_of(session), &client, decided.effects, 0);
	pthread_mutex_unlock(&common->lock);
	counters->limited_recipients += decided.reason != verdict->reason;
	counters->unknown_recipients += (decided.effects & EFFECT_CHARGE_UNKNOWN_RECIPIENT) != 0;
	counters->relay_attempts += (decided.effects & EFFECT_CHARGE_RELAY_ATTEMPT) != 0;
	return decided;
}

void charge_discarded(struct session *session)
{
	struct receive_common *common = session->receiver->parts.common;
	struct conduct_client client = client_of(session);

	session->receiver->counters.discarded_bytes += session->body_bytes;
	if (!is_trusted(session)) {
		pthread_mutex_lock(&common->lock);
		conduct_charge(common->rates, limits_of(session), &client,
			       EFFECT_CHARGE_DISCARDED_BYTES, session->body_bytes);
		pthread_mutex_unlock(&common->lock);
	}
}

void charge_credit(struct session *session, uint64_t bytes)
{
	struct receive_common *common = session->receiver->parts.common;
	struct conduct_client client = client_of(session);

	pthread_mutex_lock(&common->lock);
	conduct_credit(common->rates, limits_of(session), &client, bytes);
	pthread_mutex_unlock(&common->lock);
}
