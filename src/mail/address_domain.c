#include "mail/address_domain.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum {
	LABEL_MAX = 63,
	NAME_MAX_OCTETS = 255, // of a name in U-labels, as sent
	IDNA_FLAGS = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES,
};

static bool is_label(struct view label, bool underscore)
{
	if (label.len == 0 || label.len > LABEL_MAX || label.data[0] == '-' ||
	    label.data[label.len - 1] == '-') {
		return false;
	}
	for (size_t i = 0; i < label.len; i++) {
		if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-' &&
		    !(underscore && label.data[i] == '_')) {
			return false;
		}
	}
	return true;
}

static bool is_name(struct view name, bool underscore)
{
	struct view label, rest = name;

	if (name.len == 0 || name.len > ADDRESS_DOMAIN_MAX || name.data[name.len - 1] == '.') {
		return false;
	}
	while (view_next_part(&rest, '.', &label)) {
		if (!is_label(label, underscore)) {
			return false;
		}
	}
	return true;
}

static bool has_a_label(struct view name)
{
	struct view label;

	while (view_next_part(&name, '.', &label)) {
		if (view_starts_nocase(label, VIEW("xn--"))) {
			return true;
		}
	}
	return false;
}

static struct view copy_lower(struct arena *arena, struct view text)
{
	char *copy = arena_alloc(arena, text.len);

	for (size_t i = 0; copy && i < text.len; i++) {
		copy[i] = ascii_lower(text.data[i]);
	}
	return view_of(copy, text.len);
}

// Not equal, not less, not greater (also written as ASCII and a combining mark): UTS 46 excludes
// them as what they decompose to, but libidn2 drops them without a word.
static bool has_dropped_symbol(struct view text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if ((uint8_t)c < 0x80 && !ascii_is_alnum(c) && c != '-' && c != '.') {
			return true;
		}
	}
	return view_find_text(text, VIEW("\xe2\x89\xa0")) != text.len ||
	       view_find_text(text, VIEW("\xe2\x89\xae")) != text.len ||
	       view_find_text(text, VIEW("\xe2\x89\xaf")) != text.len;
}

// libidn2 checks the Bidi rule label by label; the rest of it needs the whole name in U-labels.
static enum address_fault check_u_labels(const char *a_labels)
{
	enum address_fault fault = ADDRESS_OK;
	char *mapped;
	int status = idn2_to_unicode_8z8z(a_labels, &mapped, IDNA_FLAGS);

	if (status != IDN2_OK) {
		return status == IDN2_MALLOC ? ADDRESS_NO_MEMORY : ADDRESS_BAD_DOMAIN;
	}
	if (!address_domain_keeps_bidi_rule(view_from_text(mapped))) {
		fault = ADDRESS_BAD_DOMAIN;
	}
	free(mapped);
	return fault;
}

// Names with U-labels or A-labels: both are checked and mapped by IDNA 2008 (UTS 46).
static enum address_fault to_a_labels(struct arena *arena, struct view text,
				      struct view *ret_domain)
{
	char source[NAME_MAX_OCTETS + 1] = { 0 };
	enum address_fault fault;
	struct view domain;
	uint8_t *mapped;
	int status;

	if (has_dropped_symbol(text)) {
		return ADDRESS_BAD_DOMAIN;
	}
	memcpy(source, text.data, text.len);
	status = idn2_lookup_u8((const uint8_t *)source, &mapped, IDNA_FLAGS);
	if (status != IDN2_OK) {
		return status == IDN2_MALLOC ? ADDRESS_NO_MEMORY : ADDRESS_BAD_DOMAIN;
	}
	domain = view_from_text((const char *)mapped);
	fault = is_name(domain, false) ? check_u_labels((const char *)mapped) : ADDRESS_BAD_DOMAIN;
	if (fault == ADDRESS_OK) {
		domain = copy_lower(arena, domain);
		fault = domain.data ? ADDRESS_OK : ADDRESS_NO_MEMORY;
	}
	free(mapped);
	if (fault == ADDRESS_OK) {
		*ret_domain = domain;
	}
	return fault;
}

enum address_fault address_domain_canonical(struct arena *arena, struct view text, bool underscore,
					    struct view *ret_domain)
{
	struct view domain;

