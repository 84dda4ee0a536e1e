#include "link/test_supervisor.h"

#include <unistd.h>

#include "base/check.h"
#include "link/supervision.h"
#include "os/socket.h"

int test_supervisor_open(void)
{
	int ends[2];

	assert_int_equal(os_channel_pair(ends), OK);
	if (ends[0] == SUPERVISION_FD) {
		ends[0] = dup(SUPERVISION_FD);
	}
	if (ends[1] != SUPERVISION_FD) {
		assert_int_equal(dup2(ends[1], SUPERVISION_FD), SUPERVISION_FD);
		os_socket_close(ends[1]);
	}
	return ends[0];
}
