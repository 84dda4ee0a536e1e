#include "sim/ledger.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "spool/writer.h"

enum { TEXT_BYTES_MAX = 64 * 1024, LINE_BYTES_MAX = 4096 };

static void *grow(void *array, unsigned count, size_t size)
{
	void *larger = realloc(array, (count + 1) * size);

	if (!larger) {
		abort();
	}
	memset((char *)larger + count * size, 0, size);
	return larger;
}

const char *promise_name(enum promise promise)
{
	static const char *const names[PROMISE_COUNT] = {
		[PROMISE_KEPT] = "kept",       [PROMISE_BYTES] = "bytes", [PROMISE_ONCE] = "once",
		[PROMISE_REFUSED] = "refused", [PROMISE_TOLD] = "told",   [PROMISE_ORDER] = "order",
		[PROMISE_BOUNDS] = "bounds",   [PROMISE_QUIET] = "quiet", [PROMISE_SOUND] = "sound",
	};

	return names[promise];
}

static void on_server_says(void *context, const char *who, struct view what);

struct ledger *ledger_new(struct sim *sim, const struct spec *spec)
{
	struct ledger *ledger = grow(NULL, 0, sizeof *ledger);

	ledger->sim = sim;
	ledger->spec = *spec;
	ledger->text = buffer_with_max(TEXT_BYTES_MAX);
	sim_watch(sim, on_server_says, ledger);
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	for (unsigned i = 0; i < ledger->letter_count; i++) {
		for (unsigned k = 0; k < ledger->letters[i]->recipient_count; k++) {
			free(ledger->letters[i]->recipients[k].copies);
		}
		buffer_done(&ledger->letters[i]->bytes);
		free(ledger->letters[i]);
	}
	for (unsigned i = 0; i < ledger->line_count; i++) {
		free(ledger->lines[i].text);
	}
	free(ledger->deaths);
	free(ledger->files);
	free(ledger->lines);
	buffer_done(&ledger->text);
	free(ledger);
}

// ---- what is noted

static struct ledger_line *new_line(struct ledger *ledger, unsigned letter, const char *who,
				    struct view text)
{
	struct ledger_line *line;

	ledger->lines = grow(ledger->lines, ledger->line_count, sizeof *line);
	line = &ledger->lines[ledger->line_count++];
	*line = (struct ledger_line){ os_clock_mono_us(), letter, who, malloc(text.len + 1) };
	if (!line->text) {
		abort();
	}
	memcpy(line->text, text.data, text.len);
	line->text[text.len] = 0;
	return line;
}

static struct ledger_line *printf_like(3, 0)
	add_line(struct ledger *ledger, unsigned letter, const char *format, va_list arguments)
{
	struct buffer text = buffer_with_max(LINE_BYTES_MAX);
	struct ledger_line *line;

	buffer_vprintf(&text, format, arguments);
	line = new_line(ledger, letter, "", buffer_view(&text));
	sim_trace_note(ledger->sim, "%s", line->text);
	buffer_done(&text);
	return line;
}

// Reports of the spool that its disk is not as it was written. Nothing in this world rots, so none
// of them may be heard; that something cannot be read may be.
static bool is_false_alarm(struct view what)
{
	static const char *const alarms[] = { "corrupt",           "twice",
					      "not understood",    "does not fit",
					      "breaks its format", "is missing" };
	bool is_one = false;

	for (size_t i = 0; i < sizeof alarms / sizeof *alarms; i++) {
		is_one = is_one || view_find_text(what, view_from_text(alarms[i])) < what.len;
	}
	return is_one && view_starts(what, VIEW("spool_fault "));
}

static void on_server_says(void *context, const char *who, struct view what)
{
	struct ledger *ledger = context;

	new_line(ledger, who[0] ? LEDGER_LOG : LEDGER_ALL, who, what);
	if (is_false_alarm(what)) {
		ledger_violation(ledger, PROMISE_SOUND, LEDGER_ALL, "%s says: %.*s", who,
				 VIEW_ARG(what));
	}
}

