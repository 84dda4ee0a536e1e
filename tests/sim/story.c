// The life of a letter, told for people: what the harness saw of it, what the server logged about
// it, and what befell the machine meanwhile, in the order of time.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sim/ledger.h"

enum {
	STORIES_MAX = 3, // letters whose story is told
	LINES_FIRST = 30,
	LINES_LAST = 50,
	IDS_MAX = 16,
	ID_BYTES = 16,
};

// What names the letter in a line of the log; queue ids are learned as they appear.
struct names {
	char sender[32], recipient[32];
	char ids[IDS_MAX][ID_BYTES];
	unsigned id_count;
};

static bool holds_word(struct view line, const char *word)
{
	struct view text = view_from_text(word);
	size_t place = view_find_text(line, text);

	while (place < line.len) {
		if (place == 0 || !isalnum((unsigned char)line.data[place - 1])) {
			return true;
		}
		line = view_from(line, place + 1);
		place = view_find_text(line, text);
	}
	return false;
}

static void learn_id(struct names *names, struct view line)
{
	struct view rest = view_from(line, view_find_text(line, VIEW(" id=")));
	struct view id;

	rest = view_from(rest, sizeof " id=" - 1);
	id = view_first(rest, view_find(rest, ' '));
	if (id.len && id.len < ID_BYTES && names->id_count < IDS_MAX) {
		char *place = names->ids[names->id_count++];

		memcpy(place, id.data, id.len);
		place[id.len] = 0;
	}
}

static bool is_about(struct names *names, const struct ledger_line *line)
{
	struct view text = view_from_text(line->text);
	bool is_known = false;

	for (unsigned i = 0; i < names->id_count; i++) {
		is_known = is_known || holds_word(text, names->ids[i]);
	}
	if (is_known || holds_word(text, names->sender) || holds_word(text, names->recipient)) {
		learn_id(names, text);
		return true;
	}
	return false;
}

static bool is_log(const struct ledger_line *line)
{
	return line->letter == LEDGER_LOG;
}

static void add_line(struct buffer *out, const struct ledger_line *line)
{
	buffer_printf(out, "%7llu.%03llu  %-9s %s\n", (unsigned long long)line->at_us / 1000000,
		      (unsigned long long)line->at_us / 1000 % 1000, line->who, line->text);
}

// The lines that belong to the story are marked; how many they are.
static unsigned choose(const struct ledger *ledger, unsigned letter, bool *chosen)
{
	struct names names = { .id_count = 0 };
	bool begun = false;
	unsigned count = 0;

	snprintf(names.sender, sizeof names.sender, "s%u@", letter);
	snprintf(names.recipient, sizeof names.recipient, "r%u.", letter);
	for (unsigned i = 0; i < ledger->line_count; i++) {
		const struct ledger_line *line = &ledger->lines[i];

		begun = begun || line->letter == letter;
		chosen[i] = begun && (line->letter == letter || line->letter == LEDGER_ALL ||
				      (is_log(line) && is_about(&names, line)));
		count += chosen[i];
	}
	return count;
}

static void tell_one(const struct ledger *ledger, unsigned letter, struct buffer *out)
{
	bool *chosen = calloc(ledger->line_count + 1, sizeof *chosen);
	unsigned count = chosen ? choose(ledger, letter, chosen) : 0, place = 0;

	buffer_printf(out, "the life of letter %u (seconds, who, what):\n", letter);
	for (unsigned i = 0; i < ledger->line_count && chosen; i++) {
		if (!chosen[i]) {
			continue;
		}
		if (place < LINES_FIRST || place + LINES_LAST >= count) {
			add_line(out, &ledger->lines[i]);
		} else if (place == LINES_FIRST) {
			buffer_printf(out, "             ... %u lines; --trace has all ...\n",
				      count - LINES_FIRST - LINES_LAST);
		}
		place++;
	}
	free(chosen);
}

void ledger_tell(const struct ledger *ledger, struct buffer *out)
{
	unsigned told = 0;

	for (unsigned n = 0; n < ledger->letter_count && told < STORIES_MAX; n++) {
		if (ledger->letters[n]->accused) {
			tell_one(ledger, n, out);
			told++;
		}
	}
	if (!told && ledger->letter_count) { // of no letter in particular
		tell_one(ledger, 0, out);
	}
}
