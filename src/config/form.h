// The forms that texts in the configuration have: one check for what a file says and for what
// arrives encoded. Inside this room.
#pragma once

#include "config/config.h"

enum form {
	FORM_TEXT, // printable
	FORM_NAME, // letters, digits, "_", "-", "."
	FORM_HOSTNAME,
	FORM_DOMAIN,
	FORM_HOST, // a domain or an IP address
	FORM_MAILBOX,
	FORM_MAILBOX_KEY, // with its local part in lower case, for looking up
	FORM_PATH,
	FORM_GLOB,
	FORM_LOG,
	FORM_SEPARATOR, // one character; "none" is the empty text
	FORM_DNS_SERVER,
	FORM_SECRET,
};

enum { FORM_TEXT_MAX = 4096 }; // bytes of any of them

// NULL when the text has the form; then ret_text is its one normal spelling, in the arena.
// Otherwise a phrase that says what is wrong. An empty text has none of them.
const char *form_check(enum form form, struct arena *arena, struct view text,
		       struct view *ret_text);
