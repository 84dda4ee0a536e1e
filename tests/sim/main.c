// sim: runs the scenario over many seeds, each in a process of its own, as many at a time as there
// are processors. Last line: N seeds, N faults, N violations; exit status 0 only without
// violations. With a plant it stops once that is found. --trace SEED prints one run, event by
// event.
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "sim/plant.h"
#include "sim/scenario.h"
#include "sim/setup.h"

enum {
	SEEDS_DEFAULT = 100,
	WORKERS_MAX = 16,
	TEXT_BYTES_MAX = 1024 * 1024,
	PATIENCE_S = 300, // of real time, for one seed
};

struct options {
	uint64_t seeds, start, trace;
	bool traces, quiet;
	const char *plant;
};

struct worker {
	pid_t pid; // 0: none
	int pipe;
	uint64_t seed;
};

struct totals {
	uint64_t seeds, faults, violations, letters, accepted, crashes, repeats, steps;
	bool is_quiet;
};

// ---- one seed, in a process of its own

static void write_all(int fd, const void *bytes, size_t len)
{
	const char *rest = bytes;

	while (len) {
		ssize_t done = write(fd, rest, len);

		if (done <= 0) {
			_exit(EX_IOERR);
		}
		rest += done;
		len -= (size_t)done;
	}
}

// All that it says goes into the pipe; the result comes last, and only at a proper end.
static void run_seed(uint64_t seed, const struct options *options, int pipe)
{
	struct buffer text = buffer_with_max(TEXT_BYTES_MAX);
	struct scenario_setup setup = { 0 };
	struct scenario_result result;

	alarm(PATIENCE_S);
	dup2(pipe, STDERR_FILENO);
	setup_make(&setup.box);
	plant_set(options->plant);
	result = scenario_run(seed, &setup, &text);
	write_all(pipe, text.data, text.len);
	write_all(pipe, &result, sizeof result);
	close(pipe);
	_exit(0); // the memory of crashed processes is nobody's: no look for leaks
}

static void worker_start(struct worker *worker, uint64_t seed, const struct options *options)
{
	int ends[2];

	fflush(stdout);
	if (pipe(ends) != 0 || (worker->pid = fork()) < 0) {
		perror("sim");
		exit(EX_OSERR);
	}
	if (worker->pid == 0) {
		close(ends[0]);
		run_seed(seed, options, ends[1]);
	}
	close(ends[1]);
	worker->pipe = ends[0];
	worker->seed = seed;
}

// ---- what came of it

static void say_how_to_repeat(uint64_t seed, const struct options *options)
{
	printf("again: ./dev sim --start %llu --seeds 1%s%s    every event: ./dev sim --trace "
	       "%llu%s%s\n",
	       (unsigned long long)seed, options->plant ? " --plant " : "",
	       options->plant ? options->plant : "", (unsigned long long)seed,
	       options->plant ? " --plant " : "", options->plant ? options->plant : "");
}

static void worker_finish(struct worker *worker, const struct options *options,
			  struct totals *totals)
{
	struct buffer bytes = buffer_with_max(TEXT_BYTES_MAX + sizeof(struct scenario_result));
	struct scenario_result result = { .seed = worker->seed };
	struct view text;
	ssize_t len;
	int status;

	do {
		char *room = buffer_reserve(&bytes, 4096);

		len = room ? read(worker->pipe, room, 4096) : 0;
		bytes.len += len > 0 ? (size_t)len : 0;
	} while (len > 0);
	close(worker->pipe);
	waitpid(worker->pid, &status, 0);
	worker->pid = 0;
	text = buffer_view(&bytes);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && text.len >= sizeof result) {
		text.len -= sizeof result;
		memcpy(&result, text.data + text.len, sizeof result);
	} else {
		result.violations = 1;
		printf("seed %llu %s\n", (unsigned long long)worker->seed,
		       WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "does not end"
									  : "breaks off");
	}
	totals->seeds++;
	totals->faults += result.faults;
	totals->violations += result.violations;
	totals->letters += result.letters;
	totals->accepted += result.accepted;
	totals->crashes += result.crashes;
	totals->repeats += result.repeats;
	totals->steps += result.steps;
	if (result.violations && !options->quiet) {
		printf("%.*s", VIEW_ARG(text));
		say_how_to_repeat(result.seed, options);
	}
	buffer_done(&bytes);
}

