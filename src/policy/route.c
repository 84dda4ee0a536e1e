#include "policy/route.h"

static bool list_admits(struct patterns patterns, const struct address *address)
{
	return patterns.count == 0 || (address && patterns_match(patterns, address));
}

static bool route_matches(const struct route *route, const struct route_facts *facts)
{
	return list_admits(route->to, facts->recipient) &&
	       list_admits(route->from, facts->reverse_path) &&
	       list_admits(route->login, facts->login);
}

struct route_choice route_decide(const struct route *routes, size_t count,
				 const struct route_facts *facts)
{
	if (facts->recipient_is_ours) {
		return (struct route_choice){ .kind = ROUTE_LOCAL };
	}
	for (size_t i = 0; i < count; i++) {
		if (route_matches(&routes[i], facts)) {
			return (struct route_choice){ routes[i].kind, &routes[i], i };
		}
	}
	return (struct route_choice){ .kind = ROUTE_MX };
}
