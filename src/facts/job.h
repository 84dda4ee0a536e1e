// One question in hand: from its message to its answer. Freed by itself when it is answered, or by
// job_cancel.
#pragma once

#include "base/list.h"
#include "link/resolver.h"

struct job;

// The job is gone after it.
typedef void job_done_fn(void *context, uint32_t id, const struct facts_answer *answer);

// Its place in the owner's list; the job takes itself off when it ends.
enum error job_new(struct os_loop *loop, struct list *jobs, uint32_t id,
		   const struct facts_question *question, uint32_t deadline_ms, job_done_fn *done,
		   void *context, struct job **ret_job) must_check;
// Asks. Once; the job may be gone when it returns.
void job_start(struct job *job, struct resolver *resolver);
struct job *job_of_link(struct list *link);
void job_cancel(struct job *job); // done is not called
