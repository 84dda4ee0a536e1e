// What connection.c (bytes, ways) and dialogue.c (messages) share; nobody else includes this.
#pragma once

#include "deliver/deliverer_private.h"

// connection.c
void connection_try_next(struct connection *connection);
// This way leads nowhere: the next, or the end of all.
void connection_way_failed(struct connection *connection, const struct trouble *trouble);
void connection_failed(struct connection *connection);
void connection_resume(struct connection *connection);

// dialogue.c
// False: stop stepping, the connection is somewhere else now.
bool connection_event(struct connection *connection, const struct smtp_client_event *event);
// Gives what is in hand back to the lane.
void connection_abandon(struct connection *connection);
