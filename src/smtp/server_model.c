#include "smtp/server_model.h"

// Each of them is good; of others the model only knows that they may be refused.
static bool is_one_of(struct view text, const char *const *good)
{
	for (; *good; good++) {
		if (view_equal_nocase(text, view_from_text(*good))) {
			return true;
		}
	}
	return false;
}

static const char *const good_names[] = { "client.example", "[192.0.2.1]", NULL };
static const char *const good_senders[] = { "FROM:<a@x.example>", "FROM:<>",
					    "FROM:<a@x.example> SIZE=9",
					    "FROM:<a@x.example> BODY=8BITMIME SMTPUTF8", NULL };
static const char *const good_recipients[] = { "TO:<b@y.example>", "TO:<Postmaster>", NULL };
static const char *const good_logins[] = { "PLAIN AHVzZXIAcGFzcw==", NULL };

static struct server_demand reply(unsigned code)
{
	return (struct server_demand){ .code = code, .sure = true };
}

static struct server_demand event(enum smtp_event_kind kind, bool sure)
{
	return (struct server_demand){ .event = kind, .sure = sure };
}

static struct server_demand closed(unsigned code)
{
	return (struct server_demand){ .code = code, .sure = true, .closes = true };
}

// Role submission takes no mail without TLS and a login; 0: nothing is missing.
static unsigned missing(const struct server_model *model)
{
	bool submission = model->settings->role == SMTP_ROLE_SUBMISSION;

	return submission && !(model->tls && model->authenticated) ? 530 : 0;
}

static struct server_demand of_starttls(const struct server_model *model, struct view arguments)
{
	if (!model->greeted || model->open) {
		return reply(503);
	}
	if (arguments.len) {
		return reply(501);
	}
	if (model->tls) {
		return reply(503);
	}
	return model->settings->tls == SMTP_TLS_STARTTLS ? event(SMTP_EVENT_STARTTLS, true)
							 : reply(502);
}

static struct server_demand of_auth(const struct server_model *model, struct view arguments)
{
	struct server_demand demand = event(SMTP_EVENT_AUTH, is_one_of(arguments, good_logins));

	if (!model->greeted || model->open) {
		return reply(503);
	}
	if (model->settings->role != SMTP_ROLE_SUBMISSION) {
		return reply(502);
	}
	if (!model->tls) {
		return reply(538);
	}
	demand.challenge = true;
	return model->authenticated ? reply(503) : demand;
}

static struct server_demand of_mail(const struct server_model *model, struct view arguments)
{
	if (!model->greeted) {
		return reply(503);
	}
	if (missing(model)) {
		return reply(missing(model));
	}
	return model->open ? reply(503)
			   : event(SMTP_EVENT_MAIL, is_one_of(arguments, good_senders));
}

static struct server_demand of_rcpt(const struct server_model *model, struct view arguments)
{
	unsigned max = model->settings->recipients_max;

	if (missing(model)) {
		return reply(missing(model));
	}
	if (!model->open) {
		return reply(503);
	}
	if (model->recipients >= max || model->attempts >= 2 * max) {
		return reply(452);
	}
	return event(SMTP_EVENT_RCPT, is_one_of(arguments, good_recipients));
}

static struct server_demand of_data(const struct server_model *model, struct view arguments)
{
	if (missing(model)) {
		return reply(missing(model));
	}
	if (!model->open) {
		return reply(503);
	}
	if (arguments.len) {
		return reply(501);
	}
	return model->recipients ? event(SMTP_EVENT_DATA, true) : reply(503);
}

static struct server_demand of_vrfy(const struct server_model *model, struct view arguments)
{
	if (missing(model)) {
		return reply(missing(model));
	}
	return reply(arguments.len ? 252 : 501);
}

// Commands that a client must not go on behind before it has the reply.
static bool ends_group(struct view word)
{
	static const char *const words[] = { "EHLO", "HELO", "DATA", "STARTTLS", NULL };

	return is_one_of(word, words);
}

static struct server_demand of_command(const struct server_model *model, struct view word,
				       struct view arguments)
{
	if (view_equal_nocase(word, VIEW("EHLO")) || view_equal_nocase(word, VIEW("HELO"))) {
		return event(SMTP_EVENT_HELO, is_one_of(arguments, good_names));
	}
	if (view_equal_nocase(word, VIEW("STARTTLS"))) {
		return of_starttls(model, arguments);
	}
	if (view_equal_nocase(word, VIEW("AUTH"))) {
		return of_auth(model, arguments);
	}
	if (view_equal_nocase(word, VIEW("MAIL"))) {
		return of_mail(model, arguments);
	}
	if (view_equal_nocase(word, VIEW("RCPT"))) {
		return of_rcpt(model, arguments);
	}
	if (view_equal_nocase(word, VIEW("DATA"))) {
		return of_data(model, arguments);
	}
	if (view_equal_nocase(word, VIEW("RSET"))) {
		return reply(arguments.len ? 501 : 250);
	}
	if (view_equal_nocase(word, VIEW("NOOP"))) {
		return reply(250);
	}
	if (view_equal_nocase(word, VIEW("VRFY"))) {
		return of_vrfy(model, arguments);
	}
	if (view_equal_nocase(word, VIEW("EXPN"))) {
		return reply(502);
	}
	if (view_equal_nocase(word, VIEW("HELP"))) {
		return reply(214);
	}
	if (view_equal_nocase(word, VIEW("QUIT"))) {
		return arguments.len ? reply(501) : closed(221);
	}
	return reply(500); // BDAT among them, which EHLO does not offer
}

static bool is_foreign(struct view word)
{
	static const char *const words[] = { "GET",    "POST",    "HEAD",  "PUT",
					     "DELETE", "OPTIONS", "TRACE", "CONNECT",
					     "PRI",    "PATCH",   NULL };

	return is_one_of(word, words) || view_starts(word, VIEW("SSH-"));
}

static bool has_control(struct view line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if ((c < 32 && c != '\t') || c == 127) {
			return true;
		}
	}
	return false;
}

static size_t line_max(const struct server_model *model, struct view line)
{
	const struct smtp_server_settings *settings = model->settings;
	bool login = settings->role == SMTP_ROLE_SUBMISSION && model->tls &&
		     view_starts_nocase(line, VIEW("AUTH "));

	return model->logging_in || login ? SMTP_AUTH_LINE_MAX : settings->line_bytes_max;
}

struct server_demand server_model_demand(const struct server_model *model, struct view line,
					 bool more)
{
	struct view rest = line, word = { 0 };

	if (line.len + 2 > line_max(model, line) || has_control(line)) {
		return reply(500);
	}
	if (model->logging_in) {
		return (struct server_demand){ .event = SMTP_EVENT_AUTH, .challenge = true };
	}
	if (model->refused) {
		return view_equal_nocase(view_trim(line), VIEW("QUIT")) ? closed(221) : reply(503);
	}
	view_next_word(&rest, &word);
	if (is_foreign(word) || (more && ends_group(word))) {
		return closed(554);
	}
	return of_command(model, word, view_trim(rest));
}
