#include "daemon/heap_keeper.h"

#include <malloc.h>

namespace tidegate::daemon {

HeapKeeper::HeapKeeper(EventLoop& loop, Duration every) : every_(every), timer_(loop.make_timer()) { arm(); }

// A dozen threads would each get an arena of their own, which costs more memory than it saves time here.
void HeapKeeper::bound_allocator() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 256 * 1024);
}

void HeapKeeper::arm() {
  timer_->arm(every_, [this] {
    ::malloc_trim(0);
    arm();
  });
}

}  // namespace tidegate::daemon
