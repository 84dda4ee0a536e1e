// The promises, looked at when all is quiet.
#include "sim/ledger.h"

#include <string.h>

// What deliver's disk refused between these moments.
static unsigned disk_failures(const struct ledger *ledger, uint64_t from_us, uint64_t until_us)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ledger->line_count; i++) {
		const struct ledger_line *line = &ledger->lines[i];

		count += line->at_us >= from_us && line->at_us <= until_us &&
			 (strncmp(line->text, "deliver: a write of ", 20) == 0 ||
			  strncmp(line->text, "deliver: a sync of ", 19) == 0);
	}
	return count;
}

// How long an outcome may wait for its sync: longer where the journal itself was refused.
static uint64_t journal_us(const struct ledger *ledger, const struct ledger_copy *copy,
			   uint64_t until_us)
{
	return disk_failures(ledger, copy->from_us, until_us) < LEDGER_FAILURES_MAX
		       ? LEDGER_JOURNAL_US
		       : LEDGER_JOURNAL_US + LEDGER_REFUSED_US;
}

static bool died_near(const struct ledger *ledger, const struct ledger_copy *copy)
{
	for (unsigned i = 0; i < ledger->death_count; i++) {
		const struct ledger_death *death = &ledger->deaths[i];

		if (death->was_deliver && death->until_us >= copy->from_us &&
		    death->from_us <= copy->until_us + journal_us(ledger, copy, death->from_us)) {
			return true;
		}
	}
	return false;
}

static bool was_any_accepted(const struct ledger *ledger, uint64_t from_us, uint64_t until_us)
{
	for (unsigned n = 0; n < ledger->letter_count; n++) {
		const struct ledger_letter *letter = ledger->letters[n];

		if (letter->state == LETTER_ACCEPTED && letter->ended_us > from_us &&
		    letter->ended_us < until_us) {
			return true;
		}
	}
	return false;
}

// By the same writer: its family is not told here, so it is any where there was one only.
static bool was_next_use_begun(const struct ledger *ledger, uint64_t from_us, uint64_t until_us)
{
	return ledger->deeds[DEED_UPGRADE] == 0 && was_any_accepted(ledger, from_us, until_us);
}

// A letter that was refused since its sync failed may be whole on the disk all the same, and come
// back at the next start: unless the next use of a segment had begun before, whose header says that
// it is abandoned. Whoever was accepted after it lies in such a use.
static bool may_survive(const struct ledger *ledger, uint64_t refused_us)
{
	for (unsigned i = 0; i < ledger->death_count; i++) {
		const struct ledger_death *death = &ledger->deaths[i];

		if (death->was_receive && death->until_us >= refused_us) {
			return !was_next_use_begun(ledger, refused_us + LEDGER_REPLY_US,
						   death->from_us);
		}
	}
	return false;
}

// A second copy may follow one that deliver could not know of, or had no time to note.
static void check_copies(struct ledger *ledger, const struct ledger_letter *letter,
			 const struct ledger_recipient *recipient)
{
	unsigned allowed = 1;

	for (unsigned i = 0; i < recipient->copy_count; i++) {
		allowed += recipient->copies[i].unsure || died_near(ledger, &recipient->copies[i]);
	}
	ledger->repeats += recipient->copy_count > 1 ? recipient->copy_count - 1 : 0;
	if (recipient->copy_count > allowed) {
		ledger_violation(ledger, PROMISE_ONCE, letter->letter.number,
				 "letter %u was delivered %u times to %s", letter->letter.number,
				 recipient->copy_count, recipient->address);
	}
}

static void check_refused(struct ledger *ledger, const struct ledger_letter *letter,
			  const struct ledger_recipient *recipient)
{
	if ((recipient->copy_count || recipient->bounced) &&
	    !(letter->state == LETTER_REFUSED && may_survive(ledger, letter->ended_us))) {
		ledger_violation(ledger, PROMISE_REFUSED, letter->letter.number,
				 "letter %u was not accepted and has arrived for %s",
				 letter->letter.number, recipient->address);
	}
}

static bool has_arrived(const struct ledger_recipient *recipient)
{
	for (unsigned i = 0; i < recipient->copy_count; i++) {
		if (!recipient->copies[i].gone) {
			return true;
		}
	}
	return false;
}

static void check_accepted(struct ledger *ledger, const struct ledger_letter *letter,
			   const struct ledger_recipient *recipient)
{
	unsigned number = letter->letter.number;

	if (recipient->bounced && !recipient->doomed) {
		ledger_violation(ledger, PROMISE_KEPT, letter->letter.number,
				 "letter %u to %s was given up without need", number,
				 recipient->address);
	} else if (recipient->doomed && !recipient->bounced && letter->sender[0]) {
		ledger_violation(ledger, PROMISE_TOLD, letter->letter.number,
				 "the sender of letter %u was not told of %s", number,
				 recipient->address);
	} else if (!recipient->doomed && !has_arrived(recipient)) {
		ledger_violation(ledger, PROMISE_KEPT, letter->letter.number,
				 "letter %u was answered 250 and is lost: %s%s", number,
				 recipient->address, recipient->copy_count ? " (was there)" : "");
	}
}

void ledger_check(struct ledger *ledger)
{
	for (unsigned n = 0; n < ledger->letter_count; n++) {
		const struct ledger_letter *letter = ledger->letters[n];

		for (unsigned i = 0; i < letter->recipient_count; i++) {
			const struct ledger_recipient *recipient = &letter->recipients[i];

			check_copies(ledger, letter, recipient);
			if (recipient->copy_count && !recipient->taken &&
			    letter->state != LETTER_UNSENT) {
				ledger_violation(ledger, PROMISE_REFUSED, letter->letter.number,
						 "letter %u: %s was refused and has it",
						 letter->letter.number, recipient->address);
			}
			if (letter->state == LETTER_ACCEPTED && recipient->taken) {
				check_accepted(ledger, letter, recipient);
			} else if (letter->state == LETTER_REFUSED ||
				   letter->state == LETTER_UNSENT) {
				check_refused(ledger, letter, recipient);
			}
		}
	}
}
