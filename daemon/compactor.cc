#include "daemon/compactor.h"

#include <utility>

namespace tidegate::daemon {

void Compactor::poke() {
  if (running_ || stopped_) return;
  auto job = log_.next_rewrite();
  if (!job) return;
  running_ = true;
  // std::function wants to copy what it holds, a job can only move.
  run_slice(std::make_shared<std::unique_ptr<buffer::RewriteJob>>(std::move(job)));
}

void Compactor::run_slice(Job job) {
  storage_.post([this, alive = alive_, &loop = loop_, job] {
    const bool done = (*job)->run_slice();
    loop.post([this, alive, job, done] {
      if (!*alive || stopped_) return;
      if (done) return finish(job);
      run_slice(job);
    });
  });
}

void Compactor::finish(const Job& job) {
  running_ = false;
  log_.finish_rewrite(std::move(*job));
  if (rewritten_) rewritten_();
  poke();
}

}  // namespace tidegate::daemon
