#include "policy/pattern.h"

static enum error from_fault(enum address_fault fault)
{
	return fault == ADDRESS_OK          ? OK
	       : fault == ADDRESS_NO_MEMORY ? ERROR_NO_MEMORY
					    : ERROR_INVALID;
}

// "example.org" or "*.example.org".
static enum error parse_domain(struct arena *arena, struct view text, struct pattern *pattern)
{
	bool below = view_starts(text, VIEW("*."));

	pattern->kind = below ? PATTERN_BELOW : PATTERN_DOMAIN;
	return from_fault(
		address_domain_normalise(arena, view_from(text, below ? 2 : 0), &pattern->domain));
}

enum error pattern_parse(struct arena *arena, struct view text, struct pattern *ret_pattern)
{
	struct pattern pattern = { 0 };
	struct address address;
	enum error error = OK;

	if (view_equal(text, VIEW("*"))) {
		pattern.kind = PATTERN_ANY;
	} else if (view_equal(text, VIEW("<>"))) {
		pattern.kind = PATTERN_NULL;
	} else if (view_starts(text, VIEW("*@"))) {
		error = parse_domain(arena, view_from(text, 2), &pattern);
	} else if (view_find(text, '@') == text.len) {
		error = parse_domain(arena, text, &pattern);
	} else if (view_find(text, '*') < text.len) {
		error = ERROR_INVALID; // a literal star is legal, but whoever writes one means more
	} else {
		pattern.kind = PATTERN_ADDRESS;
		error = from_fault(address_parse(arena, text, ADDRESS_UTF8, &address));
		if (error == OK) {
			pattern.key = address.key;
			pattern.domain = address.domain;
		}
	}
	if (error == OK) {
		*ret_pattern = pattern;
	}
	return error;
}

void pattern_add_text(struct buffer *out, const struct pattern *pattern)
{
	switch (pattern->kind) {
	case PATTERN_ANY: buffer_add_text(out, "*"); break;
	case PATTERN_NULL: buffer_add_text(out, "<>"); break;
	case PATTERN_ADDRESS: buffer_add(out, pattern->key); break;
	case PATTERN_DOMAIN:
		buffer_add_text(out, "*@");
		buffer_add(out, pattern->domain);
		break;
	case PATTERN_BELOW:
		buffer_add_text(out, "*@*.");
		buffer_add(out, pattern->domain);
		break;
	}
}

static bool is_below(struct view domain, struct view above)
{
	size_t dot = domain.len - above.len - 1;

	return domain.len > above.len + 1 && domain.data[dot] == '.' &&
	       view_equal(view_from(domain, dot + 1), above);
}

bool pattern_matches(const struct pattern *pattern, const struct address *address)
{
	bool null = address_is_null(address);

	switch (pattern->kind) {
	case PATTERN_ANY: return true;
	case PATTERN_NULL: return null;
	case PATTERN_ADDRESS: return !null && view_equal(address->key, pattern->key);
	case PATTERN_DOMAIN: return !null && view_equal(address->domain, pattern->domain);
	case PATTERN_BELOW: return !null && is_below(address->domain, pattern->domain);
	}
	return false;
}

bool patterns_match(struct patterns patterns, const struct address *address)
{
	for (size_t i = 0; i < patterns.count; i++) {
		if (pattern_matches(&patterns.items[i], address)) {
			return true;
		}
	}
	return false;
}