	if (text.len > NAME_MAX_OCTETS) {
		return ADDRESS_TOO_LONG;
	}
	if (view_find(text, '\0') != text.len) {
		return ADDRESS_BAD_DOMAIN;
	}
	if (!text_is_ascii(text)) {
		return text_is_printable(text) ? to_a_labels(arena, text, ret_domain)
					       : ADDRESS_BAD_UTF8;
	}
	if (!is_name(text, underscore)) {
		return ADDRESS_BAD_DOMAIN;
	}
	if (has_a_label(text)) {
		return to_a_labels(arena, text, ret_domain);
	}
	domain = copy_lower(arena, text);
	if (!domain.data) {
		return ADDRESS_NO_MEMORY;
	}
	*ret_domain = domain;
	return ADDRESS_OK;
}

enum address_fault address_domain_normalise(struct arena *arena, struct view text,
					    struct view *ret_domain)
{
	if (text.len > 1 && text.data[text.len - 1] == '.') {
		text.len--;
	}
	return address_domain_canonical(arena, text, true, ret_domain);
}

struct view address_domain_display(struct arena *arena, struct view domain)
{
	char source[ADDRESS_DOMAIN_MAX + 1] = { 0 };
	struct view display = domain;
	char *mapped;

	if (domain.len > ADDRESS_DOMAIN_MAX || !has_a_label(domain)) {
		return domain;
	}
	memcpy(source, domain.data, domain.len);
	if (idn2_to_unicode_8z8z(source, &mapped, IDNA_FLAGS) != IDN2_OK) {
		return domain;
	}
	display = arena_copy(arena, view_from_text(mapped));
	free(mapped);
	return display.data ? display : domain;
}

// A standardized tag, a colon, and dcontent (RFC 5321 section 4.1.3). Tags begin with a letter, so
// that an IPv6 address without its tag is none.
static bool is_general_literal(struct view text)
{
	size_t colon = view_find(text, ':');
	struct view content = view_from(text, colon + 1);

	if (content.len == 0 || !ascii_is_alpha(text.data[0]) ||
	    !is_label(view_first(text, colon), false)) {
		return false;
	}
	for (size_t i = 0; i < content.len; i++) {
		char c = content.data[i];

		if (c < 33 || c > 126 || (c >= '[' && c <= ']')) {
			return false;
		}
	}
	return true;
}

static bool parse_ip(int family, struct view text, uint8_t *ret_ip)
{
	char copy[INET6_ADDRSTRLEN] = { 0 };
	uint8_t ip[16];

	if (text.len == 0 || text.len >= sizeof copy || view_find(text, '\0') != text.len) {
		return false;
	}
	memcpy(copy, text.data, text.len);
	if (inet_pton(family, copy, ip) != 1) {
		return false;
	}
	memcpy(ret_ip, ip, family == AF_INET ? 4 : 16);
	return true;
}

enum address_literal address_literal_parse(struct view text, uint8_t *ret_ip)
{
	struct view inner;

	if (text.len < 3 || text.len > ADDRESS_DOMAIN_MAX || text.data[0] != '[' ||
	    text.data[text.len - 1] != ']') {
		return ADDRESS_LITERAL_NONE;
	}
	inner = view_of(text.data + 1, text.len - 2);
	if (view_starts_nocase(inner, VIEW("IPv6:"))) {
		return parse_ip(AF_INET6, view_from(inner, 5), ret_ip) ? ADDRESS_LITERAL_IPV6
								       : ADDRESS_LITERAL_NONE;
	}
	if (ascii_is_digit(inner.data[0]) && parse_ip(AF_INET, inner, ret_ip)) {
		return ADDRESS_LITERAL_IPV4;
	}
	return is_general_literal(inner) ? ADDRESS_LITERAL_GENERAL : ADDRESS_LITERAL_NONE;
}

struct view address_literal_canonical(struct arena *arena, struct view text,
				      enum address_literal literal, const uint8_t *ip)
{
	char number[INET6_ADDRSTRLEN] = "";

	if (literal == ADDRESS_LITERAL_IPV4) {
		inet_ntop(AF_INET, ip, number, sizeof number);
		return arena_printf(arena, "[%s]", number);
	}
	if (literal == ADDRESS_LITERAL_IPV6) {
		inet_ntop(AF_INET6, ip, number, sizeof number);
		return arena_printf(arena, "[IPv6:%s]", number);
	}
	return copy_lower(arena, text);
}
