// RFC 5321 section 4.1.2: esmtp-param = esmtp-keyword ["=" esmtp-value], each at most once.
#include "smtp/server_parts.h"

// The reply that refuses the value, or SMTP_REPLY_OK.
typedef enum smtp_reply_id parameter_fn(struct view value, bool has_value,
					struct smtp_mail_parameters *parameters);

// RFC 1870 section 5: size-value = 1*20DIGIT
static enum smtp_reply_id take_size(struct view value, bool has_value,
				    struct smtp_mail_parameters *parameters)
{
	(void)has_value;
	return value.len <= 20 && view_to_u64(value, UINT64_MAX, &parameters->size)
		       ? SMTP_REPLY_OK
		       : SMTP_REPLY_BAD_SIZE;
}

// RFC 6152 section 3
static enum smtp_reply_id take_body(struct view value, bool has_value,
				    struct smtp_mail_parameters *parameters)
{
	(void)has_value;
	if (view_equal_nocase(value, VIEW("7BIT"))) {
		parameters->body = SMTP_BODY_7BIT;
	} else if (view_equal_nocase(value, VIEW("8BITMIME"))) {
		parameters->body = SMTP_BODY_8BITMIME;
	} else {
		return SMTP_REPLY_BAD_BODY;
	}
	return SMTP_REPLY_OK;
}

// RFC 6531 section 3.4: no value.
static enum smtp_reply_id take_smtputf8(struct view value, bool has_value,
					struct smtp_mail_parameters *parameters)
{
	(void)value;
	parameters->smtputf8 = true;
	return has_value ? SMTP_REPLY_BAD_SMTPUTF8 : SMTP_REPLY_OK;
}

// RFC 4954 section 5: checked and ignored, which it allows to servers that do not trust the client.
// xtext (RFC 3461 section 4) that hides a control character is refused (attack A12).
static enum smtp_reply_id take_auth(struct view value, bool has_value,
				    struct smtp_mail_parameters *parameters)
{
	(void)parameters;
	if (!has_value || value.len == 0) {
		return SMTP_REPLY_BAD_AUTH_PARAMETER;
	}
	for (size_t i = 0; i < value.len; i++) {
		char byte = value.data[i];

		if (byte == '+') {
			struct view pair = view_first(view_from(value, i + 1), 2);
			int high = pair.len == 2 ? ascii_hex_value(pair.data[0]) : -1;
			int low = pair.len == 2 ? ascii_hex_value(pair.data[1]) : -1;

			if (high < 2 || low < 0 || (high == 7 && low == 15)) {
				return SMTP_REPLY_BAD_AUTH_PARAMETER;
			}
			i += 2;
		} else if (byte < '!' || byte > '~' || byte == '=') {
			return SMTP_REPLY_BAD_AUTH_PARAMETER;
		}
	}
	return SMTP_REPLY_OK;
}

static const struct {
	struct view name;
	parameter_fn *take;
} rows[] = {
	{ VIEW("SIZE"), take_size },
	{ VIEW("BODY"), take_body },
	{ VIEW("SMTPUTF8"), take_smtputf8 },
	{ VIEW("AUTH"), take_auth },
};

enum { ROWS_COUNT = sizeof rows / sizeof *rows };

static enum smtp_reply_id take(struct view word, struct smtp_mail_parameters *parameters)
{
	size_t equals = view_find(word, '=');
	struct view name = view_first(word, equals);

	for (unsigned i = 0; i < ROWS_COUNT; i++) {
		if (!view_equal_nocase(name, rows[i].name)) {
			continue;
		}
		if (parameters->seen & 1u << i) {
			return SMTP_REPLY_REPEATED_PARAMETER;
		}
		parameters->seen |= 1u << i;
		return rows[i].take(view_from(word, equals + 1), equals < word.len, parameters);
	}
	return SMTP_REPLY_UNKNOWN_PARAMETER;
}

bool smtp_mail_parameters_parse(struct smtp_server *server, struct view text,
				struct smtp_mail_parameters *ret_parameters)
{
	struct view word;

	while (view_next_word(&text, &word)) {
		enum smtp_reply_id refusal = take(word, ret_parameters);

		if (refusal != SMTP_REPLY_OK) {
			smtp_server_say_id(server, refusal);
			return false;
		}
	}
	return true;
}
