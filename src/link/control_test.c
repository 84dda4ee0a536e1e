#include "link/control.h"

#include "base/check.h"

static const struct control_argument arguments[] = {
	{ VIEW("sender"), VIEW("*@example.org") },
	{ VIEW(""), VIEW("alice@example.org") },
};

static void encode(struct buffer *out)
{
	struct control_request request = { CONTROL_USER_ADD, arguments, 2 };

	control_request_encode(out, &request);
}

static void a_request_survives_the_way(void **state)
{
	struct buffer bytes = buffer_with_max(1024);
	struct arena arena = arena_with_max(4096);
	struct control_request request;
	struct view value;

	(void)state;
	encode(&bytes);
	assert_int_equal(control_request_decode(buffer_view(&bytes), &arena, &request), OK);
	assert_int_equal(request.command, CONTROL_USER_ADD);
	assert_true(control_request_get(&request, VIEW("sender"), &value));
	assert_view(value, "*@example.org");
	assert_true(control_request_get(&request, VIEW(""), &value));
	assert_view(value, "alice@example.org");
	assert_false(control_request_get(&request, VIEW("from"), &value));
	buffer_done(&bytes);
	arena_done(&arena);
}

static void a14_a_cut_or_bent_request_is_refused(void **state)
{
	struct buffer bytes = buffer_with_max(1024);
	struct arena arena = arena_with_max(1 << 20);
	struct control_request request;

	(void)state;
	encode(&bytes);
	for (size_t len = 0; len < bytes.len; len++) {
		assert_int_equal(control_request_decode(view_first(buffer_view(&bytes), len),
							&arena, &request),
				 ERROR_INVALID);
	}
	bytes.data[0] = (char)CONTROL_COMMAND_COUNT;
	assert_int_equal(control_request_decode(buffer_view(&bytes), &arena, &request),
			 ERROR_INVALID);
	encode(&bytes); // two requests in one
	assert_int_equal(control_request_decode(buffer_view(&bytes), &arena, &request),
			 ERROR_INVALID);
	buffer_done(&bytes);
	arena_done(&arena);
}

static void a24_remote_text_stays_inside_its_json_string(void **state)
{
	struct buffer out = buffer_with_max(1024);

	(void)state;
	control_add_json_text(&out, VIEW("a\"b\\c\r\n\x1b[2J"));
	assert_view(buffer_view(&out), "\"a\\\"b\\\\\\\\c\\\\x0d\\\\x0a\\\\x1b[2J\"");
	buffer_done(&out);
}

static void a14_what_is_not_one_object_is_no_part_of_an_answer(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{ "{}", true },
		{ " {\"a\":[1,2.5,true,null,\"\\u00e9\"]}\n", true },
		{ "{\"a\":[[[[[[[]]]]]]]}", true },    // 8 deep
		{ "{\"a\":[[[[[[[[]]]]]]]]}", false }, // 9
		{ "{\"a\":[[[[[[[{}]]]]]]]}", false },
		{ "", false },
		{ "7", false },
		{ "[]", false },
		{ "{", false },
		{ "{}{}", false },
		{ "{},\"state\":\"ready\",\"x\":{}", false },
		{ "{\"a\":1,\"a\":2}", false },
		{ "{\"a\":\"\x1b[2J\"}", false },
		{ "{\"a\":\"\xff\"}", false },
		{ "{\"a\":\"\\u0000\"}", false },
		{ "{\"a\":NaN}", false },
		{ "{'a':1}", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (control_is_json_object(view_from_text(cases[i].text)) != cases[i].valid) {
			fail_msg("%s", cases[i].text);
		}
	}
	assert_false(control_is_json_object(VIEW("{}\0{}")));
}

static void every_command_has_words_and_an_answerer(void **state)
{
	(void)state;
	for (int i = CONTROL_NONE + 1; i < CONTROL_COMMAND_COUNT; i++) {
		assert_true(control_command_words(i)[0] != '\0');
		assert_in_range(control_command_answerer(i), CONTROL_BY_KEEPER, CONTROL_BY_DELIVER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_survives_the_way),
		cmocka_unit_test(a14_a_cut_or_bent_request_is_refused),
		cmocka_unit_test(a24_remote_text_stays_inside_its_json_string),
		cmocka_unit_test(a14_what_is_not_one_object_is_no_part_of_an_answer),
		cmocka_unit_test(every_command_has_words_and_an_answerer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