void ledger_note(struct ledger *ledger, unsigned letter, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_line(ledger, letter, format, arguments);
	va_end(arguments);
}

void ledger_violation(struct ledger *ledger, enum promise promise, unsigned letter,
		      const char *format, ...)
{
	struct ledger_line *line;
	va_list arguments;

	ledger->violations++;
	ledger->broken |= 1u << promise;
	if (letter < ledger->letter_count) {
		ledger->letters[letter]->accused = true;
	}
	va_start(arguments, format);
	line = add_line(ledger, letter, format, arguments);
	va_end(arguments);
	line->who = "VIOLATION";
	buffer_printf(&ledger->text, "VIOLATION (%s): %s\n", promise_name(promise), line->text);
}

void ledger_fault(struct ledger *ledger, const char *format, ...)
{
	va_list arguments;

	ledger->faults++;
	va_start(arguments, format);
	add_line(ledger, LEDGER_ALL, format, arguments);
	va_end(arguments);
}

void ledger_mischief(struct ledger *ledger, const char *format, ...)
{
	struct buffer text = buffer_with_max(LINE_BYTES_MAX);
	va_list arguments;

	va_start(arguments, format);
	buffer_vprintf(&text, format, arguments);
	va_end(arguments);
	ledger->faults++;
	sim_trace_note(ledger->sim, "%.*s", VIEW_ARG(buffer_view(&text)));
	buffer_done(&text);
}

void ledger_death(struct ledger *ledger, uint64_t from_us, bool was_deliver, bool was_receive)
{
	ledger->deaths = grow(ledger->deaths, ledger->death_count, sizeof *ledger->deaths);
	ledger->deaths[ledger->death_count++] =
		(struct ledger_death){ from_us, os_clock_mono_us(), was_deliver, was_receive };
}

// ---- letters that are sent

static size_t size_by_chance(struct dice *dice)
{
	switch (dice_below(dice, 24)) {
	case 0: return 100 * 1024 + dice_below(dice, 400 * 1024);
	case 1:
	case 2:
	case 3: return 8 * 1024 + dice_below(dice, 60 * 1024);
	case 4:
	case 5: return 0;
	default: return 200 + dice_below(dice, 4000);
	}
}

static void choose_sender(struct ledger_letter *letter, unsigned login, struct dice *dice)
{
	unsigned number = letter->letter.number;
	unsigned box = login < LEDGER_BOXES ? login : (unsigned)dice_below(dice, LEDGER_BOXES);
	uint64_t chance = login < LEDGER_BOXES ? 1 : dice_below(dice, 8);

	if (chance == 1 || chance == 2) {
		snprintf(letter->sender, sizeof letter->sender, "box%u+s%u@example.org", box,
			 number);
	} else if (chance) {
		snprintf(letter->sender, sizeof letter->sender, "s%u@senders.example", number);
	}
}

static void choose_recipient(struct ledger_letter *letter, unsigned index, struct dice *dice)
{
	static const char *const domains[] = { "good.example", "pair.example", "far.example",
					       "good.example", "pair.example", "dark.example" };
	struct ledger_recipient *recipient = &letter->recipients[index];
	uint64_t chance = dice_below(dice, 16);

	if (index < LEDGER_BOXES && chance < 5) { // one of a kind in a letter: by its place
		recipient->local = true;
		recipient->box = index;
		snprintf(recipient->address, sizeof recipient->address, "box%u+r%u.%u@example.org",
			 recipient->box, letter->letter.number, index);
	} else {
		unsigned domain = (unsigned)dice_below(dice, chance == 5 ? 6 : 5);

		recipient->doomed = domain == 5 || chance == 6;
		snprintf(recipient->address, sizeof recipient->address, "%s%u.%u@%s",
			 chance == 6 ? "bad" : "r", letter->letter.number, index, domains[domain]);
	}
}

