#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "daemon/event_loop.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Does the job on the worker's thread and gives what it returns to `done` on the loop's. What `done` owns ends on the
/// loop's thread, however long the worker keeps the job: it is handed over, never shared. The loop outlives the job.
template <class Job, class Done>
void work_on(Worker& worker, EventLoop& loop, Job job, Done done) {
  auto kept = std::make_shared<Done>(std::move(done));
  worker.post([&loop, job = std::move(job), kept = std::move(kept)]() mutable {
    auto result = std::make_shared<std::invoke_result_t<Job&>>(job());
    loop.post([result = std::move(result), kept = std::move(kept)] { (*kept)(std::move(*result)); });
  });
}

}  // namespace tidegate::daemon
