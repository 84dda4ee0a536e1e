// What the simulation knows to be true: each letter that was sent, what its client was told, and
// every copy and report that arrived anywhere. The checkers speak of it alone. It outlives all
// crashes; one per seed.
//
// Who may have what. The recipient k of letter n is rN.K@DOMAIN elsewhere (badN.K@... where the
// remote server refuses it for good), or boxB+rN.K@example.org here; the sender of letter n is
// sN@senders.example or boxB+sN@example.org. So whatever arrives names its letter.
#pragma once

#include "os/sim/sim.h"
#include "sim/deed.h"
#include "sim/letter.h"
#include "sim/spec.h"

enum {
	LEDGER_RECIPIENTS_MAX = 12,
	LEDGER_BOXES = 4,
	LEDGER_ADDRESS_MAX = 64,
	LEDGER_LETTERS_MAX = 1000,
	LEDGER_REPORT_NAME_MAX = 64,
	// An outcome is durable so soon: 100 ms to gather, one sync before its own and that, each
	// up to 0.5 s, and the turn of a loop that a slow disk holds up.
	LEDGER_JOURNAL_US = 2500000,
	LEDGER_FAILURES_MAX = 3, // of writes or syncs in a row: the journal then waits
	LEDGER_REFUSED_US = 10000000,
	// A reply that was sent has been read so soon, or the connection has broken.
	LEDGER_REPLY_US = 2500000,
};

#define LEDGER_ALL UINT32_MAX
#define LEDGER_LOG (UINT32_MAX - 1) // a line of the server's log: of which letter is seen later

// What is checked; README.md says what each of them means.
enum promise {
	PROMISE_KEPT,    // answered 250: it arrives, or its sender is told
	PROMISE_BYTES,   // with the bytes and the envelope that were accepted
	PROMISE_ONCE,    // not twice, but in the window that is documented
	PROMISE_REFUSED, // what was not accepted arrives nowhere
	PROMISE_TOLD,    // a sender is told once, when it is due, and not otherwise
	PROMISE_ORDER,   // each reply belongs to the command whose turn it is
	PROMISE_BOUNDS,  // of memory, connections and the queue
	PROMISE_QUIET,   // at the end nothing is queued and nothing moves
	PROMISE_SOUND,   // nothing breaks: no process, no record, no message between them
	PROMISE_COUNT,
};
const char *promise_name(enum promise promise);

enum letter_state {
	LETTER_SENDING,
	LETTER_ACCEPTED, // 250: must arrive
	LETTER_REFUSED,  // 4xx or 5xx after its end
	LETTER_UNKNOWN,  // its end was sent, no reply came: may arrive, once
	LETTER_UNSENT,   // its end was never sent: must not arrive
};

struct ledger_copy {
	uint64_t from_us, until_us; // it arrived between the two
	bool unsure;                // the reply to it may have been lost
	bool gone;                  // a file that is not there any more
	char name[128];             // of the file; empty: at a remote server
};

struct ledger_recipient {
	char address[LEDGER_ADDRESS_MAX]; // as given at RCPT
	unsigned box;                     // a mailbox here, when local
	bool local;
	bool taken;                          // RCPT was answered 250
	bool doomed;                         // refused for good wherever it goes
	bool bounced;                        // its sender was told
	char report[LEDGER_REPORT_NAME_MAX]; // Message-ID of the report that said so
	struct ledger_copy *copies;
	unsigned copy_count;
};

struct ledger_letter {
	struct letter letter;
	struct buffer bytes; // of it, as it is sent
	enum letter_state state;
	uint64_t ended_us;               // when state became final
	char sender[LEDGER_ADDRESS_MAX]; // "": the null sender
	struct ledger_recipient recipients[LEDGER_RECIPIENTS_MAX];
	unsigned recipient_count;
	bool accused; // in a violation
};

// A process ended without warning between the two.
struct ledger_death {
	uint64_t from_us, until_us;
	bool was_deliver, was_receive;
};

// A line of the story.
struct ledger_line {
	uint64_t at_us;
	unsigned letter;
	const char *who; // the process that said or did it; "": the world around them
	char *text;
};

struct ledger_place {
	unsigned letter, recipient, copy;
};

struct ledger {
	struct sim *sim;
	struct spec spec;
	struct ledger_letter *letters[LEDGER_LETTERS_MAX];
	unsigned letter_count;
	struct ledger_death *deaths;
	unsigned death_count;
	char (*files)[128]; // names that were seen in mailboxes
	unsigned file_count;
	unsigned faults; // deliberate ones: crashes, losses of power, remote misbehaviour, jumps
	uint64_t deeds[DEED_COUNT];
	unsigned repeats; // copies beyond the first, each inside the window that is documented
	struct ledger_line *lines;
	unsigned line_count;
	unsigned violations;
	uint32_t broken;    // bits of enum promise
	struct buffer text; // the violations, a line each
};

struct ledger *ledger_new(struct sim *sim, const struct spec *spec);
void ledger_free(struct ledger *ledger);

// letter: its number, or LEDGER_ALL. What is noted is in the trace as well.
void ledger_note(struct ledger *ledger, unsigned letter, const char *format, ...) printf_like(3, 4);
void ledger_violation(struct ledger *ledger, enum promise promise, unsigned letter,
		      const char *format, ...) printf_like(4, 5);
// Counted. A fault of the server's own machine is part of every letter's story; the mischief of
// peers where there is room.
void ledger_fault(struct ledger *ledger, const char *format, ...) printf_like(2, 3);
void ledger_mischief(struct ledger *ledger, const char *format, ...) printf_like(2, 3);
// Between from_us and now.
void ledger_death(struct ledger *ledger, uint64_t from_us, bool was_deliver, bool was_receive);

// A new letter; its size, sender and recipients follow from the seed and its number alone. NULL:
// the spec allows no more. login: of a box here, which then is the sender.
struct ledger_letter *ledger_write(struct ledger *ledger, unsigned login);
enum { LEDGER_NO_LOGIN = LEDGER_BOXES };
bool ledger_takes_more(const struct ledger *ledger);
void ledger_end(struct ledger *ledger, struct ledger_letter *letter, enum letter_state state);

// A message has arrived at a remote server. False: it is nobody's, which is a violation already.
// The place is one for ledger_unsure; its letter is UINT32_MAX for a report.
bool ledger_arrived(struct ledger *ledger, struct view reverse_path, struct view recipient,
		    struct view message, struct ledger_place *ret_place);
void ledger_unsure(struct ledger *ledger, struct ledger_place place); // its reply may be lost
// A file in a mailbox, not seen at the last look, which was at since_us.
void ledger_filed(struct ledger *ledger, unsigned box, const char *name, struct view file,
		  uint64_t since_us);
// Before the last look at the mailboxes: what is not seen by ledger_filed_still is gone.
void ledger_forget_files(struct ledger *ledger);
void ledger_filed_still(struct ledger *ledger, const char *name);

// Once all is quiet: is every promise kept? Finds violations, counts repeats.
void ledger_check(struct ledger *ledger);
// The stories of letters that are in violations, for people (story.c).
void ledger_tell(const struct ledger *ledger, struct buffer *out);
