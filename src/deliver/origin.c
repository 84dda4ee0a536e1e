#include "deliver/origin.h"

#include <stdlib.h>
#include <string.h>

#include "deliver/deliverer_private.h"
#include "os/log.h"

enum {
	ASK_MS = 30000,
	KEEP_MIN_MS = 60 * 1000,
	KEEP_MAX_MS = 3600 * 1000,
};

const struct config_source *origin_configured(const struct config_outbound *outbound,
					      uint8_t family)
{
	for (size_t i = 0; i < outbound->source.count; i++) {
		for (size_t k = 0; k < outbound->sources.count; k++) {
			const struct config_source *source = &outbound->sources.items[k];

			if (view_equal(source->name, outbound->source.items[i]) &&
			    source->address.family == family) {
				return source;
			}
		}
	}
	return NULL;
}

static struct origin *find(struct deliverer *deliverer, const struct facts_address *address)
{
	struct origins *origins = &deliverer->origins;
	struct origin *origin;

	for (unsigned i = 0; i < origins->count; i++) {
		if (memcmp(origins->items[i]->address.bytes, address->bytes,
			   sizeof address->bytes) == 0) {
			return origins->items[i];
		}
	}
	origin = origins->count < ORIGINS_MAX ? calloc(1, sizeof *origin) : NULL;
	if (origin) {
		origin->deliverer = deliverer;
		origin->address = *address;
		origins->items[origins->count++] = origin;
	}
	return origin;
}

struct origin *origin_for(struct deliverer *deliverer, const struct config_outbound *outbound,
			  const struct os_address *peer)
{
	const struct config_source *source = origin_configured(outbound, peer->family);
	struct facts_address address = { .family = peer->family };
	struct os_address local;

	if (source) {
		memcpy(address.bytes, source->address.bytes, sizeof address.bytes);
	} else if (os_socket_source_address(peer, &local) == OK) {
		address = facts_address_of(&local);
	} else {
		return NULL;
	}
	return find(deliverer, &address);
}

static void tell_change(const struct origin *origin, bool confirmed)
{
	struct os_address address = facts_address_with_port(&origin->address, 0);
	struct buffer text = buffer_with_max(64);

	if (origin->known && origin->confirmed == confirmed) {
		return;
	}
	os_address_add_text(&text, &address);
	LOG(confirmed ? LOG_INFO : LOG_WARNING, confirmed ? "ipv6_named" : "ipv6_nameless",
	    LOG_TEXT("address", buffer_view(&text)),
	    LOG_TEXT("reason", confirmed ? VIEW("its name leads back to it")
					 : VIEW("no name leads back to it: IPv6 is used only where "
						"a site has nothing else")));
	buffer_done(&text);
}

static void on_answer(void *context, const struct facts_answer *answer)
{
	struct origin *origin = context;
	uint64_t keep_ms = answer->ttl_s * 1000ull;
	bool failed = answer->result == FACTS_TEMPORARY || answer->result == FACTS_BOGUS;

	origin->asking = false;
	keep_ms = failed || keep_ms < KEEP_MIN_MS ? KEEP_MIN_MS
		  : keep_ms > KEEP_MAX_MS         ? KEEP_MAX_MS
						  : keep_ms;
	origin->expires_ms = deliverer_now_ms(origin->deliverer) + keep_ms;
	if (!failed) { // else what was known holds
		bool confirmed = answer->result == FACTS_FOUND && answer->confirmed;

		tell_change(origin, confirmed);
		origin->known = true;
		origin->confirmed = confirmed;
	}
}

bool origin_has_name(struct origin *origin)
{
	struct deliverer *deliverer = origin->deliverer;
	struct facts_question question = { .kind = FACTS_PEER_NAME, .address = origin->address };

	if (!origin->asking && deliverer_now_ms(deliverer) >= origin->expires_ms) {
		origin->asking = facts_ask(deliverer->facts, &origin->request, &question, ASK_MS,
					   on_answer, origin) == OK;
	}
	return origin->confirmed;
}

void origins_forget(struct origins *origins)
{
	while (origins->count) {
		struct origin *origin = origins->items[--origins->count];

		facts_request_cancel(&origin->request);
		free(origin);
	}
}
