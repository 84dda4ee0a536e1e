// For tests of this room: a receiver over loopback sockets, with a spool on disk, a directory, TLS,
// and a keeper that knows one login; and SMTP clients on the same loop.
//
// The directory is that of config/test_material.h. The login: alice@example.org with "secret".
#pragma once

#include "base/check.h"
#include "link/stream.h"
#include "os/test_folder.h"
#include "os/test_loop.h"
#include "receive/receiver.h"
#include "spool/layout.h"
#include "spool/pages.h"

// The listeners of the fixture's configuration.
enum { PORT_RELAY, PORT_IMPLICIT, PORT_STARTTLS, PORT_COUNT };

// A generation with these lines of configuration behind the fixture's own; sim tests use it too.
struct receive_generation *fixture_generation(const char *more);

struct world {
	char path[TEST_FOLDER_PATH_SIZE];
	int dir, parts[SPOOL_PARTS]; // the spool
	struct os_loop *loop;        // of test
	struct os_pool *pool;
	struct spool_commit_page commit;
	struct spool_queue_page queue;
	struct spool_writer *writer;
	struct keeper_client *keeper;
	struct trace_ring *trace;
	struct os_channel *keeper_end;
	bool keeper_is_slow; // keeps the question until world_keeper_answers
	uint32_t keeper_question;
	struct receive_common *common;
	struct receiver *receiver;
	struct buffer directory;
	int listeners[PORT_COUNT];
	struct os_address addresses[PORT_COUNT];
	bool stopped;
	struct test_loop test;
};

struct world_options {
	const char *config;     // more lines, or NULL
	uint64_t reserve_bytes; // of the disk
	bool no_keeper;
};

void world_open(struct world *world, struct world_options options);
void world_done(struct world *world);
void world_configure(struct world *world, const char *config); // reload
void world_until(struct world *world, bool (*reached)(void *context), void *context);
void world_turn(struct world *world, uint64_t ms); // lets the loop run so long
uint64_t world_body_bytes(struct world *world);    // of memory, for messages under way
void world_until_sessions(struct world *world, uint64_t count);
void world_keeper_answers(struct world *world); // the question that it kept
void world_stop(struct world *world);           // orders the stop; world->stopped tells

// The records on disk, after the writer is closed for good.
struct record {
	uint64_t id;
	char reverse_path[256];
	char recipients[1024]; // "a@b c@d" as they are expanded
	char originals[1024];
	char login[256];
	char tls[64];
	struct buffer fields; // added
	struct buffer body;
};
void world_close_spool(struct world *world);
unsigned world_records(struct world *world); // how many
// The one whose reverse-path this is; to be freed with record_done.
void world_read(struct world *world, const char *reverse_path, struct record *ret_record);
void record_done(struct record *record);
unsigned world_body_files(struct world *world);
// The steps that the trace holds of a message, after everything is closed for good.
void world_read_trace(struct world *world, uint64_t id, struct buffer *out);

struct peer {
	struct world *world;
	struct stream stream;
	struct os_watch *watch;
	struct buffer in, out;
	char reply[4096]; // the latest
	bool handshaking;
	bool ended, broken;
	bool is_deaf; // reads nothing
};

void peer_open(struct peer *peer, struct world *world, unsigned port);
void peer_close(struct peer *peer);
void peer_reset(struct peer *peer); // breaks off
void peer_say(struct peer *peer, const char *text);
void peer_send(struct peer *peer, struct view bytes); // queued; goes as the socket takes it
// The next whole reply begins with this; its lines are in peer->reply, without CR.
void peer_expect(struct peer *peer, const char *start);
void peer_ask(struct peer *peer, const char *text, const char *start); // both
void peer_expect_end(struct peer *peer);
void peer_start_tls(struct peer *peer);
// From banner to EHLO; under TLS where the port is one for submission.
void peer_greet(struct peer *peer, struct world *world, unsigned port);
void peer_log_in(struct peer *peer); // as alice
