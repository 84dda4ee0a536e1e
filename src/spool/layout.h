// The folders of a spool: README.md, "Who holds what". It has two parts, one for each process that
// writes into it, each in a folder of its own: so nothing that receive does, which faces the
// network, reaches the journal, the checkpoint and the trace of deliver. Blocking.
#pragma once

#include "base/arena.h"
#include "os/process.h"

enum spool_part {
	SPOOL_RECEIVE,
	SPOOL_DELIVER,
	SPOOL_PARTS,
};

// Below the spool folder: see spool_layout_path.
#define SPOOL_RECEIVE_PATH "receive"
#define SPOOL_RECEIVE_BODY_PATH "receive/body" // deliver removes what it has delivered
#define SPOOL_DELIVER_PATH "deliver"

static inline enum spool_part spool_part_of(uint16_t family)
{
	return family == 0 ? SPOOL_DELIVER : SPOOL_RECEIVE;
}

// Of what is made in a part. shared_group: the processes have users of their own, and deliver reads
// what is receive's by its group. Nobody reads what is deliver's.
uint32_t spool_part_folder_mode(enum spool_part part, bool shared_group);
uint32_t spool_part_file_mode(enum spool_part part, bool shared_group);

// Makes what is missing, durably, and sets owners and modes; for the supervisor, before anybody
// writes. owners: of each part, with the group that both share; NULL: all is one user's.
// ERROR_UNSUPPORTED: it is of before there were parts, and may hold mail. At an error, here and
// below, both of ret_parts are -1.
enum error spool_layout_make(int spool_dir, const struct os_user owners[SPOOL_PARTS],
			     int ret_parts[SPOOL_PARTS]) must_check;
// ERROR_NOT_FOUND: there is no spool. ERROR_UNSUPPORTED as above.
enum error spool_layout_open(int spool_dir, int ret_parts[SPOOL_PARTS]) must_check;
void spool_layout_close(int parts[SPOOL_PARTS]);
// For the rules of the sandbox: one of the paths above. NULL: no memory.
const char *spool_layout_path(struct arena *arena, struct view spool_dir, const char *below);
