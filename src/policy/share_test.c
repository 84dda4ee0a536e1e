#include "policy/share.h"

#include "base/check.h"

enum { PLACES = 100, MANY = 200 };

static struct share *shares(void)
{
	static struct share share;

	share_init(&share, (struct hash_key){ 1, 2 });
	return &share;
}

static unsigned take_all(struct share *share, unsigned group)
{
	unsigned count = 0;

	while (share_admits(share, group, PLACES)) {
		share_take(share, group);
		count++;
	}
	return count;
}

static void a_group_alone_gets_half(void **state)
{
	struct share *share = shares();

	(void)state;
	assert_int_equal(take_all(share, 1), PLACES / 2);
	assert_int_equal(take_all(share, 2), PLACES / 4);
	assert_true(share_admits(share, 3, PLACES));
}

static void with_no_places_none_is_admitted(void **state)
{
	struct share *share = shares();

	(void)state;
	assert_false(share_admits(share, 0, 0));
	share_take(share, 0);
	assert_false(share_admits(share, 1, 1));
	assert_true(share_admits(share, 1, 2));
}

static void a25_one_senders_thousand_do_not_hold_up_another(void **state)
{
	struct share *share = shares();
	struct list many[MANY] = { 0 }, one = { 0 };
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		share_wait(share, 7, &many[i]);
	}
	while (share_next(share, PLACES)) {
		share_take(share, 7);
		taken++;
	}
	assert_int_equal(taken, PLACES / 2);
	share_wait(share, 9, &one);
	assert_ptr_equal(share_next(share, PLACES), &one);
	share_take(share, 9);
	share_give_back(share, 7); // the first comes again only as its own are over
	assert_int_equal(share->groups[7].held, PLACES / 2 - 1);
	assert_ptr_equal(share_next(share, PLACES), &many[PLACES / 2]);
	assert_int_equal(share->waiting_count, MANY - PLACES / 2 - 1);
}

static void who_holds_fewest_is_next(void **state)
{
	struct share *share = shares();
	struct list first = { 0 }, second = { 0 };

	(void)state;
	share_take(share, 1);
	share_wait(share, 1, &first);
	share_wait(share, 2, &second);
	assert_ptr_equal(share_next(share, PLACES), &second);
	assert_ptr_equal(share_next(share, PLACES), &first);
	assert_null(share_next(share, PLACES));
}

// A name in the long queue of one is served for another who asks for it too.
static void what_two_want_waits_in_the_shorter_queue(void **state)
{
	struct share *share = shares();
	struct list many[MANY] = { 0 }, other = { 0 };

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		share_wait(share, 1, &many[i]);
	}
	assert_int_equal(share_move(share, 1, 2, &many[MANY - 1]), 2);
	assert_int_equal(share->groups[1].waiting_count, MANY - 1);
	share_wait(share, 2, &other);
	assert_int_equal(share_move(share, 2, 1, &other), 2);
	assert_int_equal(share->waiting_count, MANY + 1);
}

static void groups_are_by_sender(void **state)
{
	struct share *share = shares();
	unsigned group = share_group_of(share, VIEW("a@x.example")), others = 0;
	char sender[] = "?@x.example";

	(void)state;
	assert_int_equal(share_group_of(share, VIEW("a@x.example")), group);
	for (char c = 'b'; c <= 'z'; c++) {
		sender[0] = c;
		others += share_group_of(share, view_from_text(sender)) != group;
	}
	assert_true(others > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_alone_gets_half),
		cmocka_unit_test(with_no_places_none_is_admitted),
		cmocka_unit_test(a25_one_senders_thousand_do_not_hold_up_another),
		cmocka_unit_test(who_holds_fewest_is_next),
		cmocka_unit_test(what_two_want_waits_in_the_shorter_queue),
		cmocka_unit_test(groups_are_by_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
