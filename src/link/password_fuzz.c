// A stored hash of any text, and a password of any bytes: work is spent for our own settings alone,
// and nothing matches that was not made from it. Only the cheap settings are tried out.
#include "base/fuzz.h"
#include "link/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = view_of(data, size), hash, password;
	struct password_hash made;

	if (!view_next_part(&rest, '\n', &hash)) {
		return 0;
	}
	password = rest;
	if (!password_hash_is_ours(hash)) {
		MUST(!password_matches(password, hash));
	} else {
		MUST(hash.len < PASSWORD_HASH_SIZE && view_starts(hash, VIEW("$y$j")));
		if (view_starts(hash, VIEW("$y$j75$"))) {
			(void)password_matches(password, hash);
		}
	}
	if (password.len && password.data[0] == '!' &&
	    password_hash(password, PASSWORD_COST_TEST, &made) == OK) {
		MUST(password.len <= PASSWORD_MAX);
		MUST(password_hash_is_ours(view_from_text(made.text)));
		MUST(password_matches(password, view_from_text(made.text)));
		MUST(!password_matches(view_from(password, 1), view_from_text(made.text)));
	}
	return 0;
}
