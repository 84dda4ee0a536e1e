#include "mail/address.h"

#include <stdlib.h>
#include <string.h>
#include <unicase.h>

#include "base/text.h"
#include "mail/address_domain.h"

static const char *const fault_texts[] = {
	[ADDRESS_OK] = "well-formed address",
	[ADDRESS_NO_MEMORY] = "out of memory",
	[ADDRESS_SYNTAX] = "malformed address",
	[ADDRESS_TOO_LONG] = "address too long",
	[ADDRESS_NEEDS_UTF8] = "address not in ASCII",
	[ADDRESS_BAD_UTF8] = "ill-formed UTF-8 in address",
	[ADDRESS_BAD_DOMAIN] = "malformed domain name in address",
};

const char *address_fault_text(enum address_fault fault)
{
	return fault_texts[fault];
}

// A local part with its quotes and backslashes taken off.
struct local_part {
	char bytes[ADDRESS_LOCAL_MAX];
	size_t len;
};

static bool holds(const char *set, char c)
{
	return c != '\0' && strchr(set, c);
}

static bool is_atext(char c)
{
	return ascii_is_alnum(c) || (uint8_t)c >= 0x80 || holds("!#$%&'*+-/=?^_`{|}~", c);
}

// dot-string = atom *("." atom)
static bool is_dot_string(struct view text)
{
	bool after_dot = true;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '.' ? after_dot : !is_atext(text.data[i])) {
			return false;
		}
		after_dot = text.data[i] == '.';
	}
	return !after_dot;
}

static enum address_fault take_dot_string(struct view *rest, struct local_part *local)
{
	struct view text = *rest;
	size_t end = 0;

	while (end < text.len && (is_atext(text.data[end]) || text.data[end] == '.')) {
		end++;
	}
	if (end > ADDRESS_LOCAL_MAX) {
		return ADDRESS_TOO_LONG;
	}
	text.len = end;
	if (!is_dot_string(text)) {
		return ADDRESS_SYNTAX;
	}
	memcpy(local->bytes, text.data, end);
	local->len = end;
	*rest = view_from(*rest, end);
	return ADDRESS_OK;
}

// quoted-string = DQUOTE *(qtextSMTP / "\" %d32-126) DQUOTE. The empty one is refused: an empty
// local part would be one comparison away from the null path.
static enum address_fault take_quoted(struct view *rest, struct local_part *local)
{
	struct view text = *rest;
	size_t i = 1;

	local->len = 0;
	for (; i < text.len && text.data[i] != '"'; i++) {
		bool pair = text.data[i] == '\\';

		if (i >= ADDRESS_LOCAL_MAX - 1) {
			return ADDRESS_TOO_LONG;
		}
		i += pair;
		if (i == text.len || (uint8_t)text.data[i] < ' ' || text.data[i] == 0x7f ||
		    (pair && (uint8_t)text.data[i] >= 0x80)) {
			return ADDRESS_SYNTAX;
		}
		local->bytes[local->len++] = text.data[i];
	}
	if (i >= text.len || local->len == 0) {
		return ADDRESS_SYNTAX;
	}
	if (i + 1 > ADDRESS_LOCAL_MAX) {
		return ADDRESS_TOO_LONG;
	}
	*rest = view_from(*rest, i + 1);
	return ADDRESS_OK;
}

static enum address_fault take_local(struct view *rest, unsigned allow, struct local_part *local)
{
	struct view text;
	enum address_fault fault = rest->len && rest->data[0] == '"' ? take_quoted(rest, local)
								     : take_dot_string(rest, local);

	if (fault != ADDRESS_OK) {
		return fault;
	}
	text = view_of(local->bytes, local->len);
	if (text_is_ascii(text)) {
		return ADDRESS_OK;
	}
	if (!text_is_printable(text)) {
		return ADDRESS_BAD_UTF8;
	}
	return allow & ADDRESS_UTF8 ? ADDRESS_OK : ADDRESS_NEEDS_UTF8;
}

static size_t name_end(struct view text)
{
	size_t end = 0;

	while (end < text.len && !holds(" \t<>,:\"[]@", text.data[end])) {
		end++;
	}
	return end;
}

static enum address_fault take_name(struct arena *arena, struct view *rest, unsigned allow,
				    struct view *ret_domain)
{
	struct view name = view_first(*rest, name_end(*rest));
	enum address_fault fault;

