// Routes: where mail that leaves us goes. The first route that matches wins; mail for our own
// domains never meets one; without a match it goes by MX. Pure values; config fills them.
#pragma once

#include "policy/pattern.h"
#include "policy/ports.h"

enum {
	ROUTES_MAX = 10000,
	ROUTE_PATTERNS_MAX = 1000, // of one list
};

enum route_kind { ROUTE_LOCAL, ROUTE_MX, ROUTE_SMARTHOST };

enum route_tls {
	ROUTE_TLS_VERIFIED,      // TLS with a certificate for the host's name, or no mail
	ROUTE_TLS_REQUIRED,      // TLS with any certificate; never a login
	ROUTE_TLS_OPPORTUNISTIC, // TLS where offered; never a login
};

struct smarthost {
	struct view host; // a normalised domain, or an IP address as text
	struct port_list ports;
	struct view username; // empty: no login
	struct view password; // empty until it was read from password_file
	struct view password_file;
	enum route_tls tls; // where there is a username, VERIFIED holds whatever this says
};

struct route {
	struct patterns to;    // none: any
	struct patterns from;  // of the reverse-path; none: any
	struct patterns login; // of the account that sent it; none: any, and no login too
	enum route_kind kind;  // ROUTE_MX or ROUTE_SMARTHOST
	struct smarthost smarthost;
};

struct route_facts {
	bool recipient_is_ours; // its domain is in the directory
	const struct address *recipient;
	const struct address *reverse_path;
	const struct address *login; // NULL: without
};

struct route_choice {
	enum route_kind kind;
	const struct route *route; // the one that matched; NULL where none did
	size_t index;              // its place in the list, for the log
};

struct route_choice route_decide(const struct route *routes, size_t count,
				 const struct route_facts *facts);
