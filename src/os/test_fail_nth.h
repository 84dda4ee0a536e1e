// The Nth call fails: for test programs that are linked with test_fail_nth.c and -Wl,--wrap for
// each call in its list, so that the archives' own calls pass through it. Not the ones that
// libraries make among themselves; OpenSSL's allocations are a kind of their own.
//
// The plan lies in a page. A unit test has one of its own (fail_nth_plan). The program takes it
// from the file that the environment variable FAIL_NTH names, in each of its processes, so that a
// test outside can arm and read it while the server runs (tests/faulty.py has the same layout).
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum fail_kind { // "alloc" first: the bits of plan.kinds, by name in tests/faulty.py
	FAIL_ALLOC,
	FAIL_LIBRARY_ALLOC,
	FAIL_OPEN,
	FAIL_READ,  // of files
	FAIL_WRITE, // to files
	FAIL_SYNC,
	FAIL_NAME, // mkdir, rename, link, unlink
	FAIL_INFO, // of files, of the file system
	FAIL_RESIZE,
	FAIL_MAP,
	FAIL_SOCKET,
	FAIL_CONNECT,
	FAIL_ACCEPT,
	FAIL_SEND,
	FAIL_RECEIVE,
	FAIL_MESSAGE_SEND, // between processes
	FAIL_MESSAGE_RECEIVE,
};

struct fail_nth {
	_Atomic uint32_t is_armed;
	uint32_t is_lasting; // all from the nth on, not only that one
	uint32_t error;      // errno
	uint32_t kinds;      // 1 << enum fail_kind
	uint64_t nth;        // from 1
	_Atomic uint64_t count, struck;
	char process[16]; // "receive" ..., "supervisor", "command"; "*": any
};

extern struct fail_nth *fail_nth_plan;

static inline void fail_nth_arm(uint32_t kinds, uint64_t nth, int is_lasting, int error)
{
	atomic_store(&fail_nth_plan->is_armed, 0);
	fail_nth_plan->kinds = kinds;
	fail_nth_plan->nth = nth;
	fail_nth_plan->is_lasting = (uint32_t)is_lasting;
	fail_nth_plan->error = (uint32_t)error;
	fail_nth_plan->process[0] = '*';
	atomic_store(&fail_nth_plan->count, 0);
	atomic_store(&fail_nth_plan->struck, 0);
	atomic_store(&fail_nth_plan->is_armed, 1);
}

// While the test itself calls something; and the end. Returns how many calls have failed.
static inline uint64_t fail_nth_pause(void)
{
	atomic_store(&fail_nth_plan->is_armed, 0);
	return atomic_load(&fail_nth_plan->struck);
}

static inline void fail_nth_resume(void)
{
	atomic_store(&fail_nth_plan->is_armed, 1);
}
