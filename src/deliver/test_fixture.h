// For tests of this room: a deliverer over a spool on disk, with a directory, a DNS that knows one
// address, and scripted SMTP servers on loopback, all on one loop.
//
// The directory is that of config/test_material.h. The DNS: every domain has the
// MX mx.DOMAIN at 127.0.0.1, but for null.example (null MX), gone.example (no such domain),
// slow.example (no answer), self.example (its MX is us), silent*.example (the DNS says nothing),
// six.example (a public IPv6 address only) and dual.example (the same, and then 127.0.0.1).
#pragma once

#include "base/check.h"
#include "deliver/deliverer.h"
#include "os/message.h"
#include "os/test_folder.h"
#include "os/test_loop.h"

enum { PEER_SESSIONS_MAX = 64 };

struct peer;

struct peer_session {
	struct peer *peer;
	int socket;
	struct os_watch *watch;
	struct buffer input;
	bool in_body;
};

struct peer_rule {
	const char *start; // of a command; "." is the end of the body, "" the greeting
	const char *reply; // NULL: the connection is closed; "": silence
};

// An SMTP server: each command gets the reply of the first rule that fits, else it is accepted.
struct peer {
	struct os_loop *loop;
	int listener;
	struct os_address address;
	struct os_watch *watch;
	const struct peer_rule *rules;
	struct peer_session sessions[PEER_SESSIONS_MAX];
	unsigned session_count;
	struct buffer commands; // all of them, one a line
	struct buffer bodies;   // as sent, with their final dots
	unsigned messages;      // accepted
	unsigned at_once;       // sessions; 0: any number
};

struct world {
	char path[TEST_FOLDER_PATH_SIZE];
	int dir, spool_dir, mail_dir, parts[SPOOL_PARTS];
	struct os_loop *loop; // of test
	struct spool_commit_page commit;
	struct spool_queue_page queue;
	struct spool_writer *writer;
	struct spool_port *port;
	struct os_pool *pool;
	struct facts_client *facts;
	struct os_channel *facts_end;
	struct buffer directory;
	struct trace_ring *trace; // of the deliverer's life
	struct deliverer *deliverer;
	struct peer peer; // the MX host
	uint64_t next_id;
	uint64_t age_ms; // of messages that are submitted
	unsigned waiting;

	struct test_loop test;
	bool stopped;
	unsigned connections; // in all, from the next start on; 0: as usual
	bool closed_network;  // private addresses are not allowed from the next start on
	const char *outbound; // more of it, from a comma on, from the next start on; or NULL
	bool is_named;        // our addresses have a name that leads back to them
	unsigned names_asked;
};

void world_open(struct world *world, const char *config); // more lines, or NULL
void world_done(struct world *world);
void world_start(struct world *world, const char *config);
void world_configure(struct world *world, const char *config); // reload
void world_stop(struct world *world);                          // the deliverer, in order
void world_until(struct world *world, bool (*reached)(void *context), void *context);
void world_until_empty(struct world *world); // nothing is queued
// Until each message that waits has been tried: nothing is in hand.
void world_until_deferred(struct world *world, uint64_t count);
void world_turn(struct world *world, uint64_t ms);
// What the trace holds of a message, after the deliverer has ended.
void world_read_trace(struct world *world, uint64_t id, struct buffer *out);

// A message from sender to recipients (separated by blanks); waits until it is in the log.
uint64_t world_submit(struct world *world, const char *sender, const char *recipients,
		      const char *body);
uint64_t world_submit_large(struct world *world, const char *recipient, size_t lines);

// The exit status; the answer replaces what out held.
int world_command(struct world *world, enum control_command command, const char *name,
		  const char *value, struct buffer *out);
// The files in new of a mailbox, one after the other.
void world_read_mailbox(struct world *world, const char *domain, const char *user,
			struct buffer *out);

void peer_open(struct peer *peer, struct os_loop *loop, const struct peer_rule *rules);
void peer_done(struct peer *peer);
bool buffer_has(const struct buffer *buffer, const char *text);
