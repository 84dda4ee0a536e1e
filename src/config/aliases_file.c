// The classic format of /etc/aliases: "name: target, target", lines that begin with a blank go on,
// "#" begins a comment. What runs programs or writes files is refused, with its place.
#include <stdlib.h>

#include "base/text.h"
#include "config/load_private.h"

enum {
	ENTRY_MAX = 64 * 1024, // bytes of one entry with its continuation lines
	ALIASES_MAX = 1000000, // after names without a domain were given each of ours
};

struct found {
	struct config_alias alias;
	struct place place; // in the file; line 0: from the keys
	bool everywhere;    // its name had no domain
};

struct aliases {
	struct load *load;
	struct found *items;
	size_t count, capacity;
};

static void add_found(struct aliases *aliases, struct found found)
{
	struct load *load = aliases->load;
	struct found *larger = aliases->items;

	if (aliases->count == ALIASES_MAX) {
		problem_add(load->problems, found.place, "more than %d aliases", ALIASES_MAX);
		return;
	}
	if (aliases->count == aliases->capacity) {
		aliases->capacity = aliases->capacity ? aliases->capacity * 2 : 64;
		larger = realloc(aliases->items, aliases->capacity * sizeof *larger);
	}
	if (!larger) {
		load->problems->no_memory = true;
		return;
	}
	aliases->items = larger;
	aliases->items[aliases->count++] = found;
}

// Without the quotes around it, and the backslash that once meant "no further aliases".
static struct view bare_word(struct view text)
{
	text = view_trim(text);
	if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"') {
		text = view_of(text.data + 1, text.len - 2);
	}
	if (view_starts(text, VIEW("\\"))) {
		text = view_from(text, 1);
	}
	return text;
}

static const char *target_fault(struct view target)
{
	if (view_starts(target, VIEW("|"))) {
		return "programs are not run from aliases";
	}
	if (view_starts(target, VIEW("/"))) {
		return "mail is not written to files from aliases";
	}
	if (view_starts(target, VIEW(":"))) {
		return "includes are not supported: write the addresses here";
	}
	return NULL;
}

// The address that a word means in a domain: itself, or the word at that domain.
static bool address_in(struct aliases *aliases, struct view word, struct view domain,
		       enum form form, struct place place, struct view *ret_address)
{
	struct arena *arena = aliases->load->arena;
	struct problems *problems = aliases->load->problems;
	const char *fault;

	if (domain.len) {
		word = arena_printf(arena, "%.*s@%.*s", VIEW_ARG(word), VIEW_ARG(domain));
	}
	fault = form_check(form, arena, word, ret_address);
	if (fault) {
		problem_add(problems, place, "'%.*s': %s", SHOWN(problems, word), fault);
	}
	return !fault;
}

static bool has_domain(struct view word)
{
	return view_find(word, '@') < word.len;
}

// The part before the next comma that is not inside quotes.
static bool next_target(struct view *rest, struct view *ret_target)
{
	bool quoted = false;
	size_t end = 0;

	if (!rest->len) {
		return false;
	}
	while (end < rest->len && (quoted || rest->data[end] != ',')) {
		quoted ^= rest->data[end] == '"';
		end++;
	}
	*ret_target = view_trim(view_first(*rest, end));
	*rest = view_from(*rest, end + 1);
	return true;
}

static bool targets_in(struct aliases *aliases, struct view text, struct view domain,
		       struct place place, struct config_alias *alias)
{
	struct load *load = aliases->load;
	struct view rest = text, target;
	size_t count = 0;

	while (next_target(&rest, &target)) {
		count += target.len > 0;
	}
	if (count == 0 || count > DIRECTORY_TARGETS_MAX) {
		problem_add(load->problems, place, count ? "too many targets" : "no target");
		return false;
	}
	alias->targets.items = arena_alloc_array(load->arena, count, sizeof(struct view));
	if (!alias->targets.items) {
		load->problems->no_memory = true;
		return false;
	}
	while (next_target(&text, &target)) {
		const char *fault = target_fault(bare_word(target));

		if (!target.len) {
			continue;
		}
		if (fault) {
			problem_add(load->problems, place, "'%.*s': %s",
				    SHOWN(load->problems, target), fault);
			return false;
		}
		target = bare_word(target);
		if (!address_in(aliases, target, has_domain(target) ? VIEW("") : domain,
				FORM_MAILBOX, place, &alias->targets.items[alias->targets.count])) {
			return false;
		}
		alias->targets.count++;
	}
	return true;
}

static void add_entry(struct aliases *aliases, struct view name, struct view targets,
		      struct view domain, struct place place)
{
	struct found found = { .place = place, .everywhere = domain.len != 0 };
	struct view own = domain;

	if (!address_in(aliases, name, domain, FORM_MAILBOX_KEY, place, &found.alias.address)) {
		return;
	}
	if (!own.len) {
		struct view address = found.alias.address;

		own = view_from(address, view_find_last(address, '@') + 1);
	}
	if (targets_in(aliases, targets, own, place, &found.alias)) {
		add_found(aliases, found);
	}
}

