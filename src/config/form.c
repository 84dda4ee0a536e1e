#include "config/form.h"

#include <string.h>

#include "base/text.h"

static bool is_name(struct view text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_alnum(text.data[i]) && !memchr("_-.", text.data[i], 3)) {
			return false;
		}
	}
	return true;
}

static bool is_ip(struct view text)
{
	struct ip_address address;

	return ip_address_parse(text, &address);
}

static const char *check_domain(struct arena *arena, struct view text, struct view *ret_text)
{
	enum address_fault fault = address_domain_normalise(arena, text, ret_text);

	// Also one with a dot behind it, which is gone by now.
	if (is_ip(text) || (fault == ADDRESS_OK && is_ip(*ret_text))) {
		return "an IP address is no domain";
	}
	return fault ? address_fault_text(fault) : NULL;
}

// RFC 5321 section 2.3.5 wants what others can look up; underscores are for records, not hosts.
static const char *check_hostname(struct arena *arena, struct view text, struct view *ret_text)
{
	if (view_find(text, '_') < text.len) {
		return "no host has a '_' in its name";
	}
	return check_domain(arena, text, ret_text);
}

static const char *check_mailbox(struct arena *arena, enum form form, struct view text,
				 struct view *ret_text)
{
	struct address address;
	enum address_fault fault = address_parse(arena, text, ADDRESS_UTF8, &address);

	if (fault) {
		return address_fault_text(fault);
	}
	if (address.literal) {
		return "an address here needs a domain, not an IP address";
	}
	*ret_text = form == FORM_MAILBOX ? address.text : address.key;
	return NULL;
}

static bool is_path(struct view text)
{
	return view_starts(text, VIEW("/"));
}

static const char *check_dns_server(struct view text)
{
	size_t at = view_find(text, '@');
	uint64_t port;

	if (!is_ip(view_first(text, at))) {
		return "expected an IP address, or one with a port: 127.0.0.1@5353";
	}
	if (at < text.len && (!view_to_u64(view_from(text, at + 1), 65535, &port) || port == 0)) {
		return "the port behind '@' must be between 1 and 65535";
	}
	return NULL;
}

static const char *check_plain(enum form form, struct view text)
{
	switch (form) {
	case FORM_NAME:
		return is_name(text) ? NULL : "only letters, digits, '_', '-' and '.' make a name";
	case FORM_PATH: return is_path(text) ? NULL : "a path must begin with '/'";
	case FORM_LOG:
		return is_path(text) || view_equal(text, VIEW("stderr")) ||
				       view_equal(text, VIEW("syslog"))
			       ? NULL
			       : "expected stderr, syslog or a path that begins with '/'";
	case FORM_SEPARATOR:
		return text.len == 1 && memchr("+-=_.~", text.data[0], 6)
			       ? NULL
			       : "expected none, or one of + - = _ . ~";
	case FORM_DNS_SERVER: return check_dns_server(text);
	default: return NULL;
	}
}

const char *form_check(enum form form, struct arena *arena, struct view text, struct view *ret_text)
{
	const char *fault;

	if (form == FORM_SEPARATOR && view_equal(text, VIEW("none"))) {
		*ret_text = VIEW("");
		return NULL;
	}
	if (!text.len) {
		return "a value is missing";
	}
	if (text.len > FORM_TEXT_MAX) {
		return "too long";
	}
	if (!text_is_printable(text)) {
		return "control characters and invisible marks are not allowed";
	}
	switch (form) {
	case FORM_HOSTNAME: return check_hostname(arena, text, ret_text);
	case FORM_DOMAIN: return check_domain(arena, text, ret_text);
	case FORM_HOST:
		if (!is_ip(text)) {
			return check_hostname(arena, text, ret_text);
		}
		break;
	case FORM_MAILBOX:
	case FORM_MAILBOX_KEY: return check_mailbox(arena, form, text, ret_text);
	default: break;
	}
	fault = check_plain(form, text);
	if (!fault) {
		*ret_text = arena_copy(arena, text);
		return ret_text->data ? NULL : error_text(ERROR_NO_MEMORY);
	}
	return fault;
}