static unsigned bounded(unsigned count, unsigned most)
{
	return most && count > most ? most : count;
}

bool ledger_takes_more(const struct ledger *ledger)
{
	return !ledger->spec.letters_max || ledger->letter_count < ledger->spec.letters_max;
}

struct ledger_letter *ledger_write(struct ledger *ledger, unsigned login)
{
	unsigned number = ledger->letter_count, count;
	struct dice dice = { ledger->spec.seed * 1000033 + number };
	struct ledger_letter *letter;

	if (!ledger_takes_more(ledger)) {
		return NULL;
	}
	if (number == LEDGER_LETTERS_MAX) {
		abort();
	}
	letter = ledger->letters[ledger->letter_count++] = grow(NULL, 0, sizeof *letter);
	letter->letter = (struct letter){ .seed = ledger->spec.seed,
					  .number = number,
					  .size = size_by_chance(&dice),
					  .is_submitted = login < LEDGER_BOXES,
					  .box = login };
	letter->bytes = buffer_with_max(LETTER_BYTES_MAX);
	letter_write(&letter->letter, &letter->bytes);
	choose_sender(letter, login, &dice);
	count = 1 + (unsigned)dice_below(&dice, 3);
	if (dice_below(&dice, 8) == 0) {
		count += (unsigned)dice_below(&dice, LEDGER_RECIPIENTS_MAX - 3);
	}
	letter->recipient_count = bounded(count, ledger->spec.recipients_max);
	for (unsigned i = 0; i < letter->recipient_count; i++) {
		choose_recipient(letter, i, &dice);
	}
	ledger_note(ledger, number, "letter %u is begun: about %zu bytes from <%s> to <%s>%s",
		    number, letter->letter.size, letter->sender, letter->recipients[0].address,
		    letter->recipient_count > 1 ? " and others" : "");
	return letter;
}

void ledger_end(struct ledger *ledger, struct ledger_letter *letter, enum letter_state state)
{
	static const char *const words[] = { "is on its way", "is accepted", "is refused",
					     "may be accepted: nobody heard the answer",
					     "is not sent" };

	ledger->deeds[DEED_LETTER_ACCEPTED] += state == LETTER_ACCEPTED;
	ledger->deeds[DEED_LETTER_REFUSED] += state == LETTER_REFUSED;
	ledger->deeds[DEED_LARGE_LETTER] +=
		state == LETTER_ACCEPTED && letter->bytes.len > SPOOL_BODY_INLINE_BYTES;
	letter->state = state;
	letter->ended_us = os_clock_mono_us();
	ledger_note(ledger, letter->letter.number, "letter %u %s", letter->letter.number,
		    words[state]);
}

// ---- copies that arrive

// The number behind the prefix of a local part, and the recipient's index behind its dot.
static bool parse_local_part(struct view local, struct view prefix, unsigned *ret_number,
			     unsigned *ret_index)
{
	struct view rest = view_from(local, prefix.len), digits;
	uint64_t number, index = 0;

	if (!view_starts(local, prefix) || !view_next_part(&rest, '.', &digits) ||
	    !view_to_u64(digits, UINT32_MAX, &number)) {
		return false;
	}
	if (rest.len && !view_to_u64(rest, LEDGER_RECIPIENTS_MAX - 1, &index)) {
		return false;
	}
	*ret_number = (unsigned)number;
	*ret_index = (unsigned)index;
	return true;
}

static struct ledger_recipient *recipient_of(struct ledger *ledger, unsigned number, unsigned index)
{
	if (number >= ledger->letter_count || index >= ledger->letters[number]->recipient_count) {
		return NULL;
	}
	return &ledger->letters[number]->recipients[index];
}