static void read_entry(struct aliases *aliases, struct view entry, struct place place)
{
	const struct config *config = aliases->load->config;
	size_t quote = view_starts(entry, VIEW("\"")) ? view_find(view_from(entry, 1), '"') + 1 : 0;
	size_t colon = quote + view_find(view_from(entry, quote), ':');
	struct view name = bare_word(view_first(entry, colon));
	struct view targets = view_from(entry, colon + 1);
	size_t errors = aliases->load->problems->errors;

	if (colon >= entry.len || !name.len) {
		problem_add(aliases->load->problems, place, "expected 'name: target, target'");
		return;
	}
	if (has_domain(name)) {
		add_entry(aliases, name, targets, VIEW(""), place);
		return;
	}
	for (size_t i = 0; i < config->domains.count; i++) {
		add_entry(aliases, name, targets, config->domains.items[i].name, place);
		if (aliases->load->problems->errors > errors) {
			return; // once is enough
		}
	}
}

static bool is_continuation(struct view line)
{
	return view_starts(line, VIEW(" ")) || view_starts(line, VIEW("\t"));
}

static struct view without_comment(struct view line)
{
	bool quoted = false;

	for (size_t i = 0; i < line.len; i++) {
		quoted ^= line.data[i] == '"';
		if (line.data[i] == '#' && !quoted) {
			return view_first(line, i);
		}
	}
	return line;
}

static struct view next_line(struct view *text)
{
	size_t end = view_find(*text, '\n');
	struct view line = view_first(*text, end);

	*text = view_from(*text, end + 1);
	if (line.len && line.data[line.len - 1] == '\r') {
		line.len--;
	}
	return line;
}

static void end_entry(struct aliases *aliases, struct buffer *entry, struct place place)
{
	struct view text = view_trim(buffer_view(entry));

	if (buffer_error(entry)) {
		problem_add(aliases->load->problems, place, "an entry of more than %d bytes",
			    ENTRY_MAX);
	} else if (text.len) {
		read_entry(aliases, text, place);
	}
	buffer_clear(entry);
}

static void read_entries(struct aliases *aliases, struct view file, struct view text)
{
	struct buffer entry = buffer_with_max(ENTRY_MAX);
	struct place place = { .file = file, .line = 1, .column = 1 };

	for (unsigned number = 1; text.len; number++) {
		struct view line = without_comment(next_line(&text));

		if (!view_trim(line).len) {
			continue; // does not end an entry either
		}
		if (!is_continuation(line) || !entry.len) {
			end_entry(aliases, &entry, place);
			place.line = number;
		}
		buffer_add(&entry, line);
	}
	end_entry(aliases, &entry, place);
	buffer_done(&entry);
}

// By address; what names its domain goes before what counts in each.
static int by_address(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int order = view_compare(x->alias.address, y->alias.address);

	if (order == 0) {
		order = (int)x->everywhere - (int)y->everywhere;
	}
	return order ? order : (x->place.line > y->place.line) - (x->place.line < y->place.line);
}

static struct place found_place(const struct load *load, const struct found *found)
{
	return found->place.line ? found->place
				 : load_place(load, "aliases.%.*s", VIEW_ARG(found->alias.address));
}

static void report_twice(struct load *load, const struct found *first, const struct found *second)
{
	struct place one = found_place(load, first), two = found_place(load, second);

	problem_add(load->problems, two, "'%.*s' is there already, in %.*s:%u",
		    SHOWN(load->problems, second->alias.address), SHOWN(load->problems, one.file),
		    one.line);
}

// An address with its domain may be there once only; it goes before a name that counts everywhere.
static void join(struct aliases *aliases)
{
	struct load *load = aliases->load;
	struct config_alias *joined =
		arena_alloc_array(load->arena, aliases->count + 1, sizeof *joined);
	const struct found *last = NULL;
	size_t count = 0;

	if (!joined) {
		load->problems->no_memory = true;
		return;
	}
	if (aliases->count) {
		qsort(aliases->items, aliases->count, sizeof *aliases->items, by_address);
	}
	for (size_t i = 0; i < aliases->count; i++) {
		const struct found *found = &aliases->items[i];

		if (!last || !view_equal(last->alias.address, found->alias.address)) {
			joined[count++] = found->alias;
			last = found;
		} else if (last->everywhere == found->everywhere) {
			report_twice(load, last, found);
		}
	}
	load->config->aliases.items = joined;
	load->config->aliases.count = count;
}

void load_aliases_file(struct load *load)
{
	struct aliases aliases = { .load = load };
	struct config *config = load->config;
	struct place place = load_place(load, "aliases_file");
	struct view file = config->aliases_file, text;
	size_t from_keys = config->aliases.count;

	if (!file.len || !tree_read_file(load->tree, file, place, &text)) {
		return;
	}
	if (!text_is_utf8(text)) {
		problem_add(load->problems, (struct place){ .file = file }, "not UTF-8 text");
		return;
	}
	for (size_t i = 0; i < from_keys; i++) {
		add_found(&aliases, (struct found){ .alias = config->aliases.items[i] });
	}
	read_entries(&aliases, file, text);
	for (size_t i = from_keys; i < aliases.count; i++) {
		load_add_origin(load,
				arena_printf(load->arena, "aliases.%.*s",
					     VIEW_ARG(aliases.items[i].alias.address)),
				aliases.items[i].place);
	}
	join(&aliases);
	free(aliases.items);
}
