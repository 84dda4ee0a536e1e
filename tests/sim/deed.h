// What has happened in runs, counted: so that nobody takes for proven what was never tried. One
// table names each deed; --seeds prints how often each was done, and the test of thousands of
// seeds fails for one that was not.
#pragma once

#include <stdint.h>

enum deed {
	// of clients
	DEED_CLIENT_TLS,
	DEED_LOGIN,
	DEED_LOGIN_REFUSED,
	DEED_LETTER_ACCEPTED,
	DEED_LETTER_REFUSED,
	DEED_LARGE_LETTER, // accepted, with a body too large for the log
	DEED_CLIENT_VANISHED,
	// of remote servers
	DEED_REMOTE_TLS,
	DEED_REMOTE_DEFERRED,
	DEED_REMOTE_RESET,
	DEED_REMOTE_SILENT,
	DEED_REMOTE_LOST_REPLY,
	DEED_REMOTE_TURNED_AWAY,
	DEED_DNS_FAILED,
	// of the server
	DEED_DELIVERED,
	DEED_DEFERRED,
	DEED_BOUNCED,
	DEED_CHECKPOINT,
	DEED_COPIED_FORWARD,
	DEED_RELOAD,
	DEED_UPGRADE,
	DEED_TWO_RECEIVES, // ran side by side, looked at now and then
	DEED_STOP,
	// of its machine
	DEED_RECEIVE_DIED,
	DEED_DELIVER_DIED,
	DEED_FACTS_DIED,
	DEED_KEEPER_DIED,
	DEED_POWER_LOST,
	DEED_CLOCK_JUMPED,
	DEED_DISK_FILLED,
	DEED_SYNC_FAILED_AND_DIED,
	// calls that failed by chance
	DEED_WRITE_NO_SPACE,
	DEED_WRITE_IO,
	DEED_READ_IO,
	DEED_SYNC_IO,
	DEED_OPEN_LIMIT,
	DEED_SYNC_SLOW,
	DEED_CONNECT_REFUSED,
	DEED_CONNECT_LOST,
	DEED_SEND_RESET,
	DEED_TRANSFER_SHORT,
	DEED_COUNT,
};

const char *deed_name(enum deed deed);
