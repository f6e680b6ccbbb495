// libFuzzer on the loader of the state database and what reads the texts in it.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tidegate::fuzz::load_state({data, size});
  return 0;
}
