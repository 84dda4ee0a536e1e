#include <stdlib.h>

#include "base/fuzz.h"
#include "link/dns_answer.h"

// The first byte chooses the type that was asked for.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A, DNS_PTR, DNS_MX, DNS_AAAA };
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct dns_answer answer;

	if (size > 0 && dns_answer_parse(view_of(data + 1, size - 1), types[data[0] % 4], &arena,
					 &answer) == OK) {
		if (answer.count > DNS_RECORDS_MAX || answer.ttl_s > DNS_TTL_MAX_S ||
		    (answer.result == FACTS_FOUND) != (answer.count > 0)) {
			abort();
		}
	}
	arena_done(&arena);
	return 0;
}
