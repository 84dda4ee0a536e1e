// Between the files that make material.
#pragma once

#include "os/socket.h"
#include "supervisor/material.h"

enum error certificates_load(struct material *material, int tls_dir,
			     struct buffer *said) must_check;
void certificates_close(struct material *material);
uint64_t certificates_stamp(const struct config *config);

// Binds what the configuration listens on; what old has already is duplicated. Without old, at a
// start, it waits a little for a port that dying processes of ours still hold.
enum error sockets_open(struct material *material, const struct material *old,
			struct buffer *said) must_check;
void sockets_close(struct material *material);
