// sim: runs the scenario over many seeds. Last line: N seeds, N faults, N violations; exit status 0
// only without violations. The first violation is made small (shrink.h) and told as a story. With
// a plant, or forever, it stops there. --trace SEED prints one run, event by event.
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "sim/plant.h"
#include "sim/setup.h"
#include "sim/shrink.h"

enum { SEEDS_DEFAULT = 1000, TEXT_BYTES_MAX = 1024 * 1024, PROGRESS_S = 10 };

struct options {
	uint64_t seeds;
	struct spec spec; // of the first seed
	bool traces, quiet, forever, digests, no_shrink;
	const char *plant;
};

struct totals {
	uint64_t seeds, faults, violations, letters, crashes, repeats, steps;
	uint64_t deeds[DEED_COUNT];
	uint32_t broken;   // by the first violation
	struct spec first; // the spec of that
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

// ---- what is said

static void say_how_to_repeat(const struct spec *spec, const struct options *options)
{
	struct buffer words = buffer_with_max(4096);

	spec_add_text(spec, &words);
	if (options->plant) {
		buffer_printf(&words, " --plant %s", options->plant);
	}
	printf("again: ./dev sim %s\n", buffer_text(&words));
	buffer_done(&words);
}

static void say_progress(const struct totals *totals, time_t begun)
{
	static time_t said;
	time_t now = time(NULL);

	if (isatty(STDERR_FILENO) ? now > said : now >= said + PROGRESS_S) {
		said = now;
		fprintf(stderr, "%s%llu seeds, %llu faults, %.1f seeds a second%s",
			isatty(STDERR_FILENO) ? "\r" : "", (unsigned long long)totals->seeds,
			(unsigned long long)totals->faults,
			(double)totals->seeds / (double)(now > begun ? now - begun : 1),
			isatty(STDERR_FILENO) ? "\033[K" : "\n");
	}
}

static void add_up(struct totals *totals, const struct scenario_result *result)
{
	if (result->violations && (!totals->violations || result->spec.seed < totals->first.seed)) {
		totals->first = result->spec;
		totals->broken = result->broken;
	}
	totals->seeds++;
	totals->faults += result->faults;
	totals->violations += result->violations;
	totals->letters += result->letters;
	totals->crashes += result->crashes;
	totals->repeats += result->repeats;
	totals->steps += result->steps;
	for (int deed = 0; deed < DEED_COUNT; deed++) {
		totals->deeds[deed] += result->deeds[deed];
	}
}

// The violations alone; the stories come when the first of them has been made small.
static void say_violations(const struct run *run, const struct options *options)
{
	struct view rest = buffer_view(&run->text), line;
	bool tells = options->no_shrink;

	printf("seed %llu:\n", (unsigned long long)run->result.spec.seed);
	while (view_next_part(&rest, '\n', &line)) {
		if (tells || view_starts(line, VIEW("VIOLATION ("))) {
			printf("%.*s\n", VIEW_ARG(line));
		}
	}
	say_how_to_repeat(&run->result.spec, options);
}

static void say_digest(const struct scenario_result *result)
{
	printf("seed %llu digest %016llx\n", (unsigned long long)result->spec.seed,
	       (unsigned long long)result->digest);
}

static void say_totals(const struct totals *totals)
{
	for (enum deed deed = 0; deed < DEED_COUNT; deed++) {
		printf("%10llu  %s\n", (unsigned long long)totals->deeds[deed], deed_name(deed));
	}
	printf("%llu letters, %llu crashes, %llu repeated deliveries in the window, "
	       "%llu steps\n",
	       (unsigned long long)totals->letters, (unsigned long long)totals->crashes,
	       (unsigned long long)totals->repeats, (unsigned long long)totals->steps);
	printf("%llu seeds, %llu faults, %llu violations\n", (unsigned long long)totals->seeds,
	       (unsigned long long)totals->faults, (unsigned long long)totals->violations);
}

// ---- many seeds

static bool goes_on(const struct options *options, const struct totals *totals, uint64_t started)
{
	bool stops = (options->plant || options->forever) && totals->violations;

	return !stops && !interrupted && (options->forever || started < options->seeds);
}

static void run_all(struct runner *runner, const struct options *options, struct totals *totals)
{
	time_t begun = time(NULL);
	uint64_t started = 0;
	struct run run;

	while (goes_on(options, totals, started) || !runner_is_idle(runner)) {
		while (goes_on(options, totals, started) && runner_has_room(runner)) {
			struct spec spec = options->spec;

			spec.seed += started++;
			runner_start(runner, &spec);
		}
		if (!runner_wait(runner, &run)) {
			continue;
		}
		add_up(totals, &run.result);
		if (run.result.violations && !options->quiet) {
			say_violations(&run, options);
		}
		if (options->digests) {
			say_digest(&run.result);
		}
		if (options->forever) {
			say_progress(totals, begun);
		}
		run_done(&run);
	}
}

static void shrink_first(struct runner *runner, const struct options *options,
			 const struct totals *totals)
{
	struct spec spec = totals->first;
	struct run run = { .text = buffer_with_max(0) };
	unsigned runs = shrink(runner, &spec, totals->broken, &run);

	printf("\nseed %llu made small in %u runs:\n%.*s", (unsigned long long)spec.seed, runs,
	       VIEW_ARG(buffer_view(&run.text)));
	say_how_to_repeat(&spec, options);
	printf("\n");
	run_done(&run);
}

static int run(const struct options *options, const struct scenario_setup *setup)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	struct runner *runner = runner_new(setup);
	struct totals totals = { 0 };