static void check_front(struct ledger *ledger, unsigned number, struct view front, bool filed)
{
	struct view line;

	while (view_next_part(&front, '\n', &line)) {
		bool known = view_starts(line, VIEW("Received: ")) ||
			     view_starts(line, VIEW(" ")) || view_starts(line, VIEW("\t")) ||
			     (filed && (view_starts(line, VIEW("Return-Path: <")) ||
					view_starts(line, VIEW("Delivered-To: "))));

		if (!known) {
			ledger_violation(ledger, PROMISE_BYTES, number,
					 "letter %u arrived with '%.*s' in front", number,
					 VIEW_ARG(line));
		}
	}
}

static void add_copy(struct ledger *ledger, unsigned number, unsigned index, struct view message,
		     const struct ledger_copy *copy)
{
	struct ledger_letter *letter = ledger->letters[number];
	struct ledger_recipient *recipient = &letter->recipients[index];
	struct view front;

	ledger_note(ledger, number, "letter %u has arrived for %s", number, recipient->address);
	if (!letter_match(buffer_view(&letter->bytes), message, copy->name[0] != 0, &front)) {
		ledger_violation(ledger, PROMISE_BYTES, number,
				 "letter %u arrived for %s with other bytes than were sent", number,
				 recipient->address);
	} else {
		check_front(ledger, number, front, copy->name[0] != 0);
	}
	recipient->copies =
		grow(recipient->copies, recipient->copy_count, sizeof *recipient->copies);
	recipient->copies[recipient->copy_count++] = *copy;
}

// What tells one report from another, and a report from a copy of it.
static struct view report_name(struct view report)
{
	struct view rest = view_from(report, view_find_text(report, VIEW("Message-ID: <")));

	rest = view_from(rest, sizeof "Message-ID: <" - 1);
	return view_first(view_first(rest, view_find(rest, '>')), LEDGER_REPORT_NAME_MAX - 1);
}

static bool says_failed(struct view report, const char *address)
{
	struct view text = view_from_text(address);
	struct view place = view_from(report, view_find_text(report, text));

	while (place.len) {
		struct view field = view_from(place, view_find(place, '\n') + 1);

		if (view_starts(field, VIEW("Action: failed"))) {
			return true;
		}
		place = view_from(place, 1);
		place = view_from(place, view_find_text(place, text));
	}
	return false;
}

// A report about letter number: those that it says have failed are bounced.
static void add_report(struct ledger *ledger, unsigned number, struct view report)
{
	struct ledger_letter *letter = ledger->letters[number];
	struct view name = report_name(report);

	if (!letter->sender[0]) {
		ledger_violation(ledger, PROMISE_TOLD, number,
				 "a report tells of letter %u, which has no sender", number);
	}
	for (unsigned i = 0; i < letter->recipient_count; i++) {
		struct ledger_recipient *recipient = &letter->recipients[i];

		if (!says_failed(report, recipient->address)) {
			continue;
		}
		ledger_note(ledger, number, "the sender of letter %u is told of %s by %.*s", number,
			    recipient->address, VIEW_ARG(name));
		if (recipient->bounced && !view_equal(name, view_from_text(recipient->report))) {
			ledger_violation(ledger, PROMISE_TOLD, number,
					 "the sender of letter %u is told of %s in two reports",
					 number, recipient->address);
		}
		recipient->bounced = true;
		snprintf(recipient->report, sizeof recipient->report, "%.*s", VIEW_ARG(name));
	}
}

bool ledger_arrived(struct ledger *ledger, struct view reverse_path, struct view recipient,
		    struct view message, struct ledger_place *ret_place)
{
	struct view local = view_first(recipient, view_find(recipient, '@'));
	struct ledger_copy copy = { .from_us = os_clock_mono_us() };
	unsigned number, index;
	struct ledger_recipient *place;

