#include "config/derive.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
	return view_compare(*(const struct view *)a, *(const struct view *)b);
}

void config_derive(struct config *config)
{
	struct login_limits usual = login_limits_default();
	struct login_limits *logins = &config->limits.logins;

	for (size_t i = 0; i < config->routes.count; i++) {
		struct route *route = &config->routes.items[i];

		route->kind = route->smarthost.host.len ? ROUTE_SMARTHOST : ROUTE_MX;
		if (route->smarthost.username.len) {
			route->smarthost.tls = ROUTE_TLS_VERIFIED;
		}
	}
	if (config->relay.domain_count) {
		qsort((void *)config->relay.domains, config->relay.domain_count,
		      sizeof *config->relay.domains, by_name);
	}
	logins->per_account.period_ms = logins->per_address.period_ms;
	logins->known_ms = usual.known_ms;
	logins->repeat_ms = usual.repeat_ms;
}
