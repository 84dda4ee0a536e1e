#include "os/contract.h"

#include "base/check.h"

int contract_setup(void **state)
{
	static struct contract contract;

	contract = (struct contract){ 0 };
	contract_world_begin(&contract);
	assert_int_equal(os_loop_new(&contract.loop), OK);
	*state = &contract;
	return 0;
}

int contract_teardown(void **state)
{
	struct contract *contract = *state;

	os_loop_free(contract->loop);
	contract_world_end(contract);
	return 0;
}

void contract_happened(struct contract *contract, char letter)
{
	assert_true(contract->order_len < sizeof contract->order - 1);
	contract->order[contract->order_len++] = letter;
}

static void fire(void *context)
{
	struct contract_timer *each = context;

	contract_happened(each->contract, each->letter);
	if (each->letter == 'z') {
		os_loop_stop(each->contract->loop);
	}
}

void contract_timer_set(struct contract_timer *each, struct contract *contract, char letter,
			uint64_t delay_ms)
{
	each->contract = contract;
	each->letter = letter;
	os_timer_init(&each->timer, contract->loop, fire, each);
	os_timer_set(&each->timer, delay_ms);
}