	sigaction(SIGINT, &action, NULL);
	run_all(runner, options, &totals);
	if (totals.violations && !options->quiet && !options->no_shrink && !interrupted) {
		shrink_first(runner, options, &totals);
	}
	runner_free(runner);
	say_totals(&totals);
	return totals.violations ? 1 : 0;
}

static int trace(const struct options *options, struct scenario_setup *setup)
{
	struct buffer text = buffer_with_max(TEXT_BYTES_MAX);
	struct scenario_result result;

	setup->print = stdout;
	result = scenario_run(&options->spec, setup, &text);
	printf("%.*sdigest %016llx\n1 seeds, %llu faults, %u violations\n",
	       VIEW_ARG(buffer_view(&text)), (unsigned long long)result.digest,
	       (unsigned long long)result.faults, result.violations);
	fflush(stdout);
	_exit(result.violations != 0);
}

// ---- the command line

static void usage(void)
{
	fprintf(stderr,
		"usage: sim [--seeds N | --forever] [--start SEED] [--plant NAME | --plant list]\n"
		"           [--trace SEED] [--digests] [--quiet] [--no-shrink]\n"
		"           [--variation N] [--letters N] [--recipients N] [--without PART,...]\n");
	exit(EX_USAGE);
}

static uint64_t number(const char *text)
{
	uint64_t number;

	if (!text || !view_to_u64(view_from_text(text), UINT32_MAX, &number)) {
		usage();
	}
	return number;
}

static bool parse_flag(struct options *options, const char *word)
{
	const struct {
		const char *word;
		bool *flag;
	} flags[] = {
		{ "--quiet", &options->quiet },
		{ "--forever", &options->forever },
		{ "--digests", &options->digests },
		{ "--no-shrink", &options->no_shrink },
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (strcmp(word, flags[i].word) == 0) {
			return *flags[i].flag = true;
		}
	}
	return false;
}

static void parse_value(struct options *options, const char *word, const char *value)
{
	struct spec *spec = &options->spec;

	if (strcmp(word, "--seeds") == 0) {
		options->seeds = number(value);
	} else if (strcmp(word, "--start") == 0) {
		spec->seed = number(value);
	} else if (strcmp(word, "--trace") == 0) {
		spec->seed = number(value);
		options->traces = true;
	} else if (strcmp(word, "--plant") == 0) {
		options->plant = value;
	} else if (strcmp(word, "--variation") == 0) {
		spec->variation = number(value);
	} else if (strcmp(word, "--letters") == 0) {
		spec->letters_max = (unsigned)number(value);
	} else if (strcmp(word, "--recipients") == 0) {
		spec->recipients_max = (unsigned)number(value);
	} else if (strcmp(word, "--without") != 0 || !spec_parse_without(value, &spec->without)) {
		usage();
	}
}

static struct options parse(int count, char **words)
{
	struct options options = { .seeds = SEEDS_DEFAULT, .spec = { .seed = 1 } };

	for (int i = 1; i < count; i++) {
		if (parse_flag(&options, words[i])) {
			continue;
		}
		if (i + 1 == count) {
			usage();
		}
		parse_value(&options, words[i], words[i + 1]);
		i++;
	}
	return options;
}

// Fresh pages cost more than all else: small memory is kept, and comes in huge pages, which a
// program can only ask of the C library before it begins; large tables, of which little is ever
// touched, come straight from the system, zero as they are.
static void prepare_memory(char **words)
{
	if (!getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", true);
		(void)!execv("/proc/self/exe", words); // slower without
	}
	mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, 512 * 1024 * 1024);
	mallopt(M_TOP_PAD, 4 * 1024 * 1024);
}

int main(int count, char **words)
{
	struct options options;
	static struct scenario_setup setup; // what it holds is everybody's until the end

	prepare_memory(words);
	options = parse(count, words);
	if (options.plant && strcmp(options.plant, "list") == 0) {
		plant_list(stdout);
		return 0;
	}
	if (options.plant && !plant_set(options.plant)) {
		fprintf(stderr, "sim: no plant '%s', see --plant list\n", options.plant);
		return EX_USAGE;
	}
	setup_make(&setup.box);
	return options.traces ? trace(&options, &setup) : run(&options, &setup);
}
