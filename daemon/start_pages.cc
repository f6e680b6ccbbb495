#include "daemon/start_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "core/parse_whole.h"

namespace tidegate::daemon {
namespace {

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

// A line such as "7f01a000-7f02b000 r-xp 00002000 fe:00 1234  /usr/lib/libz.so"; empty for what is no code of a file.
Mapping parse_code(std::string_view line) {
  const std::size_t dash = line.find('-');
  const std::size_t space = line.find(' ');
  const bool is_code = space != std::string_view::npos && line.substr(space + 1).starts_with("r-xp ") &&
                       line.find(" /") != std::string_view::npos;
  if (!is_code || dash == std::string_view::npos || dash > space) return {};
  const auto begin = parse_whole<std::uintptr_t>(line.substr(0, dash), 16);
  const auto end = parse_whole<std::uintptr_t>(line.substr(dash + 1, space - dash - 1), 16);
  return begin && end ? Mapping{*begin, *end} : Mapping{};
}

}  // namespace

void give_back_start_pages() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const Mapping code = parse_code(line);
    if (code.end <= code.begin) continue;
    void* const address = reinterpret_cast<void*>(code.begin);
    (void)::madvise(address, code.end - code.begin, MADV_DONTNEED);
  }
}

}  // namespace tidegate::daemon
