// Messages of keeper, as a process taken over might send them: the first byte says which. What is
// accepted must come out of the encoder as it went in.
#include <stdlib.h>

#include "base/fuzz.h"
#include "link/keeper.h"

static void check_login(struct view payload, struct buffer *out)
{
	struct keeper_login login, again;

	if (keeper_login_decode(payload, &login) != OK) {
		return;
	}
	keeper_login_encode(out, &login);
	if (keeper_login_decode(buffer_view(out), &again) != OK ||
	    !view_equal(login.user, again.user) || !view_equal(login.password, again.password) ||
	    !ip_address_equal(&login.client, &again.client)) {
		abort();
	}
}

static void check_answer(struct view payload, struct buffer *out, struct arena *arena)
{
	struct keeper_answer answer;
	struct patterns patterns;
	struct address login;

	if (keeper_answer_decode(payload, arena, &answer) != OK || answer.result != KEEPER_GOOD) {
		return;
	}
	keeper_answer_encode(out, &answer);
	if (!view_equal(buffer_view(out), payload)) {
		abort();
	}
	if (keeper_answer_rights(&answer, arena, &login, &patterns) == OK && login.key.len == 0) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view payload = view_from(view_of(data, size), 1);
	struct arena arena = arena_with_max(1 << 20);
	struct buffer out = buffer_with_max(1 << 20);

	if (size && data[0] == 'l') {
		check_login(payload, &out);
	} else if (size) {
		check_answer(payload, &out, &arena);
	}
	buffer_done(&out);
	arena_done(&arena);
	return 0;
}
