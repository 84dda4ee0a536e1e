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
		.secret = session->receiver->secret,
		.address = session->peer,
		.login = session->login ? session->login->address.text : (struct view){ 0 },
		.now_ms = os_loop_now_ms(session->receiver->loop),
	};
}

static void charge(struct session *session, const struct conduct_client *client, unsigned effects,
		   uint64_t bytes)
{
	struct receiver *receiver = session->receiver;

	receiver->counters.unknown_recipients += (effects & EFFECT_CHARGE_UNKNOWN_RECIPIENT) != 0;
	receiver->counters.relay_attempts += (effects & EFFECT_CHARGE_RELAY_ATTEMPT) != 0;
	conduct_charge(receiver->rates, limits_of(session), client, effects, bytes);
}

struct verdict charge_recipient(struct session *session, const struct verdict *verdict,
				const struct address *recipient,
				const struct directory_answer *answer)
{
	struct receiver *receiver = session->receiver;
	struct conduct_client client = client_of(session);
	struct conduct_facts facts = {
		.verdict = *verdict,
		.is_trusted = is_trusted(session),
		.is_ours = answer->status != DIRECTORY_NOT_OURS,
		.is_postmaster = answer->status == DIRECTORY_FOUND &&
				 view_equal_nocase(recipient->local, VIEW("postmaster")),
		.used_up = conduct_used_up(receiver->rates, limits_of(session), &client),
	};
	struct verdict decided = conduct_decide(&facts);

	receiver->counters.limited_recipients += decided.reason != verdict->reason;
	charge(session, &client, decided.effects, 0);
	return decided;
}

void charge_discarded(struct session *session)
{
	struct conduct_client client = client_of(session);

	session->receiver->counters.discarded_bytes += session->body_bytes;
	if (!is_trusted(session)) {
		charge(session, &client, EFFECT_CHARGE_DISCARDED_BYTES, session->body_bytes);
	}
}

void charge_credit(struct session *session, uint64_t bytes)
{
	struct conduct_client client = client_of(session);

	conduct_credit(session->receiver->rates, limits_of(session), &client, bytes);
}
