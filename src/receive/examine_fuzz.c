// Any message's header judged for both roles: a refusal is a whole reply, what is added in front
// makes no second field, and where the header ends does not depend on how much has come.
#include "base/fuzz.h"
#include "mail/header.h"
#include "receive/examine.h"

// As the body's decoder lets it pass: no CR and no LF alone.
static struct buffer with_line_ends(struct view text)
{
	struct buffer out = buffer_with_max(1 << 20);

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\n') {
			buffer_add(&out, VIEW("\r\n"));
		} else if (text.data[i] != '\r') {
			buffer_add_byte(&out, text.data[i]);
		}
	}
	return out;
}

// Alice has an account; info is an alias of hers.
static struct buffer make_directory(void)
{
	const struct directory_settings settings = directory_settings_default();
	const struct view target = VIEW("alice@example.org");
	struct buffer out = buffer_with_max(1 << 20);
	struct directory_builder *builder;

	MUST(directory_builder_new((struct hash_key){ 1, 2 }, &settings, &builder) == OK);
	MUST(directory_add_domain(builder, VIEW("example.org")) == OK);
	MUST(directory_add_account(builder, target) == OK);
	MUST(directory_add_alias(builder, VIEW("info@example.org"), &target, 1) == OK);
	MUST(directory_set_postmaster(builder, target) == OK);
	MUST(directory_build(builder, &out) == OK);
	directory_builder_free(builder);
	return out;
}

static void check(const struct examine_facts *facts, struct arena *arena)
{
	struct header_facts header = header_facts_of(facts->header);
	struct trace_received received = { .helo = VIEW("client.example"),
					   .peer_ip = VIEW("192.0.2.1"),
					   .hostname = VIEW("mx.example"),
					   .queue_id = VIEW("06fq0s5v3c0g0") };
	struct buffer out = buffer_with_max(1 << 16);
	struct examine_verdict verdict = { 0 };

	MUST(examine_header(facts, arena, &verdict) == OK);
	if (!verdict.accepted) {
		MUST(verdict.reply.code >= 400 && verdict.reply.code < 600);
	} else {
		struct header_facts added;

		MUST(header.received_count <= facts->hops_max);
		MUST(!facts->is_submission || header.from_count == 1);
		MUST(!verdict.add_date || !header.has_date);
		MUST(!verdict.add_message_id || !header.has_message_id);
		examine_add_fields(&out, &verdict, &received);
		added = header_facts_of(buffer_view(&out));
		MUST(added.fault == HEADER_OK && added.received_count == 1);
		MUST(added.field_count == 1u + verdict.add_date + verdict.add_message_id);
	}
	buffer_done(&out);
}

// Once said to be complete, more bytes change nothing of the header.
static void check_complete(struct view message)
{
	struct header_facts whole = header_facts_of(message);
	size_t step = 1 + message.len / 64;

	for (size_t len = 0; len < message.len; len += step) {
		struct view part = view_first(message, len);
		struct header_facts facts = header_facts_of(part);

		if (examine_header_complete(part)) {
			MUST(facts.body_offset == whole.body_offset);
			MUST(facts.field_count == whole.field_count);
			MUST(facts.fault == whole.fault);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buffer table;
	struct arena arena = arena_with_max(4 << 20);
	struct buffer message = with_line_ends(view_first(view_of(data, size), 8192));
	struct examine_facts facts = { .header = buffer_view(&message), .hops_max = 3 };
	struct directory directory;
	struct address login;

	if (!table.data) {
		table = make_directory();
	}
	MUST(directory_open(buffer_view(&table), &directory) == OK);
	facts.directory = &directory;
	MUST(address_parse(&arena, VIEW("alice@example.org"), 0, &login) == ADDRESS_OK);
	check(&facts, &arena);
	facts.is_submission = true;
	facts.login = &login;
	check(&facts, &arena);
	check_complete(facts.header);
	arena_done(&arena);
	buffer_done(&message);
	return 0;
}