	if (name.len == 0) {
		return ADDRESS_SYNTAX;
	}
	if (!(allow & ADDRESS_UTF8) && !text_is_ascii(name)) {
		return ADDRESS_NEEDS_UTF8;
	}
	fault = address_domain_canonical(arena, name, false, ret_domain);
	if (fault == ADDRESS_OK) {
		*rest = view_from(*rest, name.len);
	}
	return fault;
}

static enum address_fault take_domain(struct arena *arena, struct view *rest, unsigned allow,
				      struct address *address)
{
	struct view text;
	enum address_fault fault;

	if (rest->len == 0 || rest->data[0] != '[') {
		fault = take_name(arena, rest, allow, &address->domain);
		if (fault == ADDRESS_OK) {
			address->display = address_domain_display(arena, address->domain);
		}
		return fault;
	}
	text = view_first(*rest, view_find(*rest, ']') + 1);
	address->literal = address_literal_parse(text, address->ip);
	if (address->literal == ADDRESS_LITERAL_NONE) {
		return ADDRESS_SYNTAX;
	}
	address->domain = address_literal_canonical(arena, text, address->literal, address->ip);
	address->display = address->domain;
	*rest = view_from(*rest, text.len);
	return address->domain.data ? ADDRESS_OK : ADDRESS_NO_MEMORY;
}

// Writes the local part as it is sent; room for twice the maximum and two quotes.
static size_t write_local(char *out, struct view local)
{
	size_t len = 0;

	if (is_dot_string(local)) {
		memcpy(out, local.data, local.len);
		return local.len;
	}
	out[len++] = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (local.data[i] == '"' || local.data[i] == '\\') {
			out[len++] = '\\';
		}
		out[len++] = local.data[i];
	}
	out[len++] = '"';
	return len;
}

// Case-folded for comparing: ASCII at once, the rest by Unicode's rules and in NFC.
static struct view fold(struct arena *arena, struct view text)
{
	struct view folded = { 0 };
	uint8_t *unicode;
	size_t len = 0;
	char *ascii;

	if (!text_is_ascii(text)) {
		unicode = u8_casefold((const uint8_t *)text.data, text.len, NULL, UNINORM_NFC, NULL,
				      &len);
		if (unicode) {
			folded = arena_copy(arena, view_of(unicode, len));
			free(unicode);
		}
		return folded;
	}
	ascii = arena_alloc(arena, text.len);
	for (size_t i = 0; ascii && i < text.len; i++) {
		ascii[i] = ascii_lower(text.data[i]);
	}
	return view_of(ascii, text.len);
}

static bool is_routing(struct view local)
{
	for (size_t i = 0; i < local.len; i++) {
		if (holds("%!@", local.data[i])) {
			return true;
		}
	}
	return view_find_text(local, VIEW("=?")) != local.len;
}

static bool is_folded(struct view text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((uint8_t)text.data[i] >= 0x80 || text.data[i] != ascii_lower(text.data[i])) {
			return false;
		}
	}
	return true;
}

// Fills text, key and local from the unquoted local part and address->domain.
static enum address_fault assemble(struct arena *arena, const struct local_part *part,
				   struct address *address)
{
	char whole[2 * ADDRESS_LOCAL_MAX + 2 + 1 + ADDRESS_DOMAIN_MAX];
	struct view local = view_of(part->bytes, part->len);
	size_t local_len = write_local(whole, local), len = local_len;

	if (address->domain.len) {
		whole[len++] = '@';
		memcpy(whole + len, address->domain.data, address->domain.len);
		len += address->domain.len;
	}
	if (local_len > ADDRESS_LOCAL_MAX || len > ADDRESS_MAILBOX_MAX) {
		return ADDRESS_TOO_LONG;
	}
	address->text = arena_copy(arena, view_of(whole, len));
	address->local = local_len == local.len ? view_first(address->text, local.len)
						: arena_copy(arena, local);
	address->key = is_folded(address->text) ? address->text : fold(arena, address->text);
	address->needs_smtputf8 = !text_is_ascii(local);
	address->routing = is_routing(local);
	if (!address->text.data || !address->local.data || !address->key.data) {
		return ADDRESS_NO_MEMORY;
	}
	// Folding may make it longer: U+0344 is two characters in NFC.
	return address->key.len - (len - local_len) > ADDRESS_LOCAL_MAX ||
			       address->key.len > ADDRESS_MAILBOX_MAX
		       ? ADDRESS_TOO_LONG
		       : ADDRESS_OK;
}

