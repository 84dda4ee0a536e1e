// What the facts process is asked, and its answers: the DNS seen from the mail. One channel
// (os/message.h) per asking process. An asker holds a struct facts_client per thread; a question is
// embedded in its owner and answered once, on the loop's thread, by its own deadline at the latest.
// Answers are validated when they arrive; one that does not fit closes the channel. RFC 1035,
// RFC 5321 section 5.1, RFC 7505 (null MX), RFC 8601 section 3 (iprev).
#pragma once

#include "base/arena.h"
#include "link/inquiry.h"
#include "os/socket.h"

enum {
	FACTS_HOSTS_MAX = 32,       // MX hosts kept, by preference
	FACTS_ADDRESSES_MAX = 16,   // addresses kept of one host
	FACTS_NAME_MAX = 253,       // octets of a domain name as text, without a final dot
	FACTS_QUESTIONS_MAX = 4096, // that wait at one client
};

enum facts_kind {
	FACTS_MAIL_ROUTE = 1, // where mail for a domain goes: the MX set with addresses
	FACTS_ADDRESSES,      // the addresses of one host
	FACTS_PEER_NAME,      // the name of an address, confirmed by its own addresses
};

enum facts_result {
	FACTS_FOUND = 1,
	FACTS_NO_DATA,   // the name exists, but not with such records
	FACTS_NO_DOMAIN, // there is no such domain
	FACTS_TEMPORARY, // no answer, or a server that failed: ask again later
	FACTS_BOGUS,     // DNSSEC says that the answer is forged: treat as temporary, but say so
};

struct facts_address {
	uint8_t family;    // 4 or 6
	uint8_t bytes[16]; // the first 4 for IPv4
};

struct facts_host {
	struct view name; // lower case, printable, no final dot
	uint16_t preference;
	enum facts_result result;
	bool secure; // its addresses were validated by DNSSEC
	unsigned address_count;
	const struct facts_address *addresses; // IPv6 first
};

// FACTS_MAIL_ROUTE: hosts by preference, within one as the DNS gave them. FACTS_FOUND means that
// the set of hosts is known; each host has its own result. With null_mx there is none and the
// domain takes no mail. implicit: no MX record, the domain itself is the host. secure speaks of the
// MX set. FACTS_ADDRESSES: one host, with the same result as the answer. FACTS_PEER_NAME: one host:
// the name, without addresses; confirmed when it leads back to the address. Several names: the
// first confirmed one.
struct facts_answer {
	enum facts_kind kind;
	enum facts_result result;
	bool secure;
	bool null_mx, implicit, confirmed;
	uint32_t ttl_s;
	unsigned host_count;
	const struct facts_host *hosts;
};

struct facts_question {
	enum facts_kind kind;
	struct view name;             // FACTS_MAIL_ROUTE, FACTS_ADDRESSES: in ASCII (A-labels)
	struct facts_address address; // FACTS_PEER_NAME
};

struct facts_request;

// The answer is valid during the call only. It is never NULL: a question that got no answer by its
// deadline, or whose channel closed, is answered with FACTS_TEMPORARY.
typedef void facts_answer_fn(void *context, const struct facts_answer *answer);

// A question that waits, embedded in its owner; zero-initialised at first. The owner may free it in
// the answer's call, or after facts_request_cancel.
struct facts_request {
	struct inquiry inquiry;
	enum facts_kind kind;
	facts_answer_fn *fn;
	void *context;
};

struct facts_client;

// fd: a channel to the facts process, taken; -1 for none yet.
enum error facts_client_new(struct os_loop *loop, int fd,
			    struct facts_client **ret_client) must_check;
// A new channel, after the facts process was started anew. What waits on the old one is answered
// with FACTS_TEMPORARY.
enum error facts_client_attach(struct facts_client *client, int fd) must_check;
void facts_client_free(struct facts_client *client); // drops what waits, unanswered; accepts NULL

// ERROR_INVALID: no such name can exist. ERROR_LIMIT: too many wait. ERROR_CLOSED: no facts process
// now. Then fn is never called; else once, and never before this returns.
enum error facts_ask(struct facts_client *client, struct facts_request *request,
		     const struct facts_question *question, uint64_t deadline_ms,
		     facts_answer_fn *fn, void *context) must_check;
void facts_request_cancel(struct facts_request *request); // does nothing when it does not wait

struct os_address facts_address_with_port(const struct facts_address *address, uint16_t port);
struct facts_address facts_address_of(const struct os_address *address);

// The messages, for both ends: message types are the kinds, the id is the request's.
// A question travels with its deadline, so that both ends give up together.
enum { FACTS_QUESTION_SIZE_MAX = 512, FACTS_ANSWER_SIZE_MAX = 60 * 1024 };

void facts_question_encode(struct buffer *out, const struct facts_question *question,
			   uint32_t deadline_ms);
enum error facts_question_decode(enum facts_kind kind, struct view payload,
				 struct facts_question *ret_question,
				 uint32_t *ret_deadline_ms) must_check;
void facts_answer_encode(struct buffer *out, const struct facts_answer *answer);
enum error facts_answer_decode(enum facts_kind kind, struct view payload, struct arena *arena,
			       struct facts_answer *ret_answer) must_check;
