// libFuzzer on the segment reader. Seven of eight inputs get right checksums, so that the decoders behind them are
// reached.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/segment_image.h"
#include "tests/fuzz/targets.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  const std::size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 != 0) tidegate::fuzz::repair_checksums({data, mutated});
  return mutated;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tidegate::fuzz::read_segment({data, size});
  return 0;
}