	copy.until_us = copy.from_us;
	*ret_place = (struct ledger_place){ .letter = UINT32_MAX };
	if (parse_local_part(local, VIEW("s"), &number, &index) && number < ledger->letter_count &&
	    !reverse_path.len) {
		add_report(ledger, number, message);
		return true;
	}
	if (!parse_local_part(local, VIEW("r"), &number, &index) ||
	    !(place = recipient_of(ledger, number, index)) ||
	    !view_equal(recipient, view_from_text(place->address))) {
		ledger_violation(ledger, PROMISE_BYTES, LEDGER_ALL,
				 "a message arrived for %.*s, whom nobody wrote to",
				 VIEW_ARG(recipient));
		return false;
	}
	if (!view_equal(reverse_path, view_from_text(ledger->letters[number]->sender))) {
		ledger_violation(ledger, PROMISE_BYTES, number,
				 "letter %u arrived from <%.*s> in place of <%s>", number,
				 VIEW_ARG(reverse_path), ledger->letters[number]->sender);
	}
	add_copy(ledger, number, index, message, &copy);
	*ret_place = (struct ledger_place){ number, index, place->copy_count - 1 };
	return true;
}

void ledger_unsure(struct ledger *ledger, struct ledger_place place)
{
	if (place.letter != UINT32_MAX) {
		ledger->letters[place.letter]
			->recipients[place.recipient]
			.copies[place.copy]
			.unsure = true;
	}
}

// The letter that a report in a mailbox is about: by the sender's address in its To.
static bool find_reported(struct view file, unsigned *ret_number)
{
	struct view rest = view_from(file, view_find_text(file, VIEW("\nTo: <box")));
	struct view local;
	unsigned index;

	rest = view_from(rest, view_find(rest, '+') + 1);
	local = view_first(rest, view_find(rest, '@'));
	return local.len && parse_local_part(local, VIEW("s"), ret_number, &index);
}

void ledger_filed(struct ledger *ledger, unsigned box, const char *name, struct view file,
		  uint64_t since_us)
{
	struct ledger_copy copy = { .from_us = since_us, .until_us = os_clock_mono_us() };
	struct view header = view_first(file, view_find_text(file, VIEW("\n\n")) + 1);
	unsigned number;

	snprintf(copy.name, sizeof copy.name, "%s", name);
	ledger->files = grow(ledger->files, ledger->file_count, sizeof *ledger->files);
	memcpy(ledger->files[ledger->file_count++], copy.name, sizeof copy.name);
	if (view_find_text(header, VIEW("multipart/report")) < header.len) {
		if (find_reported(header, &number) && number < ledger->letter_count) {
			add_report(ledger, number, file);
		} else {
			ledger_violation(ledger, PROMISE_BYTES, LEDGER_ALL,
					 "%s holds a report to nobody", name);
		}
		return;
	}
	if (letter_find_number(header, &number) && number < ledger->letter_count) {
		for (unsigned i = 0; i < ledger->letters[number]->recipient_count; i++) {
			const struct ledger_recipient *each =
				&ledger->letters[number]->recipients[i];

			if (each->local && each->box == box) {
				add_copy(ledger, number, i, file, &copy);
				return;
			}
		}
	}
	ledger_violation(ledger, PROMISE_BYTES, LEDGER_ALL, "box%u has %s, which nobody sent there",
			 box, name);
}

void ledger_forget_files(struct ledger *ledger)
{
	for (unsigned n = 0; n < ledger->letter_count; n++) {
		for (unsigned i = 0; i < ledger->letters[n]->recipient_count; i++) {
			struct ledger_recipient *recipient = &ledger->letters[n]->recipients[i];

			for (unsigned c = 0; c < recipient->copy_count; c++) {
				recipient->copies[c].gone = recipient->copies[c].name[0] != 0;
			}
		}
	}
}

void ledger_filed_still(struct ledger *ledger, const char *name)
{
	for (unsigned n = 0; n < ledger->letter_count; n++) {
		for (unsigned i = 0; i < ledger->letters[n]->recipient_count; i++) {
			struct ledger_recipient *recipient = &ledger->letters[n]->recipients[i];

			for (unsigned c = 0; c < recipient->copy_count; c++) {
				if (strcmp(recipient->copies[c].name, name) == 0) {
					recipient->copies[c].gone = false;
				}
			}
		}
	}
}
