#pragma once

#include <cstdio>
#include <cstdlib>

namespace tidegate::fuzz {

/// Like assert, but in every build.
inline void check(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace tidegate::fuzz
