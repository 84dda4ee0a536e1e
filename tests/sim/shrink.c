#include "sim/shrink.h"

enum {
	// Whatever is left out changes all chances behind it, so each smaller spec is tried with
	// several sequences of them.
	VARIATIONS = 16,
	LETTERS_TRIED_MAX = 16,
	RECIPIENTS_TRIED_MAX = 2,
};

struct shrinker {
	struct runner *runner;
	uint32_t broken;
	unsigned runs;
	struct spec best;
	struct run *run; // of the best
};

static bool is_better(const struct shrinker *shrinker, const struct run *run)
{
	return (run->result.broken & shrinker->broken) != 0;
}

// Takes the variation with the lowest number that fails as before, so that the outcome does not
// depend on which run ends first.
static void keep_lowest(struct shrinker *shrinker, struct run *run, bool *found)
{
	const struct spec *spec = &run->result.spec;

	if (is_better(shrinker, run) && (!*found || spec->variation < shrinker->best.variation)) {
		run_done(shrinker->run);
		*shrinker->run = *run;
		shrinker->best = *spec;
		*found = true;
	} else {
		run_done(run);
	}
}

// True: some variation of it fails as before, and is the best now.
static bool try(struct shrinker *shrinker, struct spec spec)
{
	uint64_t next = 0;
	bool found = false;
	struct run run;

	while ((!found && next < VARIATIONS) || !runner_is_idle(shrinker->runner)) {
		while (!found && next < VARIATIONS && runner_has_room(shrinker->runner)) {
			spec.variation = next++;
			shrinker->runs++;
			runner_start(shrinker->runner, &spec);
		}
		if (!runner_wait(shrinker->runner, &run)) {
			return false;
		}
		keep_lowest(shrinker, &run, &found);
	}
	return found;
}

static void try_fewer(struct shrinker *shrinker)
{
	struct spec spec = shrinker->best;
	unsigned most = spec.letters_max ? spec.letters_max - 1 : LETTERS_TRIED_MAX;

	for (unsigned letters = 1; letters <= most; letters *= 2) {
		spec.letters_max = letters;
		if (try(shrinker, spec)) {
			break;
		}
	}
	most = shrinker->best.recipients_max ? shrinker->best.recipients_max - 1
					     : RECIPIENTS_TRIED_MAX;
	spec = shrinker->best;
	for (unsigned recipients = 1; recipients <= most; recipients++) {
		spec.recipients_max = recipients;
		if (try(shrinker, spec)) {
			break;
		}
	}
}

static void try_without(struct shrinker *shrinker)
{
	for (int part = 0; part < SPEC_PART_COUNT; part++) {
		struct spec spec = shrinker->best;

		if (spec_has(&spec, part)) {
			spec.without |= 1u << part;
			(void)try(shrinker, spec);
		}
	}
}

unsigned shrink(struct runner *runner, struct spec *failing, uint32_t broken, struct run *ret_run)
{
	struct shrinker shrinker = {
		.runner = runner, .broken = broken, .best = *failing, .run = ret_run
	};

	(void)try(&shrinker, *failing); // its own run, or one close to it
	try_fewer(&shrinker);
	try_without(&shrinker);
	try_fewer(&shrinker);
	*failing = shrinker.best;
	return shrinker.runs;
}
