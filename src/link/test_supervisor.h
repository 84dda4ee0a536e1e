// For unit tests only: the supervisor's place. A test that uses it lists link_test_supervisor
// (src/link/meson.build) among its sources.
#pragma once

// Makes this process a child: one end of a new channel lies at SUPERVISION_FD. Returns the other.
int test_supervisor_open(void);
