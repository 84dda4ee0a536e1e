// Failures of the environment, as values. Protocol outcomes are not errors: a refused recipient is
// a reply, a failed check is a verdict. Functions that can fail return enum error and leave their
// ret_ outputs untouched unless they return OK.
#pragma once

#define must_check __attribute__((warn_unused_result))
#define printf_like(format_index, first_argument) \
	__attribute__((format(printf, format_index, first_argument)))

enum error {
	OK = 0,
	ERROR_AGAIN,       // would block: try when the descriptor is ready
	ERROR_CLOSED,      // the other end closed the connection or the channel
	ERROR_RESET,       // the connection broke (reset, unreachable, aborted)
	ERROR_REFUSED,     // nobody listens there
	ERROR_TIMEOUT,     // a deadline passed
	ERROR_NO_MEMORY,   // an allocation failed or a stated maximum of memory was reached
	ERROR_LIMIT,       // a named limit was reached
	ERROR_INVALID,     // input that breaks its format or its stated bounds
	ERROR_CORRUPT,     // stored data that fails its checksum or its format
	ERROR_NOT_FOUND,   // no such file, name or record
	ERROR_EXISTS,      // already there
	ERROR_PERMISSION,  // the system forbids it
	ERROR_READ_ONLY,   // the file system takes no writes
	ERROR_NO_SPACE,    // the disk, the quota or the reserve is used up
	ERROR_IO,          // a read, write or sync failed
	ERROR_BUSY,        // somebody else holds the lock or the address
	ERROR_UNSUPPORTED, // this kernel or library cannot do it
	ERROR_CRYPTO,      // the TLS or hash library failed
	ERROR_COUNT,
};

// One lower-case phrase without a full stop, such as "no such file"; never NULL.
const char *error_text(enum error error);

// The error that stands for a system errno value; ERROR_IO for those without a closer name.
enum error error_from_errno(int system_errno);