static void wait_for_one(struct worker *workers, unsigned count, const struct options *options,
			 struct totals *totals)
{
	struct pollfd ends[WORKERS_MAX];

	for (unsigned i = 0; i < count; i++) {
		ends[i] = (struct pollfd){ workers[i].pid ? workers[i].pipe : -1, POLLIN, 0 };
	}
	if (poll(ends, count, -1) < 0) {
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		if (workers[i].pid && ends[i].revents) {
			worker_finish(&workers[i], options, totals);
		}
	}
}

static void run_all(const struct options *options, struct totals *totals)
{
	struct worker workers[WORKERS_MAX] = { 0 };
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = processors < 1             ? 1
			 : processors > WORKERS_MAX ? WORKERS_MAX
						    : (unsigned)processors;
	uint64_t started = 0;

	while (totals->seeds < options->seeds && !(options->plant && totals->violations)) {
		for (unsigned i = 0; i < count && started < options->seeds; i++) {
			if (!workers[i].pid) {
				worker_start(&workers[i], options->start + started++, options);
			}
		}
		wait_for_one(workers, count, options, totals);
	}
	for (unsigned i = 0; i < count; i++) {
		if (workers[i].pid) { // a plant was found meanwhile
			kill(workers[i].pid, SIGKILL);
			waitpid(workers[i].pid, NULL, 0);
		}
	}
}

// ---- the command line

static void usage(void)
{
	fprintf(stderr, "usage: sim [--seeds N] [--start SEED] [--plant NAME | --plant list] "
			"[--trace SEED] [--quiet]\n");
	exit(EX_USAGE);
}

static uint64_t number(const char *text)
{
	uint64_t number;

	if (!text || !view_to_u64(view_from_text(text), UINT64_MAX / 2, &number)) {
		usage();
	}
	return number;
}

static struct options parse(int count, char **words)
{
	struct options options = { .seeds = SEEDS_DEFAULT, .start = 1 };

	for (int i = 1; i < count; i++) {
		if (strcmp(words[i], "--quiet") == 0) {
			options.quiet = true;
		} else if (i + 1 == count) {
			usage();
		} else if (strcmp(words[i], "--seeds") == 0) {
			options.seeds = number(words[++i]);
		} else if (strcmp(words[i], "--start") == 0) {
			options.start = number(words[++i]);
		} else if (strcmp(words[i], "--trace") == 0) {
			options.trace = number(words[++i]);
			options.traces = true;
		} else if (strcmp(words[i], "--plant") == 0) {
			options.plant = words[++i];
		} else {
			usage();
		}
	}
	return options;
}

static int trace(const struct options *options)
{
	struct buffer text = buffer_with_max(TEXT_BYTES_MAX);
	struct scenario_setup setup = { .print = stdout };
	struct scenario_result result;

	setup_make(&setup.box);
	plant_set(options->plant);
	result = scenario_run(options->trace, &setup, &text);
	printf("%.*s1 seeds, %llu faults, %u violations\n", VIEW_ARG(buffer_view(&text)),
	       (unsigned long long)result.faults, result.violations);
	fflush(stdout);
	_exit(result.violations != 0);
}

int main(int count, char **words)
{
	struct options options = parse(count, words);
	struct totals totals = { 0 };

	if (options.plant && strcmp(options.plant, "list") == 0) {
		plant_list(stdout);
		return 0;
	}
	if (options.plant && !plant_exists(options.plant)) {
		fprintf(stderr, "sim: no plant '%s', see --plant list\n", options.plant);
		return EX_USAGE;
	}
	if (options.traces) {
		return trace(&options);
	}
	run_all(&options, &totals);
	printf("%llu letters, %llu accepted, %llu crashes, %llu repeated deliveries in the window, "
	       "%llu steps\n",
	       (unsigned long long)totals.letters, (unsigned long long)totals.accepted,
	       (unsigned long long)totals.crashes, (unsigned long long)totals.repeats,
	       (unsigned long long)totals.steps);
	printf("%llu seeds, %llu faults, %llu violations\n", (unsigned long long)totals.seeds,
	       (unsigned long long)totals.faults, (unsigned long long)totals.violations);
	return totals.violations ? 1 : 0;
}
