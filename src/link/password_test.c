#include "link/password.h"

#include <string.h>

#include "base/check.h"

static struct password_hash hash_of(const char *password)
{
	struct password_hash hash;

	assert_int_equal(password_hash(view_from_text(password), PASSWORD_COST_TEST, &hash), OK);
	return hash;
}

static bool matches(const char *password, const struct password_hash *hash)
{
	return password_matches(view_from_text(password), view_from_text(hash->text));
}

static void the_right_password_matches_and_no_other(void **state)
{
	struct password_hash hash = hash_of("correct horse");

	(void)state;
	assert_true(matches("correct horse", &hash));
	assert_false(matches("correct horsE", &hash));
	assert_false(matches("correct hors", &hash));
	assert_false(matches("correct horse ", &hash));
	assert_false(matches("", &hash));
}

static void each_hash_has_its_own_salt(void **state)
{
	struct password_hash one = hash_of("same"), other = hash_of("same");

	(void)state;
	assert_string_not_equal(one.text, other.text);
	assert_true(matches("same", &one));
	assert_true(matches("same", &other));
}

static void passwords_out_of_bounds_are_nobodys(void **state)
{
	struct password_hash hash = hash_of("x");
	char long_password[PASSWORD_MAX + 1];

	(void)state;
	memset(long_password, 'x', sizeof long_password);
	assert_int_equal(password_hash(VIEW(""), PASSWORD_COST_TEST, &hash), ERROR_INVALID);
	assert_int_equal(password_hash(VIEW("a\0b"), PASSWORD_COST_TEST, &hash), ERROR_INVALID);
	assert_int_equal(password_hash(view_of(long_password, sizeof long_password),
				       PASSWORD_COST_TEST, &hash),
			 ERROR_INVALID);
	assert_int_equal(
		password_hash(view_of(long_password, PASSWORD_MAX), PASSWORD_COST_TEST, &hash), OK);
	assert_false(password_matches(VIEW("x\0y"), view_from_text(hash.text)));
	assert_false(password_matches(view_of(long_password, sizeof long_password),
				      view_from_text(hash.text)));
}

static void a15_a_stored_hash_of_another_kind_never_matches(void **state)
{
	static const char *const stored[] = {
		"",
		"x",
		"*0",
		"plain",
		"$y$",
		"$y$j9T$",
		"ab01FAX.bQRSU",
		"$1$abcdefgh$G9P8ZMMLrXtdvmH1sCTtC1",
		"$6$rounds=1000$abcdefgh$fpGVeB5Ju0YmcHIxkIJS70oLJgNEnCpMTCiSlLM."
		"mZ4khgEAZiYvTl6riz/fCagISq53dR9bQNgU1gCzdLwE50",
		"$y$jFT$aaaaaaaaaaaaaaaaaaaaa1$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"$7$DU..../....2Q9obwLhin8qvQl6sisAO/$sHayJj/JBdcuD4lJ1AxiwCo9e5XSi8TcINcmyID12i8",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(stored); i++) {
		if (password_matches(VIEW("plain"), view_from_text(stored[i]))) {
			fail_msg("%s", stored[i]);
		}
	}
}

static void every_cost_that_we_use_is_accepted_back(void **state)
{
	(void)state;
	for (unsigned cost = 1; cost <= PASSWORD_COST; cost++) {
		struct password_hash hash;

		assert_int_equal(password_hash(VIEW("p"), cost, &hash), OK);
		assert_true(matches("p", &hash));
	}
}

static void a33_nobody_has_a_hash_of_the_same_form(void **state)
{
	struct password_hash nobody, somebody = hash_of("x");

	(void)state;
	assert_int_equal(password_hash_of_nobody(PASSWORD_COST_TEST, &nobody), OK);
	assert_int_equal(strlen(nobody.text), strlen(somebody.text));
	assert_memory_equal(nobody.text, somebody.text, strlen("$y$j75$"));
	assert_false(matches("x", &nobody));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_password_matches_and_no_other),
		cmocka_unit_test(each_hash_has_its_own_salt),
		cmocka_unit_test(passwords_out_of_bounds_are_nobodys),
		cmocka_unit_test(a15_a_stored_hash_of_another_kind_never_matches),
		cmocka_unit_test(every_cost_that_we_use_is_accepted_back),
		cmocka_unit_test(a33_nobody_has_a_hash_of_the_same_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
