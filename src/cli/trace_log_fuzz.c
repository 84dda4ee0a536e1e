// A log file of any bytes, in both formats: the steps of a message are a JSON array of objects, or
// there are none.
#include <jansson.h>
#include <unistd.h>

#include "base/fuzz.h"
#include "cli/trace_log.h"
#include "os/file.h"

// One file in memory for all runs.
static char folder[] = "/dev/shm/packetboat-fuzz-XXXXXX";
static char path[sizeof folder + 4];

static void remove_folder(void)
{
	int dir;

	if (os_dir_open(folder, &dir) == OK) {
		enum error error = os_file_remove_at(dir, "log");

		(void)error;
		os_dir_close(dir);
	}
	(void)rmdir(folder);
}

static void write_log(struct view bytes)
{
	int file;

	if (!path[0]) {
		MUST(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
		snprintf(path, sizeof path, "%s/log", folder);
	}
	MUST(os_file_open_path(path, OS_READ | OS_WRITE | OS_CREATE | OS_TRUNCATE, 0600, &file) ==
	     OK);
	MUST(os_file_write_at(file, 0, bytes) == OK);
	os_file_close(file);
}

static void check(bool json)
{
	struct buffer out = buffer_with_max(1 << 24);
	json_error_t fault;
	enum error error = trace_log_read(path, json, VIEW("06fq0s5v3c0g0"), &out);
	json_t *steps = json_loadb(out.data, out.len, 0, &fault);

	MUST(json_is_array(steps));
	MUST((json_array_size(steps) > 0) == (error == OK));
	for (size_t i = 0; i < json_array_size(steps); i++) {
		MUST(json_is_object(json_array_get(steps, i)));
	}
	json_decref(steps);
	buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	write_log(view_of(data, size));
	check(false);
	check(true);
	return 0;
}
