// When to try again, when to warn the sender, when to give up. Doubling delays with jitter, longer
// for the classes that only a person can mend (attack A32). Pure; times are wall-clock
// milliseconds, the random number is a fact.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum retry_class {
	RETRY_DNS,       // no answer about the domain
	RETRY_CONNECT,   // no host could be reached
	RETRY_SERVER,    // a host refused for now (421, 4xx before RCPT)
	RETRY_RECIPIENT, // 4xx to this recipient, often greylisting: soon again
	RETRY_TLS,       // no acceptable TLS
	RETRY_LOGIN,     // the smarthost refused our login: slow, a person must act
	RETRY_LOCAL,     // our own fault: full disk, no permission
	RETRY_CLASS_COUNT,
};

struct retry_settings {
	uint64_t first_ms;   // before the second attempt, then doubled each time; default 5 minutes
	uint64_t longest_ms; // between attempts; default 4 hours
	uint64_t expire_ms;  // after arrival; default 5 days
	uint64_t warn_ms;    // after arrival; 0: never; default 4 hours
};

struct retry_settings retry_settings_default(void);

struct retry_facts {
	enum retry_class class;
	unsigned attempts; // made so far, this one included; at least 1
	uint64_t arrived_ms;
	uint64_t now_ms; // may lie before arrived_ms: clocks step
	bool warned;
	bool null_reverse_path; // nobody to warn
	uint64_t seed;          // random
};

struct retry_verdict {
	bool expired; // give up now: 4.4.7
	bool warn;    // the delay warning is due
	uint64_t next_ms;
};

struct retry_verdict retry_decide(const struct retry_settings *settings,
				  const struct retry_facts *facts);