static bool ends_mailbox(struct view rest)
{
	return rest.len == 0 || holds(" \t>", rest.data[0]);
}

enum address_fault address_take_mailbox(struct arena *arena, struct view *rest, unsigned allow,
					struct address *ret_address)
{
	struct address address = { 0 };
	struct local_part local;
	struct view text = *rest;
	enum address_fault fault = take_local(&text, allow, &local);

	if (fault != ADDRESS_OK) {
		return fault;
	}
	if (text.len && text.data[0] == '@') {
		text = view_from(text, 1);
		fault = take_domain(arena, &text, allow, &address);
	} else if (allow & ADDRESS_POSTMASTER &&
		   view_equal_nocase(view_of(local.bytes, local.len), VIEW("postmaster"))) {
		memcpy(local.bytes, "postmaster", local.len);
	} else {
		fault = ADDRESS_SYNTAX;
	}
	if (fault == ADDRESS_OK && !ends_mailbox(text)) {
		fault = ADDRESS_SYNTAX;
	}
	if (fault == ADDRESS_OK) {
		fault = assemble(arena, &local, &address);
	}
	if (fault == ADDRESS_OK) {
		*ret_address = address;
		*rest = text;
	}
	return fault;
}

// A-d-l = At-domain *("," At-domain) ":"; checked and forgotten (RFC 5321 appendix C).
static enum address_fault skip_source_route(struct arena *arena, struct view *rest, unsigned allow)
{
	struct view domain;
	enum address_fault fault;

	while (rest->len && rest->data[0] == '@') {
		*rest = view_from(*rest, 1);
		fault = take_name(arena, rest, allow, &domain);
		if (fault != ADDRESS_OK) {
			return fault;
		}
		if (rest->len < 2 || (rest->data[0] != ':' && rest->data[0] != ',') ||
		    (rest->data[0] == ',' && rest->data[1] != '@')) {
			return ADDRESS_SYNTAX;
		}
		if (rest->data[0] == ':') {
			*rest = view_from(*rest, 1);
			return ADDRESS_OK;
		}
		*rest = view_from(*rest, 1);
	}
	return ADDRESS_OK;
}

enum address_fault address_take_path(struct arena *arena, struct view *rest, unsigned allow,
				     struct address *ret_address)
{
	struct address address = { 0 };
	struct view text = *rest;
	enum address_fault fault;

	if (text.len < 2 || text.data[0] != '<') {
		return ADDRESS_SYNTAX;
	}
	text = view_from(text, 1);
	if (text.data[0] == '>') {
		fault = allow & ADDRESS_NULL ? ADDRESS_OK : ADDRESS_SYNTAX;
	} else {
		if (text.data[0] == '@') {
			allow &= ~(unsigned)ADDRESS_POSTMASTER;
		}
		fault = skip_source_route(arena, &text, allow);
		if (fault == ADDRESS_OK) {
			fault = address_take_mailbox(arena, &text, allow, &address);
		}
	}
	if (fault != ADDRESS_OK) {
		return fault;
	}
	if (text.len == 0 || text.data[0] != '>') {
		return ADDRESS_SYNTAX;
	}
	text = view_from(text, 1);
	if (rest->len - text.len > ADDRESS_PATH_MAX) {
		return ADDRESS_TOO_LONG;
	}
	*ret_address = address;
	*rest = text;
	return ADDRESS_OK;
}

enum address_fault address_parse(struct arena *arena, struct view text, unsigned allow,
				 struct address *ret_address)
{
	struct address address = { 0 };
	enum address_fault fault = ADDRESS_OK;

	if (text.len || !(allow & ADDRESS_NULL)) {
		fault = address_take_mailbox(arena, &text, allow, &address);
	}
	if (fault == ADDRESS_OK && text.len) {
		fault = ADDRESS_SYNTAX;
	}
	if (fault == ADDRESS_OK) {
		*ret_address = address;
	}
	return fault;
}

bool address_split(struct view local, struct view separators, struct view *ret_user,
		   struct view *ret_detail)
{
	for (size_t i = 1; i < local.len; i++) {
		if (view_find(separators, local.data[i]) != separators.len) {
			*ret_user = view_first(local, i);
			*ret_detail = view_from(local, i + 1);
			return true;
		}
	}
	*ret_user = local;
	*ret_detail = (struct view){ 0 };
	return false;
}
