// libFuzzer on what Sparkplug nodes send.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tidegate::fuzz::read_sparkplug({data, size});
  return 0;
}
