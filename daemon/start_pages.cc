#include "daemon/start_pages.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tidegate::daemon {
namespace {

struct Pages {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

// As the loader maps it.
Pages pages_of(const dl_phdr_info& object, const ElfW(Phdr) & segment) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = object.dlpi_addr + segment.p_vaddr;
  return {begin & ~(page - 1), (begin + segment.p_memsz + page - 1) & ~(page - 1)};
}

// One of the program or of a library. The kernel's own has no file to come back from.
int give_back_object(dl_phdr_info* object, std::size_t, void*) {
  if (std::string_view(object->dlpi_name).starts_with("linux-")) return 0;
  const std::span segments(object->dlpi_phdr, object->dlpi_phnum);
  for (const auto& constant : segments) {
    if (constant.p_type != PT_LOAD || (constant.p_flags & PF_W) != 0) continue;
    Pages pages = pages_of(*object, constant);
    // A page that what may be written has a part in is not let go of.
    for (const auto& other : segments) {
      if (other.p_type != PT_LOAD || (other.p_flags & PF_W) == 0) continue;
      const Pages written = pages_of(*object, other);
      if (written.begin < pages.end && written.end > pages.begin) pages.end = std::max(pages.begin, written.begin);
    }
    if (pages.begin < pages.end) {
      (void)::madvise(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, MADV_DONTNEED);
    }
  }
  return 0;
}

void give_back_constant_pages() { ::dl_iterate_phdr(give_back_object, nullptr); }

}  // namespace

StartPages::StartPages(EventLoop& loop, Duration settled_after) : settled_(loop.make_timer()) {
  give_back_constant_pages();
  settled_->arm(settled_after, give_back_constant_pages);
}

}  // namespace tidegate::daemon
